"""Blocks: windows, order of arrival, and what is no count."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.slo.blocks import Block, BlockRow, BlockValue, Quality, Series, hour_of, read_block
from sluicegate.stats.counts import Count

BLOCKS_PER_HOUR = 12
HOURS = 336
SINGLE_BLOCKS = 72


def series_of(counts):
    series = Series()
    for index, count in counts:
        series.record(Block(index, Quality.COUNTED, Count(*count)))
    return series


def naive_window(counts, now, length, since=0):
    start = max(now - length, since)
    if start < now - SINGLE_BLOCKS:
        start = -(-start // BLOCKS_PER_HOUR) * BLOCKS_PER_HOUR
    chosen = [count for index, count in counts if start < index <= now]
    return Count(sum(bad for bad, _ in chosen), sum(total for _, total in chosen))


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 5), st.integers(5, 9)), min_size=1),
    st.sampled_from([1, 6, 12, 24, 72, 288, 864, 2016]),
    st.integers(0, 300),
)
def test_the_count_of_a_window_is_the_sum_of_its_blocks(rows, length, since):
    counts = sorted({index: (bad, total) for index, bad, total in rows}.items())
    now = counts[-1][0]
    assert series_of(counts).window(now, length, since) == naive_window(counts, now, length, since)


@given(st.permutations(list(range(1, 61))))
def test_blocks_may_arrive_in_any_order(order):
    counts = {index: (index % 3, index) for index in range(1, 61)}
    shuffled = series_of((index, counts[index]) for index in order)
    sorted_ = series_of(sorted(counts.items()))
    assert [shuffled.window(60, length) for length in (1, 12, 60)] == [
        sorted_.window(60, length) for length in (1, 12, 60)
    ]
    assert list(shuffled.blocks(0, 60)) == list(sorted_.blocks(0, 60))


def test_a_block_recorded_again_replaces_its_earlier_counts():
    series = series_of([(1, (5, 10)), (2, (0, 10)), (1, (1, 10))])
    assert series.window(2, 12) == Count(1, 20)
    assert series.hour(0) == Count(1, 20)


def test_rereading_a_block_never_makes_an_hourly_sum_negative():
    series = series_of([(1, (10, 10))])
    series.record_hour(0, Count(4, 7))
    series.record(Block(1, Quality.COUNTED, Count(0, 0)))
    assert series.hour(0) == Count(0, 0)


def test_a_late_block_beyond_the_single_block_retention_is_added_to_its_hour():
    series = series_of([(index, (0, index)) for index in range(1, 101)])
    before = series.hour(hour_of(28)).total
    series.record(Block(28, Quality.COUNTED, Count(1, 500)))
    assert series.hour(hour_of(28)) == Count(1, before + 500)
    assert series.block(100).count == Count(0, 100), "it lies where block 28 did"


def test_single_blocks_and_hourly_sums_give_the_same_long_window():
    counts = [(index, (index % 2, 10)) for index in range(1, 1001)]
    singles = series_of(counts)
    refilled = Series()
    for index, count in counts[-SINGLE_BLOCKS:]:
        refilled.record(Block(index, Quality.COUNTED, Count(*count)))
    for hour in range(hour_of(1000) + 1):
        chosen = [count for index, count in counts if hour_of(index) == hour]
        refilled.record_hour(hour, Count(sum(b for b, _ in chosen), sum(t for _, t in chosen)))
    for length in (1, 12, 72, 288, 864):
        assert refilled.window(1000, length) == singles.window(1000, length)


def test_counts_are_kept_for_fourteen_days():
    series = series_of([(index, (1, 2)) for index in range(1, HOURS * 12 + 500)])
    assert series.hour(0) == Count(0, 0)
    assert series.window(series.newest, 10**6).total <= HOURS * 12 * 2


@given(
    st.dictionaries(
        st.integers(1, 500 * BLOCKS_PER_HOUR), st.integers(0, 1000), min_size=1, max_size=60
    ).flatmap(lambda totals: st.tuples(st.just(totals), st.permutations(list(totals))))
)
def test_hourly_sums_are_correct_for_any_gaps_and_order_of_blocks(drawn):
    totals, order = drawn
    series = Series()
    for index in order:
        series.record(Block(index, Quality.COUNTED, Count(totals[index] // 2, totals[index])))
    newest = hour_of(max(totals))
    expected = [0] * HOURS
    for index, total in totals.items():
        if newest - hour_of(index) < HOURS:
            expected[HOURS - 1 - newest + hour_of(index)] += total
    _, found = series.hours(newest - HOURS + 1, newest)
    assert list(found) == expected
    assert [series.hour(hour).total for hour in range(newest - HOURS + 1, newest + 1)] == expected


def test_increasing_counts_are_kept_exactly():
    counts = [(index, (2**index // 3, 2**index)) for index in range(1, 49)]
    series = series_of(counts)
    for first in range(48):
        chosen = [count for index, count in counts if index > first]
        expected = Count(sum(b for b, _ in chosen), sum(t for _, t in chosen))
        assert series.between(first, 48) == expected, first
    for hour in range(4):
        chosen = [count for index, count in counts if hour_of(index) == hour]
        assert series.hour(hour) == Count(sum(b for b, _ in chosen), sum(t for _, t in chosen))


def test_total_events_are_kept_without_storing_expired_hours():
    today = 29_453_760  # 2026, in blocks of a minute since 1970
    series = series_of([(today + index, (1, 10)) for index in range(100)])
    tracemalloc.start()
    try:
        assert series.between(0, today + 99) == Count(100, 1000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


SIZES = [0, 1, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 10**9, 2**53]


@pytest.mark.parametrize("events", SIZES)
def test_counts_of_any_size_are_kept_exactly(events):
    series = series_of([(index, (events, events)) for index in range(1, 14)])
    assert series.window(13, 13) == Count(13 * events, 13 * events)


@pytest.mark.parametrize(
    ("bad", "total", "quality"),
    [
        (None, None, Quality.NO_SERIES),
        (None, 10, Quality.COUNTED),
        (0, 0, Quality.COUNTED),
        (10.2, 10, Quality.COUNTED),
        (10.3, 10, Quality.INVALID),
        (1, 0, Quality.INVALID),
        (3, None, Quality.INVALID),
        (-1, 10, Quality.INVALID),
        (1, -10, Quality.INVALID),
        (math.nan, 10, Quality.INVALID),
        (1, math.nan, Quality.INVALID),
        (1, math.inf, Quality.INVALID),
        (0, 2**54, Quality.INVALID),
    ],
)
def test_only_valid_counts_are_accepted(bad, total, quality):
    assert read_block(1, bad, total).quality is quality


def test_a_missing_series_of_bad_events_counts_as_zero():
    assert read_block(1, None, 10).count == Count(0, 10)


@pytest.mark.parametrize(
    ("coverage", "quality"),
    [
        (None, Quality.COUNTED),
        (1.0, Quality.COUNTED),
        (0.8, Quality.COUNTED),
        (0.79, Quality.LOW_COVERAGE),
        (0.0, Quality.LOW_COVERAGE),
        (math.nan, Quality.LOW_COVERAGE),
    ],
)
def test_a_block_with_too_few_scrapes_is_dropped(coverage, quality):
    block = read_block(1, 1, 10, coverage=coverage)
    assert block.quality is quality
    assert block.count.total == (10 if quality is Quality.COUNTED else 0)


@given(
    st.dictionaries(st.integers(1, 1300), st.integers(0, 300), min_size=1, max_size=150),
    st.lists(st.tuples(st.integers(0, 1300), st.integers(1, 200)), max_size=3),
)
def test_excluding_events_excludes_their_whole_hours(totals, drawn):
    series = series_of((index, (totals[index] // 3, totals[index])) for index in sorted(totals))
    newest, spans = max(totals), [(after, after + length) for after, length in drawn]
    left = series.without(spans)
    touched = {hour_of(index) for after, last in spans for index in range(after + 1, last + 1)}
    gone = {index for after, last in spans for index in range(after + 1, last + 1)}
    for hour in range(hour_of(newest) + 2):
        assert left.hour(hour) == (Count(0, 0) if hour in touched else series.hour(hour))
    for index in range(-1, newest + 2):
        before, after = series.block(index), left.block(index)
        assert after.quality is before.quality
        assert after.count == (Count(0, 0) if index in gone else before.count)
    assert left.newest == series.newest
    assert [series.block(total).count.total for total in totals if total > newest - 72] == [
        totals[total] for total in totals if total > newest - 72
    ], "the series itself stays as it is"


@pytest.mark.parametrize(
    ("span", "hours", "singles"),
    [
        ((0, 1000), set(range(34)), set(range(329, 401))),
        ((327, 328), {27}, set()),  # the oldest block that isn't kept singly has the newest's place
        ((328, 329), {27}, {329}),
        ((399, 400), {33}, {400}),
        ((400, 401), {33}, set()),
        ((11, 12), {0}, set()),
        ((12, 13), {1}, set()),
        ((-9, -5), set(), set()),
        ((5, 5), {0}, set()),
    ],
)
def test_excluding_events_keeps_all_other_hours_and_blocks(span, hours, singles):
    series = series_of([(index, (1, 2)) for index in range(1, 401)])
    left = series.without([span])
    assert {hour for hour in range(34) if left.hour(hour) != series.hour(hour)} == hours
    changed = {
        index for index in range(402) if left.block(index).count != series.block(index).count
    }
    assert changed == singles


def test_excluding_the_oldest_kept_hour_works_and_an_expired_hour_changes_nothing():
    series = series_of([(12 * hour + 1, (1, 2)) for hour in range(341)])
    oldest, newest = 340 - HOURS + 1, 340
    left = series.without([(12 * (oldest - 1), 12 * (oldest + 1))])
    assert [hour for hour in range(342) if left.hour(hour) != series.hour(hour)] == [oldest]
    assert left.hour(newest) == Count(1, 2), "it lies where the one before the oldest did"


def test_a_value_derived_without_excluded_blocks_is_cached_for_the_same_exclusions():
    series = series_of([(index, (1, 2)) for index in range(1, 100)])
    one = series.without([(3, 9)])
    one.derived["mine"] = 1
    assert series.without([(3, 9)]).derived == {"mine": 1}
    assert series.without([(3, 10)]).derived == {}
    assert series.without([(3, 9)]).derived == {}
    series.without([(3, 9)]).derived["mine"] = 1
    series.record(Block(100, Quality.COUNTED))
    assert series.without([(3, 9)]).derived == {"mine": 1}, "the newest changes no complete hour"
    series.record(Block(50, Quality.COUNTED))
    assert series.derived == {}


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        (Block(5, Quality.COUNTED, Count(1, 10)), True), (Block(4, Quality.COUNTED, Count(1, 10)), True),
        (Block(5, Quality.COUNTED, Count(2, 10)), False), (Block(5, Quality.UNAVAILABLE), False),
        (Block(6, Quality.COUNTED, Count(1, 10)), True),
    ],
)  # fmt: skip
def test_a_block_read_again_with_the_same_value_keeps_derived_values(again, kept):
    series = series_of([(index, (1, 10)) for index in range(1, 6)])
    series.derived["mine"] = 1
    series.record(again)
    assert (series.derived == {"mine": 1}) is kept
    assert series.block(again.index) == again


def test_blocks_are_kept_singly_for_six_hours():
    series = series_of([(index, (1, index)) for index in range(1, 101)])
    assert [block.index for block in series.blocks(0, 200)] == list(range(29, 101))
    assert [block.index for block in series.blocks(97, 99)] == [98, 99]
    for index, quality in ((28, "MISSING"), (29, "COUNTED"), (100, "COUNTED"), (101, "MISSING")):
        assert series.block(index).quality.name == quality
    assert series.block(-1).quality is Quality.MISSING
    assert series.block(29).count == Count(1, 29)
    few = series_of([(3, (1, 2))])
    assert [few.block(index).quality.name for index in (0, 2, 3)] == [
        "MISSING",
        "MISSING",
        "COUNTED",
    ]
    assert few.block(-1).quality is Quality.MISSING


def test_the_first_hour_is_that_of_the_oldest_block_that_is_kept():
    series = Series()
    assert series.first_hour > 10**9
    assert (series.newest, series.had_events) == (-1, False)
    series.record(Block(30, Quality.COUNTED, Count(0, 0)))
    assert (series.first_hour, series.newest, series.had_events) == (2, 30, False)
    series.record(Block(31, Quality.COUNTED, Count(0, 1)))
    assert series.had_events
    series.record_hour(1, Count(1, 1))
    assert series.first_hour == 1


@pytest.mark.parametrize(("first", "last"), [(0, 5), (5, 12), (3, 3), (4, 2), (-5, -3), (9, 400)])
def test_the_count_of_an_expired_hour_is_zero(first, last):
    series = series_of([(index, (1, 2)) for index in range(49, 109)])
    kept = {4: 12, 5: 12, 6: 12, 7: 12, 8: 12}
    bad, total = series.hours(first, last)
    assert list(bad) == [kept.get(hour, 0) for hour in range(first, last + 1)]
    assert list(total) == [2 * kept.get(hour, 0) for hour in range(first, last + 1)]


def test_the_counts_of_a_block_are_rounded_and_bounded():
    assert read_block(1, 0, 2**53).count == Count(0, 2**53)
    assert read_block(1, 102, 100).count == Count(100, 100)
    assert read_block(1, 0.4, 0.6).count == Count(0, 1)
    assert read_block(1, -0.1, 0.0).quality is Quality.INVALID
    assert read_block(1, None, None) == Block(1, Quality.NO_SERIES, Count(0, 0))


# ---- rows of a canary ----------------------------------------------------------------------
FETCHES = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.lists(
            st.tuples(st.sampled_from(list(Quality)[1:]), st.integers(0, 2**53)),
            min_size=1,
            max_size=9,
        ),
    )
)


@given(FETCHES)
def test_a_block_series_has_the_last_read_value_of_each_block(fetches):
    row, said = BlockRow(), {}
    for first, read in fetches:
        blocks = [
            Block(index, quality, Count(total // 3, total))
            for index, (quality, total) in enumerate(read, start=first)
        ]
        row.update(blocks)
        said |= {block.index: BlockValue(block.quality, block.count) for block in blocks}
    assert row.indexes() == sorted(said)
    never = BlockValue(Quality.MISSING)
    assert all(row.value(index) == said.get(index, never) for index in range(80))


def test_a_block_series_takes_a_few_bytes_per_block():
    blocks, row = (
        [Block(index, Quality.COUNTED, Count(index, 300)) for index in range(1000)],
        BlockRow(),
    )
    BlockRow().update(blocks)  # a tracer of lines keeps what it sees first
    tracemalloc.start()
    row.update(blocks)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 8 * len(blocks)
