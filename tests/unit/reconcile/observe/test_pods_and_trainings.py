"""What pods and training Jobs say, in the kubelet's words, and what is made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sluicegate.api import names
from sluicegate.api.containers import Resources
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import TrainingFailed, TrainingSucceeded
from sluicegate.prometheus.targets import TargetFacts
from sluicegate.reconcile.live.children import job_record
from sluicegate.reconcile.live.pods import TrainingExit, pod_state
from sluicegate.reconcile.observe.container_limits import at_limit, is_node_busy
from sluicegate.reconcile.observe.training_result import training_result
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from tests.support.decisions.rollout_world import image

# Promised, so written as numbers here.
MESSAGE_LIMIT = 1500

OUTPUT = "registry.example/bentos/search"


def pod(container: dict[str, Any], *, init: bool = False, **status: Any) -> dict[str, Any]:
    field = "initContainerStatuses" if init else "containerStatuses"
    one = {"name": "main", "image": "registry.example/a:1", "ready": False, **container}
    return {
        "metadata": {"name": "p", "labels": {names.LABEL_REVISION: "0123456789"}},
        "status": {field: [one], **status},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def crashed(restarts: int, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    ended = {"terminated": {"exitCode": code, "reason": reason, "message": "no such column"}}
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": ended,
        "restartCount": restarts,
    }


@pytest.mark.parametrize(
    ("body", "unrecoverable", "says"),
    [
        (pod(waiting("ContainerCreating")), False, ""),
        (pod(waiting("ErrImagePull", "a: not found")), True, "not found"),
        (pod(waiting("ImagePullBackOff", "connection refused")), False, "connection refused"),
        (pod(waiting("CreateContainerConfigError", 'secret "a"')), True, 'secret "a"'),
        (pod(crashed(1)), False, "no such column"),
        (pod(crashed(3)), True, "ended with 1"),
        (pod(crashed(3, "OOMKilled", 137)), True, "OOMKilled"),
    ],
    ids=["starting", "no image", "registry away", "no secret", "crashed", "loop", "memory"],
)
def test_a_pod_that_isnt_ready_says_why_and_whether_it_mends_itself(body, unrecoverable, says):
    state = pod_state(body)
    assert state.unrecoverable == unrecoverable
    assert says in state.problem
    assert bool(state.problem) == bool(says)


@pytest.mark.parametrize("ready", [True, False])
def test_a_pod_is_ready_by_its_condition_of_that_name(ready):
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": str(ready)},
    ]
    assert pod_state(pod({}, conditions=conditions)).ready is ready


def test_a_container_killed_for_memory_is_remembered_after_its_restart():
    body = pod({**crashed(1, "OOMKilled", 137), "ready": True, "state": {"running": {}}})
    assert pod_state(body).out_of_memory
    assert pod_state(body).problem == ""


@pytest.mark.parametrize(
    ("finished", "since", "counts"),
    [
        ("2026-09-01T10:00:00Z", "2026-09-01T09:00:00Z", True),
        ("2026-09-01T10:00:00Z", "2026-10-31T09:00:00Z", False),
        (None, "2026-10-31T09:00:00Z", True),
    ],
)
def test_a_kill_of_last_month_says_nothing_of_today(finished, since, counts):
    """The kubelet keeps it until the next restart, which for a pod that is well never comes."""
    kill = crashed(1, "OOMKilled", 137)
    if finished:
        kill["lastState"]["terminated"]["finishedAt"] = finished
    state = pod_state(pod({**kill, "ready": True, "state": {"running": {}}}))
    assert state.was_killed_since(int(datetime.fromisoformat(since).timestamp())) is counts


def test_a_container_that_lies_killed_counts_whenever_that_was():
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-09-01T10:00:00Z"}
    state = pod_state(pod({**crashed(1, "OOMKilled", 137), "state": {"terminated": ended}}))
    assert state.was_killed_since(int(datetime(2026, 10, 1, tzinfo=UTC).timestamp()))


@pytest.mark.parametrize(
    ("limits", "throttled", "used", "lacking"),
    [
        ({}, None, None, (False, False)),
        ({"memory": "1Gi"}, None, 0.4, (False, False)),
        ({"memory": "1Gi"}, None, 0.99, (False, True)),
        ({"memory": "1Gi"}, None, None, (False, None)),
        ({"cpu": "1"}, None, None, (None, False)),
        ({"cpu": "1", "memory": "1Gi"}, None, 0.4, (False, False)),
        ({"cpu": "1", "memory": "1Gi"}, None, None, (None, None)),
        ({"cpu": "1", "memory": "1Gi"}, 0.5, 0.4, (True, False)),
        ({}, 0.5, 0.99, (True, True)),
    ],
)
def test_what_has_no_limit_is_not_at_it(limits, throttled, used, lacking):
    """The kubelet exports nothing of a container without a limit: that isn't "unknown"."""
    facts = TargetFacts(cpu_throttled=throttled, memory_used=used)
    assert at_limit(facts, Resources(limits=limits)) == lacking


