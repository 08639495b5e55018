"""What is kept of each object of the cluster, whatever it holds; and what a failure is put down to."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api import names
from sluicegate.api.errors import InvalidProduct
from sluicegate.reconcile.live.children import (
    RouteRecord,
    child_record,
    deployment_record,
    has_just_changed,
    is_starting,
    job_record,
    route_record,
    service_record,
)
from sluicegate.reconcile.live.failure_attribution import attribution_of, failing, is_down
from sluicegate.reconcile.live.pods import TrainingExit, of_job, pod_state, problem_of
from sluicegate.reconcile.live.product import packed, product_record, unpacked
from sluicegate.reconcile.routes.gateway_state import gateway_state
from tests.support.decisions.changes import by_difference
from tests.support.decisions.combinations import combined
from tests.support.decisions.rollout_world import broken_pod
from tests.support.decisions.route_objects import NOON, accepted, meta, parent, resolved, route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sluicegate.reconcile.live.children import DeploymentRecord
    from sluicegate.reconcile.live.pods import PodState

Body = dict[str, Any]
MORNING, EVENING = (f"2026-09-01T{hour}:00:00Z" for hour in ("08", "20"))


def told(records: Mapping[str, Any], usual: Any) -> Iterator[str]:
    """The fields of the usual record, and which of them differ in each other one."""

    def fields_of(one: Any) -> Body:
        found = {} if one is None else asdict(one)
        found |= {"spec": one.spec} if isinstance(one, RouteRecord) else {}
        return {name: value for name, value in found.items() if not isinstance(value, bytes)}

    return by_difference(
        {name: fields_of(one) for name, one in {"usual": usual, **records}.items()}
    )


def conditions(*each: tuple[str, str], **fields: Any) -> list[Body]:
    return [{"type": kind, "status": status, **fields} for kind, status in each]


# ---- children -------------------------------------------------------------------------------
def deployment(metadata: Body | None = None, replicas: int | None = 4, **status: Any) -> Body:
    spec = {} if replicas is None else {"replicas": replicas}
    known = {"observedGeneration": 3, "readyReplicas": 3, "replicas": 4}
    return {"metadata": meta(**(metadata or {})), "spec": spec, "status": known | status}


def progressing(reason: str) -> list[Body]:
    return conditions(("Progressing", "True"), reason=reason, lastUpdateTime=NOON)


def scaled(subresource: str, field: str) -> Body:
    entry = {"subresource": subresource, "fieldsV1": {"f:spec": {field: {}}}}
    return {"managedFields": [{"manager": "kubectl"}, entry]}


DEPLOYMENTS: dict[str, Body] = {
    "without an owner": deployment(
        {"ownerReferences": [], "labels": {names.LABEL_PRODUCT: "search", "app": "a"}}
    ),
    "another's": deployment({"ownerReferences": [], "labels": {"app": "a"}}),
    "without labels": deployment({"ownerReferences": None}),
    "owned, but not controlled": deployment(
        {
            "ownerReferences": [
                {"kind": names.KIND, "name": "a", "uid": "a"},
                meta()["ownerReferences"][0],
            ]
        }
    ),
    "controlled by another kind": deployment(
        {"ownerReferences": [{"kind": "Rollout", "name": "a", "uid": "a", "controller": True}]}
    ),
    "with labels": deployment(
        {
            "labels": {names.LABEL_REVISION: "1", "app": "a", names.LABEL_PRODUCT: "other"},
            "annotations": {names.ANNOTATION_INPUTS_HASH: "h", "note": "n"},
        }
    ),
    "new": {"metadata": meta(generation=1), "spec": {}},
    "without a generation": {
        "metadata": meta(generation=1) | {"generation": 0},
        "spec": {"replicas": 0},
    },
    "not seen yet": deployment({"generation": 4}),
    "seen before": deployment({"generation": 2}),
    "no pod is ready": deployment(readyReplicas=0),
    "one pod is ready": deployment(readyReplicas=1),
    "none wanted, one is left": {
        "metadata": meta(),
        "spec": {"replicas": 0},
        "status": {"observedGeneration": 3, "replicas": 1},
    },
    "none wanted, none is left": {
        "metadata": meta(),
        "spec": {"replicas": 0},
        "status": {"observedGeneration": 3, "replicas": 0},
    },
    "the default": deployment(replicas=None),
    "stuck": deployment(conditions=progressing("ProgressDeadlineExceeded")),
    "rolling": deployment(conditions=progressing("ReplicaSetUpdated")),
    "rolled": deployment(conditions=progressing("NewReplicaSetAvailable")),
    "refused": deployment(
        conditions=[
            *progressing("FoundNewReplicaSet"),
            {"type": "ReplicaFailure", "status": "True", "message": "quota"},
        ]
    ),
    "no longer refused": deployment(
        conditions=[{"type": "ReplicaFailure", "status": "False", "message": "quota"}]
    ),
    "refused without a word": deployment(conditions=conditions(("ReplicaFailure", "True"))),
    "made in the morning": deployment({"creationTimestamp": MORNING}),
    "moved at noon": deployment(
        {"creationTimestamp": MORNING},
        conditions=conditions(
            ("Available", "True"), lastTransitionTime=NOON, lastUpdateTime=MORNING
        ),
    ),
    "moved in the evening": deployment(
        conditions=[
            *conditions(("Available", "True"), lastTransitionTime=MORNING, lastUpdateTime=EVENING),
            *conditions(("Progressing", "True"), lastTransitionTime=NOON),
        ]
    ),
    "scaled": deployment(scaled("scale", "f:replicas")),
    "written": deployment(scaled("", "f:replicas")),
    "scaled elsewhere": deployment(scaled("scale", "f:paused")),
    "scaled by nobody": deployment({"managedFields": [{"subresource": "scale"}]}),
}


def test_what_is_kept_of_deployments(golden):
    records = {name: deployment_record(body) for name, body in DEPLOYMENTS.items()}
    golden("records/deployments.txt", told(records, deployment_record(deployment())))


def service(**spec: Any) -> Body:
    return {"metadata": meta(), "spec": spec}


ROUTES: dict[str, Body] = {
    "another's": {"metadata": meta(ownerReferences=[]), "spec": {}},
    "empty": {"metadata": meta(generation=0), "spec": {}},
    "without backends": route(rules=[{"matches": []}]),
    "of two rules": route(
        rules=[{"backendRefs": [{"name": "a", "weight": 0}]}, {"backendRefs": [{"name": "b"}]}]
    ),
    "silent": route(parent()),
    "silent without a list": route({"parentRef": {"name": "web"}}),
    "accepted": route(parent(accepted(), resolved())),
    "accepted at another place": route(
        parent(accepted(), resolved(), namespace="gateway", sectionName="https", port=443)
    ),
    "accepted, and not resolved": route(
        parent(accepted(), resolved("False", message="no Service"))
    ),
    "denied": route(
        parent(accepted("False", message="no", lastTransitionTime=NOON), resolved("False"))
    ),
    "undecided": route(parent(accepted("Unknown"), resolved())),
    "accepted before": route(parent(accepted(observedGeneration=2), resolved())),
    "resolved before": route(parent(accepted(), resolved(observedGeneration=1))),
    "without generations": route(
        parent({"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"})
    ),
    "of two controllers": route(
        parent(accepted("False"), resolved()), parent(accepted(), resolved(), port=80)
    ),
}


def test_what_is_kept_of_routes_and_services(golden):
    records = {name: route_record(body) for name, body in ROUTES.items()}
    golden("records/routes.txt", told(records, route_record(route())))
    services = {
        "headless": service(clusterIP="None", selector={names.LABEL_REVISION: "1", "app": "a"}),
        "of all versions": service(clusterIP="10.0.0.1", selector={"app": "a"}),
        "without a selector": service(selector=None),
        "another's": {"metadata": meta(ownerReferences=[]), "spec": {}},
    }
    found = {name: service_record(body) for name, body in services.items()}
    golden("records/services.txt", told(found, service_record(service())))
    assert child_record({"metadata": meta(ownerReferences=[])}) is None
    assert child_record({"metadata": meta()}) is not None


def test_when_a_route_was_changed_counts_until_clocks_differ():
    written = route_record(route())
    assert written is not None
    written = replace(written, written_at=100)
    assert [written.changed_by(now) for now in (99, 100, 101)] == [0, 100, 100]


def job(metadata: Body | None = None, spec: Body | None = None, **status: Any) -> Body:
    return {"metadata": meta(**(metadata or {})), "spec": spec or {}, "status": status}


JOBS: dict[str, Body] = {
    "another's": job({"ownerReferences": []}),
    "without a status": {"metadata": meta(), "spec": {}},
    "made": job({"creationTimestamp": MORNING}, {"activeDeadlineSeconds": 60}),
    "started": job(startTime=MORNING, conditions=conditions(("Suspended", "False"))),
    "succeeded": job(conditions=conditions(("Complete", "True"), lastTransitionTime=NOON)),
    "failed": job(
        conditions=conditions(
            ("FailureTarget", "True"),
            ("Failed", "True"),
            lastTransitionTime=NOON,
            reason="R",
            message="M",
        )
    ),
    "not failed after all": job(conditions=conditions(("Failed", "False"), reason="R")),
    "failed without a word": job(conditions=conditions(("Failed", "True"))),
    "expires": job(spec={"ttlSecondsAfterFinished": 0}),
    "is deleted": job({"deletionTimestamp": NOON}),
}


def test_what_is_kept_of_jobs(golden):
    records = {name: job_record(body) for name, body in JOBS.items()}
    golden("records/jobs.txt", told(records, job_record(job())))


# ---- pods -----------------------------------------------------------------------------------
RUNNING: Body = {"state": {"running": {}}}
CHECK = "runtime-check"
SCHEDULED = ("PodScheduled", "True")


def pod(
    *containers: Body, init: tuple[Body, ...] = (), metadata: Body | None = None, **body: Any
) -> Body:
    status = {
        "containerStatuses": [{"name": "main", "ready": False, **one} for one in containers],
        "initContainerStatuses": [{"name": CHECK, "ready": False, **one} for one in init],
    }
    spec = body.pop("spec", {})
    return {"metadata": {"name": "p", **(metadata or {})}, "spec": spec, "status": status | body}


def waits(reason: str, message: str = "", **fields: Any) -> Body:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **fields}


def end(code: int, reason: str = "Error", **fields: Any) -> Body:
    return {"terminated": {"exitCode": code, "reason": reason, **fields}}


def looping(restarts: int, last: Body) -> Body:
    return waits("CrashLoopBackOff") | {"lastState": last, "restartCount": restarts}


def volumes(*each: Body) -> Body:
    known = conditions(SCHEDULED, ("PodReadyToStartContainers", "False"))
    return pod(waits("ContainerCreating"), conditions=known, spec={"volumes": list(each)})


PODS: dict[str, Body] = {
    "without a status": {"metadata": {"name": "p"}},
    "of a version": pod(RUNNING, metadata={"labels": {names.LABEL_REVISION: "1"}}),
    "of a Job": pod(RUNNING, metadata={"labels": {"batch.kubernetes.io/job-name": "j"}}),
    "ready": pod(
        RUNNING | {"ready": True, "started": True}, conditions=conditions(("Ready", "True"))
    ),
    "starting": pod(RUNNING | {"started": False}),
    "started": pod(RUNNING | {"started": True}),
    "one of two starting": pod(RUNNING | {"started": True}, RUNNING | {"started": False}),
    "waiting": pod(waits("ContainerCreating")),
    "one of two waiting": pod(waits("ContainerCreating"), RUNNING),
    "being checked": pod(waits("PodInitializing"), init=(RUNNING,)),
    "checked": pod(
        RUNNING,
        init=(
            {
                "ready": True,
                "state": end(0, "Completed", message='{"feedback": "has no key hmac"}'),
            },
        ),
    ),
    "checked, and said something else": pod(
        RUNNING, init=({"state": end(0, message='{"feedback": "rm -rf /"}')},)
    ),
    "checked, and said a number": pod(
        RUNNING, init=({"state": end(0, message='{"feedback": 1}')},)
    ),
    "checked, and said a list": pod(RUNNING, init=({"state": end(0, message="[]")},)),
    "checked, and said nothing": pod(RUNNING, init=({"state": end(0)},)),
    "checked once": pod(
        RUNNING, init=({"state": end(1, message='{"feedback": "has no key hmac"}')},)
    ),
    "checked by another": pod(
        RUNNING,
        init=({"name": "mesh", "state": end(0, message='{"feedback": "has no key hmac"}')},),
    ),
    "lacks a library": pod(init=({"state": end(2, message=" numpy is 1.0\n")},)),
    "has another service": pod(init=({"state": end(2, message="ServiceNotFound: no Search")},)),
    "had another service": pod(init=(looping(1, end(2, message="ServiceNotFound: no Search")),)),
    "another check failed": pod(init=({"name": "mesh", "state": end(2, message="no")},)),
    "pull failed": pod(waits("ErrImagePull", "connection refused")),
    "pull failed again": pod(waits("ImagePullBackOff", "a: NOT FOUND")),
    "no manifest": pod(waits("ErrImagePull", "manifest unknown")),
    "no such name": pod(waits("ErrImagePull", "Name Unknown")),
    "bad name": pod(waits("InvalidImageName", "A")),
    "never pulled": pod(waits("ErrImageNeverPull", "A")),
    "bad config": pod(waits("CreateContainerConfigError", "A")),
    "bad container": pod(waits("CreateContainerError", "A")),
    "ended well": pod({"state": end(0, "Completed", message="{}", finishedAt=NOON)}),
    "ended": pod({"state": end(1, message="no such column", finishedAt=NOON)}),
    "ended without a word": pod({"state": end(1)}),
    "ended twice": pod(looping(2, end(1, message=" no such column "))),
    "ended three times": pod(looping(3, end(1))),
    "ended three times, ready": pod(looping(3, end(1)) | {"ready": True}),
    "killed": pod(looping(1, end(137, "OOMKilled", finishedAt=NOON))),
    "lies killed": pod({"state": end(137, "OOMKilled", finishedAt=NOON)}),
    "killed at an unknown time": pod(looping(1, end(137, "OOMKilled"))),
    "killed twice": pod(
        looping(1, end(137, "OOMKilled", finishedAt=NOON)) | {"ready": True},
        looping(1, end(137, "OOMKilled", finishedAt=EVENING)) | {"ready": True},
    ),
    "killed twice, once at an unknown time": pod(
        looping(1, end(137, "OOMKilled", finishedAt=NOON)), looping(1, end(137, "OOMKilled"))
    ),
    "one ended, one can't be pulled": pod(looping(1, end(1)), waits("ErrImagePull", "refused")),
    "one can't be pulled, one isn't there": pod(
        waits("ErrImagePull", "refused"), waits("ErrImagePull", "not found")
    ),
    "two can't be pulled": pod(waits("ErrImagePull", "refused"), waits("ErrImagePull", "timeout")),
    "evicted": pod(looping(3, end(1)), reason="Evicted", message="disk"),
    "evicted without a word": pod(RUNNING, reason="Evicted"),
    "past its deadline": pod({"state": end(1)}, reason="DeadlineExceeded", message="late"),
    "disrupted": pod(
        RUNNING,
        conditions=conditions(("DisruptionTarget", "True"), reason="Preempted", message="m"),
    ),
    "not disrupted": pod(RUNNING, conditions=conditions(("DisruptionTarget", "False"))),
    "deleted": pod(looping(3, end(1)), metadata={"deletionTimestamp": NOON}),
    "unscheduled": pod(conditions=conditions(("PodScheduled", "False"), message="0/1 nodes")),
    "unscheduled without a word": pod(conditions=conditions(("PodScheduled", "False"))),
    "scheduled": pod(conditions=conditions(SCHEDULED)),
    "unreachable": pod(RUNNING | {"ready": True}, conditions=conditions(("Ready", "False"))),
    "half ready": pod(
        RUNNING | {"ready": True}, RUNNING, conditions=conditions(("Ready", "False"))
    ),
    "without containers": pod(conditions=conditions(("Ready", "False"))),
    "waits for a Secret": volumes({"name": "a", "secret": {"secretName": "s"}}),
    "waits for the feedback Secret": volumes({"name": "feedback", "secret": {"secretName": "s"}}),
    "waits for an optional Secret": volumes(
        {"name": "a", "secret": {"secretName": "s", "optional": True}}
    ),
    "waits for a claim and a Secret": volumes(
        {"name": "b", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "a", "secret": {"secretName": "s"}},
    ),
    "waits, and names no volume": pod(
        waits("ContainerCreating"),
        conditions=conditions(SCHEDULED, ("PodReadyToStartContainers", "False")),
        spec={"volumes": None},
    ),
    "waits for an empty volume": volumes({"name": "a", "emptyDir": {}}),
    "its volumes are there": pod(
        waits("ContainerCreating"),
        conditions=conditions(SCHEDULED, ("PodReadyToStartContainers", "True")),
        spec={"volumes": [{"name": "a", "secret": {"secretName": "s"}}]},
    ),
    "a trainer": pod(
        {"name": "mesh", "state": end(1)}, {"name": "trainer", "state": end(0, finishedAt=NOON)}
    ),
    "a trainer that runs": pod({"name": "mesh", "state": end(1)}, {"name": "trainer", **RUNNING}),
    "a trainer that ran": pod({"name": "trainer", **looping(1, end(1))}),
}


def test_what_is_kept_of_pods(golden):
    records = {name: pod_state(body) for name, body in PODS.items()}
    golden("records/pods.txt", told(records, pod_state(pod(RUNNING))))


# ---- what follows ---------------------------------------------------------------------------
def record(**fields: Any) -> DeploymentRecord:
    found = deployment_record(deployment())
    assert found is not None
    return replace(found, **{"ready": 4, "replicas": 4} | fields)


def state(**fields: Any) -> PodState:
    return replace(broken_pod(fields.pop("problem", "")), **{"unrecoverable": False} | fields)


CANDIDATES: dict[str, DeploymentRecord | None] = {
    "gone": None,
    "without pods": record(ready=0),
    "refused": record(ready=0, refused="quota"),
    "with a pod": record(ready=1),
}
STABLE: dict[str, DeploymentRecord | None] = {
    "stable is gone": None,
    "stable lacks a pod": record(ready=3),
    "stable is up": record(),
}
FAULTS: dict[str, PodState] = {
    "ready": state(ready=True),
    "silent": state(),
    "waiting": state(waiting=True),
    "starting": state(starting=True),
    "a problem": state(problem="p"),
    "a lasting problem": state(problem="lasting", unrecoverable=True),
    "a crash": state(problem="crash", crashed=True),
    "crashed once": state(crashed=True),
    "a loop": state(problem="loop", crashed=True, unrecoverable=True),
    "a mismatch": state(problem="numpy", mismatch=True, crashed=True, unrecoverable=True),
    "another service": state(problem="name", misnamed=True, unrecoverable=True),
    "no image": state(problem="absent", absent=True, crashed=True, unrecoverable=True),
    "killed": state(problem="killed", out_of_memory=True, crashed=True),
    "killed and up": state(ready=True, out_of_memory=True),
    "killed and evicted": state(problem="evicted", out_of_memory=True, outside=True),
    "evicted": state(problem="evicted", outside=True),
    "up in a loop": state(ready=True, problem="loop", crashed=True, unrecoverable=True),
}
PAIRS = {
    f"{one} + {other}": (FAULTS[one], FAULTS[other])
    for one, other in (
        ("a problem", "a lasting problem"),
        ("a crash", "a loop"),
        ("evicted", "a crash"),
        ("waiting", "starting"),
        ("waiting", "silent"),
        ("starting", "silent"),
        ("waiting", "ready"),
        ("killed and evicted", "a crash"),
    )
}


PODSETS = {"none": (), **{name: (one,) for name, one in FAULTS.items()}, **PAIRS}


def test_what_a_failure_is_put_down_to(golden):
    def cause(candidate: Any, stable: Any, pods: Any, time: Any) -> str:
        settled, overdue = time
        one = attribution_of(candidate, pods, stable, settled=settled, overdue=overdue)
        return f"{one.reason}: {one.message}"

    times = {
        "at once": (False, False),
        "settled": (True, False),
        "overdue": (True, True),
        "overdue at once": (False, True),
    }
    up = {"stable is up": STABLE["stable is up"]}
    golden("records/causes.txt", combined(cause, CANDIDATES, up, PODSETS, times))
    at_once = {"at once": times["at once"]}
    ill = {name: one for name, one in STABLE.items() if name not in up}
    golden("records/shared-causes.txt", combined(cause, CANDIDATES, ill, PODSETS, at_once))


def test_why_a_canary_gives_its_traffic_back(golden):
    def why(candidate: Any, stable: Any, pods: Any) -> str:
        one = failing(candidate, pods, stable)
        return "it serves" if one is None else f"{one.reason}: {one.message}"

    golden("records/failing.txt", combined(why, CANDIDATES, STABLE, PODSETS))


def test_when_stable_is_down(golden):
    def down(stable: Any, pods: Any, now: int) -> str:
        return "down" if is_down(stable, pods, now=now, patience=60) else "up, or about to be"

    stable = {
        "gone": None,
        "up": record(ready=1, moved=100),
        "without pods": record(ready=0, moved=100),
        "scaled to none": record(ready=0, replicas=0, moved=100),
    }
    pods = {name: PODSETS[name] for name in ("none", "silent", "a loop", "a crash + a loop")}
    golden("records/down.txt", combined(down, stable, pods, {"159 s": 159, "160 s": 160}))


def test_which_pod_explains_a_failure(golden):
    found = {name: problem_of(pods) for name, pods in PODSETS.items()}
    found |= {f"{name}, turned": problem_of(pods[::-1]) for name, pods in PAIRS.items()}
    golden(
        "records/problems.txt",
        (f"{name}: {one.problem if one else '-'}" for name, one in found.items()),
    )


def test_which_end_of_a_training_counts():
    def ended(code: int | None, at: int, job: str = "j") -> PodState:
        return state(job=job, ended=TrainingExit(str(at), code, "", at))

    assert of_job((), "j") == TrainingExit()
    assert of_job((ended(0, 1, "other"), state(job="j")), "j") == TrainingExit()
    assert of_job((ended(1, 1), ended(0, 2), ended(1, 3)), "j").message == "2"
    assert of_job((ended(1, 3), ended(None, 9), ended(2, 1)), "j").message == "9"
    assert of_job((ended(0, 3), ended(0, 4), state(job="j")), "j").message == "4"


def test_for_how_long_a_deployment_has_just_changed():
    ages = (-1, 0, 9, 10)
    assert [has_just_changed([record(moved=100 - age)], 100) for age in ages] == [
        False,
        True,
        True,
        False,
    ]
    assert [is_starting([record(moved=100 - age, ready=3)], 100) for age in ages] == [
        False,
        True,
        True,
        False,
    ]
    assert not is_starting([record(moved=100)], 100)


# ---- products and Gateways --------------------------------------------------------------------
PRODUCTS: dict[str, Body] = {
    "empty": {},
    "deleted": {"metadata": {"deletionTimestamp": NOON, "generation": 0}},
    "asked": {
        "metadata": {
            "annotations": {names.REQUEST_ABORT: "a", names.REQUEST_RETRAIN: "b", "note": "n"},
            "creationTimestamp": NOON,
        }
    },
    "asked too much": {"metadata": {"annotations": {names.REQUEST_ABORT: "a" * 254}}},
    "asked as much as it may": {"metadata": {"annotations": {names.REQUEST_ABORT: "a" * 253}}},
    "asked a number": {
        "metadata": {"annotations": {names.REQUEST_ABORT: 1, names.REQUEST_RETRAIN: "b"}}
    },
    "asked nothing": {"metadata": {"annotations": {names.REQUEST_ABORT: None}}},
    "annotations are a list": {"metadata": {"annotations": ["a"]}},
    "spec is a list": {"spec": ["a"]},
    "spec is null": {"spec": None},
    "suspended": {"spec": {"suspend": True}},
    "suspended by a word": {"spec": {"suspend": "yes"}},
    "with blocks": {"spec": {"analysis": {"blockSeconds": 60}}},
    "with strange blocks": {"spec": {"analysis": {"blockSeconds": "x"}}},
    "with a route": {"spec": {"route": {"parentRefs": [{"name": "web"}], "path": "/a"}}},
    "with a strange route": {"spec": {"route": {"path": 1}}},
    "with a status": {"status": {"writtenBy": {"operator": "a", "time": NOON}}},
    "with a strange status": {"status": {"writtenBy": 1, "stable": 1}},
}


def test_what_is_kept_is_one_text_whatever_the_order_and_half_a_character_is_no_failure():
    assert packed({"a": 1, "b": {"d": 2, "c": 3}}) == packed({"b": {"c": 3, "d": 2}, "a": 1})
    assert unpacked(packed({"a": "é\ud800"})) == {"a": "é?"}


def test_what_is_kept_of_products(golden):
    views = {}
    for name, body in PRODUCTS.items():
        kept = product_record({"spec": {}, **body, "metadata": meta() | body.get("metadata", {})})
        if kept.refused is not None:
            with pytest.raises(InvalidProduct, match=re.escape(str(kept.refused))):
                kept.parse()
        views[name] = {
            "generation": kept.generation, "version": kept.version, "deleting": kept.deleting,
            "created": kept.created, "requests": kept.requests, "urgent": kept.urgent,
            "refused": None if kept.refused is None else str(kept.refused), "suspended": kept.suspended,
            "block seconds": kept.block_seconds, "route": kept.route, "readable": kept.has_readable_status(),
        }  # fmt: skip
    lines = (line.replace("a" * 253, "a × 253") for line in by_difference(views))
    golden("records/products.txt", lines)


def gateway(listeners: list[Body] | None = None, *each: Body, **metadata: Any) -> Body:
    status = {"conditions": list(each), "listeners": listeners or []}
    return {"metadata": meta() | metadata, "spec": {"gatewayClassName": "a"}, "status": status}


def programmed(status: str = "True", **fields: Any) -> Body:
    return {"type": "Programmed", "status": status, "observedGeneration": 3} | fields


GATEWAYS: dict[str, Body] = {
    "new": {"metadata": meta(), "spec": {}},
    "silent": gateway(None, *conditions(("Accepted", "True"))),
    "in service": gateway(None, *conditions(("Accepted", "True")), programmed()),
    "without generations": gateway(None, {"type": "Programmed", "status": "True"}),
    "behind": gateway(None, programmed(observedGeneration=2)),
    "ahead": gateway(None, programmed(observedGeneration=4)),
    "not in service": gateway(
        None, programmed("False", reason="NoAddress", message="none is free")
    ),
    "unknown": gateway(None, programmed("Unknown")),
    "with listeners": gateway(
        [
            {"name": "up", "conditions": [programmed()]},
            {"name": "down", "conditions": [programmed("False", reason="R", message="M")]},
            {"name": "silent", "conditions": None},
        ],
        programmed(),
    ),
    "down, with listeners": gateway([{"name": "down"}], programmed("False")),
}


def test_what_is_kept_of_gateways(golden):
    lines = [
        f"{name}: {[state.objection(section) for section in (None, 'up', 'down', 'silent', 'other')]}"
        for name, state in {name: gateway_state(body) for name, body in GATEWAYS.items()}.items()
    ]
    golden("records/gateways.txt", lines)
