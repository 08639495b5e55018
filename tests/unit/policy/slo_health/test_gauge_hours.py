"""A gauge's hours and days are the clock's, however long a block is, and the same after a restart."""

import random
from dataclasses import replace
from math import pi, sin

import pytest

from sluicegate.api.baseline import BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health import gauge_slo
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.prometheus.block_cache import BlockCache
from sluicegate.prometheus.targets import Mean, Past, Readings, SeriesKey
from sluicegate.slo.blocks import SINGLE_BLOCKS, Quality
from sluicegate.slo.means import Means
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, Calendar
from sluicegate.stats.counts import NOTHING
from tests.support.decisions.judged import baseline, judged_by, observed, serving, stable

HOUR, DAY = 3_600, 86_400
BASKET = {
    "name": "basket",
    "indicator": {"gauge": {"metric": "mean_basket_value"}},
    "maxDrop": "4",
}
(SLO,) = judged_by(BASKET).slos


def slo_of(seconds):
    return replace(SLO, calendar=Calendar(seconds))


def swinging(seconds, hours, *, fall=0.0, fall_from=0, summer_from=10**9):
    """Return a mean of 100 that swings by 10 with the hour people live by, and scatters by 1 an hour."""
    source = random.Random(seconds)
    spread = (HOUR / seconds) ** 0.5
    values = Means()
    for index in range(1, hours * HOUR // seconds + 1):
        hour = index * seconds / HOUR
        local = hour + (hour > summer_from)
        low = fall if hour > fall_from else 0.0
        values.record(index, 100 + 10 * sin(local * pi / 12) + source.gauss(0, spread) - low)
    return values


def state(slo, values, known):
    since = known.end // slo.calendar.block_seconds
    found = gauge_slo.judge(slo, values, known, now=values.newest, since=0, drift_since=since)
    return found.state


@pytest.mark.parametrize("seconds", [60, 120, 300])
def test_a_gauge_baseline_takes_twenty_eight_hours_at_any_block_length(seconds):
    """At blocks of a minute it took five and a half, and a day's swing was worse than that."""
    slo = slo_of(seconds)

    def learnt(hours):
        values = swinging(seconds, hours)
        return gauge_slo.learn_baseline(slo, values, now=values.newest, since=0)

    assert learnt(27) is None
    found = learnt(28)
    assert (found.start, found.end) == (0, 28 * HOUR)
    assert found.deviation == pytest.approx(7, abs=1.5)
    assert state(slo, swinging(seconds, 66), found) is SloState.MET
    assert state(slo, swinging(seconds, 66, fall=15, fall_from=40), found) is SloState.MISSED


@pytest.mark.parametrize(("fall", "state"), [(0, SloState.MET), (40, SloState.MISSED)])
def test_a_gauge_baseline_excludes_an_unconfirmed_miss(fall, state):
    terms = judged_by({**BASKET, "indicator": {"gauge": {"metric": "basket", "bound": "80"}}})
    steady = SloRecord(steady_start_time=300, terms_hash=terms.slos[0].hash)
    values = swinging(300, 31, fall=fall, fall_from=30.75)
    read = observed(block=values.newest, gauges={"v1": {"basket": values}})
    (result,), after = judge_stable(terms, serving(slos={"basket": steady}), stable(), read)
    assert result.state is state
    assert not after.engine.slo("basket").degraded
    assert ("basket" in after.stable.baseline) is (state is SloState.MET)


@pytest.mark.parametrize(("seconds", "bound"), [(300, 9.5), (60, 9.5), (3600, 9.5 - 2.4849)])
def test_the_false_alarm_rate_of_a_gauge_is_the_same_at_any_block_length(seconds, bound):
    known = baseline(SLO, 0, 0, mean=100.0, deviation=2.0)
    values = swinging(seconds, 40)
    found = gauge_slo.judge(
        slo_of(seconds), values, known, now=values.newest, since=0, drift_since=0
    )
    assert found.drift.bound == pytest.approx(bound, abs=1e-4)


def test_a_gauge_with_long_blocks_is_judged_by_sums_of_twelve_blocks():
    slo = slo_of(3600)
    values = swinging(3600, 15 * 24)
    known = gauge_slo.learn_baseline(slo, values, now=values.newest, since=0)
    assert (known.source, known.count) == (BaselineSource.PRODUCTION, NOTHING)
    assert state(slo, swinging(3600, 30 * 24), known) is SloState.MET
    fallen = swinging(3600, 30 * 24, fall=15, fall_from=16 * 24)
    assert state(slo, fallen, known) is SloState.MISSED


@pytest.mark.parametrize("seconds", [60, 300])
def test_a_day_of_a_gauge_has_twenty_four_hours_at_the_begin_of_summer_time(seconds):
    slo, known = slo_of(seconds), baseline(SLO, 0, 0, mean=100.0, deviation=0.5, daily=True)
    assert state(slo, swinging(seconds, 67, summer_from=26), known) is SloState.MET
    assert state(slo, swinging(seconds, 67, fall=6, summer_from=26), known) is SloState.MISSED


def test_a_day_with_an_hour_without_values_is_not_compared():
    """By night the value is low: without the noon it is as if it had fallen."""
    slo, known = slo_of(300), baseline(SLO, 0, 0, mean=100.0, deviation=0.5, daily=True)

    def by_day(index):
        return None if index % 288 in range(100, 200) and index > 288 else 50 + index % 2

    values = Means()
    for index in range(1, 288 * 6 + 1):
        values.record(index, by_day(index))
    found = gauge_slo.judge(slo, values, known, now=values.newest, since=0, drift_since=288)
    assert found.drift.statistic == 0.0


# ---- a restart ------------------------------------------------------------------------------
KEY = SeriesKey("catalog", "search-ranking", "v1", "basket")


def readings(seconds, means):
    first, last = means[0].index, means[-1].index
    return Readings(block_seconds=seconds, canary=False, first=first, last=last, means={KEY: means})


async def read_again(kept, seconds, last):
    """Return a history after its backfill: single blocks, and older means of twelve blocks."""
    cache = BlockCache()
    first = last - SINGLE_BLOCKS + 1
    singles = [Mean(i, Quality.COUNTED, kept[i]) for i in range(first, last + 1)]
    sums = range(max(last // BLOCKS_PER_HOUR - HOURS, 0), last // BLOCKS_PER_HOUR)
    hours = [
        Mean(number + 1, Quality.COUNTED, sum(kept[12 * number + i] for i in range(1, 13)) / 12)
        for number in sums
    ]
    hourly = readings(12 * seconds, hours)
    await cache.record_past(Past((), readings(seconds, singles), hourly))
    return cache.means(KEY, seconds)


@pytest.mark.parametrize("seconds", [60, 300, 600])
async def test_a_restart_leaves_the_state_of_a_gauge_unchanged(seconds):
    source = random.Random(seconds)
    last = 60 * HOUR // seconds + 7
    kept = {index: 100 + source.gauss(0, 3) for index in range(1, last + 1)}
    live = Means(kept.items())
    after = await read_again(kept, seconds, last)
    slo = slo_of(seconds)
    learnt = [gauge_slo.learn_baseline(slo, one, now=last, since=5) for one in (live, after)]
    assert learnt[0].mean == pytest.approx(learnt[1].mean)
    assert learnt[0].deviation == pytest.approx(learnt[1].deviation)
    known = baseline(SLO, 0, 0, mean=101.0, deviation=1.0)
    said = [
        (
            gauge_slo.judge(slo, one, known, now=last, since=0, drift_since=50).drift.statistic,
            gauge_slo.present_level(slo, one, known, now=last, since=0).message,
        )
        for one in (live, after)
    ]
    assert said[0][0] == pytest.approx(said[1][0])
    assert said[0][0] > 0
    assert said[0][1] == said[1][1]


def test_incremental_drift_equals_a_computation_from_scratch_after_rereads():
    source = random.Random(4)
    known = baseline(SLO, 0, 0, mean=101.0, deviation=1.0)
    live, kept = Means(), {}

    def said(values):
        found = gauge_slo.judge(SLO, values, known, now=values.newest, since=0, drift_since=20)
        return found.drift

    for index in range(1, 200):
        for again in {index, max(index - source.randrange(3), 1)}:  # the newest are read twice
            kept[again] = 100 + source.gauss(0, 3)
            live.record(again, kept[again])
        found = said(live)
        if index % 12 < 3:  # as a sum becomes complete, and just after
            assert found == said(Means(sorted(kept.items())))