@pytest.mark.parametrize(
    ("waited", "used", "throttled", "resources", "busy"),
    [
        (0.6, 0.3, None, {"requests": {"cpu": "500m"}}, True),
        (0.6, 0.3, None, {"limits": {"cpu": "500m"}}, True),
        (0.1, 0.3, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, 0.9, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, 0.3, 0.5, {"limits": {"cpu": "500m"}}, False),
        (0.6, 0.3, None, {}, False),
        (None, 0.3, None, {"requests": {"cpu": "500m"}}, False),
        (0.6, None, None, {"requests": {"cpu": "500m"}}, False),
    ],
    ids=[
        "the node is busy", "a limit is a request", "it hardly waits", "it uses more than it requests",
        "it is throttled", "it requests nothing", "no pressure is measured", "no use is measured",
    ],
)  # fmt: skip
def test_a_node_is_busy_that_doesnt_give_a_pod_what_it_requests(
    waited, used, throttled, resources, busy
):
    facts = TargetFacts(cpu_waited=waited, cpus_used=used, cpu_throttled=throttled)
    assert is_node_busy(facts, Resources(**resources)) is busy
    assert not is_node_busy(None, Resources(**resources))


def test_without_the_kubelets_series_only_what_has_a_limit_is_unknown():
    assert at_limit(None, Resources(limits={"memory": "1Gi"})) == (False, None)


def test_a_runtime_that_lacks_something_is_a_mismatch_at_once():
    ended = {"terminated": {"exitCode": 3, "message": "scikit-learn 1.7 is missing"}}
    state = pod_state(pod({"name": "runtime-check", "state": ended}, init=True))
    assert (state.unrecoverable, state.mismatch) == (True, True)
    assert state.problem == "scikit-learn 1.7 is missing"


def test_an_entry_service_of_another_name_is_no_mismatch_of_the_runtime():
    said = "ServiceNotFound: spec.model.bento.service is Iris, and the bento's entry service is A"
    ended = {"terminated": {"exitCode": 1, "message": said}}
    state = pod_state(pod({"name": "runtime-check", "state": ended}, init=True))
    assert (state.unrecoverable, state.mismatch, state.misnamed) == (True, False, True)
    assert state.problem == said


FEEDBACK = {"name": "feedback", "secret": {"secretName": "pricing-keys"}}


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        ([FEEDBACK], ["Secret pricing-keys of spec.serving.feedback.secretRef", "16 bytes"]),
        ([{"name": "x", "secret": {"secretName": "tls"}}], ["Secret tls"]),
        ([{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}], ["models"]),
        ([{"name": "tmp", "emptyDir": {}}], []),
        ([{"name": "x", "secret": {"secretName": "tls", "optional": True}}], []),
    ],
    ids=["feedback", "another Secret", "a claim", "nothing of a person's", "an optional Secret"],
)
def test_a_pod_that_waits_for_its_volumes_names_what_a_person_makes(volumes, says):
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    body = pod(waiting("PodInitializing"), conditions=conditions) | {"spec": {"volumes": volumes}}
    state = pod_state(body)
    assert (state.unmounted, state.unrecoverable) == (bool(says), False)
    assert all(one in state.problem for one in says)
    conditions[1]["status"] = "True"
    assert pod_state(body).problem == ""


