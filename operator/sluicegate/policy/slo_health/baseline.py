"""The performance that a version was accepted with: what "worse" is measured against.

A version starts with its hold-out counts. Once production has shown enough while all was well,
its counts replace them, once and for good: a baseline that is learnt again and again follows the
decay that it should reveal.
"""

from collections.abc import Mapping
from math import ceil, sqrt
from typing import Final

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.api.slos import Seasonality
from sluicegate.policy.model.terms import SloTerms
from sluicegate.slo.blocks import Series
from sluicegate.stats.batch_means import (
    NO_SCATTER,
    Scatter,
    residuals_around_levels,
    scatter,
    successive_scatter,
)
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, Calendar
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import dispersion
from sluicegate.stats.intervals import quantile, wilson_upper
from sluicegate.stats.seasonality import is_hour_significant, season_sums

Z_BASELINE: Final = quantile(0.975)
"""Confidence of the baseline's upper bound."""
MIN_HOURS: Final = 24
MIN_HOURS_WEEKLY: Final = 24 * 7
DECIMAL_PRECISION: Final = 35
"""n0 ≥ 35 p(1 − p)/d² puts the 97.5 % bound within a third of the drop that matters."""


def ratio_of(count: Count) -> float:
    """Return p0 = (x0 + ½)/(n0 + 1): never 0, which no likelihood allows."""
    return (count.bad + 0.5) / (count.total + 1)


def upper_bound(count: Count, phi: float) -> float:
    """Return U0, the worst bad ratio that the baseline is compatible with, at 97.5 %."""
    return wilson_upper(count.bad / phi, count.total / phi, Z_BASELINE)


def detectable_drop(count: Count, phi: float) -> float:
    """Return the least rise of the bad ratio that a baseline of this size distinguishes from chance."""
    p = ratio_of(count)
    return sqrt(DECIMAL_PRECISION * p * (1 - p) * phi / (count.total + 1))


def from_evaluation(
    evaluation: Mapping[str, Count], slos: tuple[SloTerms, ...], accepted_time: int
) -> dict[str, Baseline]:
    """Return provisional baselines from the hold-out counts of a version accepted at `accepted_time`."""
    return {
        slo.name: Baseline.of(
            evaluation[slo.name],
            accepted_time,
            accepted_time,
            BaselineSource.EVALUATION,
            indicator_hash=slo.indicator_hash,
        )
        for slo in slos
        if slo.name in evaluation and evaluation[slo.name].total > 0 and slo.gauge is None
    }


def usable_baseline(baseline: Baseline | None, terms: SloTerms) -> Baseline | None:
    """Return the baseline; None if its indicator isn't the SLO's present one."""
    if baseline is None or baseline.indicator_hash not in {"", terms.indicator_hash}:
        return None
    return baseline


def decides(baseline: Baseline, terms: SloTerms) -> bool:
    """Return whether the baseline may call an SLO Missed, not only AtRisk: of production, or of a large hold-out."""
    if baseline.source is BaselineSource.PRODUCTION:
        return True
    return baseline.count.total >= terms.min_events(ratio_of(baseline.count))


