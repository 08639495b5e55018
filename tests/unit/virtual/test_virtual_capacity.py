"""Without a route, what receives the requests has the pods for them at each write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api import names
from sluicegate.kube.resources import DEPLOYMENTS, JOBS, SERVICES, Key
from tests.support.decisions.rollout_world import image
from tests.support.lives.safety import Safety
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    SLOW,
    Body,
    on_virtual_time,
    product,
    pushed,
    served,
    served_slowly,
    serving,
    share_taken,
    slo,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World

PODS = 4


class Receiving:
    """The ready pods that the Service selects at each change, and the pods asked for after each step."""

    def __init__(self, world: World, key: Key) -> None:
        self.world, self.key = world, key
        self.ready: list[int] = []
        self.pods: list[int] = []
        world.cluster.workloads.moved = self._moved(world.cluster.workloads.moved)
        world.server.on_change.append(self._changed)
        world.on_step.append(self._stepped)

    def _moved(self, before: Callable[..., None]) -> Callable[..., None]:
        def moved(*product: str) -> None:
            before(*product)
            self._look()

        return moved

    def _changed(self, resource, *_: object) -> None:
        if resource in (DEPLOYMENTS, SERVICES):
            self._look()

    def _look(self) -> None:
        service = self.world.server.find(SERVICES, self.key)
        selector = ((service or {}).get("spec") or {}).get("selector") or {}
        pods = self.world.cluster.pods_of(self.key)
        self.ready.append(sum(pod.ready for pod in pods if selector.items() <= pod.labels.items()))

    def _stepped(self, *_: object) -> None:
        desired = (
            deployment["spec"]["replicas"]
            for deployment in self.world.server.all(DEPLOYMENTS, "catalog")
        )
        self.pods.append(sum(desired))


def pods_split(**spec: Body) -> Body:
    """Return a product without a route, whose other versions start slowly."""
    fields: Body = {"route": None, "serving": {"replicas": PODS}, "analysis": {"blockSeconds": 60}}
    return product(**{**fields, **spec})


async def started(world: World, body: Body) -> tuple[Key, Safety, Receiving]:
    """Return a product that serves, and what is watched of it from then on."""
    key, safety = await served_slowly(world, body)
    return key, safety, Receiving(world, key)


def check(safety: Safety, seen: Receiving, most: float = PODS + PODS // 2) -> None:
    assert min(seen.ready) >= PODS
    assert max(seen.pods) <= most
    assert not safety.found


@pytest.mark.slow
@pytest.mark.parametrize("steps", [[5, 25, 50], [50], [99]], ids=str)
@on_virtual_time
async def test_a_step_takes_no_pod_of_stable_before_the_candidates_get_requests(world, steps):
    key, safety, seen = await started(world, pods_split(rollout={"steps": steps}))
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)
    await world.run(HOUR / 4)
    check(safety, seen)


@pytest.mark.slow
@on_virtual_time
async def test_pods_of_a_candidate_are_added_to_those_of_an_autoscaled_stable_version(world):
    """In a rollout and in a rollback to the version before."""
    scaling = {"minReplicas": 2, "maxReplicas": 8}
    resources = {"requests": {"cpu": "100m"}}
    serving_by_load = {"autoscaling": scaling, "resources": resources}
    body = pods_split(rollout={"steps": [50]}, serving=serving_by_load)
    world.cluster.load[Key("catalog", "search")] = PODS
    key, safety, seen = await started(world, body)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)
    await world.run(HOUR / 4)
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.until(lambda: serving(world, key) == "v1", seconds=HOUR)
    await world.run(HOUR / 4)
    check(safety, seen, most=2 * PODS)


@on_virtual_time
async def test_a_rollback_to_an_earlier_version_keeps_enough_pods_for_all_requests(world):
    key, safety, seen = await started(world, pods_split(rollout={"steps": [50]}))
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.until(lambda: serving(world, key) == "v1", seconds=HOUR)
    await world.run(HOUR / 4)
    check(safety, seen)


@pytest.mark.parametrize("steps", [[5], [50], [99]], ids=str)
@on_virtual_time
async def test_a_rollback_moves_requests_as_pods_of_stable_become_ready(world, steps):
    key, safety, seen = await started(world, pods_split(rollout={"steps": steps}))
    await share_taken(world, key, steps[-1])
    world.annotate(key, **{names.REQUEST_ABORT: "v2/1"})
    await world.until(lambda: "candidate" not in world.status(key), seconds=HOUR)
    await world.run(HOUR / 4)
    assert serving(world, key) == "v1"
    check(safety, seen)


@on_virtual_time
async def test_a_candidate_promoted_while_its_route_is_deleted_keeps_enough_pods_for_all_requests(
    world,
):
    body = product(serving={"replicas": PODS}, rollout={"steps": [50]})
    key, safety, seen = await started(world, body)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 50, seconds=HOUR)
    await world.run(120)
    world.edit(key, route=None)
    world.annotate(key, **{names.REQUEST_PROMOTE: "v2/1"})
    await world.until(lambda: serving(world, key) == "v2", seconds=HOUR)
    await world.run(HOUR / 4)
    check(safety, seen, most=2 * PODS)


@on_virtual_time
async def test_a_serving_first_version_keeps_its_pods_until_pods_of_the_next_version_are_ready(
    world,
):
    """The quota lets three of the four pods of the first version start, so it isn't accepted."""
    safety, some = Safety(world), PODS - 1
    world.cluster.workloads.quota["catalog"] = some
    world.cluster.set_quality(image("b"), SLOW)
    key = world.apply(pods_split())
    world.start(**RARELY)
    await world.run(600)
    assert serving(world, key) == ""
    seen = Receiving(world, key)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(600)
    assert "pods is forbidden: exceeded quota" in world.condition(key, "Ready")["message"]
    world.cluster.workloads.quota.clear()
    await world.until(lambda: serving(world, key) == "v2", seconds=HOUR)
    await world.run(300)
    assert min(seen.ready) >= some
    assert max(seen.pods) <= PODS + PODS // 2
    assert not safety.found
    (left,) = world.server.all(DEPLOYMENTS, "catalog")
    assert left["metadata"]["annotations"]["sluicegate.dev/version"] == "v2"


