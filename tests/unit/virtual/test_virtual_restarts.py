"""A stable version whose containers end again and again, as the whole operator shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.workloads import Quality
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import EVENTS
from sluicegate.views.needs import NeedKind, needs_of
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import RARELY, on_virtual_time, product, served

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

Body = dict[str, Any]
LIMITED: Body = {
    "replicas": 2,
    "resources": {"limits": {"memory": "256Mi"}, "requests": {"memory": "256Mi"}},
}
EVERY: float = 400
"""Seconds between two kills."""


def ready(world: World, key: Key) -> tuple[str, str]:
    """Return status and reason of Ready."""
    condition = world.condition(key, "Ready")
    return condition["status"], condition["reason"]


def column(world: World, key: Key) -> str:
    """Return REASON in `kubectl get`."""
    return str((world.status(key).get("summary") or {}).get("reason") or "")


def version(world: World, key: Key) -> str:
    """Return the resourceVersion, which moves with each write."""
    return str(world.product(key)["metadata"]["resourceVersion"])


async def ended(world: World, key: Key, times: int, end: Callable[[Key], None]) -> int:
    """Let the pods of the product end so often; return how often its object was written."""
    seen = {version(world, key)}
    for _ in range(times):
        (deployment,) = {pod.deployment for pod in world.cluster.pods_of(key)}
        end(deployment)
        for _ in range(int(EVERY / 5)):
            await world.run(5)
            seen.add(version(world, key))
    return len(seen) - 1


@on_virtual_time
async def test_a_repeatedly_killed_stable_version_is_not_ready_and_has_the_reason(world):
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 2, world.cluster.workloads.kill)
    assert column(world, key) == "", "two kills may be chance"
    await ended(world, key, 1, world.cluster.workloads.kill)
    assert ready(world, key) == ("False", "PodsRestarting")
    assert column(world, key) == "PodsRestarting"
    message = world.condition(key, "Ready")["message"]
    assert "2 of its 2 pods" in message
    assert "killed at its memory limit (256Mi)" in message
    assert "restarted 3 times" in message
    assert "raise the memory limit in spec.serving.resources" in message
    (need,) = needs_of(DataProduct.parse(world.product(key)))
    assert (need.kind, need.reason) == (NeedKind.STALLED, "PodsRestarting")
    notes = [event for event in world.server.all(EVENTS) if event["reason"] == "PodsRestarting"]
    assert len(notes) == 1
    assert "memory limit" in notes[0]["note"]


@pytest.mark.slow
@on_virtual_time
async def test_further_restarts_cause_no_status_write(world):
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 3, world.cluster.workloads.kill)
    assert await ended(world, key, 6, world.cluster.workloads.kill) == 0


@on_virtual_time
async def test_an_operator_restart_keeps_the_reported_container_restarts(world):
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 3, world.cluster.workloads.kill)
    before = version(world, key)
    for replica in world.replicas:
        replica.kill()
    world.start(**RARELY)
    await world.run(900)
    assert version(world, key) == before
    assert ready(world, key) == ("False", "PodsRestarting")


@on_virtual_time
async def test_pods_with_more_memory_end_the_report_of_restarts(world):
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 3, world.cluster.workloads.kill)
    more = {"limits": {"memory": "1Gi"}, "requests": {"memory": "256Mi"}}
    world.edit(key, serving={**LIMITED, "resources": more})
    await world.until(lambda: ready(world, key) == ("True", "Serving"), seconds=120)
    assert column(world, key) == ""


@on_virtual_time
async def test_restarts_that_ended_hours_ago_are_not_reported(world):
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 3, world.cluster.workloads.kill)
    await world.run(3600)
    assert ready(world, key) == ("True", "Serving")


@on_virtual_time
async def test_a_crash_looping_stable_version_reports_the_exit_of_its_container(world):
    world.cluster.set_quality(image("a"), Quality(start=3.0))
    key = await served(world, product(serving=LIMITED), **RARELY)
    await ended(world, key, 3, world.cluster.workloads.fail)
    assert ready(world, key) == ("False", "PodsRestarting")
    message = world.condition(key, "Ready")["message"]
    assert "ended with 1 (Error): the model can't be loaded" in message
    assert "spec.model" in message
