"""Faults of others on virtual time: a registry that is away, a product that spoils a query."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import REGISTRY_AWAY, Quality
from sluicegate.kube.resources import EVENTS
from sluicegate.prometheus.targets import ProductKey
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.lives.products import LATENCY
from tests.support.prometheus.selecting import Poison
from tests.support.virtual.stories import (
    BAD,
    BLOCK,
    HOUR,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    slo,
    trainings,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key


def parked(world: World, key: Key) -> dict[str, Any]:
    """Return the candidate that waits without traffic for another try; empty while none does."""
    candidate: dict[str, Any] = world.status(key).get("candidate") or {}
    return candidate if candidate.get("phase") == "Parked" else {}


@pytest.mark.slow
@on_virtual_time
async def test_an_unavailable_registry_rejects_no_trained_version_and_counts_as_no_attempt(world):
    key = world.apply(product())
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.cluster.set_quality(image("c"), Quality(problem=REGISTRY_AWAY))
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: bool(parked(world, key)), seconds=6 * HOUR, what="given up for now")
    for _ in range(6):
        await world.run(HOUR / 2)
        assert serving(world, key) == "v1"
        assert world.status(key)["candidate"]["version"] == "v2-trained"
        assert trainings(world, key) == 0
    ended = {event["reason"] for event in world.server.all(EVENTS)}
    assert "ModelRejected" not in ended
    world.cluster.set_quality(image("c"), Quality())
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR)
    assert trainings(world, key) == 0


@pytest.mark.slow
@on_virtual_time
async def test_only_the_product_with_unreadable_series_gets_an_event(
    world,
):
    key, other = world.apply(product()), world.apply(product("ranking"))
    world.prometheus.poison = Poison({ProductKey(*key): {"labelled"}})
    world.start()
    await world.until(lambda: slo(world, key) == ("Unknown", "UnreadableSeries"), seconds=6 * BLOCK)
    await world.until(lambda: slo(world, other)[0] == "Met", seconds=6 * BLOCK)
    await world.run(6 * BLOCK)
    events = [event for event in world.server.all(EVENTS) if event["reason"] == "UnreadableSeries"]
    (told,) = (event for event in events if event["action"] == "Measure")
    assert {event["regarding"]["name"] for event in events} == {key.name}
    assert told["type"] == "Warning"
    about = told["regarding"]
    assert (about["namespace"], about["name"]) == key
    assert about["kind"] == "DataProduct"
    assert "labelled" in told["note"]
    assert "rejected 422" in told["note"]


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_on_a_busy_node_is_inconclusive_and_promoted_once_the_node_is_idle(world):
    serves = {"runtimeImage": RUNTIME, "resources": {"requests": {"cpu": "100m"}}}
    key = world.apply(product(model=pushed("a", "va"), slos=[LATENCY], serving=serves))
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "va", seconds=60)
    await world.run(HOUR)
    world.cluster.set_quality(image("b"), Quality(slow=0.6, waited=0.5))
    world.edit(key, model=pushed("b", "vb"))
    await world.until(
        lambda: bool(parked(world, key)), seconds=2 * HOUR, what="it waits for another try"
    )
    decision = world.status(key)["decision"]
    assert (decision["type"], decision["reason"]) == ("Inconclusive", "NodeBusy")
    assert "waits for CPU on its node" in decision["message"]
    assert serving(world, key) == "va"
    world.cluster.set_quality(image("b"), Quality())
    await world.until(lambda: serving(world, key) == "vb", seconds=6 * HOUR)


@pytest.mark.slow
@on_virtual_time
async def test_a_rollout_that_a_fault_ends_is_retried_after_one_minute_and_at_most_thirty(world):
    key = await served(world, product(), **RARELY)
    await world.run(HOUR / 4)
    world.cluster.set_quality(image("b"), Quality(problem=REGISTRY_AWAY))
    world.edit(key, model=pushed("b", "v2"))
    pauses = []
    for retries in range(1, 8):
        await world.until(lambda n=retries: parked(world, key).get("retries") == n, seconds=HOUR)
        again = datetime.fromisoformat(parked(world, key)["retryTime"]).timestamp()
        waits = again - world.loop.wall()
        pauses.append(round(waits / 60))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert world.status(key)["specModel"]["outcome"] == "InProgress"