def test_a_pod_that_no_node_takes_says_so():
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}
    state = pod_state({"metadata": {}, "status": {"conditions": [scheduled]}})
    assert state.problem == "the pod can't be scheduled: 0/1 nodes: cpu"
    assert not state.unrecoverable


# ---- trainings ------------------------------------------------------------------------------
PARENT = Release("v1", image("a"), "registry.example/runtime:1")
GOOD = {
    "image": image("b"),
    "version": "v2",
    "evaluation": {"accuracy": {"bad": 80, "total": 1000}},
    "stableEvaluation": {"accuracy": {"bad": 90, "total": 1000}},
}


def job(condition: str = "Complete", reason: str = "", seconds: int = 0):
    return job_record(
        {
            "metadata": {
                "name": "search-train-0a1b2c3d-1",
                "namespace": "catalog",
                "uid": "1",
                "resourceVersion": "1",
                "labels": {names.LABEL_PRODUCT: "search"},
            },
            "spec": {"activeDeadlineSeconds": seconds} if seconds else {},
            "status": {"conditions": [{"type": condition, "status": "True", "reason": reason}]},
        }
    )


def result(ended: TrainingExit, **of_job: Any):
    return training_result(job(**of_job), ended, "0a1b2c3d", PARENT, output=OUTPUT)


@pytest.mark.parametrize(
    ("reported", "ended_at", "expected"),
    [
        (None, 0, None),
        (None, 1_000, 1_000),
        ("1970-01-01T00:10:00Z", 1_000, 600),
        ("1970-01-01T01:00:00Z", 1_000, 1_000),  # not after its own end
    ],
)
def test_the_data_of_a_training_ended_when_it_says_and_not_after_itself(
    reported, ended_at, expected
):
    report = GOOD | ({"dataEndTime": reported} if reported else {})
    made = result(TrainingExit(json.dumps(report), 0, ended_at=ended_at))
    assert isinstance(made, TrainingSucceeded)
    assert made.data_end == expected


def test_a_training_that_made_a_version_gives_it_with_both_evaluations():
    made = result(TrainingExit(json.dumps(GOOD), 0))
    assert isinstance(made, TrainingSucceeded)
    assert made.release == Release("v2", image("b"), PARENT.runtime_image)
    assert made.evaluation["accuracy"].bad == 80
    assert made.stable_evaluation["accuracy"].bad == 90


ROWS = {"bothRight": 880, "onlyStableWrong": 40, "onlyCandidateWrong": 30, "bothWrong": 50}


def test_counts_that_are_left_out_follow_from_the_pairs():
    told = {"image": GOOD["image"], "version": "v2", "pairs": {"accuracy": ROWS}}
    made = result(TrainingExit(json.dumps(told), 0))
    assert made.pairs == {"accuracy": Pairs(880, 40, 30, 50)}
    assert made.evaluation == {"accuracy": Count(80, 1000)}
    assert made.stable_evaluation == {"accuracy": Count(90, 1000)}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (ROWS | {"bothWrong": 51}, "makes 81 wrong of 1001, and evaluation.accuracy says 80 of"),
        ({"bothRight": 880}, "bothWrong, onlyCandidateWrong, onlyStableWrong is missing"),
        (ROWS | {"bothWrong": -1}, "whole numbers from 0"),
        (ROWS | {"bothWrong": True}, "whole numbers from 0"),
        ([880, 40, 30, 50], "must be an object with bothRight"),
    ],
)
def test_pairs_that_contradict_the_counts_or_are_none_are_no_result(rows, why):
    failed = result(TrainingExit(json.dumps(GOOD | {"pairs": {"accuracy": rows}}), 0))
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is Reason.INVALID_RESULT
    assert why in failed.message


