"""How far back evidence reaches over stretches that are left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.engine import SloRecord, TimeInterval
from sluicegate.policy.model.excluded_blocks import (
    MAX_INTERVALS,
    BlockSpan,
    block_before,
    exclude_blocks,
    spans_of,
)
from sluicegate.stats.calendar import HOURS

NOW = 60
SECONDS = 300
KEPT = 12 * HOURS
MANY = [(24 * number, 24 * number + 6) for number in range(MAX_INTERVALS)]


@st.composite
def stretches(draw: st.DrawFn) -> tuple[BlockSpan, ...]:
    """Return stretches in their order; the last one may go on."""
    edges = sorted(draw(st.sets(st.integers(0, NOW + 5), max_size=6)))
    return tuple(BlockSpan(*pair) for pair in zip(edges[::2], edges[1::2], strict=False))


@given(length=st.integers(0, 30), spans=stretches())
def test_a_window_extends_past_excluded_blocks_until_it_has_its_number_of_blocks(length, spans):
    def counts(index: int) -> bool:
        return not any(span.block_before_first < index <= span.last for span in spans)

    after = block_before(NOW, length, spans)
    assert sum(map(counts, range(after + 1, NOW + 1))) == length
    assert not length or counts(after + 1)


def record(spans, **fields) -> SloRecord:
    found = (TimeInterval(begin=span[0] * SECONDS, end=span[1] * SECONDS) for span in spans)
    return SloRecord(ignored_intervals=tuple(found), **fields)


@pytest.mark.parametrize(
    ("known", "first", "last", "left_out"),
    [
        ([], 13, 30, [(12, 30)]),
        ([], 14, 30, [(24, 30)]),
        ([], 1, 30, [(0, 30)]),
        ([], 0, 30, [(0, 30)]),
        ([], -5, 30, [(0, 30)]),
        ([(0, 12)], 13, 30, [(0, 30)]),
        ([(0, 11)], 13, 30, [(0, 11), (12, 30)]),
        ([(0, 60)], 13, 30, [(0, 60)]),
        ([(12, 14), (24, 26)], 13, 30, [(12, 30)]),
        ([(0, 30), (60, 61)], 97, 30 + KEPT, [(60, 61), (96, 30 + KEPT)]),
        ([(0, 31)], 97, 30 + KEPT, [(0, 31), (96, 30 + KEPT)]),
    ],
)
def test_excluded_spans_start_at_an_hourly_sum_and_adjacent_spans_are_merged(
    known, first, last, left_out
):
    assert exclude_blocks(record(known), first, last, SECONDS) == record(left_out)


@pytest.mark.parametrize(("since", "spans"), [(30 * SECONDS, []), (30 * SECONDS - 1, [(12, 30)])])
def test_an_excluded_span_before_all_evidence_is_dropped(since, spans):
    known = record([], since=since)
    assert exclude_blocks(known, 13, 30, SECONDS) == record(spans, since=since)


def test_beyond_the_limit_of_excluded_spans_the_evidence_begins_after_the_oldest_span():
    found = exclude_blocks(record(MANY), 24 * MAX_INTERVALS + 1, 24 * MAX_INTERVALS + 6, SECONDS)
    newest = (24 * MAX_INTERVALS, 24 * MAX_INTERVALS + 6)
    assert found == record([*MANY[1:], newest], since=MANY[0][1] * SECONDS)
    assert (
        exclude_blocks(
            record(MANY[1:]), 24 * MAX_INTERVALS + 1, 24 * MAX_INTERVALS + 6, SECONDS
        ).since
        == 0
    )


def test_excluded_spans_of_another_block_length_are_rounded_to_whole_sums_and_blocks():
    known = SloRecord(ignored_intervals=(TimeInterval(begin=7100, end=9001),))
    assert spans_of(known, SECONDS) == (BlockSpan(12, 31),)
