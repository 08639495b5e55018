"""One fetch about one product, or a few, from a stand-in of Prometheus."""

from benchmarks.prometheus_stand_in import PrometheusStandIn, patience
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target, VersionKey
from sluicegate.slo.blocks import Block
from sluicegate.slo.gateway import TRAEFIK_METRIC, backend_of
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World

SLOS = {
    "availability": Indicator(availability={}),
    "latency": Indicator(latency={"thresholdMilliseconds": 250}),
    "accuracy": Indicator(outcomes={}),
    "conversion": Indicator(events={}),
    "clicks": Indicator(counters={"good": "clicked_total", "total": "served_total"}),
    "basket": Indicator(gauge={"metric": "basket_value"}),
}
NOW = 300 * 1_000 + 60.0
"""Block 1000 ended a scrape interval and a delay ago."""
VERSION = VersionKey("catalog", "search-ranking", "v1")
WITH_GATEWAY = EvaluationSettings(gateway=TRAEFIK_METRIC, jitter_seconds=0)
BACKEND = backend_of("catalog", "search-ranking-0123456789")
FULL = ProductBlocks(
    good_events=3,
    bad_events=97,
    gauge=41.5,
    counters={("clicked_total", 0): 4, ("served_total", 0): 100},
)


def target(number: int = 0, **changes) -> Target:
    name = f"product-{number}" if number else "search-ranking"
    settings = {"key": ProductKey("catalog", name), "versions": ("v1",), "slos": SLOS}
    return Target(**settings | changes)


CANARY = target(versions=("v1", "v2"), block_seconds=300, canary_from=300 * 999)


async def fetch(world: World, *targets: Target, lies=None, settings=None, now: float = NOW):
    """Return one fetch of all targets by a new evaluation."""
    settings = settings or EvaluationSettings(jitter_seconds=0)
    async with PrometheusStandIn(world, lies or {}) as server:
        seconds = patience(*server.lies.values())
        async with Prometheus(Endpoint(url=server.url, timeout_seconds=seconds)) as prometheus:
            evaluation = BlockReader(prometheus, settings)
            return await fetch_all(evaluation, targets or (target(),), now), server


async def newest(measured: ProductBlocks, lies=None) -> dict[str, Block]:
    """Return the newest block of every counted SLO of one version."""
    (readings,), _ = await fetch(World([measured]), lies=lies)
    return {key.slo: blocks[-1] for key, blocks in readings.blocks.items()}


AVAILABILITY = SeriesKey(*VERSION, "availability")
