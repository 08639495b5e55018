"""What is made of answers in which something is missing."""

from __future__ import annotations

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_assembly import Answers, assemble_blocks, assemble_means
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.targets import Past, ProductKey, Readings, SeriesKey, Target
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.queries import QueryKind
from sluicegate.stats.counts import Count

PRODUCT = ProductKey("catalog", "search")
VERSION = (*PRODUCT, "v1")
SERVICE = "Search"
FIRST, SECOND = 1000, 1001


def answered(**tables) -> Answers:
    kinds = {QueryKind[name.upper()]: table for name, table in tables.items()}
    return Answers(range(FIRST, SECOND + 1), 300, 30.0, kinds)


def target(**slos: Indicator) -> Target:
    return Target(key=PRODUCT, versions=("v1",), slos=slos, service=SERVICE)


def test_a_block_of_requests_without_any_success_has_none_that_was_slow():
    """In the first one nothing succeeded, so no histogram had a bucket to count in."""
    answers = answered(
        requests={(*VERSION, SERVICE): {FIRST: 10.0, SECOND: 20.0}},
        latency={
            (*VERSION, SERVICE, "inf"): {SECOND: 20.0},
            (*VERSION, SERVICE, "0.25"): {SECOND: 18.0},
        },
    )
    slow = Indicator(latency={"thresholdMilliseconds": 250})
    read = dict(assemble_blocks(answers, [target(latency=slow)]))
    assert read[SeriesKey(*VERSION, "latency")] == (
        Block(FIRST, Quality.COUNTED, Count(0, 0)),
        Block(SECOND, Quality.COUNTED, Count(2, 20)),
    )


@pytest.mark.parametrize(
    ("age", "quality"),
    [
        (None, Quality.NO_SERIES),
        (900.0, Quality.COUNTED),
        (900.1, Quality.NO_SERIES),
    ],
    ids=["nobody knows", "as old as it may be", "stale"],
)
def test_a_gauge_counts_as_long_as_it_is_known_to_be_fresh(age, quality):
    ages = {} if age is None else {(*VERSION, "basket", "age"): {FIRST: age}}
    answers = answered(gauges={(*VERSION, "basket", "mean"): {FIRST: 40.0}, **ages})
    basket = Indicator(gauge={"metric": "basket", "staleAfterSeconds": 900})
    ((_, means),) = assemble_means(answers, [target(basket=basket)])
    assert means[0].quality is quality


async def test_an_hour_that_is_not_covered_leaves_its_single_blocks_as_they_were():
    key, cache = SeriesKey(*VERSION, "availability"), BlockCache()
    singles = [Block(index, Quality.COUNTED, Count(1, 10)) for index in range(13, 25)]
    hours = [
        Block(2, Quality.LOW_COVERAGE, Count(99, 99)),
        Block(1, Quality.COUNTED, Count(5, 50)),
    ]

    def read(blocks) -> Readings:
        return Readings(block_seconds=300, canary=False, first=1, last=24, blocks={key: blocks})

    await cache.record_past(Past((), read(singles), read(hours)))
    series = cache.series(key, 300)
    assert [list(counts) for counts in series.hours(0, 1)] == [[5, 12], [50, 120]]
