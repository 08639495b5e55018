"""State of an SLO on a gauge, and its evidence on a candidate, which is weaker than counts.

The clock's hours are compared with the baseline's mean and deviation; an absolute bound has to be
missed in three of the last four blocks. A candidate is judged by paired differences.
"""

from math import ceil, log, sqrt
from statistics import fmean
from typing import Final

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.model.terms import GaugeTerms, SloTerms
from sluicegate.policy.slo_health.current_level import MIN_SHARE, Z_STILL_BAD, PresentLevel
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import STATES, SloResult
from sluicegate.slo.burn_rate import Level
from sluicegate.slo.means import Means, Values, add_values
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, Calendar, Units
from sluicegate.stats.counts import NOTHING
from sluicegate.stats.gauge import (
    CUSUM_ALLOWANCE,
    DAILY_BOUND,
    HOURLY_BOUND,
    GaugeBaseline,
    gauge_baseline,
    gauge_cusum,
    is_beyond_bound,
)

RECENT_BLOCKS: Final = 4
"""Blocks that the absolute bound uses."""
MIN_VALUES: Final = 3
"""Of them that hold a value, for the present to be known."""
MAX_VALUES: Final = 384
"""Blocks that the present may reach back at most."""


def judge(
    slo: SloTerms,
    readings: Means,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
    drift_since: int,
) -> SloResult:
    """Return the verdict on a gauge at block `now`.

    Parameters
    ----------
    since : blocks up to this one don't count. drift_since : nor for the distance from the baseline.
    """
    gauge = slo.gauge
    assert gauge is not None
    newest = readings.of_block(now)
    if newest is None:
        return SloResult(slo, SloState.UNKNOWN, Reason.STALE if readings.known else Reason.NO_DATA)
    if now <= since:
        return SloResult(slo, SloState.UNKNOWN, Reason.WARMING_UP, gauge=newest)
    drift = (
        None if baseline is None else _drift(slo, readings, baseline, now=now, since=drift_since)
    )
    missed = gauge.bound is not None and _misses(gauge, readings, now, since)
    level = max(Level.MISSED if missed else Level.MET, drift.level if drift else Level.MET)
    reason = Reason.OBJECTIVE_MISSED if missed else Reason.BASELINE_DROPPED
    state = STATES[level]
    if level is Level.MET:
        reason = Reason.WITHIN_OBJECTIVE
        if gauge.bound is None and drift is None:
            state, reason = SloState.UNKNOWN, Reason.INSUFFICIENT_DATA
    return SloResult(
        slo,
        state,
        reason,
        NOTHING,
        baseline,
        None,
        drift,
        is_fresh=True,
        is_calm=level is not Level.MISSED and (drift is None or drift.statistic < drift.bound / 2),
        gauge=newest,
    )


def _misses(gauge: GaugeTerms, readings: Means, now: int, since: int) -> bool:
    assert gauge.bound is not None
    read = (
        readings.of_block(index) for index in range(max(now - RECENT_BLOCKS, since) + 1, now + 1)
    )
    values = [gauge.sign * value for value in read if value is not None]
    return is_beyond_bound(values, gauge.sign * gauge.bound)


def present_level(
    slo: SloTerms, readings: Means, baseline: Baseline | None, *, now: int, since: int
) -> PresentLevel:
    """Return the level of the newest values: by the bound, and by their mean against the baseline's.

    Parameters
    ----------
    since : blocks up to this one are of another time.
    """
    gauge = slo.gauge
    assert gauge is not None
    values = readings.between(max(now - RECENT_BLOCKS, since), now)
    if values.blocks < MIN_VALUES:
        text = f"{values.blocks} values at present, {MIN_VALUES} are needed for a verdict"
        return PresentLevel(bad=None, message=text)
    if gauge.bound is not None and _misses(gauge, readings, now, since):
        text = f"{values.mean:.4g} at present misses {gauge.bound:g}"
        return PresentLevel(bad=True, message=text)
    if baseline is None or baseline.deviation <= 0:
        return PresentLevel(bad=False, message=f"{values.mean:.4g} at present is within its bound")
    length, bad = RECENT_BLOCKS, None
    while bad is None and length < 2 * (now - since) and length <= MAX_VALUES:
        newer_values, values = values, readings.between(max(now - length, since), now)
        if newer_values.blocks < MIN_SHARE * values.blocks:
            break
        bad = _is_below(slo, gauge, values, baseline)
        length *= 2
    accepted = f"{baseline.mean:.4g} ± {baseline.deviation:.3g} is as accepted"
    return PresentLevel(bad, f"{values.mean:.4g} at present, {accepted}")