def from_production(
    terms: SloTerms,
    record: SloRecord,
    series: Series,
    *,
    now: int,
    since: int,
    block_seconds: int,
    pod_seconds: Series | None = None,
) -> Baseline | None:
    """Return the production baseline by block `now`; None while it is incomplete.

    Parameters
    ----------
    now : newest complete block. since : blocks up to this one are warm-up, or too old.
    pod_seconds : how long its pods answered by block, where an autoscaler changes their number.

    Call it only while the SLO is Met, or it learns the decay; what came before the SLO was last
    steady is left out for the same reason.
    """
    calendar = terms.calendar
    by_weekday = terms.seasonality is Seasonality.WEEKLY
    weekly = by_weekday and calendar.is_kept(MIN_HOURS_WEEKLY)
    min_hours = calendar.sum_count(MIN_HOURS_WEEKLY if weekly else MIN_HOURS)
    start_block = max(since, ceil((record.steady_start_time or 0) / block_seconds))
    last = now // BLOCKS_PER_HOUR - 1
    first = max(ceil(start_block / BLOCKS_PER_HOUR), last - HOURS + 1)
    if last - first + 1 < min(min_hours, HOURS):
        return None
    bad, total = series.hours(first, last)
    count = Count(sum(bad), sum(total))
    start, end = first * BLOCKS_PER_HOUR, (last + 1) * BLOCKS_PER_HOUR
    phi = dispersion(block.count for block in series.blocks(start, end))
    hours = list(zip(bad, total, strict=True))
    daily = by_weekday or is_hour_significant(hours, first, phi, calendar)
    of_hours = successive_scatter(hours) if daily else scatter(residuals_around_levels(hours, 0))
    hour_phi = max(of_hours.phi, phi)
    p = ratio_of(count)
    if count.total / hour_phi < DECIMAL_PRECISION * p * (1 - p) / terms.drop**2 or count.total == 0:
        return None
    return Baseline.of(
        count,
        start * block_seconds,
        end * block_seconds,
        BaselineSource.PRODUCTION,
        phi=phi,
        hour_phi=hour_phi,
        pods=_mean_pods(hours, pod_seconds, first, block_seconds),
        daily=daily,
        weekdays=_by_weekday(hours, first, calendar) if weekly else (),
        indicator_hash=terms.indicator_hash,
    )


def production_needs(
    terms: SloTerms,
    record: SloRecord,
    count: Count,
    *,
    now: int,
    since: int,
    block_seconds: int,
) -> tuple[int, int]:
    """Return when a production baseline is expected to be complete, in seconds, and about how many events it needs.

    Parameters
    ----------
    count : events so far, by whose ratio the number is estimated; 0 without any.
    now : newest complete block; an SLO that is added to a version that has long served has its
        first baseline at the end of this hour, as only whole hours count.
    since : blocks up to this one are warm-up, or too old.
    """
    weekly = terms.seasonality is Seasonality.WEEKLY and terms.calendar.is_kept(MIN_HOURS_WEEKLY)
    min_hours = min(terms.calendar.sum_count(MIN_HOURS_WEEKLY if weekly else MIN_HOURS), HOURS)
    start_block = max(since, ceil((record.steady_start_time or 0) / block_seconds))
    end_hour = max(ceil(start_block / BLOCKS_PER_HOUR) + min_hours, now // BLOCKS_PER_HOUR + 1)
    ratio = count.ratio or 0.0
    end = end_hour * BLOCKS_PER_HOUR * block_seconds
    return end, ceil(DECIMAL_PRECISION * ratio * (1 - ratio) / terms.drop**2)


def scatter_of(baseline: Baseline) -> Scatter:
    """Return the prior dispersion from the baseline's hours."""
    if not baseline.hour_phi:
        return Scatter(baseline.phi, NO_SCATTER.degrees_of_freedom)
    return Scatter(max(baseline.hour_phi, baseline.phi), float(MIN_HOURS))


def is_season_known(baseline: Baseline, calendar: Calendar) -> bool:
    """Return whether the baseline has no daily pattern, or one measured over at least two days."""
    sums = (baseline.end - baseline.start) // calendar.sum_seconds
    return not baseline.daily or sums >= season_sums(calendar)


def _mean_pods(
    hours: list[tuple[int, int]], pod_seconds: Series | None, first: int, block_seconds: int
) -> float:
    """Return the mean number of pods in the baseline's hours; 0 if it is unknown for an hour with events."""
    if pod_seconds is None:
        return 0.0
    _, pods = pod_seconds.hours(first, first + len(hours) - 1)
    if not all(pods[n] for n, (_, total) in enumerate(hours) if total):
        return 0.0
    return sum(pods) / (len(hours) * BLOCKS_PER_HOUR * block_seconds)


def _by_weekday(hours: list[tuple[int, int]], first: int, calendar: Calendar) -> tuple[Count, ...]:
    days = [[0, 0] for _ in range(7)]
    for hour, (bad, total) in enumerate(hours, start=first):
        day = days[calendar.days.number_of_hour(hour) % 7]
        day[0], day[1] = day[0] + bad, day[1] + total
    return tuple(Count(bad, total) for bad, total in days)
