"""Whether the hour of the day matters: at which numbers the verdict turns, against NumPy and tables."""

from __future__ import annotations

import numpy as np
import pytest

from sluicegate.stats.calendar import Calendar
from sluicegate.stats.seasonality import chi_square_tail, is_hour_significant, season_sums

CRITICAL = 41.638398
"""χ² of 23 degrees of freedom at 1 %, of any table."""
HOURS = np.arange(24)
DAY = [(1000 + 37 * (hour % 5) - 20 * (hour % 3), 10_000 + 100 * hour) for hour in range(24)]


def chi_square(hours):
    bad, total = np.array(hours, dtype=float).T
    ratio = bad.sum() / total.sum()
    return ((bad - total * ratio) ** 2 / (total * ratio * (1 - ratio))).sum()


@pytest.mark.parametrize(
    ("value", "degrees", "tail"),
    [
        (3.841459, 1, 0.05), (6.634897, 1, 0.01), (5.991465, 2, 0.05), (CRITICAL, 23, 0.01),
        (13.090514, 23, 0.95), (35.172462, 23, 0.05), (0.0, 3, 1.0), (-1.0, 3, 1.0),
    ],
)  # fmt: skip
def test_the_chi_square_tail_equals_published_tables(value, degrees, tail):
    assert chi_square_tail(value, degrees) == pytest.approx(tail, rel=1e-6)


def test_the_chi_square_tail_of_two_degrees_of_freedom_has_the_closed_form():
    for value in (1e-6, 0.5, 3.9, 4.1, 60.0, 700.0):
        assert chi_square_tail(value, 2) == pytest.approx(np.exp(-value / 2), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("first", [0, 7, 24 * 20_000 + 13])
def test_a_daily_pattern_is_detected_at_the_one_percent_level(first):
    phi = chi_square(DAY) / CRITICAL
    assert is_hour_significant(DAY, first, 0.999 * phi)
    assert not is_hour_significant(DAY, first, 1.001 * phi)
    assert not is_hour_significant(DAY[:-1], first, 0.5 * phi), "less than a day says nothing"


def test_an_hour_with_one_event_counts_for_the_daily_pattern():
    day = [*DAY[:-1], (1, 1)]
    phi = chi_square(day) / CRITICAL
    assert is_hour_significant(day, 0, 0.999 * phi)
    assert not is_hour_significant(day, 0, 1.001 * phi)


def test_hours_of_several_days_are_summed_before_they_are_compared():
    three = [(bad + 40 * day, total) for day in range(3) for bad, total in DAY]
    summed = [tuple(map(sum, zip(*three[hour::24], strict=True))) for hour in range(24)]
    phi = chi_square(summed) / CRITICAL
    assert is_hour_significant(three, 0, 0.999 * phi)
    assert not is_hour_significant(three, 0, 1.001 * phi)


@pytest.mark.parametrize(("bad", "matters"), [(119, False), (120, True)])
def test_fewer_than_five_bad_events_per_hour_show_no_daily_pattern(bad, matters):
    assert is_hour_significant([(bad, 500), *[(0, 500)] * 23], 0, 1.0) is matters


def test_only_good_or_only_bad_events_are_no_daily_pattern():
    assert not is_hour_significant([(0, 500)] * 24, 0, 1.0)
    assert not is_hour_significant([(500, 500)] * 24, 0, 1.0)
    assert not is_hour_significant([(250, 500), *[(0, 0)] * 23], 0, 1.0), (
        "one hour differs from none"
    )
    assert is_hour_significant([(250, 500), (350, 500), *[(0, 0)] * 22], 0, 1.0), "two may differ"


def z_of_days(odd, even):
    """Return √(n − 2) times the correlation of two days, each without its slope."""
    places = np.arange(len(odd))
    rests = [day - np.polyval(np.polyfit(places, day, 1), places) for day in (odd, even)]
    return np.corrcoef(*rests)[0, 1] * np.sqrt(len(odd) - 2)


def two_days(alike, hours=24, slope=0.0):
    """Return two days that have a part of their swing in common, of a million events an hour."""
    common = np.sin(HOURS[:hours] * np.pi / 6)
    own = np.cos(HOURS[:hours] * np.pi / 5), np.cos(HOURS[:hours] * np.pi / 3 + 1)
    slant = slope * HOURS[:hours]
    days = [
        np.round(1e6 * (0.2 + slant + 0.05 * (alike * common + (1 - alike) * mine))) for mine in own
    ]
    rest = [(0, 0)] * (24 - hours)
    return [one for day in days for one in [*((int(bad), 10**6) for bad in day), *rest]], days


@pytest.mark.parametrize(("hours", "slope"), [(24, 0.0), (24, 0.004), (12, 0.0), (8, 0.0)])
def test_a_daily_pattern_requires_two_days_that_correlate_at_the_1_percent_significance_level(
    hours, slope
):
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        counts, _ = two_days(middle, hours, slope)
        low, high = (low, middle) if is_hour_significant(counts, 0, 1.0) else (middle, high)
    assert z_of_days(*two_days(high, hours, slope)[1]) == pytest.approx(2.326348, rel=1e-3)


@pytest.mark.parametrize("first", [0, 24 * 7])
def test_days_are_split_alternately_into_two_halves(first):
    unlike = two_days(0.0)[0]
    assert not is_hour_significant([*unlike, *unlike], first, 1.0)
    assert is_hour_significant([*unlike[:24] * 2, *unlike[24:] * 2], first, 1.0)


def test_hours_missing_in_one_half_of_the_days_are_not_compared():
    counts = two_days(0.9)[0]
    assert is_hour_significant([*counts[:36], *[(0, 0)] * 12], 0, 1.0)
    assert is_hour_significant([*[(0, 0)] * 12, *counts[12:]], 0, 1.0)


def test_an_hour_without_bad_events_is_compared():
    """Two days of eight hours that swing alike are a season, of seven they aren't yet."""
    day = [(bad, 1000) for bad in (300, 0, 250, 50, 200, 100, 280, 10)] + [(0, 0)] * 16
    assert is_hour_significant([*day, *day], 0, 1.0)
    assert not is_hour_significant([*day[:7], *day[8:], (0, 0)] * 2, 0, 1.0)


def test_three_common_hours_are_too_few_for_a_daily_pattern():
    assert not is_hour_significant(two_days(1.0, 3)[0], 0, 1.0)


def test_constant_days_have_no_daily_pattern():
    flat = [(500_000, 10**6)] * 24
    swing, _ = two_days(1.0)
    assert not is_hour_significant([*flat, *swing[:24]], 0, 1.0)


@pytest.mark.parametrize(("seconds", "sums"), [(300, 48), (60, 240), (3600, 4)])
def test_two_days_of_sums_distinguish_a_daily_pattern_from_a_change(seconds, sums):
    assert season_sums(Calendar(seconds)) == sums


@pytest.mark.parametrize(("seconds", "an_hour"), [(300, 1), (60, 5)])
def test_different_hours_may_be_a_daily_pattern_until_two_days_are_known(seconds, an_hour):
    unlike = [one for one in two_days(0.0)[0] for _ in range(an_hour)]
    calendar = Calendar(seconds)
    assert not is_hour_significant(unlike[: 24 * an_hour - 1], 0, 1.0, calendar)
    assert is_hour_significant(unlike[: 24 * an_hour], 0, 1.0, calendar)
    assert is_hour_significant(unlike[:-1], 0, 1.0, calendar)
    assert not is_hour_significant(unlike, 0, 1.0, calendar)
