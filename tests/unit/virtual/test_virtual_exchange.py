"""Pods that can't be doubled on virtual time: both versions never have more than one alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, Key
from sluicegate.reconcile.traffic.exchange import Exchange
from tests.support.decisions.rollout_world import image
from tests.support.lives.safety import Safety, weights_of
from tests.support.virtual.stories import (
    HOUR,
    SLOW,
    Body,
    on_virtual_time,
    product,
    pushed,
    served_slowly,
    serving,
    share_taken,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

PODS = 4
EXCHANGE = Exchange(PODS, PODS)


class Pods:
    """The pods of a product at each change and step, and the ready ones for each share of the gateway."""

    def __init__(self, world: World, key: Key) -> None:
        self.world, self.key = world, key
        self.most, self.least = 0, PODS
        self.lacking: list[str] = []
        self.weights: list[int] = []
        world.server.on_change.append(self._changed)
        world.on_step.append(self._look)

    def _changed(self, resource, *_: object) -> None:
        if resource in (DEPLOYMENTS, HTTP_ROUTES):
            self._look()

    def _look(self, *_: object) -> None:
        pods = self.world.cluster.pods_of(self.key)
        desired = sum(
            deployment["spec"]["replicas"] for deployment in self.world.server.all(DEPLOYMENTS)
        )
        self.most = max(self.most, len(pods), desired)
        self.least = min(self.least, sum(pod.ready for pod in pods))
        share = weight(self.world, self.key)
        if share not in self.weights[-1:]:
            self.weights.append(share)
        for name, part in (self.world.cluster.weights_of(self.key) or {}).items():
            ready = sum(pod.ready and pod.deployment.name == name for pod in pods)
            if ready < EXCHANGE.needed(part):
                self.lacking.append(f"{name} has {ready} pods for {part} %")

    def check(self) -> None:
        assert self.most == PODS
        assert self.least == PODS - 1
        assert not self.lacking


def replaced(**spec: Body) -> Body:
    """Return a product whose versions exchange their pods."""
    rollout = {"steps": [50], "capacity": "Replace"}
    fields: Body = {
        "serving": {"replicas": PODS}, "rollout": rollout, "analysis": {"blockSeconds": 60},
    }  # fmt: skip
    return product(**{**fields, **spec})


async def started(world: World, body: Body) -> tuple[Key, Safety, Pods]:
    """Return a product that serves, and what is watched of it from then on."""
    key, safety = await served_slowly(world, body)
    return key, safety, Pods(world, key)


def fail(world: World, key: Key, version: str, digit: str) -> Key:
    """Crash the pods of a version, none of which starts again, and return its Deployment."""
    world.cluster.set_quality(image(digit), Quality(problem="CrashLoopBackOff"))
    (failing,) = {
        pod.deployment
        for pod in world.cluster.pods_of(key)
        if pod.labels["sluicegate.dev/version"] == version
    }
    world.cluster.workloads.fail(failing)
    return failing


@pytest.mark.parametrize("routed", [True, False], ids=["routed", "replicas"])
@on_virtual_time
async def test_a_canary_and_its_promotion_exchange_pods_one_by_one(world, routed):
    body = replaced() if routed else replaced(route=None)
    key, safety, pods = await started(world, body)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)
    await world.run(600)
    assert pods.weights == [0, 33, 50, 67, 100, 0]
    pods.check()
    assert not safety.found
    (live,) = (
        deployment for deployment in world.server.all(DEPLOYMENTS) if deployment["spec"]["replicas"]
    )
    assert live["spec"]["replicas"] == live["status"]["readyReplicas"] == PODS


@on_virtual_time
async def test_a_rollback_returns_the_traffic_as_pods_of_stable_become_ready(world):
    key, safety, pods = await started(world, replaced())
    await share_taken(world, key, 50)
    world.annotate(key, **{names.REQUEST_ABORT: "v2/1"})
    await world.run(60)
    candidate = world.status(key)["candidate"]
    assert (candidate["phase"], candidate["weight"], candidate["returning"]) == (
        "RollingBack", 50, 33,
    )  # fmt: skip
    progressing = world.condition(key, "RolloutProgressing")
    assert progressing["reason"] == "RollingBack"
    assert "v2 at 33 %. It keeps this share until pods of v1 are ready" in progressing["message"]
    assert sum(weights_of(world.server.find(HTTP_ROUTES, key)).values()) == 100
    await world.until(lambda: "candidate" not in world.status(key), seconds=HOUR)
    await world.run(300)
    assert serving(world, key) == "v1"
    pods.check()
    assert not safety.found


@on_virtual_time
async def test_a_rolled_back_version_without_a_ready_pod_keeps_no_share(world):
    key, _, pods = await started(world, replaced())
    await share_taken(world, key, 50)
    failing = fail(world, key, "v2", "b")
    await world.run(120)
    weights = weights_of(world.server.find(HTTP_ROUTES, key))
    assert weights.get(failing.name, 0) == 0
    await world.run(600)
    assert pods.most == PODS
    assert world.condition(key, "Ready")["status"] == "True"


@on_virtual_time
async def test_a_rolled_back_version_keeps_its_share_while_no_pod_of_stable_is_ready(world):
    key, _, pods = await started(world, replaced())
    await share_taken(world, key, 50)
    fail(world, key, "v1", "a")
    world.annotate(key, **{names.REQUEST_ABORT: "v2/1"})
    await world.run(HOUR)
    assert world.status(key)["candidate"]["returning"], "without it no pod has requests"
    assert "of which 0 are" in world.condition(key, "RolloutProgressing")["message"]
    world.cluster.set_quality(image("a"), SLOW)
    await world.until(lambda: "candidate" not in world.status(key), seconds=HOUR)
    await world.until(lambda: serving(world, key) == "v1", seconds=HOUR)
    assert pods.most == PODS


@on_virtual_time
async def test_an_edit_of_serving_replaces_pods_within_their_number(world):
    key, safety, pods = await started(world, replaced())
    world.edit(key, serving={"replicas": PODS, "env": [{"name": "A", "value": "1"}]})
    await world.run(HOUR / 2)
    assert world.condition(key, "Ready")["status"] == "True"
    (live,) = world.server.all(DEPLOYMENTS)
    assert live["status"]["updatedReplicas"] == PODS
    pods.check()
    assert not safety.found


@on_virtual_time
async def test_an_autoscaler_leaves_pods_to_a_candidate_within_max_replicas(world):
    scaling = {"minReplicas": 2, "maxReplicas": PODS}
    resources = {"requests": {"cpu": "100m"}}
    world.cluster.load[Key("catalog", "search")] = PODS
    body = replaced(serving={"autoscaling": scaling, "resources": resources})
    key, safety, pods = await started(world, body)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)
    await world.run(HOUR / 4)
    pods.check()
    assert not safety.found
