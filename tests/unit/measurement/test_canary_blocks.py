"""Both arms of a canary, block by block: what each block is worth, and how many requests there were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.measurement.canary_blocks import Arm, Arms, Requests, count_requests
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import Mean, ProductKey, Readings, SeriesKey, VersionKey
from sluicegate.slo.blocks import Block, BlockValue, Quality
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

PRODUCT = ProductKey("catalog", "search")
V1, V2 = (VersionKey(*PRODUCT, name) for name in ("v1", "v2"))
COUNTED, NOTHING, LOST = Quality.COUNTED, Quality.NO_SERIES, Quality.UNAVAILABLE


def arms(kept: CanaryBlocks, *, begins: int = 10) -> Arms:
    return Arms(
        kept, PRODUCT, Arm("v1", "one"), Arm("v2", "two"), counted=("slo",), gauges=("basket", "visits"),
        requests="", seconds=60, begins=begins,
    )  # fmt: skip


def row(*blocks: tuple[Quality, int], first: int = 10) -> list[Block]:
    return [
        Block(index, quality, Count(0, total))
        for index, (quality, total) in enumerate(blocks, start=first)
    ]


def kept_of(**changes) -> CanaryBlocks:
    kept = CanaryBlocks()
    kept.record(Readings(block_seconds=60, canary=True, first=10, last=12, **changes))
    return kept


def test_a_canary_block_has_both_versions_and_only_stable_before_the_rollout():
    ten = (COUNTED, 10)
    kept = kept_of(
        blocks={
            SeriesKey(*V1, ""): row(ten, ten, ten),
            SeriesKey(*V1, "slo"): row(ten, (COUNTED, 20), ten),
            SeriesKey(*V2, "slo"): row(ten, (COUNTED, 5), (NOTHING, 0)),
            SeriesKey(*V2, "@stable-right"): [Block(11, COUNTED, Count(2, 9))],
            SeriesKey(*V2, "@stable-wrong"): [Block(12, COUNTED, Count(1, 4))],
        },
        means={
            SeriesKey(*version, "basket"): [Mean(11, COUNTED, value), Mean(12, quality, value)]
            for version, value, quality in ((V1, 41.0, COUNTED), (V2, 40.0, NOTHING))
        }
        | {SeriesKey(*V2, "visits"): [Mean(11, COUNTED, 7.0)]},
        scraped={V1: frozenset({11, 12}), V2: frozenset({11})},
        gateway={"one": {11: 15.0, 12: 16.0}, "two": {12: 4.0}},
    )
    value, nothing = (lambda total: BlockValue(COUNTED, Count(0, total))), BlockValue(NOTHING)
    assert arms(kept).blocks() == (
        CanaryBlock(600, COUNTED, {"slo": value(10)}),
        CanaryBlock(
            660, COUNTED, {"slo": value(20)}, {"slo": value(5)}, canary_up=True,
            gauges={"basket": (40.0, 41.0)}, sent=(0, 15), pairs=Pairs(7, 0, 2, 0),
        ),
        CanaryBlock(
            720, COUNTED, {"slo": value(10)}, {"slo": nothing}, canary_up=False, sent=(4, 16),
            pairs=Pairs(0, 3, 0, 1),
        ),
    )  # fmt: skip
    alone = arms(kept, begins=12).blocks()
    assert [(one.candidate, one.sent) for one in alone] == [({}, None)] * 3


@pytest.mark.parametrize(
    ("quality", "seen"),
    [
        (Quality.UNAVAILABLE, Quality.UNAVAILABLE), (Quality.LOW_COVERAGE, Quality.LOW_COVERAGE),
        (Quality.INVALID, COUNTED), (NOTHING, COUNTED), (COUNTED, COUNTED),
    ],
)  # fmt: skip
def test_a_canary_block_counts_unless_it_has_no_data(quality, seen):
    kept = kept_of(blocks={SeriesKey(*V1, ""): row((quality, 0))})
    assert [block.quality for block in arms(kept).blocks()] == [seen]


def test_missing_gateway_counts_of_both_versions_are_unknown():
    requests = {SeriesKey(*V1, ""): row((COUNTED, 1), (COUNTED, 1))}
    assert [block.sent for block in arms(kept_of(blocks=requests)).blocks()] == [None, None]
    heard = arms(kept_of(blocks=requests, gateway={"else": {11: 3.0}}))
    assert heard.blocks()[1].sent is None
    assert heard.sent(heard.stable, 11) == Block(11, NOTHING)
    assert heard.sent(heard.stable, 13) == Block(13, Quality.MISSING)


@pytest.mark.parametrize(("moment", "first"), [(600, 11), (600.5, 12), (660, 12), (540, 10)])
def test_canary_blocks_since_a_time_begin_no_earlier(moment, first):
    kept = kept_of(blocks={SeriesKey(*V1, ""): row((COUNTED, 1), (NOTHING, 0), (COUNTED, 3))})
    known = arms(kept)
    found = known.since(moment, known.stable)
    read = row((COUNTED, 1), (NOTHING, 0), (COUNTED, 3))
    expected = [one for one in read if one.index >= first]
    assert found.indexes() == [one.index for one in expected]
    assert [found.value(one.index).count for one in expected] == [one.count for one in expected]


BLOCKS = st.lists(
    st.sampled_from([(COUNTED, 0), (COUNTED, 7), (COUNTED, 300), (NOTHING, 0), (LOST, 0)]),
    max_size=5,
)


@given(BLOCKS, BLOCKS, st.integers(9, 16))
def test_requests_since_a_time_equal_those_of_its_blocks(stable, candidate, first):
    rows = [row(*stable), row(*candidate, first=11)]
    read = zip((SeriesKey(*V1, ""), SeriesKey(*V2, "")), rows, strict=True)
    known = arms(kept_of(blocks={series: blocks for series, blocks in read if blocks}))
    since = [[block for block in blocks if block.index > first] for blocks in rows]
    assert known.count_since(first * 60) == count_requests(*since)


@pytest.mark.parametrize(
    ("stable", "candidate", "expected"),
    [
        ([], [], Requests()),
        ([(COUNTED, 5), (COUNTED, 7)], [(COUNTED, 2)], Requests(12, 2, 2, 0, 0, 2)),
        ([(COUNTED, 5)], [(COUNTED, 2), (COUNTED, 0), (NOTHING, 0)], Requests(5, 2, 3, 0, 2, 3)),
        ([(COUNTED, 0), (LOST, 0), (NOTHING, 0)], [], Requests(0, 0, 3, 1, 0, 2)),
        ([(COUNTED, 0), (COUNTED, 1)], [(LOST, 0)], Requests(1, 0, 2, 0, 0, 2)),
    ],
)
def test_canary_blocks_count_requests_and_the_newest_blocks_without_requests(
    stable, candidate, expected
):
    assert count_requests(row(*stable), row(*candidate)) == expected
