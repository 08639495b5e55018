"""Days are the clock's, whatever the length of a block: what swings with the hour is no decay."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.engine import SloRecord
from sluicegate.policy.slo_health.baseline import from_production
from sluicegate.policy.slo_health.drift import drift_of
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.ratio_slo import judge
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import parse_scenario
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.calendar import CLOCK, Calendar
from sluicegate.stats.counts import Count
from tests.support.decisions.histories import draw
from tests.support.decisions.judged import baseline, judged_by, observed, series, serving, stable
from tests.support.decisions.scenarios import ACCURACY, blocks, product

DAY = 86_400


def slo_of(seconds, **fields):
    """Return accuracy, counted in blocks of so many seconds."""
    (slo,) = judged_by({**ACCURACY, **fields}).slos
    return replace(slo, calendar=Calendar(seconds))


ACCEPTED = baseline(slo_of(300), 100, 1000)


@given(st.integers(5, 86_400), st.sampled_from([60, 3600]), st.integers(0, 10**6))
def test_a_sum_lies_in_the_hour_and_the_day_in_which_it_begins(seconds, hour, number):
    calendar = Calendar(seconds, hour)
    for units in (calendar.sum_units, calendar.hours, calendar.days):
        unit = units.number_of_hour(number)
        assert units.start(unit) <= number < units.start(unit + 1)
        assert units.number_of_hour(units.start(unit)) == unit
        first = units.first_from(number)
        assert units.start(first) >= number
        assert first == 0 or units.start(first - 1) < number
    assert 0 <= calendar.hour_of_day(number) < 24


@pytest.mark.parametrize(
    ("seconds", "hour", "a_day", "blocks", "hours", "days"),
    [
        (300, 3600, 24, 288, 3600, 86_400),
        (60, 3600, 120, 1440, 3600, 86_400),
        (600, 3600, 12, 144, 7200, 86_400),  # what is kept of older blocks is a sum of twelve
        (7, 3600, 1029, 12_343, 924, 86_400),  # thirty hours aren't kept: eleven sums are one
        (3600, 3600, 2, 24, 43_200, 86_400),
        (10_800, 3600, 1, 8, 129_600, 129_600),
        (5, 3600, 1440, 17_280, 660, 86_400),
        (5, 60, 24, 288, 60, 1440),
    ],
)
def test_drift_units_are_clock_hours_and_days_unless_sums_are_longer_or_expired(
    seconds, hour, a_day, blocks, hours, days
):
    calendar = Calendar(seconds, hour)
    assert (calendar.sum_count(24), calendar.blocks(24)) == (a_day, blocks)
    assert (calendar.hours.seconds, calendar.days.seconds) == (hours, days)
    assert 336 * calendar.hours.sum_seconds >= 30 * hours, "thirty of them are kept"
    assert calendar.sum_units.are_sums
    assert calendar.hours.are_sums is (hours == 12 * seconds)
    assert calendar.hours_as_sums(24) == max(round(24 * hour / (12 * seconds)), 1)
    assert calendar.hours_as_sums(1) == max(round(hour / (12 * seconds)), 1)
    assert calendar.hour_of_day(1000) == 1000 * 12 * seconds // hour % 24
    assert calendar.is_kept(24) is (a_day <= 336)


def test_five_minute_blocks_are_kept_for_fourteen_days():
    assert Calendar().is_kept(336)
    assert not Calendar().is_kept(337)
    assert Calendar() == Calendar(300, 3600) == CLOCK


@pytest.mark.parametrize(("seconds", "blocks"), [(60, 4032), (300, 4032), (600, 2016), (3600, 336)])
def test_an_error_budget_covers_fourteen_days(seconds, blocks):
    """Every event is a bad one, and each block has one: the budget counts its blocks.

    The history is longer, so what lies before the window is forgotten; shorter blocks aren't kept
    for as long.
    """
    terms = judged_by(ACCURACY, analysis={"blockSeconds": seconds})
    newest = 4200
    read = observed(block=newest, series={"v1": {"accuracy": series(*[(1, 1)] * newest)}})
    version = stable(since=0)
    (result,), _ = judge_stable(terms, serving(stable=version), version, read)
    assert result.budget == Count(blocks, blocks)


@pytest.mark.parametrize("seconds", [60, 300])
@pytest.mark.parametrize(("hours", "state"), [(23, "MET"), (30, "UNKNOWN")])
def test_an_slo_with_only_a_baseline_is_met_by_events_of_the_last_day(seconds, hours, state):
    """Few enough events that they are needed all, and so many hours ago that they came."""
    slo = slo_of(seconds, objective=None)
    hour = 3600 // seconds
    counts = [(0, 1)] * (2 * hour) + [(0, 0)] * (hours - 2) * hour
    counts[hour] = (10, 1000)
    now = len(counts)
    result = judge(
        slo, series(*counts), baseline=ACCEPTED, now=now, since=0, drift_since=0, shown_since=0
    )
    assert result.state.name == state


def filled(seconds, hours, swing=0.5):
    """Return a series of so many hours whose bad ratio swings with the hour of the day, around 10 %."""
    series = Series()
    for index in range(1, hours * 3600 // seconds + 1):
        hour = index * seconds / 3600
        rate = 0.1 * (1 + swing * math.sin(hour * math.pi / 12))
        series.record(Block(index, Quality.COUNTED, draw_count(index, seconds, rate)))
    return series


def draw_count(index, seconds, rate):
    counts = draw((index, seconds), seconds, rate)
    return Count(counts["bad"], counts["total"])


@pytest.mark.parametrize("seconds", [60, 120, 300, 600])
def test_a_baseline_covers_one_calendar_day_with_its_hourly_pattern(seconds):
    slo = slo_of(seconds)

    def learnt(hours):
        now = hours * 3600 // seconds
        series = filled(seconds, hours)
        return from_production(
            slo, SloRecord(steady_start_time=0), series, now=now, since=2, block_seconds=seconds
        )

    assert learnt(23) is None
    found = learnt(28)
    assert found.end - found.start >= DAY
    assert found.daily


@pytest.mark.parametrize(("unknown", "pods"), [(range(0), 4), (range(100, 130), 0)])
def test_a_baseline_has_the_pod_count_of_its_events_unless_some_is_unknown(unknown, pods):
    counted = Series()
    for index in range(1, 28 * 12 + 1):
        number = 0 if index in unknown else 2 + 4 * (index % 2)
        counted.record(Block(index, Quality.COUNTED, Count(0, number * 300)))
    found = from_production(
        slo_of(300),
        SloRecord(steady_start_time=0),
        filled(300, 28),
        now=28 * 12,
        since=2,
        block_seconds=300,
        pod_seconds=counted,
    )
    assert found.pods == pods


def test_sums_longer_than_an_hour_are_judged_by_the_day():
    slo = slo_of(60)
    known = ACCEPTED.replace(daily=True)
    series = filled(60, 60, swing=0.9)
    assert drift_of(slo, series, known, now=47 * 60, since=0).blocks <= DAY // 60
    assert drift_of(slo, series, known, now=60 * 60, since=0).statistic == 0.0


def test_without_full_weeks_the_drift_is_judged_by_the_day():
    slo = slo_of(60, seasonality="Weekly")
    found = from_production(
        slo, SloRecord(steady_start_time=0), filled(60, 30), now=30 * 60, since=2, block_seconds=60
    )
    assert (found.daily, found.weekdays) == (True, ())


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "days"), [(3, 7), (1, 3)])
def test_a_daily_pattern_with_an_unchanged_mean_starts_no_training(seed, days):
    """Blocks of a minute: by sums of twelve of them, a day was five hours, and it was retrained."""
    slo = {**ACCURACY, "objective": "0.50", "maxDrop": "0.03"}

    def script(index):
        rate = 0.1 * (1 + 0.5 * math.sin(2 * math.pi * index * 60 / DAY + seed))
        return {"v1": {"accuracy": draw((seed, index), 20, rate)}}

    document = {
        "product": product(slo, analysis={"blockSeconds": 60}),
        "version": "v1",
        "blocks": blocks(script, days * DAY // 60, seconds=60),
    }
    kinds = set()
    for step in replay(parse_scenario(document)):
        kinds.add(step.evaluation.decision.type)
        last = step
    assert kinds == {"Hold"}
    assert last.status.stable.baseline["accuracy"].daily
