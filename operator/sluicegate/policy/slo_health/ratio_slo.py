"""How one SLO of the stable version does: by its objective, and by what it was accepted with.

The objective is judged by burn rates over windows (slo/burn_rate.py); the distance from the
baseline by the tests of drift.py. The worse of the two holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of, upper_bound
from sluicegate.policy.slo_health.drift import Drift, drift_of, first_hour
from sluicegate.policy.slo_health.window_noise import read_threshold
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import Level, Reading
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS_A_DAY
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import quantile, wilson_lower

CALM_SHARE: Final = 0.9
"""Of a threshold: below it a degraded SLO begins to count as recovered."""
Z_SURELY: Final = quantile(0.999)
"""Confidence of a fall that is said before the drift tests have a whole hour."""
SPOKEN_HOURS: Final = HOURS_A_DAY
"""Blocks within which enough events must arrive for Met, if there is only a baseline."""


@dataclass(frozen=True, slots=True)
class SloResult:
    """The result of an SLO's evaluation, with its numbers.

    Attributes
    ----------
    terms : what it is judged by.
    state, reason : the verdict.
    recent_count : events of the window that is shown.
    baseline : what it was accepted with, as far as it counts.
    reading : the burn rate that tripped; None when none did.
    drift : the relative test; None without a baseline that allows one.
    is_fresh : whether the newest block holds events.
    is_calm : whether it looks recovered, should it be degraded.
    probation : the verdict is that of the test against the version before.
    as_before : whether the test against the version before finds it no worse; None without one.
    gauge : mean of the newest block, for a gauge.
    budget : events of the error budget's window since the version took over.
    until : when it is judged again, in seconds, where that is known; else None.
    shown_blocks : blocks of `recent_count`: fewer than the window's of a young version; 0 where all count.
    needed_events, needed_blocks : events that a verdict needs, and the blocks within which they have to
        come; 0 where that isn't known.
    left_out : end of the newest blocks that don't count as a cause outside the model disturbed them, in
        seconds, where no later one has events; else None.
    """

    terms: SloTerms
    state: SloState
    reason: Reason
    recent_count: Count = NOTHING
    baseline: Baseline | None = None
    reading: Reading | None = None
    drift: Drift | None = None
    is_fresh: bool = False
    is_calm: bool = False
    probation: bool = False
    as_before: bool | None = None
    gauge: float | None = None
    budget: Count = NOTHING
    shown_blocks: int = 0
    until: int | None = None
    needed_events: int = 0
    needed_blocks: int = 0
    left_out: int | None = None


STATES: Final = {
    Level.MET: SloState.MET,
    Level.AT_RISK: SloState.AT_RISK,
    Level.MISSED: SloState.MISSED,
}


def is_suspected(result: SloResult) -> bool:
    """Return whether the answers look worse than accepted, though within chance: by half of `maxDrop`.

    By the point estimate of the window that is shown: it starts nothing that could do harm.
    """
    baseline, recent_ratio = result.baseline, result.recent_count.ratio
    if not result.terms.measures_quality or baseline is None or recent_ratio is None:
        return False
    return recent_ratio - ratio_of(baseline.count) > result.terms.drop / 2


def shown_block_count(terms: SloTerms, now: int, since: int) -> int:
    """Return the number of blocks that the reported events span, up to `now` and after `since`."""
    return max(min(terms.recent, now - since), 1)


def unknown(
    terms: SloTerms, reason: Reason, recent_count: Count, baseline: Baseline | None
) -> SloResult:
    """Return the result of an SLO that can't be judged."""
    return SloResult(terms, SloState.UNKNOWN, reason, recent_count, baseline)


