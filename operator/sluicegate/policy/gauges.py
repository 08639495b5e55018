"""How a gauge of the stable version does, and what it says of a candidate: the weaker path.

Hours of twelve blocks are compared with the baseline's mean and deviation; an absolute bound has
to be missed in three of the last four blocks. A candidate is judged by paired differences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean
from typing import Final

from sluicegate.api.baseline import BaselineSource
from sluicegate.api.memory import SloState
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.degradation import Drift, SloResult
from sluicegate.policy.evidence import ALPHA
from sluicegate.policy.gauge import (
    ALLOWANCE,
    DAILY_BOUND,
    HOURLY_BOUND,
    LEAST_PAIRS,
    GaugeBaseline,
    Interval,
    beyond_bound,
    difference_interval,
    gauge_baseline,
    gauge_cusum,
)
from sluicegate.policy.memory import Baseline
from sluicegate.policy.planning import WARM_UP_BLOCKS
from sluicegate.policy.present import LEAST_SHARE, Z_STILL_BAD, Present
from sluicegate.policy.terms import GaugeTerms, SloTerms, Terms
from sluicegate.slo.blocks import BLOCKS_PER_HOUR, NOTHING
from sluicegate.slo.burn_rate import Level

RECENT: Final = 4
"""Blocks that the absolute bound looks at."""
LEAST_VALUES: Final = 3
"""Of them that hold a value, for the present to be known."""
MOST_VALUES: Final = 384
"""Blocks that the present may reach back at most; a few more are kept."""
HOURS_A_DAY: Final = 24

Readings = Mapping[int, float]
"""Block means by index; a block that is missing or stale has none."""


def judge(
    slo: SloTerms,
    readings: Readings,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
    drift_since: int,
) -> SloResult:
    """The verdict on a gauge at block `now`.

    Parameters
    ----------
    since : blocks up to this one don't count. drift_since : nor for the distance from the baseline.
    """
    gauge = slo.gauge
    assert gauge is not None
    if now not in readings:
        earlier = any(index < now for index in readings)
        return SloResult(slo, SloState.UNKNOWN, Reason.STALE if earlier else Reason.NO_DATA)
    if now <= since:
        return SloResult(slo, SloState.UNKNOWN, Reason.WARMING_UP, gauge=readings[now])
    drift = (
        None if baseline is None else _drift(slo, readings, baseline, now=now, since=drift_since)
    )
    missed = gauge.bound is not None and _misses(gauge, readings, now, since)
    level = max(Level.BAD if missed else Level.OK, drift.level if drift else Level.OK)
    reason = Reason.OBJECTIVE_MISSED if missed else Reason.BASELINE_DROPPED
    state = {Level.OK: SloState.OK, Level.WARN: SloState.WARN, Level.BAD: SloState.BAD}[level]
    if level is Level.OK:
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
        fresh=True,
        calm=level is not Level.BAD and (drift is None or drift.statistic < drift.bound / 2),
        gauge=readings[now],
    )


def _misses(gauge: GaugeTerms, readings: Readings, now: int, since: int) -> bool:
    assert gauge.bound is not None
    indices = range(max(now - RECENT, since) + 1, now + 1)
    values = [gauge.sign * readings[index] for index in indices if index in readings]
    return beyond_bound(values, gauge.sign * gauge.bound)


def present_of(
    slo: SloTerms, readings: Readings, baseline: Baseline | None, *, now: int, since: int
) -> Present:
    """What the newest values say: by the bound, and by their mean against the baseline's.

    Parameters
    ----------
    since : blocks up to this one are of another time.
    """
    gauge = slo.gauge
    assert gauge is not None
    values = _values(readings, now, since, RECENT)
    if len(values) < LEAST_VALUES:
        text = f"{len(values)} values at present, {LEAST_VALUES} are needed to tell"
        return Present(bad=None, message=text)
    if gauge.bound is not None and _misses(gauge, readings, now, since):
        text = f"{fmean(values):.4g} at present misses {gauge.bound:g}"
        return Present(bad=True, message=text)
    if baseline is None or baseline.deviation <= 0:
        return Present(bad=False, message=f"{fmean(values):.4g} at present is within its bound")
    length, bad = RECENT, None
    while bad is None and length < 2 * (now - since) and length <= MOST_VALUES:
        newer, values = values, _values(readings, now, since, length)
        if len(newer) < LEAST_SHARE * len(values):
            break
        bad = _is_below(gauge, values, baseline)
        length *= 2
    accepted = f"{baseline.mean:.4g} ± {baseline.deviation:.3g} is as accepted"
    return Present(bad, f"{fmean(values):.4g} at present, {accepted}")


def _is_below(gauge: GaugeTerms, values: list[float], baseline: Baseline) -> bool | None:
    """Whether these blocks are surely worse than the baseline's; None while that is open.

    The baseline's deviation is that of hours; a mean of fewer blocks scatters the more.
    """
    fallen = gauge.sign * (baseline.mean - fmean(values)) / baseline.deviation
    if fallen <= ALLOWANCE:
        return False
    return True if fallen > Z_STILL_BAD * sqrt(BLOCKS_PER_HOUR / len(values)) else None


def _values(readings: Readings, now: int, since: int, length: int) -> list[float]:
    indices = range(max(now - length, since) + 1, now + 1)
    return [readings[index] for index in indices if index in readings]


def hourly(readings: Readings, first: int, last: int) -> list[float]:
    """Means of the hours from `first` up to and including `last` that hold any value."""
    hours: dict[int, list[float]] = {}
    for index, value in readings.items():
        hour = (index - 1) // BLOCKS_PER_HOUR
        if first <= hour <= last:
            hours.setdefault(hour, []).append(value)
    return [fmean(hours[hour]) for hour in sorted(hours)]


def _drift(
    slo: SloTerms, readings: Readings, baseline: Baseline, *, now: int, since: int
) -> Drift | None:
    gauge = slo.gauge
    assert gauge is not None
    if baseline.deviation <= 0:
        return None
    first, last = ceil(since / BLOCKS_PER_HOUR), now // BLOCKS_PER_HOUR - 1
    values = hourly(readings, first, last)
    bound = HOURLY_BOUND
    if baseline.daily:
        days = [values[at : at + HOURS_A_DAY] for at in range(0, len(values), HOURS_A_DAY)]
        values = [fmean(day) for day in days if len(day) == HOURS_A_DAY]
        bound = DAILY_BOUND
    normal = GaugeBaseline(gauge.sign * baseline.mean, baseline.deviation)
    statistic = gauge_cusum([gauge.sign * value for value in values], normal)
    return Drift(statistic, bound, decides=True)


def learn(
    slo: SloTerms, readings: Readings, *, now: int, since: int, block_seconds: int
) -> Baseline | None:
    """The baseline after 28 hours with values; None before, and while it never varies."""
    first, last = ceil(since / BLOCKS_PER_HOUR), now // BLOCKS_PER_HOUR - 1
    normal = gauge_baseline(hourly(readings, first, last))
    if normal is None:
        return None
    return Baseline(
        NOTHING,
        first * BLOCKS_PER_HOUR * block_seconds,
        (last + 1) * BLOCKS_PER_HOUR * block_seconds,
        BaselineSource.PRODUCTION,
        mean=normal.mean,
        deviation=normal.deviation,
        indicator_hash=slo.indicator_hash,
    )


# ---- canary ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class GaugeEvidence:
    """What a gauge says of a candidate.

    Attributes
    ----------
    terms : the SLO. pairs : blocks with values of both arms.
    interval : bounds on candidate − stable, higher being better; None while there are too few.
    required : whether it must speak for the candidate.
    """

    terms: SloTerms
    pairs: int
    interval: Interval | None
    required: bool

    @property
    def speaks_for(self) -> bool:
        """Whether the candidate is surely not worse by the margin."""
        return self.interval is not None and self.interval.lower > -self.terms.margin

    @property
    def speaks_against(self) -> bool:
        """Whether the candidate is surely worse. When both are true, nothing is said."""
        worse = self.interval is not None and self.interval.upper < 0
        return worse and not self.speaks_for


def weigh(
    slo: SloTerms, differences: list[float], terms: Terms, *, slos: int, block_seconds: int
) -> GaugeEvidence:
    """The evidence of paired block differences, candidate − stable, oldest first.

    Parameters
    ----------
    slos : how many SLOs may take the candidate back; each gets its share of the error.
    block_seconds : length of a canary block.
    """
    gauge = slo.gauge
    assert gauge is not None
    signed = [gauge.sign * difference for difference in differences]
    interval = difference_interval(signed, ALPHA / max(slos, 1))
    blocks = LEAST_PAIRS + WARM_UP_BLOCKS * len(terms.steps)
    match slo.canary_evidence:
        case CanaryEvidence.REQUIRED:
            required = True
        case CanaryEvidence.IF_AVAILABLE:
            possible = blocks * block_seconds <= terms.max_duration_seconds
            required = slo.margin > 0 and bool(differences) and possible
        case CanaryEvidence.POST_PROMOTION:
            required = False
    return GaugeEvidence(slo, len(differences), interval, required)
