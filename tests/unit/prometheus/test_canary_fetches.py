"""What is read of a canary, and what is kept of it."""

from itertools import pairwise
from math import nan

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.prometheus.block_reader import LONGEST_QUERY
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import SeriesKey, VersionKey
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Quality
from tests.support.prometheus.evaluations import (
    AVAILABILITY,
    BACKEND,
    CANARY,
    FULL,
    NOW,
    VERSION,
    WITH_GATEWAY,
    fetch,
    target,
)
from tests.support.prometheus.fetching import evaluating, fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World


# ---- canaries, and clocks -----------------------------------------------------------------
async def canary_blocks(*versions: ProductBlocks) -> CanaryBlocks:
    readings, _ = await fetch(World([*versions]), CANARY)
    kept = CanaryBlocks()
    kept.record(next(each for each in readings if each.canary))
    return kept


@pytest.mark.parametrize(("targets", "scraped"), [(2, True), (0, False)])
async def test_a_scraped_canary_without_series_is_distinguished_from_an_unscraped_canary(
    targets, scraped
):
    silent = ProductBlocks(version="v2", requests=None, fast=None, targets=targets)
    kept = await canary_blocks(ProductBlocks(), silent)
    version = VersionKey("catalog", "search-ranking", "v2")
    blocks = kept.blocks(SeriesKey(*version, "availability"))
    newest = blocks.indexes()[-1]
    assert blocks.value(newest).quality is Quality.NO_SERIES
    assert (newest in kept.scraped(version)) is scraped
    assert newest in kept.scraped(VERSION)


async def test_fresh_gauge_means_of_both_canary_versions_are_kept():
    stale = ProductBlocks(version="v2", gauge=40.0, gauge_age=901)
    for candidate, mean in ((ProductBlocks(version="v2", gauge=40.0), 40.0), (stale, None)):
        kept = await canary_blocks(ProductBlocks(gauge=41.5), candidate)
        newest = kept.blocks(AVAILABILITY).indexes()[-1]
        assert kept.mean(SeriesKey(*VERSION, "basket"), newest) == 41.5
        theirs = SeriesKey("catalog", "search-ranking", "v2", "basket")
        assert kept.mean(theirs, newest) == mean


@pytest.mark.parametrize(
    ("sent", "lie", "quality", "total"),
    [
        ({BACKEND: 95}, {}, Quality.COUNTED, 95),
        ({}, {}, Quality.NO_SERIES, 0),
        ({BACKEND: nan}, {}, Quality.INVALID, 0),
        ({BACKEND: 95}, {"gateway": Lie.ERROR_500}, Quality.MISSING, 0),
    ],
)
async def test_gateway_counts_of_zero_are_distinguished_from_missing_gateway_counts(
    sent, lie, quality, total
):
    world = World([ProductBlocks(), ProductBlocks(version="v2")], gateway=sent)
    readings, _ = await fetch(world, CANARY, settings=WITH_GATEWAY, lies=lie)
    kept = CanaryBlocks()
    for each in readings:
        assert each.complete
        if each.canary:
            kept.record(each)
            block = kept.sent(BACKEND, each.block_seconds, each.last)
            assert (block.quality, block.count.total) == (quality, total)
            kept.prune([CANARY])
            assert kept.sent(BACKEND, each.block_seconds, each.last) == block
            kept.prune([target()])
            assert kept.sent(BACKEND, each.block_seconds, each.last).quality is Quality.MISSING


@pytest.mark.parametrize("lie", [None, Lie.ERROR_503])
async def test_a_starting_canary_is_read_from_its_beginning_beside_other_canaries(lie):
    began = int(NOW) - 3600
    first, second = target(1, canary_from=began), target(2, canary_from=began)
    later = NOW + 300
    lies: dict[str, Lie] = {}
    async with (
        PrometheusStandIn(World([FULL]), lies) as server,
        evaluating(server) as evaluation,
    ):
        await fetch_all(evaluation, (first,), NOW)
        if lie:
            lies["requests"] = lie
            await fetch_all(evaluation, (first, second), later)
            lies.clear()
        readings = await fetch_all(evaluation, (first, second), later)
    read = {
        key.product: (reading.first, reading.last)
        for reading in readings
        if reading.canary
        for key in reading.blocks
    }
    timing, seconds = Timing(), Timing().canary_block(300)
    newest = timing.newest_complete(later, seconds)
    assert read == {
        "product-1": (timing.newest_complete(NOW, seconds), newest),
        "product-2": (began // seconds, newest),
    }


async def test_a_canary_of_two_weeks_is_read_from_its_beginning_in_several_queries():
    """A new leader knew the last week alone, and the labels before were lost to the evidence."""
    timing = Timing()
    seconds, now = timing.canary_block(60), NOW + 15 * 86_400
    began = int(NOW) // seconds * seconds
    readings, _ = await fetch(World([FULL]), target(1, canary_from=began), now=now)
    stretches = [(reading.first, reading.last) for reading in readings if reading.canary]
    assert stretches[0][0] == began // seconds
    assert stretches[-1][1] == timing.newest_complete(now, seconds)
    assert all(last - first < LONGEST_QUERY for first, last in stretches)
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(stretches))


async def test_a_canary_with_a_changed_block_length_is_read_from_its_beginning_again():
    began = int(NOW) - 3600
    timing = Timing(scrape_seconds=5, settle_seconds=5)
    # Another product has such blocks before, so the length itself is nothing new.
    minutes = target(1, canary_from=began)
    halves, others = (target(number, canary_from=began, block_seconds=30) for number in (1, 2))
    async with (
        PrometheusStandIn(World([FULL])) as server,
        evaluating(server, timing=timing) as evaluation,
    ):
        await fetch_all(evaluation, (minutes, others), NOW)
        readings = await fetch_all(evaluation, (halves, others), NOW + 30)
    first = {key.product: each.first for each in readings if each.canary for key in each.blocks}
    assert first["product-1"] == began // 30
    assert first["product-2"] > began // 30