def judge(
    terms: SloTerms,
    series: Series,
    *,
    baseline: Baseline | None,
    now: int,
    since: int,
    drift_since: int,
    shown_since: int,
    missed: bool = False,
) -> SloResult:
    """Judge an SLO that has passed the data checks.

    Parameters
    ----------
    series : blocks of the stable version. baseline : that of its acceptance.
    now : newest complete block. since : blocks up to this one don't count.
    drift_since : blocks up to this one belong to the baseline, or don't count.
    shown_since : blocks up to this one aren't shown either, as another version served.
    missed : whether it was Missed before, and hasn't recovered since.
    """
    readings = [
        read_threshold(row, series, baseline, now=now, since=since) for row in terms.thresholds
    ]
    tripped_reading = _worst_reading(reading for reading in readings if reading and reading.tripped)
    drift = (
        None
        if baseline is None
        else drift_of(
            terms,
            series,
            baseline,
            now=now,
            since=drift_since,
            known_since=min(since, drift_since),
            missed=missed,
        )
    )
    absolute = tripped_reading.threshold.row.level if tripped_reading else Level.MET
    relative = drift.level if drift else Level.MET
    level = max(absolute, relative)
    state, reason = STATES[level], _reason(level, relative, drift)
    begin_block = max(since, drift_since)
    complete = now // BLOCKS_PER_HOUR
    is_untested = level is Level.MET and drift and first_hour(begin_block, complete) >= complete
    if is_untested and baseline and _surely_fell(terms, baseline, series.between(begin_block, now)):
        state, reason = SloState.AT_RISK, Reason.BASELINE_DROPPED
    needed_events = needed_blocks = 0
    if state is SloState.MET and not any(readings):
        silence_reason = _insufficient_events(terms, series, baseline, drift, now=now, since=since)
        state, reason = (SloState.UNKNOWN, silence_reason) if silence_reason else (state, reason)
        needed_events, needed_blocks = _needed_for_verdict(
            terms, series, baseline, now=now, since=since
        )
    return SloResult(
        terms,
        state,
        reason,
        series.window(now, terms.recent, shown_since),
        baseline,
        tripped_reading,
        drift,
        is_fresh=series.block(now).count.total > 0,
        is_calm=level is not Level.MISSED and _is_calm(terms, series, drift, now=now, since=since),
        shown_blocks=shown_block_count(terms, now, shown_since),
        needed_events=needed_events,
        needed_blocks=needed_blocks,
    )


def _needed_for_verdict(
    terms: SloTerms, series: Series, baseline: Baseline | None, *, now: int, since: int
) -> tuple[int, int]:
    """Return the numbers of events and blocks that a verdict needs; zeros if unknown.

    Of the rows of an objective, the first that has them at the present pace.
    """
    phi = 1.0 if baseline is None else baseline.phi
    if terms.thresholds:
        total, blocks = (
            series.window(now, terms.recent, since).total,
            shown_block_count(terms, now, since),
        )
        rows = [
            (ceil(phi * threshold.min_events), threshold.row.long) for threshold in terms.thresholds
        ]
        return min(rows, key=lambda row: (total * row[1] < row[0] * blocks, row[0]))
    if baseline is None:
        return 0, 0
    return ceil(phi * terms.min_events(ratio_of(baseline.count))), terms.calendar.blocks(
        SPOKEN_HOURS
    )


def _surely_fell(terms: SloTerms, baseline: Baseline, count: Count) -> bool:
    """Return whether events are worse than the baseline by more than `maxDrop`, beyond chance."""
    accepted, phi = ratio_of(baseline.count), baseline.phi
    if count.total / phi < terms.min_events(accepted):
        return False
    lower_bound = wilson_lower(count.bad / phi, count.total / phi, Z_SURELY)
    return lower_bound > upper_bound(baseline.count, phi) + terms.drop


def _worst_reading(readings: Iterator[Reading]) -> Reading | None:
    return max(readings, key=lambda reading: reading.threshold.row.level, default=None)


def _reason(level: Level, relative: Level, drift: Drift | None) -> Reason:
    if level is Level.MET:
        return Reason.WITHIN_OBJECTIVE
    if relative is level and drift is not None:
        provisional = not drift.decides and drift.statistic >= drift.bound
        return Reason.BASELINE_PROVISIONAL if provisional else Reason.BASELINE_DROPPED
    return Reason.OBJECTIVE_MISSED if level is Level.MISSED else Reason.BUDGET_BURNING


def _insufficient_events(
    terms: SloTerms,
    series: Series,
    baseline: Baseline | None,
    drift: Drift | None,
    *,
    now: int,
    since: int,
) -> Reason | None:
    """Return why an SLO without an alarm isn't Met yet; None if it has enough events."""
    if terms.allowed_bad_ratio is None and baseline is not None and drift is None:
        return Reason.BASELINE_TOO_SMALL
    if terms.allowed_bad_ratio is not None or baseline is None:
        return Reason.INSUFFICIENT_DATA
    total = series.window(now, terms.calendar.blocks(SPOKEN_HOURS), since).total
    enough = total / baseline.phi >= terms.min_events(ratio_of(baseline.count))
    return None if enough else Reason.INSUFFICIENT_DATA


def _is_calm(terms: SloTerms, series: Series, drift: Drift | None, *, now: int, since: int) -> bool:
    if drift is not None and drift.recovery_block is None and drift.statistic >= drift.bound / 2:
        return False
    for threshold in terms.thresholds:
        if threshold.row.level is not Level.MISSED:
            continue
        long = series.window(now, threshold.row.long, since)
        if long.total == 0 or long.bad >= CALM_SHARE * threshold.ratio * long.total:
            return False
    return True
