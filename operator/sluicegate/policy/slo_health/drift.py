"""Has the product moved away from what it was accepted with? The relative test of one SLO.

A CUSUM bank (cusum.py) and a two-sample test (change_point.py) over hours, or over days and the
same hours of days where the hours differ (seasonality.py).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil, inf, log
from typing import Final, NamedTuple

from sluicegate.api.baseline import Baseline
from sluicegate.api.slos import Seasonality
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import (
    decides,
    detectable_drop,
    is_season_known,
    ratio_of,
    scatter_of,
    upper_bound,
)
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import Level
from sluicegate.stats import batch_means, change_point, cusum, seasonality
from sluicegate.stats.batch_means import Scatter
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, HOURS_A_DAY, Units
from sluicegate.stats.counts import NOTHING, Count, summed

MIN_DEGREES: Final = 20.0
"""Degrees of freedom of a dispersion that are assumed at least: a young version has few, and its real
changes would be found days later. With 30, 6 of 120 products that scatter by three points from
hour to hour were Missed within 100 hours."""
WORTH_A_CHECK: Final = 0.5
"""Share of the bound below which evidence warns of nothing, whatever the dispersion is."""
MAX_RECOVERY: Final = 1.5
"""Of the bound: more evidence of a recovery isn't kept, so that the next fall is found as soon."""


class TestedRange(NamedTuple):
    """The tested range: whole units, numbered first … last, and A, in units."""

    units: Units
    first: int
    last: int
    mean: int


class Drift(NamedTuple):
    """The result of the CUSUM bank: its largest statistic, the bound for Missed, and whether it may decide Missed.

    `count_after` and `blocks` are the events and the length of the stretch in which that S grew: from
    its last 0 on. They are what decides; the newest window may look better or worse. `change_block` is
    the last block before it began, where that was looked for. `count_before` are the events that those are
    compared with, and `phi` is the dispersion by which evidence is divided. `unit` is the number of
    blocks that the test adds: it detects nothing before their end. `recovery_block` is the last block of the
    fall, where as much evidence as found it shows that it has ended.
    """

    statistic: float
    bound: float
    decides: bool
    count_after: Count = NOTHING
    blocks: int = 0
    change_block: int | None = None
    count_before: Count = NOTHING
    phi: float = 1.0
    unit: int = BLOCKS_PER_HOUR
    recovery_block: int | None = None

    @property
    def level(self) -> Level:
        """Return Missed at the bound, AtRisk at half of it; a provisional baseline only warns.

        Met once the fall has ended, though the evidence of it is still there.
        """
        if self.recovery_block is not None:
            return Level.MET
        if self.statistic >= self.bound:
            return Level.MISSED if self.decides else Level.AT_RISK
        return Level.AT_RISK if self.statistic >= self.bound / 2 else Level.MET


