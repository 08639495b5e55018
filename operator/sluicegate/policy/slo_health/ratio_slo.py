"""How one SLO of the stable version does: by its objective, and by what it was accepted with.

The objective is judged by burn rates over windows (slo/burn_rate.py); the distance from the
baseline by a CUSUM bank (cusum.py), over hours or days. The worse of the two holds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil, log
from typing import Final, NamedTuple

from sluicegate.api.baseline import Baseline
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import decides, detectable_drop, ratio_of, upper_bound
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import Level, Reading, read
from sluicegate.stats import change_point, cusum
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS, HOURS_A_DAY, Units
from sluicegate.stats.counts import NOTHING, Count

CALM_SHARE: Final = 0.9
"""Of a threshold: below it a degraded SLO begins to count as recovered."""
SPOKEN_HOURS: Final = HOURS_A_DAY
"""Within them enough events have to come, where only a baseline tells, to say "fine"."""


class Drift(NamedTuple):
    """What the CUSUM bank says: its largest S, where it is Missed, and whether it may say so.

    `seen` and `blocks` are the events and the length of the stretch in which that S grew: from
    its last 0 on. They are what decides; the newest window may look better or worse. `changed` is
    the last block before it began, where that was looked for.
    """

    statistic: float
    bound: float
    decides: bool
    seen: Count = NOTHING
    blocks: int = 0
    changed: int | None = None

    @property
    def level(self) -> Level:
        """Missed at the bound, AtRisk at half of it; a provisional baseline only warns."""
        if self.statistic >= self.bound:
            return Level.MISSED if self.decides else Level.AT_RISK
        return Level.AT_RISK if self.statistic >= self.bound / 2 else Level.MET


@dataclass(frozen=True, slots=True)
class SloResult:
    """What one evaluation found about one SLO, with the numbers behind it.

    Attributes
    ----------
    terms : what it is judged by.
    state, reason : the verdict.
    recent : events of the window that is shown.
    baseline : what it was accepted with, as far as it counts.
    reading : the burn rate that tripped; None when none did.
    drift : the relative test; None without a baseline that allows one.
    fresh : whether the newest block holds events.
    calm : whether it looks recovered, should it be degraded.
    probation : the verdict is that of the test against the version before.
    as_before : whether the test against the version before finds it no worse; None without one.
    gauge : mean of the newest block, for a gauge.
    budget : events of the error budget's window since the version took over.
    shown : blocks of `recent`: fewer than the window's of a young version; 0 where all count.
    """

    terms: SloTerms
    state: SloState
    reason: Reason
    recent: Count = NOTHING
    baseline: Baseline | None = None
    reading: Reading | None = None
    drift: Drift | None = None
    fresh: bool = False
    calm: bool = False
    probation: bool = False
    as_before: bool | None = None
    gauge: float | None = None
    budget: Count = NOTHING
    shown: int = 0


_STATES: Final = {
    Level.MET: SloState.MET,
    Level.AT_RISK: SloState.AT_RISK,
    Level.MISSED: SloState.MISSED,
}


def is_suspected(result: SloResult) -> bool:
    """Whether the answers look worse than accepted, though not surely: by half of `maxDrop`.

    By the point estimate of the window that is shown: it starts nothing that could do harm.
    """
    baseline, recent = result.baseline, result.recent.ratio
    if not result.terms.tells_quality or baseline is None or recent is None:
        return False
    return recent - ratio_of(baseline.count) > result.terms.drop / 2


def blocks_shown(terms: SloTerms, now: int, since: int) -> int:
    """Of how many blocks up to `now` events are shown, where those up to `since` aren't."""
    return max(min(terms.recent, now - since), 1)


def unknown(terms: SloTerms, reason: Reason, recent: Count, baseline: Baseline | None) -> SloResult:
    """An SLO that can't be judged."""
    return SloResult(terms, SloState.UNKNOWN, reason, recent, baseline)


