"""Fetches one after the other: which blocks are read again, and what is kept."""

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import BlockReader
from sluicegate.prometheus.targets import Target
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from tests.support.prometheus.evaluations import AVAILABILITY, NOW, target
from tests.support.prometheus.fetching import evaluating, fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World


class Session:
    """Fetches over time against one stand-in, into a cache."""

    def __init__(self, server: PrometheusStandIn, evaluation: BlockReader):
        self.server = server
        self.evaluation = evaluation
        self.cache = BlockCache()

    async def fetch(self, now: float, *targets: Target):
        readings = await fetch_all(self.evaluation, targets or (target(),), now)
        for each in readings:
            await self.cache.record(each)
        return readings

    async def backfill(self, now: float, *targets: Target):
        async for past in self.evaluation.backfill(targets, now):
            await self.cache.record_past(past)
            self.cache.record_filled(past.targets)


@pytest.fixture
async def session():
    world = World([ProductBlocks()])
    async with PrometheusStandIn(world) as server, evaluating(server) as evaluation:
        yield Session(server, evaluation)


async def test_a_late_sample_is_counted_when_the_next_block_is_read(session):
    await session.fetch(NOW)
    session.server.rows.versions[0].requests = 120
    await session.fetch(NOW + 300)
    assert session.cache.series(AVAILABILITY, 300).block(1000).count.total == 120


async def test_after_an_outage_missed_blocks_replace_unavailable_ones(session):
    await session.fetch(NOW)
    session.server.lies[""] = Lie.ERROR_503
    await session.fetch(NOW + 300)
    await session.fetch(NOW + 600)
    series = session.cache.series(AVAILABILITY, 300)
    assert series.block(1002).quality is Quality.UNAVAILABLE
    session.server.lies.clear()
    (readings,) = await session.fetch(NOW + 900)
    assert (readings.first, readings.last) == (1000, 1003)
    assert {series.block(i).quality for i in range(1000, 1004)} == {Quality.COUNTED}
    assert series.window(1003, 3) == Count(0, 300)


async def test_a_product_is_pending_until_its_fourteen_days_of_past_are_read(session):
    now = 300 * 12 * 400 + 60.0
    assert session.cache.pending([target()]) == (target(),)
    session.server.rows.versions[0].requests = 100
    await session.backfill(now, target())
    assert session.cache.pending([target()]) == ()
    series = session.cache.series(AVAILABILITY, 300)
    # The stand-in answers 100 to both, a block and twelve: so hours are distinguished from singles.
    assert series.window(4800, 72) == Count(0, 7_200)
    bad, total = series.hours(64, 399)
    assert len(bad) == 336
    assert set(total) == {100}