def _is_below(slo: SloTerms, gauge: GaugeTerms, values: Values, baseline: Baseline) -> bool | None:
    """Return whether these blocks are worse than the baseline, beyond chance; None if undecided.

    The baseline's deviation is that of hours; a mean of fewer blocks scatters the more.
    """
    drop = gauge.sign * (baseline.mean - values.mean) / baseline.deviation
    if drop <= CUSUM_ALLOWANCE:
        return False
    hours = values.blocks * slo.calendar.block_seconds / slo.calendar.hours.seconds
    return True if drop > Z_STILL_BAD * sqrt(1 / hours) else None


def _sum_range(units: Units, now: int, since: int) -> range:
    """Return the indexes of complete groups of twelve blocks, from the first whole unit after `since` up to `now`."""
    complete = now // BLOCKS_PER_HOUR
    first = units.first_from(max(ceil(since / BLOCKS_PER_HOUR), complete - HOURS + 1, 0))
    return range(
        units.start(first), max(units.start(units.number_of_hour(complete)), units.start(first))
    )


def _unit_means(
    readings: Means, sums: range, calendar: Calendar, *, daily: bool = False
) -> list[float]:
    """Return the hourly or daily means of block groups, cached by group."""
    entry = readings.derived.get(daily)
    if isinstance(entry, tuple) and entry[0] == (sums, calendar):
        values: list[float] = entry[1]
        return values
    if daily:
        values = _daily(readings, sums, calendar)
    else:
        read = _hourly(readings, sums, calendar.hours)
        values = [value for value in read if value is not None]
    readings.derived[daily] = ((sums, calendar), values)
    return values


def _hourly(readings: Means, sums: range, hours: Units) -> list[float | None]:
    """Return the means of the hours of these sums; None for an hour without values."""
    if not sums:
        return []
    units = range(hours.first_from(sums.start), hours.number_of_hour(sums.stop))
    hour_values = (
        add_values(
            readings.of_sum(number) for number in range(hours.start(unit), hours.start(unit + 1))
        )
        for unit in units
    )
    return [values.mean if values.blocks else None for values in hour_values]


def _daily(readings: Means, sums: range, calendar: Calendar) -> list[float]:
    """Return the means of the days of these sums, for days with values in each hour."""
    days = range(calendar.days.number_of_hour(sums.start), calendar.days.number_of_hour(sums.stop))
    edges = ((calendar.days.start(day), calendar.days.start(day + 1)) for day in days)
    by_day = (_hourly(readings, range(*edge), calendar.hours) for edge in edges)
    whole_days = (
        [value for value in day if value is not None] for day in by_day if None not in day
    )
    return [fmean(values) for values in whole_days if values]


def _drift(
    slo: SloTerms, readings: Means, baseline: Baseline, *, now: int, since: int
) -> Drift | None:
    gauge, calendar = slo.gauge, slo.calendar
    assert gauge is not None
    if baseline.deviation <= 0:
        return None
    units = calendar.days if baseline.daily else calendar.hours
    values = _unit_means(readings, _sum_range(units, now, since), calendar, daily=baseline.daily)
    if baseline.daily:
        bound = DAILY_BOUND
    else:
        # As long between false alarms as with hours: Siegmund's bound grows by the logarithm.
        bound = HOURLY_BOUND - log(calendar.hours.seconds / calendar.hour_seconds)
    normal = GaugeBaseline(gauge.sign * baseline.mean, baseline.deviation)
    statistic = gauge_cusum([gauge.sign * value for value in values], normal)
    return Drift(statistic, bound, decides=True)


def learn_baseline(slo: SloTerms, readings: Means, *, now: int, since: int) -> Baseline | None:
    """Return the baseline after 28 hours with values; None before, and for a constant gauge."""
    calendar, seconds = slo.calendar, slo.calendar.sum_seconds
    sums = _sum_range(calendar.hours, now, since)
    normal = gauge_baseline(_unit_means(readings, sums, calendar))
    if normal is None:
        return None
    return Baseline.of(
        NOTHING,
        sums.start * seconds,
        sums.stop * seconds,
        BaselineSource.PRODUCTION,
        mean=normal.mean,
        deviation=normal.deviation,
        indicator_hash=slo.indicator_hash,
    )
