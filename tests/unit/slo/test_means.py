"""The means of a gauge: what is kept of them, and for how long."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.slo.means import Means, Values

# Promised, so written as numbers here.
DAYS_OF_HOURS = 14 * 24


def test_a_late_hourly_mean_does_not_replace_a_newer_one():
    """Both have one place: hours are kept for fourteen days."""
    means = Means([(12 * 1000 + 1, 7.0)])
    means.record_sum(900, 5.0)
    means.record_sum(900 - DAYS_OF_HOURS, 9.0)
    assert means.of_sum(900).mean == 5.0
    assert not means.of_sum(900 - DAYS_OF_HOURS).blocks
    means.record_sum(1000 - DAYS_OF_HOURS, 9.0)
    assert means.of_sum(1000).mean == 7.0


def test_an_hour_without_blocks_has_no_mean():
    means = Means([(12 * 6 + 1, 7.0), (12 * (6 + DAYS_OF_HOURS + 1) + 1, 1.0)])
    assert means.of_sum(6 + DAYS_OF_HOURS) == Values(0.0, 0)


def sum_of(index: int) -> int:
    return (index - 1) // 12


@given(st.lists(st.tuples(st.integers(1, 260), st.none() | st.integers(-9, 9)), max_size=90))
def test_the_newest_six_hours_are_kept_singly_and_older_ones_as_sums(recorded):
    """A value that comes when its block isn't kept singly is lost; of a sum, all blocks were."""
    means, newest = Means(), -1
    singles: dict[int, int | None] = {}
    sums: dict[int, dict[int, int | None]] = {}
    for index, value in recorded:
        means.record(index, value)
        if index <= newest - 72:
            continue
        newest = max(newest, index)
        singles[index] = value
        if 12 * sum_of(index) + 1 > newest - 72:
            sums.setdefault(sum_of(index), {})[index] = value
    assert means.newest == newest

    def added(values):
        found = [value for value in values if value is not None]
        return Values(sum(found), len(found))

    alive = {index: one for index, one in singles.items() if index > newest - 72}
    for index in range(-1, 270):
        assert means.of_block(index) == alive.get(index)
    for number in range(22):
        assert means.of_sum(number) == added(sums.get(number, {}).values())
    assert means.known is any(one is not None for of in sums.values() for one in of.values())
    for after, last in ((0, 260), (newest - 73, newest), (newest - 72, newest), (30, 50), (5, 7)):
        if after >= newest - 72:
            chosen = [alive.get(index) for index in range(after + 1, min(last, newest) + 1)]
        else:
            first = ceil(after / 12)
            end = max(min(last, newest) // 12, first)
            chosen = [one for number in range(first, end) for one in sums.get(number, {}).values()]
            chosen += [alive.get(index) for index in range(12 * end + 1, min(last, newest) + 1)]
        assert means.between(after, last) == added(chosen)


def test_a_read_hourly_mean_counts_as_twelve_blocks_unless_single_blocks_are_kept():
    means = Means([(12 * 10, 7.0)])
    for number in (3, 4):
        means.record_sum(number, 2.0)
    assert means.of_sum(3) == Values(24.0, 12)
    assert means.of_sum(3).mean == 2.0
    assert means.of_sum(4) == Values(0.0, 0), "its blocks are kept singly, and have no means"
    assert means.of_sum(9) == Values(7.0, 1)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda means: means.record(120, 1.0), True),
        (lambda means: means.record(109, 1.0), True),
        (lambda means: means.record(108, 1.0), False),
        (lambda means: means.record(47, 1.0), True),  # too old to be taken in
        (lambda means: means.record_sum(2, 1.0), False),
        (lambda means: means.record_sum(9, 1.0), True),
    ],
)
def test_a_derived_value_is_kept_until_a_complete_sum_changes(change, kept):
    means = Means([(119, 7.0)])
    means.derived["mine"] = 1
    change(means)
    assert means.derived == ({"mine": 1} if kept else {})