def judge(
    terms: SloTerms,
    series: Series,
    *,
    baseline: Baseline | None,
    now: int,
    since: int,
    drift_since: int,
    shown_since: int,
) -> SloResult:
    """Judge an SLO that has passed the gates.

    Parameters
    ----------
    series : blocks of the stable version. baseline : what it was accepted with.
    now : newest settled block. since : blocks up to this one don't count.
    drift_since : blocks up to this one belong to the baseline, or don't count.
    shown_since : blocks up to this one aren't shown either, as another version served.
    """
    phi = 1.0 if baseline is None else baseline.phi
    readings = [read(row, series, now=now, since=since, phi=phi) for row in terms.thresholds]
    tripped = _worst(reading for reading in readings if reading and reading.tripped)
    drift = (
        None if baseline is None else drift_of(terms, series, baseline, now=now, since=drift_since)
    )
    absolute = tripped.threshold.row.level if tripped else Level.MET
    relative = drift.level if drift else Level.MET
    level = max(absolute, relative)
    state, reason = _STATES[level], _reason(level, relative, drift)
    if level is Level.MET and not any(readings):
        silent = _silence(terms, series, baseline, drift, now=now, since=since)
        state, reason = (SloState.UNKNOWN, silent) if silent else (state, reason)
    return SloResult(
        terms,
        state,
        reason,
        series.window(now, terms.recent, shown_since),
        baseline,
        tripped,
        drift,
        fresh=series.block(now).count.total > 0,
        calm=level is not Level.MISSED and _is_calm(terms, series, drift, now=now, since=since),
        shown=blocks_shown(terms, now, shown_since),
    )


def _worst(readings: Iterator[Reading]) -> Reading | None:
    return max(readings, key=lambda reading: reading.threshold.row.level, default=None)


def _reason(level: Level, relative: Level, drift: Drift | None) -> Reason:
    if level is Level.MET:
        return Reason.WITHIN_OBJECTIVE
    if relative is level and drift is not None:
        provisional = not drift.decides and drift.statistic >= drift.bound
        return Reason.BASELINE_PROVISIONAL if provisional else Reason.BASELINE_DROPPED
    return Reason.OBJECTIVE_MISSED if level is Level.MISSED else Reason.BUDGET_BURNING


def _silence(
    terms: SloTerms,
    series: Series,
    baseline: Baseline | None,
    drift: Drift | None,
    *,
    now: int,
    since: int,
) -> Reason | None:
    """Why nothing can be said although no test alarms; None when enough was seen to say "fine"."""
    if terms.allowed_bad is None and baseline is not None and drift is None:
        return Reason.BASELINE_TOO_SMALL
    if terms.allowed_bad is not None or baseline is None:
        return Reason.INSUFFICIENT_DATA
    seen = series.window(now, terms.calendar.blocks(SPOKEN_HOURS), since).total
    enough = seen / baseline.phi >= terms.least_events(ratio_of(baseline.count))
    return None if enough else Reason.INSUFFICIENT_DATA


def _is_calm(terms: SloTerms, series: Series, drift: Drift | None, *, now: int, since: int) -> bool:
    if drift is not None and drift.statistic >= drift.bound / 2:
        return False
    for threshold in terms.thresholds:
        if threshold.row.level is not Level.MISSED:
            continue
        long = series.window(now, threshold.row.long, since)
        if long.total == 0 or long.bad >= CALM_SHARE * threshold.ratio * long.total:
            return False
    return True