@on_virtual_time
async def test_a_quota_that_refuses_the_pods_of_a_first_version_is_in_status_within_five_seconds(
    world,
):
    world.cluster.workloads.quota["catalog"] = 0
    key = world.apply(pods_split())
    world.start(**RARELY)
    await world.run(5)
    assert "pods is forbidden: exceeded quota" in world.condition(key, "Ready")["message"]


FEEDBACK = {"feedback": {"secretRef": {"name": "search-feedback"}}}
SCALED = {
    "by a number": FEEDBACK | {"replicas": 2},
    "by an autoscaler": FEEDBACK
    | {
        "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
        "resources": {"requests": {"cpu": "100m"}},
    },
}


def replicas(world: World, key: Key) -> int:
    """Return the pods that the only version of a product is to have."""
    (deployment,) = world.server.all(DEPLOYMENTS, key.namespace)
    return int(deployment["spec"]["replicas"])


def scale_to_zero(world: World, key: Key) -> None:
    """Scale the only version of a product to zero, as another client."""
    (deployment,) = world.server.all(DEPLOYMENTS, key.namespace)
    name = Key(key.namespace, deployment["metadata"]["name"])
    world.server.write(DEPLOYMENTS, name, {"spec": {"replicas": 0}}, subresource="scale")


@pytest.mark.parametrize("serving_fields", SCALED.values(), ids=SCALED)
@on_virtual_time
async def test_a_product_that_another_client_scales_to_zero_gets_its_pods_back(
    world, serving_fields
):
    key = await served(world, product(serving=serving_fields), **RARELY)
    await world.run(HOUR / 4)
    scale_to_zero(world, key)
    assert replicas(world, key) == 0
    await world.until(lambda: replicas(world, key) == 2, seconds=30)
    await world.run(60)
    assert sum(pod.ready for pod in world.cluster.pods_of(key)) == 2
    assert serving(world, key) == "v1"


@on_virtual_time
async def test_a_night_without_pods_of_a_suspended_product_is_no_evidence(world):
    key = await served(world, product(serving=SCALED["by a number"]), **RARELY)
    await world.run(3 * HOUR)
    assert slo(world, key) == ("Met", "WithinObjective")
    stable = world.status(key)["stable"]
    world.edit(key, suspend=True)
    await world.run(30)
    scale_to_zero(world, key)
    for _ in range(10):
        await world.run(HOUR)
        assert not world.cluster.pods_of(key)
        assert world.condition(key, "Ready")["reason"] == "PodsNotReady"
        assert world.condition(key, "MetricsAvailable")["status"] == "False"
        assert world.condition(key, "Degraded")["status"] == "Unknown"
        assert slo(world, key) == ("Unknown", "NoData")
    world.edit(key, suspend=None)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.until(lambda: slo(world, key) == ("Met", "WithinObjective"), seconds=HOUR)
    status = world.status(key)
    assert status["stable"] == stable, "its baseline, too"
    assert not status.get("retraining")
    assert not status.get("history")
    assert not list(world.server.all(JOBS, key.namespace))
