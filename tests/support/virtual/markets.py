"""A product that counts by market, on the whole operator, and a market that falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.variation import Scatter, Variation
from benchmarks.virtual.workloads import Quality
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.lives.truth import KEY
from tests.support.virtual.stories import HOUR, RARELY, product, served

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

MARKETS: Final = ("FR", "DE", "ES", "IT", "BE", "AT")
GOOD, FALLEN = 0.09, 0.39
SHARES: Final = {"FR": 0.4, "DE": 0.25, "ES": 0.15, "IT": 0.1, "BE": 0.05, "AT": 0.05}
"""Of the requests: one market of six has a twentieth of them."""
EVEN_SHARES: Final = {"FR": 0.25, "DE": 0.2, "ES": 0.15, "IT": 0.15, "BE": 0.1, "AT": 0.15}
"""Of the requests: Austria has enough of them to be judged within a rollout."""


async def counted_by_market(
    world: World,
    markets: dict[str, Any] | None,
    *,
    shares: dict[str, float] = SHARES,
    hours: int = 12,
    **spec: Any,
) -> Key:
    """Return a product with 1,000 labels an hour in six markets, in service for some hours."""
    accuracy = {
        "name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.03", "maxRegression": "0.03",
        **({"markets": markets} if markets else {}),
    }  # fmt: skip
    body = product(
        markets=list(MARKETS),
        serving={
            "runtimeImage": RUNTIME,
            "feedback": {"secretRef": {"name": "feedback"}},
            "market": {"from": "Header", "name": "x-market"},
        },
        **({"slos": [accuracy]} | spec),
    )
    world.cluster.variations[KEY] = Variation("market alone", wrong=Scatter(), labelled=0.5)
    world.cluster.rates[KEY] = 1000 / HOUR / 0.5
    world.cluster.set_quality(
        image("a"), Quality.of_markets(shares, **dict.fromkeys(MARKETS, GOOD))
    )
    key = await served(world, body, **RARELY)
    await world.run(hours * HOUR)
    return key


def fallen(market: str = "AT", shares: dict[str, float] = SHARES) -> Quality:
    """Return the quality of a version that is as good as before in all markets but this one."""
    return Quality.of_markets(shares, **(dict.fromkeys(MARKETS, GOOD) | {market: FALLEN}))