# ---- the relative test --------------------------------------------------------------------
def drift_of(
    terms: SloTerms,
    series: Series,
    baseline: Baseline,
    *,
    now: int,
    since: int,
    mean: int | None = None,
) -> Drift | None:
    """What the last fourteen days say; None when the baseline allows no alternative.

    Two tests, of which the one that is nearer to its bound speaks. The CUSUM bank holds each hour
    against the worst ratio that the baseline is compatible with, so it needs a large one; the
    two-sample test holds what came after a moment against the baseline and all that came before
    it, so it knows how sure both are. They begin with the first whole hour (day) after the
    baseline's last block and after `since`.

    Parameters
    ----------
    mean : A, in hours, and in days where it looks at days; ten years when left out. A baseline that
        isn't the version's own has one, and is tested by the CUSUM alone, as what this version did
        before says nothing about the other.
    """
    calendar, lag = terms.calendar, 2 * terms.lag_blocks
    daily = baseline.daily or lag > BLOCKS_PER_HOUR
    units = calendar.days if daily else calendar.each_sum
    if daily and lag * calendar.block_seconds > calendar.day_seconds:
        return None
    hours, days = (cusum.HOURLY_BLOCKS, cusum.DAILY_BLOCKS) if mean is None else (mean, mean)
    complete = now // BLOCKS_PER_HOUR
    last = units.of(complete) - 1
    first = units.first_from(max(ceil(since / BLOCKS_PER_HOUR), complete - HOURS + 1, 0))
    stretch = Stretch(units, first, last, days if daily else calendar.hours_as_sums(hours))
    found = [_cusum(terms, series, baseline, stretch)]
    if mean is None and not baseline.weekdays:
        found.append(_two_sample(terms, series, baseline, stretch))
    return max(filter(None, found), key=lambda drift: drift.statistic / drift.bound, default=None)


class Stretch(NamedTuple):
    """What is tested: whole units, numbered first … last, and A, in units."""

    units: Units
    first: int
    last: int
    mean: int


def _cusum(terms: SloTerms, series: Series, baseline: Baseline, stretch: Stretch) -> Drift | None:
    """The CUSUM bank; None when no alternative lies beyond what the baseline leaves open."""
    units, first, last, mean = stretch
    counts = baseline.weekdays or (baseline.count,)
    key = (counts, baseline.phi, terms.drop, terms.drop_given, mean, units)
    banks = _banks(counts, baseline.phi, terms.drop, drop_given=terms.drop_given, mean=mean)
    if banks is None:
        return None
    known = series.derived.get(key)
    if not isinstance(known, cusum.Progress) or not known.leads_to(first, last):
        known = cusum.begin(banks[0], first)
    if known.next <= last:
        fresh = _counts(series, known.next, last, units)
        known = cusum.advance_strata(known, banks, fresh, baseline.phi)
        series.derived[key] = known
    place = max(range(len(known.values)), key=known.values.__getitem__)
    begun, end = units.start(known.zeros[place]), units.start(known.next)
    bad, total = series.hours(begun, end - 1)
    return Drift(
        known.statistic,
        banks[0].bound,
        decides(baseline, terms),
        Count(sum(bad), sum(total)),
        (end - begun) * BLOCKS_PER_HOUR,
        begun * BLOCKS_PER_HOUR if known.statistic else None,
    )


def _two_sample(
    terms: SloTerms, series: Series, baseline: Baseline, stretch: Stretch
) -> Drift | None:
    """The most likely change; None where no number of events could tell it from the baseline."""
    units, first, last, mean = stretch
    count, phi = baseline.count, baseline.phi
    least = terms.drop if terms.drop_given else max(terms.drop, detectable_drop(count, phi))
    drops = change_point.alternatives(ratio_of(count), least)
    if not drops or not count.total:
        return None
    bound = log(len(drops) * mean)
    if change_point.events_to_see(count, drops[-1], bound, phi) is None:
        return None
    place = ("change", drops, phi)
    key = (count, units, first, last)
    known = series.derived.get(place)
    if not isinstance(known, tuple) or known[0] != key:
        events = list(_counts(series, first, last, units)) if first <= last else []
        known = (key, change_point.strongest(count, events, drops, phi=phi))
        series.derived[place] = known
    found = known[1]
    begun = units.start(first + found.start)
    return Drift(
        found.statistic,
        bound,
        decides(baseline, terms),
        found.after,
        max(units.start(last + 1) - begun, 0) * BLOCKS_PER_HOUR,
        begun * BLOCKS_PER_HOUR if found.statistic else None,
    )


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
