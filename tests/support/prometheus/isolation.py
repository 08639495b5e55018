"""A Prometheus of many products, some of which it can't answer about."""

from __future__ import annotations

from contextlib import asynccontextmanager
from math import ceil, log2

from benchmarks.prometheus_stand_in import PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import ProductKey, Readings, Target
from sluicegate.slo.blocks import Quality
from tests.support.prometheus.measured_world import ProductBlocks, World
from tests.support.prometheus.selecting import Selecting


def extra_queries(namespaces: int, products: int) -> int:
    """Return the most queries that it takes to find one of these products in these namespaces.

    One asks whether Prometheus answers at all, one names a namespace's products, and two are for
    the two blocks that a fetch reads.
    """
    return 2 * (ceil(log2(namespaces)) + ceil(log2(products))) + 4


NOW = 300 * 12 * 400 + 60.0
"""Block 4800 is complete; 4799 is read with it."""
AVAILABILITY = {"availability": Indicator(availability={})}
CLICKS = {"clicks": Indicator(counters={"good": "clicked_total", "total": "served_total"})}
BOTH = AVAILABILITY | CLICKS
COUNTERS: dict[tuple[str, int], float] = {("clicked_total", 0): 4, ("served_total", 0): 100}
KINDS = {"targets", "requests", "requests_bad", "counters", "cpu", "memory"}


def target(key: ProductKey, **changes) -> Target:
    settings = {"key": key, "versions": ("v1",), "slos": BOTH}
    return Target(**settings | changes)


def products(namespaces: int, each: int) -> list[ProductKey]:
    return [
        ProductKey(f"team-{team:02d}", f"product-{number:02d}")
        for team in range(namespaces)
        for number in range(each)
    ]


@asynccontextmanager
async def prometheus_of(keys, poison=None, *, lies=None, answer_bytes=2**27, **settings):
    """Yield a stand-in that measures these products, and an evaluation that asks it."""
    measured = [ProductBlocks(namespace=k[0], product=k[1], counters=COUNTERS) for k in keys]
    rows = Selecting(World(measured))
    server = PrometheusStandIn(rows, lies or {})
    if poison is not None:
        server.fault = poison
    rows.server = server
    async with server:
        endpoint = Endpoint(url=server.url, timeout_seconds=60, max_answer_bytes=answer_bytes)
        async with Prometheus(endpoint) as prometheus:
            chosen = EvaluationSettings(jitter_seconds=0, **settings)
            yield server, BlockReader(prometheus, chosen)


def newest(readings: Readings, slo: str) -> dict[ProductKey, Quality]:
    return {
        ProductKey(*key[:2]): blocks[-1].quality
        for key, blocks in readings.blocks.items()
        if key.slo == slo
    }


def bad_ones(readings: Readings, slo: str) -> set[ProductKey]:
    """Return products whose newest block wasn't counted; they must be UNAVAILABLE, never zero."""
    uncounted = {
        key: one for key, one in newest(readings, slo).items() if one is not Quality.COUNTED
    }
    assert set(uncounted.values()) <= {Quality.UNAVAILABLE}
    return set(uncounted)


def total(server: PrometheusStandIn) -> int:
    queries = server.queries.total()
    server.queries.clear()
    return queries


# ---- the past --------------------------------------------------------------------------------
async def fill(evaluation: BlockReader, targets: list[Target]) -> BlockCache:
    cache = BlockCache()
    evaluation.regroup(targets)
    async for past in evaluation.backfill(targets, NOW):
        await cache.record_past(past)
        cache.record_filled(past.targets)
    return cache
