"""What a rollout takes where the spec names no steps: by the requests of all versions."""

from __future__ import annotations

import pytest

from sluicegate.api import names
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)


@pytest.mark.slow
@on_virtual_time
async def test_the_next_version_starts_with_the_first_share_of_the_previous_rollout(
    world,
):
    """Two labels a second, of four requests, show 50 of a candidate within 15 minutes at 5 %."""
    key = await served(world, product(rollout=None, analysis={"blockSeconds": 60}), **RARELY)
    world.cluster.set_rate(key, 4.0)
    await world.run(3 * HOUR)
    for digit, version in (("b", "v2"), ("c", "v3")):
        world.edit(key, model=pushed(digit, version))
        await world.until(lambda: weight(world, key) > 0, seconds=600)
        assert weight(world, key) == 5, world.status(key)["candidate"]["derived"]
        world.annotate(key, **{names.REQUEST_PROMOTE: f"{version}/1"})
        await world.until(lambda v=version: serving(world, key) == v, seconds=6 * HOUR)
        await world.run(60)
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.until(lambda: serving(world, key) == "v1", seconds=HOUR)
    await world.run(60)
    world.edit(key, model=pushed("d", "v4"))
    await world.until(lambda: weight(world, key) > 0, seconds=600)
    assert weight(world, key) == 5, world.status(key)["candidate"]["derived"]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "seconds"), [(40.0, 4 * HOUR), (0.002, 14 * 24 * HOUR)])
@on_virtual_time
async def test_a_rollout_lasts_from_four_hours_to_fourteen_days_by_the_labels(world, rate, seconds):
    """Twenty labels a second, or four an hour."""
    key = await served(world, product(rollout={"steps": [50]}), **RARELY)
    world.cluster.set_rate(key, rate)
    await world.run(3 * HOUR)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) > 0, seconds=600)
    assert world.status(key)["candidate"]["derived"]["maxDurationSeconds"] == seconds
