"""Has the product moved away from what it was accepted with? The relative test of one SLO.

A CUSUM bank (cusum.py) and a two-sample test (change_point.py) over hours, or over days and the
same hours of days where the hours differ (seasonality.py).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import ceil, log
from typing import Final, NamedTuple

from sluicegate.api.baseline import Baseline
from sluicegate.api.slos import Seasonality
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import (
    decides,
    detectable_drop,
    is_settled,
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

LEAST_DEGREES: Final = 20.0
"""Degrees of freedom of a dispersion that are assumed at least: a young version has few, and its real
changes would be found days later. With 30, 6 of 120 products that scatter by three points from
hour to hour were Missed within 100 hours."""
WORTH_A_CHECK: Final = 0.5
"""Share of the bound below which evidence warns of nothing, whatever the dispersion is."""


class Drift(NamedTuple):
    """What the CUSUM bank says: its largest S, where it is Missed, and whether it may say so.

    `seen` and `blocks` are the events and the length of the stretch in which that S grew: from
    its last 0 on. They are what decides; the newest window may look better or worse. `changed` is
    the last block before it began, where that was looked for. `before` are the events that those are
    compared with, and `phi` is the dispersion by which evidence is divided. `unit` is the number of
    blocks that the test adds: it detects nothing before their end.
    """

    statistic: float
    bound: float
    decides: bool
    seen: Count = NOTHING
    blocks: int = 0
    changed: int | None = None
    before: Count = NOTHING
    phi: float = 1.0
    unit: int = BLOCKS_PER_HOUR

    @property
    def level(self) -> Level:
        """Missed at the bound, AtRisk at half of it; a provisional baseline only warns."""
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
) -> Drift | None:
    """What the last fourteen days say; None when the baseline allows no alternative.

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
    """
    calendar, lag = terms.calendar, 2 * terms.lag_blocks
    own = mean is None
    complete = now // BLOCKS_PER_HOUR
    known = range(_first_hour(since if known_since is None else known_since, complete), complete)
    late = lag > BLOCKS_PER_HOUR
    hours, days = (mean, mean) if mean is not None else (cusum.HOURLY_BLOCKS, cusum.DAILY_BLOCKS)
    by_hour, start = calendar.hours_as_sums(hours), _first_hour(since, complete)
    shows = known
    if own and not baseline.weekdays and not late:
        each = Stretch(calendar.each_sum, start, complete - 1, by_hour)
        shows = _before_change(terms, series, baseline, each, known=known)
    swings = _swings(terms, series, baseline, shows) if own else baseline.daily
    daily = swings or late
    units = calendar.days if daily else calendar.each_sum
    if daily and lag * calendar.block_seconds > calendar.day_seconds:
        return None
    last = units.of(complete) - 1
    first = units.first_from(start)
    stretch = Stretch(units, first, last, days if daily else by_hour)
    found = [_cusum(terms, series, baseline, stretch)]
    if own and not baseline.weekdays:
        found.append(_two_sample(terms, series, baseline, stretch))
        if swings and not late:
            each = Stretch(calendar.each_sum, known.start, complete - 1, by_hour)
            found.append(_two_sample(terms, series, baseline, each, same_hours=True))
    return max(filter(None, found), key=lambda drift: drift.statistic / drift.bound, default=None)


def _first_hour(since: int, complete: int) -> int:
    """The first whole hour after a block, of those that are kept."""
    return max(ceil(since / BLOCKS_PER_HOUR), complete - HOURS + 1, 0)


def _swings(terms: SloTerms, series: Series, baseline: Baseline, known: range) -> bool:
    """Whether the hours of the day differ, as far as the known hours show.

    Two days settle it. Before, what the baseline's hours showed holds, too.
    """
    calendar = terms.calendar
    settled = seasonality.season_sums(calendar)
    weekly = baseline.weekdays or terms.seasonality is Seasonality.WEEKLY
    if baseline.daily and (weekly or len(known) < settled or is_settled(baseline, calendar)):
        return True
    place = ("swings", baseline.phi)
    said = series.derived.get(place)
    if not isinstance(said, tuple) or said[0] != known:
        hours = list(zip(*series.hours(known.start, known.stop - 1), strict=True))
        said = (known, seasonality.hour_matters(hours, known.start, baseline.phi, calendar))
        series.derived[place] = said
    return bool(said[1])


class Stretch(NamedTuple):
    """What is tested: whole units, numbered first … last, and A, in units."""

    units: Units
    first: int
    last: int
    mean: int


def _before_change(
    terms: SloTerms, series: Series, baseline: Baseline, stretch: Stretch, *, known: range
) -> range:
    """Of less than two days of known hours those that show a season: the ones before a suspected change.

    The change itself makes hours differ. If it came on the first day, the hours before it show no
    season, and all count: the next day shows which of the two it was.
    """
    calendar = terms.calendar
    day = calendar.sums(HOURS_A_DAY)
    if not day < len(known) < seasonality.season_sums(calendar):
        return known
    found = _two_sample(terms, series, baseline, stretch)
    if found is None or found.changed is None:
        return known
    before = range(known.start, found.changed // BLOCKS_PER_HOUR)
    return before if len(before) >= day else known


def _cusum(terms: SloTerms, series: Series, baseline: Baseline, stretch: Stretch) -> Drift | None:
    """The CUSUM bank; None when no alternative lies beyond what the baseline leaves open."""
    units, first, last, mean = stretch
    counts, prior = baseline.weekdays or (baseline.count,), scatter_of(baseline)
    key = (counts, prior.phi, terms.drop, terms.drop_given, mean, units)
    banks = _banks(counts, prior.phi, terms.drop, drop_given=terms.drop_given, mean=mean)
    if banks is None:
        return None
    known = series.derived.get(key)
    if not isinstance(known, cusum.Progress) or not known.can_continue_to(first, last):
        known = cusum.begin(banks[0], first)
    if known.next <= last:
        fresh = _counts(series, known.next, last, units)
        known = cusum.advance_strata(known, banks, fresh)
        series.derived[key] = known
    place = max(range(len(known.values)), key=known.values.__getitem__)
    zero = known.zeros[place]
    begun, end = units.start(zero), units.start(known.next)
    bad, total = series.hours(begun, end - 1)
    before = series.hours(units.start(first), begun - 1)
    scatter = prior
    if known.statistic >= prior.phi * banks[0].bound * WORTH_A_CHECK:
        weekdays = [unit % len(banks) for unit in range(first, last + 1)]
        strata = weekdays if len(banks) > 1 else None
        events = list(_counts(series, first, last, units))
        scatter = _scatter(events, zero - first, prior, strata=strata)
    divisor = scatter.divisor(banks[0].bound, LEAST_DEGREES)
    return Drift(
        known.statistic / divisor,
        banks[0].bound,
        decides(baseline, terms),
        Count(sum(bad), sum(total)),
        (end - begun) * BLOCKS_PER_HOUR,
        begun * BLOCKS_PER_HOUR if known.statistic else None,
        summed((baseline.count, (sum(before[0]), sum(before[1])))),
        divisor,
        units.seconds * BLOCKS_PER_HOUR // units.sum_seconds,
    )


def _two_sample(
    terms: SloTerms,
    series: Series,
    baseline: Baseline,
    stretch: Stretch,
    *,
    same_hours: bool = False,
) -> Drift | None:
    """The most likely change; None if no number of events distinguishes it from the baseline."""
    units, first, last, mean = stretch
    count, prior = baseline.count, scatter_of(baseline)
    least = terms.drop if terms.drop_given else max(terms.drop, detectable_drop(count, prior.phi))
    drops = change_point.alternatives(ratio_of(count), least)
    if not drops or not count.total:
        return None
    bound = log(len(drops) * mean)
    if not same_hours and change_point.events_to_see(count, drops[-1], bound, prior.phi) is None:
        return None
    place = ("change", drops, prior, units, same_hours)
    key = (count, units, first, last)
    known = series.derived.get(place)
    if not isinstance(known, tuple) or known[0] != key:
        events = list(_counts(series, first, last, units)) if first <= last else []
        strata = None
        if same_hours:
            strata = [terms.calendar.hour_of_day(hour) for hour in range(first, last + 1)]
            change = change_point.strongest_within(strata, count, events, drops)
        else:
            change = change_point.strongest(count, events, drops)
        scatter = prior
        if not baseline.hour_phi or change.statistic >= prior.phi * bound * WORTH_A_CHECK:
            scatter = _scatter(events, change.start, prior, strata=strata)
        known = (key, change, scatter, summed((count, *events[: change.start])))
        series.derived[place] = known
    _, change, scatter, before = known
    begun = units.start(first + change.start)
    divisor = scatter.divisor(bound, LEAST_DEGREES)
    return Drift(
        change.statistic / divisor,
        bound,
        decides(baseline, terms),
        change.after,
        max(units.start(last + 1) - begun, 0) * BLOCKS_PER_HOUR,
        begun * BLOCKS_PER_HOUR if change.statistic else None,
        before,
        divisor,
        units.seconds * BLOCKS_PER_HOUR // units.sum_seconds,
    )


def _scatter(
    events: Sequence[tuple[int, int]],
    place: int,
    prior: Scatter,
    *,
    strata: Sequence[int] | None,
) -> Scatter:
    """The dispersion of units about their levels before and after a suspected change."""
    place = min(max(place, 0), len(events))
    if strata is None:
        return batch_means.scatter(batch_means.about_levels(events, place), prior)
    rest, count = batch_means.about_hours(strata, events, place)
    return batch_means.scatter(rest, prior, strata=count)


@lru_cache(maxsize=2**16)
def _banks(
    counts: tuple[Count, ...], phi: float, drop: float, *, drop_given: bool, mean: int
) -> tuple[cusum.Bank, ...] | None:
    """One bank, or one a weekday; None when an alternative is missing in any."""
    banks = []
    for count in counts:
        least = drop if drop_given else max(drop, detectable_drop(count, phi))
        banks.append(cusum.bank(ratio_of(count), upper_bound(count, phi), least, mean))
    kept = tuple(bank for bank in banks if bank is not None)
    same = len({len(bank.alternatives) for bank in kept}) == 1
    return kept if len(kept) == len(counts) and same else None


def _counts(series: Series, first: int, last: int, units: Units) -> Iterable[tuple[int, int]]:
    begun = units.start(first)
    bad, total = series.hours(begun, units.start(last + 1) - 1)
    if units.are_sums:
        return zip(bad, total, strict=True)
    edges = pairwise(units.start(unit) - begun for unit in range(first, last + 2))
    return ((sum(bad[at:end]), sum(total[at:end])) for at, end in edges)
