"""Burn rates: the windows of the SRE Workbook, and at which number of bad events a row trips."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.budget import WINDOW_HOURS, budget_remaining
from sluicegate.slo.burn_rate import (
    FAST_BURN_WINDOWS,
    SLOW_BURN_WINDOWS,
    Level,
    Row,
    read_burn_rate,
    thresholds,
)
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import wilson_lower


def of(row: Row) -> tuple[object, ...]:
    return row.long, row.short, row.burn_rate, row.confidence, row.level.name


def test_the_burn_rate_rows_are_the_documented_ones():
    assert [of(row) for row in FAST_BURN_WINDOWS] == [
        (12, 1, 14.4, 0.99, "MISSED"),
        (72, 6, 6.0, 0.99, "MISSED"),
        (288, 24, 3.0, 0.95, "AT_RISK"),
        (864, 72, 1.0, 0.95, "AT_RISK"),
    ]
    assert [of(row) for row in SLOW_BURN_WINDOWS] == [
        (288, 24, 1.0, 0.999998, "MISSED"),
        (288, 24, 1.0, 0.95, "AT_RISK"),
        (2016, 288, 1.0, 0.99999, "MISSED"),
    ]
    assert Level.MET < Level.AT_RISK < Level.MISSED


def test_a_burn_rate_row_that_cannot_trip_is_dropped():
    assert [threshold.ratio for threshold in thresholds(FAST_BURN_WINDOWS, 0.05)] == pytest.approx(
        [0.72, 0.3, 0.15, 0.05]
    )
    assert [threshold.row.long for threshold in thresholds(FAST_BURN_WINDOWS, 1 / 3)] == [864]
    (first, *_) = thresholds(FAST_BURN_WINDOWS, 0.01)
    z, ratio = NormalDist().inv_cdf(0.99), 0.144
    assert first.z == pytest.approx(z)
    assert first.min_events == pytest.approx(1.6448536**2 * (1 - ratio) / ratio)


ROW = Row(12, 3, 2.0, 0.95, Level.MISSED)
(THRESHOLD,) = thresholds((ROW,), 0.05)
"""Trips above 10 %; silent below 25 events."""


def series(*counts):
    kept = Series()
    for index, (bad, total) in enumerate(counts, start=1):
        kept.record(Block(index, Quality.COUNTED, Count(bad, total)))
    return kept


def reading(*counts, since=0, phi=1.0):
    return read_burn_rate(THRESHOLD, series(*counts), now=len(counts), since_block=since, phi=phi)


def test_a_burn_rate_row_does_not_trip_below_its_least_events():
    assert reading(*[(0, 2)] * 12) is None
    assert reading(*[(0, 3)] * 12).tripped is False
    assert reading(*[(0, 3)] * 12, phi=2.0) is None
    assert reading(*[(0, 3)] * 12, since=6) is None


@pytest.mark.parametrize("phi", [1.0, 2.0])
def test_a_burn_rate_row_trips_if_the_lower_bound_of_the_long_window_exceeds_its_threshold(phi):
    tripped = []
    for bad in range(300):
        found = reading((0, 996), *[(0, 0)] * 10, (bad, 1000 - 996 + bad), phi=phi)
        total = 1000 + bad
        lower = wilson_lower(bad / phi, total / phi, NormalDist().inv_cdf(0.95))
        assert found.long == Count(bad, total)
        assert found.tripped is (lower > 0.1)
        tripped.append(found.tripped)
        assert found.lower_bound == (lower if bad > 0.1 * total else 0.0)
    assert {False, True} == set(tripped)


def test_a_burn_rate_trips_only_while_the_short_window_exceeds_its_threshold():
    bad = [(0, 10)] + [(10, 10)] * 8
    assert reading(*bad, *[(0, 10)] * 3).tripped is False
    assert reading(*bad, *[(0, 0)] * 3).tripped is False, "nothing says so"
    assert reading(*bad, (10, 10), *[(0, 10)] * 2).tripped is True
    assert reading(*bad, (3, 10), *[(0, 10)] * 2).tripped is False, "at the threshold, not above"


def test_two_bad_events_never_trip_a_burn_rate():
    few = Row(12, 3, 1.0, 0.5, Level.MISSED)
    (low,) = thresholds((few,), 0.5)
    for bad, tripped in ((2, False), (3, True)):
        found = read_burn_rate(low, series((bad, 3)), now=1, since_block=0, phi=1.0)
        assert found.tripped is tripped


def test_a_burn_rate_reading_has_the_number_of_existing_blocks():
    assert reading(*[(0, 9)] * 20).blocks == 12
    assert reading(*[(0, 9)] * 20, since=13).blocks == 7


def test_the_remaining_error_budget_covers_fourteen_days():
    assert WINDOW_HOURS == 14 * 24
    assert budget_remaining(Count(0, 0), 0.1) is None
    assert budget_remaining(Count(5, 100), 0.1) == pytest.approx(0.5)
    assert budget_remaining(Count(15, 100), 0.1) == pytest.approx(-0.5)