@pytest.mark.parametrize("which", ["evaluation", "stableEvaluation"])
def test_an_evaluation_names_as_many_slos_as_a_product_may_have(which):
    counts = {f"slo-{number}": {"bad": 1, "total": 9} for number in range(17)}
    failed = result(TrainingExit(json.dumps(GOOD | {which: counts}), 0))
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is Reason.INVALID_RESULT
    counts.popitem()
    assert isinstance(
        result(TrainingExit(json.dumps(GOOD | {which: counts}), 0)), TrainingSucceeded
    )


@pytest.mark.parametrize(
    ("ended", "of_job", "reason", "says"),
    [
        (TrainingExit("no data", 1), {"condition": "Failed"}, Reason.JOB_FAILED, "exited with 1"),
        (TrainingExit(), {"condition": "Failed"}, Reason.JOB_FAILED, "never ran"),
        (
            TrainingExit("epoch 3", 143),
            {"condition": "Failed", "reason": "DeadlineExceeded"},
            Reason.TIMED_OUT,
            "timeoutSeconds",
        ),
        (
            TrainingExit(json.dumps(GOOD | {"image": image("b").replace("@", "-evil@")}), 0),
            {},
            Reason.IMAGE_OUTSIDE_OUTPUT,
            "isn't in retraining.output",
        ),
        (TrainingExit("rubbish", 0), {}, Reason.INVALID_RESULT, "no JSON"),
        (TrainingExit("[1]", 0), {}, Reason.INVALID_RESULT, "not an object"),
        (TrainingExit("[" * 4000, 0), {}, Reason.INVALID_RESULT, "nested too deeply"),
        (TrainingExit('{"a":' * 1000, 0), {}, Reason.INVALID_RESULT, "nested too deeply"),
        (TrainingExit("", 0), {}, Reason.INVALID_RESULT, "empty"),
        (TrainingExit("{}", 0), {}, Reason.INVALID_RESULT, "image"),
        (
            TrainingExit(json.dumps(GOOD | {"image": f"{OUTPUT}:latest"}), 0),
            {},
            Reason.INVALID_RESULT,
            "image",
        ),
        (
            TrainingExit(json.dumps(GOOD | {"image": image("b").replace("search", "other")}), 0),
            {},
            Reason.IMAGE_OUTSIDE_OUTPUT,
            "retraining.output",
        ),
        (TrainingExit(json.dumps(GOOD | {"version": "v1"}), 0), {}, Reason.VERSION_REUSED, "new version"),
        (
            TrainingExit(json.dumps(GOOD | {"image": PARENT.image}), 0),
            {},
            Reason.VERSION_REUSED,
            "new bento",
        ),
    ],
    ids=[
        "crashed", "never ran", "timed out", "outside by a longer name", "rubbish", "a list", "many lists",
        "many objects", "nothing", "nothing pushed",
        "a tag", "outside", "an old name", "the old image",
    ],
)  # fmt: skip
def test_a_training_that_made_nothing_says_why(ended, of_job, reason, says):
    failed = result(ended, **of_job)
    assert isinstance(failed, TrainingFailed)
    assert failed.reason is reason
    assert says in failed.message


@pytest.mark.parametrize(("seconds", "words"), [(90, "90 s"), (7200, "2 h")])
def test_a_training_that_took_too_long_says_how_long_it_may_take_and_what_it_said_last(
    seconds, words
):
    of_job = {"condition": "Failed", "reason": "DeadlineExceeded", "seconds": seconds}
    failed = result(TrainingExit("epoch 3", 143), **of_job)
    assert f"longer than retraining.timeoutSeconds ({words})" in failed.message
    assert failed.message.endswith("epoch 3")
    gone = result(TrainingExit(), **of_job)
    assert f"({words})" in gone.message
    assert gone.message.endswith("its pod is deleted, so its last message is not known")


def test_of_a_long_log_only_the_tail_is_kept():
    failed = result(TrainingExit("x" * 5000 + "the end", 1), condition="Failed")
    assert failed.message.endswith("the end")
    assert len(failed.message) < MESSAGE_LIMIT + 200
