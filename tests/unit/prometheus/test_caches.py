"""What is kept of the readings, of whom, and for how long; of idle products and of canaries."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import (
    Mean,
    Past,
    ProductKey,
    Readings,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
)
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.stats.counts import Count

SEARCH, PRICING = ProductKey("catalog", "search"), ProductKey("catalog", "pricing")
V1 = VersionKey(*SEARCH, "v1")
SLOS = {"accuracy": Indicator(outcomes={})}
TARGET = Target(key=SEARCH, versions=("v1",), slos=SLOS)


def counted(*indexes: int, total: int = 1) -> list[Block]:
    return [Block(index, Quality.COUNTED, Count(0, total)) for index in indexes]


def readings(*slos: str, version: VersionKey = V1, seconds: int = 300, **changes) -> Readings:
    blocks = {SeriesKey(*version, slo): counted(7) for slo in slos}
    kept = {"block_seconds": seconds, "canary": False, "first": 7, "last": 7, "blocks": blocks}
    return Readings(**kept | changes)


@pytest.mark.parametrize(
    ("slo", "change", "stays"),
    [
        ("accuracy", {}, True),
        ("accuracy", {"slos": {}}, False),
        ("accuracy", {"versions": ("v2",)}, False),
        ("accuracy", {"key": PRICING}, False),
        ("accuracy", {"block_seconds": 60}, False),
        ("", {"slos": {}}, True),
        (CLIENT_ERRORS, {}, False),
        (CLIENT_ERRORS, {"client_errors": True}, True),
        (POD_SECONDS, {}, False),
        (POD_SECONDS, {"counts_pods": True}, True),
        ("accuracy@FR", {}, False),
        ("accuracy@FR", {"markets": ("FR",)}, True),
        ("accuracy@FR", {"markets": ("FR",), "slos": {}}, False),
    ],
)
async def test_the_block_cache_keeps_only_series_of_current_targets(slo, change, stays):
    cache, key = BlockCache(), SeriesKey(*V1, slo)
    mean = {SeriesKey(*V1, slo): [Mean(7, Quality.COUNTED, 4.0)]}
    await cache.record(readings(slo, means=mean, facts={V1: TargetFacts()}))
    cache.record_filled([TARGET])
    asked = replace(TARGET, **change)
    cache.prune([asked])
    assert cache.series(key, 300).newest == (7 if stays else -1)
    assert cache.means(key, 300).newest == (7 if stays else -1)
    own = asked.key == SEARCH
    kept = own and asked.versions == ("v1",) and asked.block_seconds == 300
    assert (cache.facts(V1, 300) is not None) is kept
    assert cache.facts(V1, 60) is None
    assert cache.pending([TARGET]) == (() if own else (TARGET,))
    cache.clear()
    assert cache.series(key, 300).newest == cache.means(key, 300).newest == -1
    assert (cache.facts(V1, 300), cache.pending([TARGET])) == (None, (TARGET,))


async def test_a_backfill_is_read_once_unless_blocks_are_missing_or_of_another_length():
    cache = BlockCache()
    cache.record_filled([TARGET])
    assert cache.pending([TARGET, replace(TARGET, key=PRICING)]) == (replace(TARGET, key=PRICING),)
    assert cache.pending([replace(TARGET, block_seconds=60)])
    cache.record_unfilled([SEARCH, PRICING])
    assert cache.pending([TARGET]) == (TARGET,)


async def test_hourly_sums_of_a_backfill_replace_blocks():
    cache, key, gone = BlockCache(), SeriesKey(*V1, "accuracy"), SeriesKey(*V1, "gone")
    singles = Readings(
        block_seconds=300, canary=False, first=25, last=30, blocks={key: counted(25, 30)},
        means={key: [Mean(30, Quality.COUNTED, 4.0), Mean(29, Quality.NO_SERIES, 9.0)]},
    )  # fmt: skip
    hours = Readings(
        block_seconds=3600, canary=False, first=1, last=2,
        blocks={key: counted(1, 2, total=50), gone: counted(1)},
        means={
            key: [Mean(-5, Quality.COUNTED, 2.0), Mean(-6, Quality.INVALID, 3.0)],
            gone: [Mean(1, Quality.COUNTED, 1.0)],
        },
    )  # fmt: skip
    await cache.record_past(Past((), singles, hours))
    series, means = cache.series(key, 300), cache.means(key, 300)
    assert [series.hour(hour).total for hour in range(3)] == [50, 50, 2]
    assert (means.of_block(30), means.of_block(29)) == (4.0, None)
    assert (means.of_sum(-6).blocks, means.of_sum(-7).blocks) == (12, 0)
    assert cache.series(gone, 300).newest == -1


async def test_the_block_cache_yields_to_other_tasks_after_each_thousand_blocks():
    cache, turns = BlockCache(), [0]

    async def count() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    many = {SeriesKey(*V1, str(number)): counted(*range(1, 101)) for number in range(101)}
    await cache.record(readings(blocks=many))
    counting.cancel()
    assert turns[0] == 9, "of 10,100 blocks in rows of a hundred"


# ---- canaries ------------------------------------------------------------------------------
KEY = SeriesKey(*V1, "accuracy")


def canary(**changes) -> Readings:
    kept = {"block_seconds": 60, "canary": True, "first": 10, "last": 12}
    return Readings(**kept | {"blocks": {KEY: counted(10, 11, 12)}} | changes)


def test_the_canary_cache_keeps_the_scraped_blocks_of_the_last_read():
    kept = CanaryBlocks()
    kept.record(canary(scraped={V1: frozenset({10, 12})}))
    kept.record(canary(first=12, last=13, scraped={V1: frozenset({13})}))
    assert kept.scraped(V1) == {10, 13}
    assert kept.scraped(VersionKey(*SEARCH, "v2")) == frozenset()


@pytest.mark.parametrize("of", ["blocks", "means", "scraped"])
def test_canary_blocks_of_another_length_replace_all_cached_blocks(of):
    """Whatever is read of a product in blocks of another length replaces all that was known."""
    kept, mean = CanaryBlocks(), {KEY: [Mean(11, Quality.COUNTED, 4.0)]}
    kept.record(canary(means=mean, scraped={V1: frozenset({11})}))
    one = {"blocks": {KEY: counted(13)}, "means": {KEY: []}, "scraped": {V1: frozenset()}}[of]
    kept.record(canary(block_seconds=120, first=13, last=13, **{"blocks": {}} | {of: one}))
    assert kept.blocks(KEY).indexes() == ([13] if of == "blocks" else [])
    assert (kept.mean(KEY, 11), kept.scraped(V1)) == (None, frozenset())


def test_a_derived_value_of_a_block_is_dropped_when_the_block_is_read_again():
    kept = CanaryBlocks()
    kept.record(canary())
    derived = kept.derived(SEARCH, "so")
    derived.update(dict.fromkeys(range(9, 15), "made"))
    assert kept.derived(SEARCH, "so") is derived
    kept.record(canary(first=11, last=12, blocks={KEY: counted(11, 12)}))
    assert sorted(derived) == [9, 10, 13, 14]
    other = SeriesKey(*PRICING, "v1", "accuracy")
    kept.record(canary(first=13, last=13, blocks={other: counted(13)}))
    assert sorted(derived) == [9, 10, 13, 14], "of another product"
    kept.record(canary(first=14, last=14, blocks={other: counted(14)}, gateway={}))
    assert sorted(derived) == [9, 10, 13], "a gateway tells of everyone"
    assert kept.derived(SEARCH, "otherwise") == {}


def test_gateway_counts_are_kept_from_an_hour_before_the_oldest_candidate():
    kept = CanaryBlocks()
    assert not kept.has_gateway_counts
    kept.record(canary(gateway={"one": {10: 5.0, 12: 6.0}}))
    kept.record(canary(first=12, last=12, gateway={"two": {12: 7.0}}))
    assert kept.has_gateway_counts
    sent = [kept.sent(backend, 60, 12).count.total for backend in ("one", "two")]
    assert sent == [6, 7]
    assert kept.sent("one", 60, 11) == Block(11, Quality.NO_SERIES)
    assert kept.sent("one", 120, 12) == Block(12, Quality.MISSING)
    kept.prune([replace(TARGET, canary_from=600), replace(TARGET, key=PRICING, canary_from=900)])
    qualities = [kept.sent("one", 60, index).quality.name for index in (10, 11, 12)]
    assert qualities == ["MISSING", "NO_SERIES", "COUNTED"]
    assert kept.blocks(KEY).indexes() == [10, 11, 12]
    kept.clear()
    assert not kept.has_gateway_counts
    assert kept.blocks(KEY).indexes() == []


def test_ending_a_canary_drops_all_its_cached_blocks():
    kept = CanaryBlocks()
    mean = {KEY: [Mean(11, Quality.COUNTED, 4.0)]}
    facts = {V1: TargetFacts(scraped=True)}
    kept.record(canary(facts=facts, means=mean, scraped={V1: frozenset({11})}))
    assert (kept.mean(KEY, 11), kept.mean(KEY, 12)) == (4.0, None)
    assert kept.facts(V1) == TargetFacts(scraped=True)
    kept.prune([TARGET, replace(TARGET, key=PRICING, canary_from=0)])
    assert (kept.mean(KEY, 11), kept.facts(V1)) == (None, None)
    assert (kept.blocks(KEY).indexes(), kept.scraped(V1)) == ([], frozenset())
