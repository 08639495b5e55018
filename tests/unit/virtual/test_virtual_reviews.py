"""Reviews that the whole operator holds: what a wrong clock may not do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS
from tests.support.virtual.stories import HOUR, RARELY, on_virtual_time, product, serving

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

WEEK = 7 * 24 * HOUR
REVIEW = {"every": "Week", "startDate": "2025-10-01", "keep": 2}


def reviews(world: World) -> dict[str, str]:
    """Return version of each review by its name."""
    found = (one["metadata"] for one in world.server.all(DATA_PRODUCT_REVIEWS))
    return {one["name"]: one["resourceVersion"] for one in found}


@pytest.mark.parametrize("skew", [6 * WEEK, -6 * WEEK], ids=["ahead", "behind"])
@on_virtual_time
async def test_a_leader_with_a_clock_wrong_by_weeks_opens_seals_and_deletes_no_review(world, skew):
    cars = world.apply(product("cars", review=REVIEW))
    replica = world.start(**RARELY)
    await world.until(lambda: serving(world, cars) == "v1", seconds=60)
    await world.until(lambda: bool(reviews(world)), seconds=HOUR)
    before = reviews(world)
    for clock in (skew, 0):
        replica.skew = clock
        await world.run(1.1 * HOUR)  # over an hour all are visited after a start
        assert reviews(world) == before
        assert replica.leads
