"""What is observed of a product, whatever its Deployments, pods and Jobs are."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api import names
from sluicegate.api.engine import ProductState
from sluicegate.kube.resources import DEPLOYMENTS, JOBS, PODS, Key
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.fleet.training_slots import JobRefusal
from sluicegate.reconcile.live.children import watched
from sluicegate.reconcile.live.product import product_record
from sluicegate.runtime.cache import Caches
from tests.support.apiserver.api_stand_in import ApiStandIn
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.changes import by_difference
from tests.support.decisions.product_moments import SCORES, on_its_way, starting, trained
from tests.support.decisions.rollouts import serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.decisions.rollout_world import World

pytestmark = pytest.mark.slow

Body = dict[str, Any]


def owned(name: str, labels: Body | None = None, uid: str = "o") -> Body:
    owner = {"kind": names.KIND, "name": "search", "uid": uid, "controller": True}
    kept = {names.LABEL_PRODUCT: "search"} | (labels or {})
    meta = {"namespace": "catalog", "name": name, "labels": kept, "ownerReferences": [owner]}
    return {"metadata": meta | {"generation": 1}, "spec": {}}


def deployment(revision: str, ready: int, replicas: int = 4, uid: str = "o") -> Body:
    status = {"observedGeneration": 1, "readyReplicas": ready, "replicas": replicas}
    body = owned(f"search-{revision}", {names.LABEL_REVISION: revision}, uid)
    return body | {"spec": {"replicas": replicas}, "status": status}


def killed(revision: str, at: str) -> Body:
    """A pod that is ready, and was killed at its memory limit before."""
    end = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": at}}
    one = {
        "name": "main",
        "ready": True,
        "state": {"running": {}},
        "lastState": end,
        "restartCount": 1,
    }
    status = {"containerStatuses": [one], "conditions": [{"type": "Ready", "status": "True"}]}
    return owned(f"p-{revision}", {names.LABEL_REVISION: revision}) | {"status": status}


def job(name: str, *, uid: str = "o", created: str = "2026-01-01T00:00:00Z", **status: Any) -> Body:
    body = owned(name, uid=uid) | {"status": status}
    body["metadata"]["creationTimestamp"] = created
    return body


STABLE, CANDIDATE = "b94fad7d66", "c68bad25f7"
UP, CANARY = deployment(STABLE, 4), deployment(CANDIDATE, 1, 1)
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}
TRAINS, SCORING = "search-train-0123abcd-2", "shadow"
CALLS = [{"name": "features"}, {"name": "pricing", "namespace": "finance"}, {"name": "absent"}]
LONG_AGO = "2025-12-01T00:00:00Z"


def later(seconds: int, world: World) -> World:
    world.now += seconds
    return world


def scored(seconds: int = 0, **fields: Any) -> World:
    world = later(seconds, on_its_way(5, rollout={"steps": [5, 50], "shadow": SCORES}))
    if fields:
        world.status["candidate"]["shadow"] = {"sinceTime": "2026-01-01T00:00:00Z", **fields}
    return world


def cases() -> dict[str, tuple[World, tuple[Body, ...], JobRefusal | None]]:
    return {
        "it serves": (serving(), (UP,), None),
        "it starts": (starting(), (deployment(STABLE, 1),), None),
        "its Deployment is gone": (serving(), (), None),
        "another's Deployment": (serving(), (deployment(STABLE, 4, uid="x"),), None),
        "one pod lacks": (serving(), (deployment(STABLE, 3),), None),
        "no pod is ready": (serving(), (deployment(STABLE, 0),), None),
        "a pod was just killed": (on_its_way(25), (UP, CANARY, killed(STABLE, "2026-01-01T00:40:00Z")), None),
        "a pod was killed long ago": (on_its_way(25), (UP, CANARY, killed(STABLE, LONG_AGO)), None),
        "it calls others": (serving(dependsOn=CALLS), (UP,), None),
        "a canary": (on_its_way(25), (UP, CANARY), None),
        "a canary without pods": (on_its_way(25), (UP,), None),
        "a canary's pod isn't ready": (on_its_way(25), (UP, deployment(CANDIDATE, 0, 1)), None),
        "a canary and a pod of stable aren't ready": (
            on_its_way(25), (deployment(STABLE, 3), deployment(CANDIDATE, 0, 1)), None,
        ),
        "a training": (trained(job=TRAINS), (UP,), None),
        "a training runs": (trained(job=TRAINS), (UP, job(TRAINS)), None),
        "another's Job runs": (trained(job=TRAINS), (UP, job(TRAINS, uid="x")), None),
        "another Job runs": (trained(job=TRAINS), (UP, job("search-train-9")), None),
        "a training is overdue": (trained(job=TRAINS), (UP, job(TRAINS, created=LONG_AGO)), None),
        "a training ended": (trained(job=TRAINS), (UP, job(TRAINS, **ENDED)), None),
        "a training is refused": (trained(job=TRAINS), (UP,), JobRefusal(TRAINS, "exceeded quota")),
        "another Job was refused": (trained(job=TRAINS), (UP,), JobRefusal("a", "no", final=True)),
        "a training is refused for good": (
            trained(job=TRAINS), (UP,), JobRefusal(TRAINS, "no such field", final=True),
        ),
        "shadow Jobs, not due": (scored(), (UP, CANARY), None),
        "shadow Jobs, due": (scored(600), (UP, CANARY), None),
        "a shadow Job runs": (scored(job=SCORING), (UP, CANARY, job(SCORING)), None),
        "a shadow Job ended": (scored(job=SCORING), (UP, CANARY, job(SCORING, **ENDED)), None),
        "a shadow Job is refused": (scored(job=SCORING), (UP, CANARY), JobRefusal(SCORING, "exceeded quota")),
        "a training is refused for long": (
            later(3600, trained(job=TRAINS)), (UP,), JobRefusal(TRAINS, "exceeded quota"),
        ),
        "a training is refused for nearly as long": (
            later(3599, trained(job=TRAINS)), (UP,), JobRefusal(TRAINS, "exceeded quota"),
        ),
        "a canary starts": (serving().push("b", "v2").run(), (UP, deployment(CANDIDATE, 0, 1)), None),
    }  # fmt: skip


async def observed(
    world: World,
    bodies: tuple[Body, ...],
    refusal: JobRefusal | None = None,
    others: Mapping[Key, ProductSnapshot] = MappingProxyType({}),
) -> Body:
    """The parts of an observation that are read of the cluster."""
    async with ApiStandIn() as server:
        usual = reconciler_of(build_controller(server.api)).observer
        known = {Key("catalog", "search"): refusal} if refusal else {}
        observer = replace(
            usual, caches=Caches(watched()), refusals=known, most_training_seconds=3600
        )
        for name, since in (("features", world.now), ("pricing", world.now - 12 * 60)):
            found = ProductSnapshot(ProductState.DEGRADED, bad_since=since, degraded_at=since)
            observer.fleet.record(Key("catalog" if name == "features" else "finance", name), found)
        for key, snapshot in others.items():
            observer.fleet.record(key, snapshot)
        for body in bodies:
            kind = PODS if "containerStatuses" in body.get("status", {}) else JOBS
            kind = DEPLOYMENTS if "replicas" in body["spec"] else kind
            kept = server.keep(kind, body)
            if kind is not PODS:
                observer.caches.written(kind, kept)
        body = world.spec | {"status": world.status}
        record = product_record(
            body | {"metadata": body["metadata"] | {"resourceVersion": "7", "uid": "o"}}
        )
        expected = world.observation()
        one = await observer.observe(
            record, world.product, terms=expected.terms, wanted=expected.wanted, now=world.now
        )
        return {
            "live": {name: found.ready for name, found in one.live.items()},
            "kinds": sorted(observer.kinds(record)),
            "split": one.split and f"{one.split.level.name} {one.split.message}",
            "pods": len(one.pods),
            "dependencies": [(each.name, each.state.value, each.in_cycle) for each in one.dependencies],
            **{f"facts.{name}": value for name, value in asdict(one.observed.facts).items()},
            "slot": one.observed.portfolio.slot,
            "training": one.observed.training,
            "shadow": one.observed.shadow,
            "job": one.job and one.job.key.name,
            "shadow job": one.shadow_job and one.shadow_job.key.name,
            "trains": one.trains,
            "refusal": one.refusal,
            "shadow refusal": one.shadow_refusal,
        }  # fmt: skip


async def test_what_is_observed(golden):
    found = {name: await observed(*case) for name, case in cases().items()}
    golden("observations/observed.txt", by_difference(found))


async def test_a_product_that_calls_back_explains_nothing():
    world, me = serving(dependsOn=CALLS), Key("catalog", "search")
    calls = ProductSnapshot(depends_on=tuple(Key("catalog", one["name"]) for one in CALLS))
    back = ProductSnapshot(ProductState.DEGRADED, degraded_at=world.now, depends_on=(me,))
    known = {me: calls, Key("finance", "pricing"): back}
    found = await observed(world, (UP,), others=known)
    assert [(name, cycle) for name, _, cycle in found["dependencies"]] == [
        ("features", False),
        ("pricing", True),
        ("absent", False),
    ]
    assert found["facts.upstream_degraded"] == ("features",)
