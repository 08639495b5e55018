"""Trainings of the whole operator on virtual time: turns of a schedule, slots, pauses and their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.trainings import Training, trigger_of
from sluicegate.api import names
from sluicegate.kube.resources import JOBS
from tests.support.virtual.stories import (
    HOUR,
    OUTPUT,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

PERIOD = 6 * 3600
RETRAINING = {"command": ["train"], "output": OUTPUT}
SCHEDULED = {**RETRAINING, "schedule": {"everySeconds": PERIOD}}


def begun(world: World) -> dict[str, tuple[str, str]]:
    """The Jobs of trainings that are kept, with their product and cause."""
    return {
        job["metadata"]["uid"]: (
            job["metadata"]["labels"][names.LABEL_PRODUCT],
            trigger_of(job)["cause"],
        )
        for job in world.server.all(JOBS)
    }


async def trained_in(world: World, hours: int) -> list[tuple[str, str]]:
    """All trainings of some hours, in their order: the product and the cause."""
    found: dict[str, tuple[str, str]] = {}
    for _ in range(2 * hours):
        await world.run(HOUR / 2)
        found |= begun(world)
    return list(found.values())


def retraining(world: World, key: Key) -> dict[str, Any]:
    """What status says of trainings."""
    return world.status(key).get("retraining") or {}


@pytest.mark.slow
@on_virtual_time
async def test_a_healthy_product_with_a_schedule_gets_a_challenger_in_each_period(world):
    key = world.apply(product(retraining=SCHEDULED))
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    assert await trained_in(world, 19) == [("search", "Scheduled")] * 3
    assert retraining(world, key)["lastReason"] == "NotShownBetter"


@pytest.mark.slow
@on_virtual_time
async def test_a_challenger_waits_in_line_by_name_while_another_product_trains(world):
    key, other = (
        world.apply(product(name, retraining=training))
        for name, training in (("search", SCHEDULED), ("cars", RETRAINING))
    )
    world.cluster.trainings[other] = Training(seconds=2 * HOUR, report=TRAINED)
    world.start(**RARELY)
    await world.run(5.5 * HOUR)
    world.annotate(other, **{names.REQUEST_RETRAIN: "now"})
    await world.until(
        lambda: world.condition(key, "RetrainingActive")["reason"] == "WaitingForSlot",
        seconds=HOUR,
    )
    says = world.condition(key, "RetrainingActive")["message"]
    assert "a challenger of v1 waits for a slot since 20" in says
    assert "cars of this namespace trains" in says
    assert retraining(world, key)["pending"]["cause"] == "Scheduled"
    assert retraining(world, key)["waitingFor"] == "NoSlot"
    assert serving(world, key) == "v1"
    await world.until(lambda: ("search", "Scheduled") in begun(world).values(), seconds=2 * HOUR)
    await world.run(60)
    assert "pending" not in retraining(world, key)