def drift_of(
    terms: SloTerms,
    series: Series,
    baseline: Baseline,
    *,
    now: int,
    since: int,
    known_since: int | None = None,
    mean: int | None = None,
    missed: bool = False,
) -> Drift | None:
    """Return the drift in the last fourteen days; None if the baseline allows no alternative.

    Of these tests the one that is nearest to its bound speaks. The CUSUM bank holds each hour
    against the worst ratio that the baseline is compatible with, so it needs a large one; the
    two-sample test holds what came after a moment against the baseline and all that came before
    it, so it knows how sure both are. Both begin with the first whole hour after the baseline's
    last block and after `since`, and divide their evidence by the dispersion of the sums that they
    add (stats/batch_means.py).

    If the hours of the day differ, or may (`seasonality.hour_matters`, of hours before a suspected
    change), they can't be compared with each other: both use whole days, and the two-sample test
    compares each hour with the same hour of earlier days, those of the baseline included.

    Parameters
    ----------
    known_since : blocks after this one are of the same version and may show whether the hours of
        the day differ; as `since` when left out.
    mean : A, in hours, or in days if it uses days; ten years when left out. A baseline that
        isn't the version's own has one, and is tested by the CUSUM alone, as what this version did
        before says nothing about the other.
    missed : whether the SLO is Missed already. Less than two days of hours that differ are then its
        fall, and no season.
    """
    calendar, lag = terms.calendar, 2 * terms.lag_blocks
    without_mean = mean is None
    complete = now // BLOCKS_PER_HOUR
    hours_known = range(
        first_hour(since if known_since is None else known_since, complete), complete
    )
    has_late_labels = lag > BLOCKS_PER_HOUR
    hours, days = (mean, mean) if mean is not None else (cusum.HOURLY_BLOCKS, cusum.DAILY_BLOCKS)
    by_hour, start = calendar.hours_as_sums(hours), first_hour(since, complete)
    seasonal_hours = hours_known
    if without_mean and not baseline.weekdays and not has_late_labels:
        each_sum = TestedRange(calendar.sum_units, start, complete - 1, by_hour)
        hours_before_change = _before_change(
            terms, series, baseline, each_sum, hours_known=hours_known
        )
        day = calendar.sum_count(HOURS_A_DAY)
        # Hours before a change on the first day show no season: without a fall that is known, all count.
        seasonal_hours = (
            hours_before_change if missed or len(hours_before_change) >= day else hours_known
        )
    has_season = (
        _has_season(terms, series, baseline, seasonal_hours) if without_mean else baseline.daily
    )
    by_day = has_season or has_late_labels
    units = calendar.days if by_day else calendar.sum_units
    if by_day and lag * calendar.block_seconds > calendar.day_seconds:
        return None
    last = units.number_of_hour(complete) - 1
    first = units.first_from(start)
    stretch = TestedRange(units, first, last, days if by_day else by_hour)
    drifts = [_cusum(terms, series, baseline, stretch)]
    if without_mean and not baseline.weekdays:
        drifts.append(_two_sample(terms, series, baseline, stretch))
        if has_season and not has_late_labels:
            each_sum = TestedRange(calendar.sum_units, hours_known.start, complete - 1, by_hour)
            drifts.append(_two_sample(terms, series, baseline, each_sum, same_hours=True))
    drift = max(filter(None, drifts), key=lambda drift: drift.statistic / drift.bound, default=None)
    if drift is None or not without_mean or by_day or baseline.weekdays:
        return drift
    # A fall and its end scatter more than either, so the statistic falls before the fall is forgotten.
    if drift.statistic * drift.phi < scatter_of(baseline).phi * drift.bound * WORTH_A_CHECK:
        return drift
    return drift._replace(
        recovery_block=_recovered(terms, series, baseline, drift, stretch=stretch)
    )


