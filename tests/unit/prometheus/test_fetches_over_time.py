"""Fetches one after the other: which blocks are read again, what is kept, and what is forgotten."""

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import REQUESTS, SeriesKey, Target
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from tests.support.prometheus.evaluations import (
    AVAILABILITY,
    FULL,
    NOW,
    SLOS,
    VERSION,
    fetch,
    target,
)
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World


# ---- over time ----------------------------------------------------------------------------
class Session:
    """Fetches over time against one stand-in, into a cache."""

    def __init__(self, server: PrometheusStandIn, prometheus: Prometheus):
        self.server = server
        self.evaluation = BlockReader(prometheus, EvaluationSettings(jitter_seconds=0))
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
async def session(request):
    world = World([ProductBlocks()])
    async with (
        PrometheusStandIn(world) as server,
        Prometheus(Endpoint(url=server.url)) as prometheus,
    ):
        yield Session(server, prometheus)


async def test_a_block_that_was_read_is_not_asked_for_until_the_next_has_settled(session):
    await session.fetch(NOW)
    asked = session.server.asked.total()
    assert await session.fetch(NOW + 299) == ()
    assert session.server.asked.total() == asked
    (readings,) = await session.fetch(NOW + 300)
    assert (readings.first, readings.last) == (1000, 1001)


async def test_a_sample_that_arrives_late_is_counted_when_the_next_block_is_read(session):
    await session.fetch(NOW)
    session.server.rows.versions[0].requests = 120
    await session.fetch(NOW + 300)
    assert session.cache.series(AVAILABILITY, 300).block(1000).count.total == 120


async def test_after_an_outage_the_missed_blocks_are_read_and_replace_what_was_unavailable(session):
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


async def test_a_product_is_pending_until_its_past_is_read_and_then_has_fourteen_days(session):
    now = 300 * 12 * 400 + 60.0
    assert session.cache.pending([target()]) == (target(),)
    session.server.rows.versions[0].requests = 100
    await session.backfill(now, target())
    assert session.cache.pending([target()]) == ()
    series = session.cache.series(AVAILABILITY, 300)
    # The stand-in answers 100 to both, a block and twelve: so hours are told from singles.
    assert series.window(4800, 72) == Count(0, 7_200)
    bad, total = series.hours(64, 399)
    assert len(bad) == 336
    assert set(total) == {100}


async def test_a_backfill_that_fails_leaves_the_product_pending(session):
    session.server.lies["requests"] = Lie.ERROR_500
    await session.backfill(300 * 12 * 400 + 60.0, target())
    assert session.cache.pending([target()]) == (target(),)


async def test_a_backfill_asks_for_each_tier_at_its_own_step(session):
    await session.backfill(300 * 12 * 400 + 60.0, target())
    steps = {
        (form["step"], (int(form["end"]) - int(form["start"])) // int(form["step"]) + 1)
        for form in session.server.forms
    }
    assert steps == {("300", 72), ("3600", 336)}


async def test_what_nobody_asks_for_any_more_is_forgotten(session):
    now = 300 * 12 * 400 + 60.0
    other = target(2, slos={"latency": SLOS["latency"]})
    await session.backfill(now, target(), other)
    session.cache.prune([target(slos={"latency": SLOS["latency"]})])
    assert session.cache.series(AVAILABILITY, 300).newest == -1
    assert session.cache.series(SeriesKey(*VERSION, "latency"), 300).newest == 4800
    assert session.cache.pending([target(), other]) == (other,)


async def test_requests_are_counted_also_where_no_slo_is_about_them():
    slos = {"accuracy": SLOS["accuracy"]}
    (readings,), _ = await fetch(World([FULL]), target(slos=slos))
    assert target(slos=slos).requests is REQUESTS
    assert readings.blocks[SeriesKey(*VERSION, REQUESTS)][-1].count == Count(0, 100)
    assert target().requests == "availability"


async def test_after_the_clock_was_set_back_the_present_is_read_again(session):
    await session.fetch(NOW + 6_000)
    (readings,) = await session.fetch(NOW)
    assert (readings.first, readings.last) == (999, 1000)
    assert await session.fetch(NOW + 299) == ()
