"""What swings with the hour is judged by whole days, and what swings with the week by weekdays."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health import gauge_slo
from sluicegate.policy.slo_health.drift import drift_of
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.slo.burn_rate import Level
from sluicegate.slo.means import Means
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import baseline, judged_by
from tests.support.decisions.scenarios import ACCURACY

DAY = 288
"""Blocks of five minutes in a day."""
TERMS = judged_by(ACCURACY)
SLO = TERMS.slos[0]
LABELS = 100
NOW = 12 * DAY
MORNING = NOW - DAY + DAY // 3
"""When the last night ends."""


def history(bad) -> Series:
    """Return twelve days; the share of bad events of the block with number i is bad(i)."""
    series = Series()
    for index in range(1, NOW + 1):
        wrong = round(LABELS * bad(index - 1))
        series.record(Block(index, Quality.COUNTED, Count(wrong, LABELS)))
    return series


def drift(bad, *, now=NOW, since=0, **fields):
    """Return how far that is from a baseline of 10 % bad."""
    known = baseline(SLO, 100_000, 1_000_000, **fields)
    return drift_of(SLO, history(bad), known, now=now, since=since)


def by_night(index: int) -> float:
    return 0.22 if index % DAY < DAY // 3 else 0.04


def test_worse_nights_raise_an_alarm_unless_a_daily_pattern_or_the_baseline_is_known():
    assert drift(by_night, now=MORNING, since=MORNING - 10 * 12).level is Level.MISSED
    assert drift(by_night, now=MORNING).level is Level.MET
    assert drift(by_night, now=MORNING, since=MORNING - 10 * 12, daily=True).level is Level.MET


def test_worse_days_raise_an_alarm_whatever_the_daily_pattern():
    def worse(index: int) -> float:
        return by_night(index) + (0.1 if index >= NOW - 3 * DAY else 0.0)

    assert drift(worse, daily=True).level is Level.MISSED


def test_comparing_the_same_hours_of_other_days_detects_a_drift_within_the_day():
    def worse_today(index: int) -> float:
        return by_night(index) + (0.1 if index >= NOW - DAY // 2 else 0.0)

    found = drift(worse_today, now=NOW - 9 * 12, daily=True)
    assert found.level is Level.MISSED
    assert found.change_block == NOW - DAY // 2


def test_a_drop_on_the_first_day_is_detected_on_the_second():
    """Its noon may be a swing; the hours after midnight are worse than they were."""

    def worse_from_noon(index: int) -> float:
        return 0.1 if index < DAY // 2 else 0.15

    known = baseline(SLO, 36_000, 288_000, daily=True).replace(end=DAY * 300)
    found = [
        drift_of(SLO, history(worse_from_noon), known, now=now, since=DAY, known_since=0).level
        for now in (DAY, DAY + 8 * 12)
    ]
    assert found == [Level.MET, Level.MISSED]


def test_worse_nights_raise_no_alarm_against_a_hold_out_once_one_day_is_known():
    hold_out = baseline(SLO, 50, 500)
    levels = {
        drift_of(SLO, history(by_night), hold_out, now=now, since=0).level
        for now in range(DAY, 4 * DAY, 12)
    }
    assert levels == {Level.MET}


WEEK = (0.3, 0.3, 0.04, 0.04, 0.04, 0.04, 0.04)
"""The share of bad events of each weekday, two of which are a weekend."""
BY_WEEKDAY = tuple(Count(round(bad * 100_000), 100_000) for bad in WEEK)


@pytest.mark.parametrize(
    ("bad", "level"),
    [
        (lambda day: WEEK[day % 7], Level.MET),
        (lambda day: 0.3 if day == 11 else WEEK[day % 7], Level.MISSED),  # a working day
        (lambda day: WEEK[(day + 1) % 7], Level.MISSED),  # it has moved by a day
    ],
    ids=["as accepted", "a working day like a weekend", "another weekend"],
)
def test_workdays_and_weekends_are_compared_with_their_own_kind(bad, level):
    found = drift(lambda index: bad(index // DAY), daily=True, weekdays=BY_WEEKDAY)
    assert found.level is level


def test_the_weekday_test_requires_an_alternative_for_each_weekday():
    all_bad = (Count(999, 1000), *BY_WEEKDAY[1:])
    assert drift(lambda _: 0.1, daily=True, weekdays=all_bad) is None


def test_labels_that_lag_more_than_half_a_day_leave_no_complete_day_to_judge():
    late = {
        "name": "late",
        "indicator": {"counters": {"good": "a_total", "total": "b_total", "lagSeconds": 50_000}},
        "maxDrop": "0.05",
    }
    (slo,) = judged_by(late).slos
    known = baseline(slo, 100_000, 1_000_000)
    assert drift_of(slo, history(lambda _: 0.9), known, now=NOW, since=0) is None


# ---- gauges ---------------------------------------------------------------------------------
BASKET = {
    "name": "basket",
    "indicator": {"gauge": {"metric": "mean_basket_value"}},
    "maxDrop": "4",
}
(GAUGE,) = judged_by(BASKET).slos


def swinging(fall: float = 0.0, *, last: int = MORNING) -> Means:
    """Return hours, of which those of the night are 10 below the mean and others 5 above it.

    `fall` in the last days.
    """
    return Means(
        (
            index + 1,
            100.0
            + (-10.0 if index % DAY < DAY // 3 else 5.0)
            - (fall if index >= NOW - 4 * DAY else 0.0),
        )
        for index in range(last)
    )


def judged(values, **fields) -> SloState:
    known = baseline(GAUGE, 0, 0, mean=100.0, deviation=2.0, **fields)
    return gauge_slo.judge(GAUGE, values, known, now=values.newest, since=0, drift_since=0).state


def test_a_gauge_with_a_daily_pattern_is_judged_by_daily_means():
    assert judged(swinging()) is SloState.MISSED
    assert judged(swinging(), daily=True) is SloState.MET
    assert judged(swinging(fall=6.0), daily=True) is SloState.MISSED


@pytest.mark.parametrize(
    ("since", "reason"), [(NOW, Reason.WARMING_UP), (NOW - 1, Reason.INSUFFICIENT_DATA)]
)
def test_a_gauge_is_judged_from_the_first_block_that_counts(since, reason):
    found = gauge_slo.judge(GAUGE, swinging(last=NOW), None, now=NOW, since=since, drift_since=0)
    assert (found.reason, found.gauge) == (reason, 105.0)


def test_a_gauge_without_variance_in_its_baseline_has_an_unknown_state():
    known = baseline(GAUGE, 0, 0, mean=100.0, deviation=0.0)
    found = gauge_slo.judge(GAUGE, swinging(last=NOW), known, now=NOW, since=0, drift_since=0)
    assert found.state is SloState.UNKNOWN