def _recovered(
    terms: SloTerms, series: Series, baseline: Baseline, drift: Drift, *, stretch: TestedRange
) -> int | None:
    """Return the last block of an ended drop; None while it lasts or is undecided.

    The same CUSUM the other way round: it adds the evidence for the accepted ratio against one that is
    worse by the drop. The CUSUM of the fall forgets too slowly: the deeper a fall was, the longer.
    """
    units, first, last, _ = stretch
    prior = scatter_of(baseline)
    limit = upper_bound(baseline.count, prior.phi)
    if drift.change_block is None or not 0 < limit < limit + terms.drop < 1:
        return None
    first_unit = max(units.number_of_hour(drift.change_block // BLOCKS_PER_HOUR), first)
    events = list(_counts(series, first_unit, last, units))
    _, recovery_end = _recovery(events, limit, terms.drop, inf)
    scatter = _scatter(
        events[recovery_end:], 0, prior, strata=None
    )  # that of the fall is another one
    divisor = scatter.divisor(drift.bound, MIN_DEGREES)
    value, recovery_end = _recovery(events, limit, terms.drop, MAX_RECOVERY * drift.bound * divisor)
    return (
        units.start(first_unit + recovery_end) * BLOCKS_PER_HOUR
        if value >= drift.bound * divisor
        else None
    )


def _recovery(
    events: Sequence[tuple[int, int]], limit: float, drop: float, max_value: float
) -> tuple[float, int]:
    """Return the evidence that the ratio is within the limit again, and the start of the recovery."""
    fallen = limit + drop
    per_bad, per_good = log(limit / fallen), log((1 - limit) / (1 - fallen))
    value, recovery_end = 0.0, 0
    for position, (bad, total) in enumerate(events, 1):
        value = min(value + bad * per_bad + (total - bad) * per_good, max_value)
        if value <= 0.0:
            value, recovery_end = 0.0, position
    return value, recovery_end


def first_hour(since: int, complete: int) -> int:
    """Return the first whole hour after block `since` that is stored, before hour `complete`."""
    return max(ceil(since / BLOCKS_PER_HOUR), complete - HOURS + 1, 0)


def _has_season(terms: SloTerms, series: Series, baseline: Baseline, hours_known: range) -> bool:
    """Return whether the hours of the day differ in the baseline's hours.

    Two days show it. Before, what the baseline's hours showed holds, too.
    """
    calendar = terms.calendar
    hours_needed = seasonality.season_sums(calendar)
    weekly = baseline.weekdays or terms.seasonality is Seasonality.WEEKLY
    if baseline.daily and (
        weekly or len(hours_known) < hours_needed or is_season_known(baseline, calendar)
    ):
        return True
    cache_key = ("swings", baseline.phi)
    swings_before = series.derived.get(cache_key)
    if not isinstance(swings_before, tuple) or swings_before[0] != hours_known:
        hours = list(zip(*series.hours(hours_known.start, hours_known.stop - 1), strict=True))
        swings_before = (
            hours_known,
            seasonality.is_hour_significant(hours, hours_known.start, baseline.phi, calendar),
        )
        series.derived[cache_key] = swings_before
    return bool(swings_before[1])


def _before_change(
    terms: SloTerms, series: Series, baseline: Baseline, stretch: TestedRange, *, hours_known: range
) -> range:
    """Return the hours before a suspected change, unless at least two days are known."""
    calendar = terms.calendar
    day = calendar.sum_count(HOURS_A_DAY)
    if not day <= len(hours_known) < seasonality.season_sums(calendar):
        return hours_known
    drift = _two_sample(terms, series, baseline, stretch)
    if drift is None or drift.change_block is None:
        return hours_known
    return range(hours_known.start, drift.change_block // BLOCKS_PER_HOUR)


def _cusum(
    terms: SloTerms, series: Series, baseline: Baseline, stretch: TestedRange
) -> Drift | None:
    """Return the CUSUM bank; None if the baseline's uncertainty covers all alternatives."""
    units, first, last, mean = stretch
    counts, prior = baseline.weekdays or (baseline.count,), scatter_of(baseline)
    key = (counts, prior.phi, terms.drop, terms.is_drop_given, mean, units)
    banks = _banks(counts, prior.phi, terms.drop, drop_given=terms.is_drop_given, mean=mean)
    if banks is None:
        return None
    progress = series.derived.get(key)
    if not isinstance(progress, cusum.Progress) or not progress.can_continue_to(first, last):
        progress = cusum.begin_cusum(banks[0], first)
    if progress.next_block <= last:
        new_counts = _counts(series, progress.next_block, last, units)
        progress = cusum.advance_strata(progress, banks, new_counts)
        series.derived[key] = progress
    strongest = max(range(len(progress.values)), key=progress.values.__getitem__)
    zero = progress.zero_positions[strongest]
    begin_sum, end = units.start(zero), units.start(progress.next_block)
    bad, total = series.hours(begin_sum, end - 1)
    count_before = series.hours(units.start(first), begin_sum - 1)
    scatter = prior
    if progress.statistic >= prior.phi * banks[0].alarm_bound * WORTH_A_CHECK:
        weekdays = [unit % len(banks) for unit in range(first, last + 1)]
        strata = weekdays if len(banks) > 1 else None
        events = list(_counts(series, first, last, units))
        scatter = _scatter(events, zero - first, prior, strata=strata)
    divisor = scatter.divisor(banks[0].alarm_bound, MIN_DEGREES)
    return Drift(
        progress.statistic / divisor,
        banks[0].alarm_bound,
        decides(baseline, terms),
        Count(sum(bad), sum(total)),
        (end - begin_sum) * BLOCKS_PER_HOUR,
        begin_sum * BLOCKS_PER_HOUR if progress.statistic else None,
        summed((baseline.count, (sum(count_before[0]), sum(count_before[1])))),
        divisor,
        units.seconds * BLOCKS_PER_HOUR // units.sum_seconds,
    )


def _two_sample(
    terms: SloTerms,
    series: Series,
    baseline: Baseline,
    stretch: TestedRange,
    *,
    same_hours: bool = False,
) -> Drift | None:
    """Return the likeliest change point; None if no change is distinguishable from the baseline."""
    units, first, last, mean = stretch
    count, prior = baseline.count, scatter_of(baseline)
    min_drop = (
        terms.drop if terms.is_drop_given else max(terms.drop, detectable_drop(count, prior.phi))
    )
    drops = change_point.alternative_drops(ratio_of(count), min_drop)
    if not drops or not count.total:
        return None
    bound = log(len(drops) * mean)
    if not same_hours and change_point.events_to_detect(count, drops[-1], bound, prior.phi) is None:
        return None
    cache_key = ("change", drops, prior, units, same_hours)
    key = (count, units, first, last)
    entry = series.derived.get(cache_key)
    if not isinstance(entry, tuple) or entry[0] != key:
        events = list(_counts(series, first, last, units)) if first <= last else []
        strata = None
        if same_hours:
            strata = [terms.calendar.hour_of_day(hour) for hour in range(first, last + 1)]
            change = change_point.strongest_change_within_strata(strata, count, events, drops)
        else:
            change = change_point.strongest_change(count, events, drops)
        scatter = prior
        if not baseline.hour_phi or change.statistic >= prior.phi * bound * WORTH_A_CHECK:
            scatter = _scatter(events, change.start, prior, strata=strata)
        entry = (key, change, scatter, summed((count, *events[: change.start])))
        series.derived[cache_key] = entry
    _, change, scatter, count_before = entry
    begin_sum = units.start(first + change.start)
    divisor = scatter.divisor(bound, MIN_DEGREES)
    return Drift(
        change.statistic / divisor,
        bound,
        decides(baseline, terms),
        change.after,
        max(units.start(last + 1) - begin_sum, 0) * BLOCKS_PER_HOUR,
        begin_sum * BLOCKS_PER_HOUR if change.statistic else None,
        count_before,
        divisor,
        units.seconds * BLOCKS_PER_HOUR // units.sum_seconds,
    )


def _scatter(
    events: Sequence[tuple[int, int]],
    split_index: int,
    prior: Scatter,
    *,
    strata: Sequence[int] | None,
) -> Scatter:
    """Return the dispersion of units about their levels before and after a suspected change."""
    split_index = min(max(split_index, 0), len(events))
    if strata is None:
        return batch_means.scatter(batch_means.residuals_around_levels(events, split_index), prior)
    hour_residuals, count = batch_means.residuals_around_hours(strata, events, split_index)
    return batch_means.scatter(hour_residuals, prior, strata_count=count)


@lru_cache(maxsize=2**16)
def _banks(
    counts: tuple[Count, ...], phi: float, drop: float, *, drop_given: bool, mean: int
) -> tuple[cusum.Bank, ...] | None:
    """Return the CUSUM bank, or one per weekday; None if any has no alternative."""
    banks = []
    for count in counts:
        min_drop = drop if drop_given else max(drop, detectable_drop(count, phi))
        banks.append(cusum.cusum_bank(ratio_of(count), upper_bound(count, phi), min_drop, mean))
    kept_banks = tuple(bank for bank in banks if bank is not None)
    same_length = len({len(bank.alternatives) for bank in kept_banks}) == 1
    return kept_banks if len(kept_banks) == len(counts) and same_length else None


def _counts(series: Series, first: int, last: int, units: Units) -> Iterable[tuple[int, int]]:
    begin_sum = units.start(first)
    bad, total = series.hours(begin_sum, units.start(last + 1) - 1)
    if units.are_sums:
        return zip(bad, total, strict=True)
    edges = pairwise(units.start(unit) - begin_sum for unit in range(first, last + 2))
    return ((sum(bad[begin:end]), sum(total[begin:end])) for begin, end in edges)
