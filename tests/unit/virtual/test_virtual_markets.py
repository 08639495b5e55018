"""One market of a product falls, on the whole operator: it is Missed, others aren't, and it recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from benchmarks.virtual.variation import Scatter, Variation
from benchmarks.virtual.workloads import Quality
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.lives.truth import KEY
from tests.support.virtual.stories import HOUR, RARELY, on_virtual_time, product, served

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

MARKETS: Final = ("FR", "DE", "ES", "IT", "BE", "AT")
GOOD, FALLEN = 0.09, 0.39
LABELS_AN_HOUR: Final = 100
"""Of each market."""


def markets_of(world: World, key: Key, state: str) -> set[str]:
    """The markets in a state, of the three worst."""
    (slo,) = world.status(key)["slos"]
    return {market["market"] for market in slo.get("markets", ()) if market["state"] == state}


def quality(**fallen: float) -> Quality:
    return Quality.of_markets(**(dict.fromkeys(MARKETS, GOOD) | fallen))


@pytest.mark.slow
@on_virtual_time
async def test_a_market_that_falls_by_thirty_points_is_missed_within_two_hours_and_met_after(world):
    body = product(
        markets=list(MARKETS),
        serving={
            "runtimeImage": RUNTIME,
            "feedback": {"secretRef": {"name": "feedback"}},
            "market": {"from": "Header", "name": "x-market"},
        },
        analysis={"blockSeconds": 300},
        retraining=None,
    )
    world.cluster.variations[KEY] = Variation("markets", wrong=Scatter(), known=0.5)
    world.cluster.rates[KEY] = len(MARKETS) * LABELS_AN_HOUR / HOUR / 0.5
    world.cluster.set_quality(image("a"), quality())
    key = await served(world, body, **RARELY)
    await world.run(12 * HOUR)
    assert not markets_of(world, key, "Missed")

    world.cluster.set_quality(image("a"), quality(AT=FALLEN))
    await world.until(lambda: markets_of(world, key, "Missed") == {"AT"}, seconds=2 * HOUR)

    world.cluster.set_quality(image("a"), quality())
    await world.until(lambda: not markets_of(world, key, "Missed"), seconds=12 * HOUR)
