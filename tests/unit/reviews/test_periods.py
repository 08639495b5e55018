"""Periods and days: their names, their edges, and where clocks change."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluicegate.api.review import Cycle, ReviewCycle
from sluicegate.reviews.periods import UnknownZone, period_at, period_before, period_of


def cycle(every="Month", starts="2026-01-15", zone="Europe/Paris"):
    return ReviewCycle(every=Cycle(every), start_date=starts, time_zone=zone)


@pytest.mark.parametrize(
    ("every", "day", "name", "first", "after"),
    [
        ("Month", "2026-01-15", "2026-01", "2026-01-15", "2026-02-01"),
        ("Month", "2026-12-31", "2026-12", "2026-12-01", "2027-01-01"),
        ("Quarter", "2026-11-02", "2026-q4", "2026-10-01", "2027-01-01"),
        ("Week", "2026-01-21", "2026-w03", "2026-01-15", "2026-01-22"),
        ("Week", "2026-01-22", "2026-w04", "2026-01-22", "2026-01-29"),
        ("FourWeeks", "2026-02-11", "2026-w03", "2026-01-15", "2026-02-12"),
    ],
)
def test_a_day_belongs_to_the_review_period_of_its_name(every, day, name, first, after):
    period = period_of(cycle(every), date.fromisoformat(day))
    assert (period.name, str(period.first), str(period.after)) == (name, first, after)


def test_before_its_first_day_a_review_has_no_period():
    assert period_of(cycle(), date(2026, 1, 14)) is None
    assert period_before(cycle(), period_of(cycle(), date(2026, 1, 20))) is None


def test_a_day_has_23_or_25_hours_where_clocks_change():
    october = period_of(cycle(), date(2026, 10, 5))
    hours = {day.date.day: (day.end - day.begin) / 3600 for day in october.days()}
    assert (len(hours), hours[25], set(hours.values())) == (31, 25, {24, 25})
    march = period_of(cycle(), date(2026, 3, 5))
    assert min((day.end - day.begin) / 3600 for day in march.days()) == 23


@given(
    every=st.sampled_from(list(Cycle)),
    zone=st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns"]),
    day=st.dates(date(2026, 1, 15), date(2030, 12, 31)),
)
def test_review_periods_and_days_have_no_gap_and_begin_on_whole_blocks(every, zone, day):
    it = cycle(every.value, zone=zone)
    period = period_of(it, day)
    days = list(period.days())
    assert (days[0].begin, days[-1].end) == (period.begin, period.end)
    assert all(one.end == two.begin for one, two in itertools.pairwise(days))
    assert all(day.begin % 300 == 0 for day in days)
    after = period_of(it, period.after)
    assert (after.first, period_before(it, after)) == (period.after, period)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).timestamp()
    assert period_at(it, noon) == period


def test_an_unknown_time_zone_is_reported_with_an_example_of_a_valid_one():
    with pytest.raises(UnknownZone, match=r"Europe/Lutetia.*write it as Europe/Paris"):
        period_at(cycle(zone="Europe/Lutetia"), 0.0)


@given(st.dates(date(1000, 1, 1), date(2999, 12, 31)))
def test_each_calendar_day_is_accepted_as_a_review_date(day):
    assume(not (day.month == 2 and day.day == 29 and day.year % 100 == 0))
    assert cycle(starts=day.isoformat()).start_date == day.isoformat()


@pytest.mark.parametrize(
    "text", ["2026-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "26-01-01"]
)
def test_a_nonexistent_calendar_date_is_refused(text):
    with pytest.raises(ValidationError, match="start_date"):
        cycle(starts=text)
