"""After a promotion: the previous version is restored at the first evidence that this one is worse.

The detector is that of the own baseline, but against the baseline of the previous version, and a
hundred times quicker to alarm, as a rollback is cheap while the previous version is kept. It lasts
until enough events for a verdict have arrived, late labels included. Its shortest and its longest
duration are of time in which an operator observed the version: what was read back afterwards is evidence,
but no decision could follow from it meanwhile.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import Final

from sluicegate.api.baseline import Baseline, Baselines
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.attended_time import attended_seconds, without_probation
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.drift import Drift, drift_of
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import Series
from sluicegate.slo.burn_rate import Level
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS_A_DAY, Calendar
from sluicegate.stats.canary_duration import events_to_roll_back
from sluicegate.stats.cusum import PROBATION_BLOCKS

MIN_HOURS: Final = 3
MIN_BLOCKS: Final = 3 * BLOCKS_PER_HOUR
"""The detector uses whole sums of twelve; it needs three of them for any block length."""
MAX_HOURS: Final = 7 * HOURS_A_DAY
"""Limit of a probation without labels: a week of the clock."""


def judge(
    result: SloResult, series: Series, baseline: Baseline, *, now: int, since: int
) -> SloResult:
    """Return the verdict on an SLO on probation: the worse of its own result and the probation's test."""
    if result.terms.gauge is not None:
        return result
    drift = drift_of(result.terms, series, baseline, now=now, since=since, mean=PROBATION_BLOCKS)
    if drift is None or drift.level is not Level.MISSED:
        complete = now - now % BLOCKS_PER_HOUR  # the test has counted nothing that came later
        decides = (
            drift is not None
            and drift.level is Level.MET
            and complete - since >= result.terms.lag_blocks
            and _tested_events(drift, baseline) >= _planned_events(result.terms, baseline)
        )
        return replace(result, as_before=True) if decides else result
    if _had_passed(result.terms, drift, baseline, since):
        return replace(result, as_before=True)
    if result.state is SloState.MISSED:
        return replace(result, as_before=False)
    if result.state is SloState.UNKNOWN and result.reason is not Reason.INSUFFICIENT_DATA:
        return result
    return replace(
        result,
        state=SloState.MISSED,
        reason=Reason.BASELINE_DROPPED,
        baseline=baseline,
        reading=None,
        drift=drift,
        is_calm=False,
        probation=True,
        as_before=False,
    )


def _tested_events(drift: Drift, baseline: Baseline) -> float:
    """Return the events of all whole sums that the test has counted."""
    return drift.count_after.total + _events_before(drift, baseline)


def _events_before(drift: Drift, baseline: Baseline) -> float:
    """Return the events of the version on probation before the stretch that decides."""
    return drift.count_before.total - baseline.count.total


def _had_passed(slo: SloTerms, drift: Drift, baseline: Baseline, since: int) -> bool:
    """Return whether answers were as before for as long as a probation lasts, and fell later.

    What falls then has another cause than the release, and the previous version would answer no better.
    """
    if not slo.measures_quality or drift.change_block is None:
        return False
    min_blocks, _ = probation_limits(slo.calendar)
    return drift.change_block - since >= min_blocks and _events_before(
        drift, baseline
    ) >= _planned_events(slo, baseline)


def without_ended_probation(
    terms: Terms, status: DataProductStatus, series: Mapping[str, Series], *, now: int, since: int
) -> DataProductStatus:
    """Return the status without a probation that is over at block `now`; see `is_over`."""
    begin_time, end = terms.block_end(since), terms.block_end(now)
    absent_seconds = end - begin_time - attended_seconds(status, begin_time, end)
    is_completed = is_over(
        status.engine.probation_baselines,
        terms,
        series,
        now=now,
        since=since,
        unattended_seconds=ceil(absent_seconds / terms.block_seconds),
    )
    return without_probation(status) if is_completed else status


def is_over(
    probation_baselines: Baselines,
    terms: Terms,
    series: Mapping[str, Series],
    *,
    now: int,
    since: int,
    unattended_seconds: int,
) -> bool:
    """Return whether the probation has enough evidence at block `now`.

    Parameters
    ----------
    series : its blocks by SLO. since : blocks up to this one are warm-up.
    unattended_seconds : blocks after it in which no operator observed the version.
    """
    age = now - since - unattended_seconds
    min_blocks, max_blocks = probation_limits(terms.calendar)
    if age >= max_blocks:
        return True
    if age < min_blocks:
        return False
    return all(
        _has_enough_events(
            slo, probation_baselines[slo.name], series.get(slo.name), now=now, since=since
        )
        for slo in terms.deciding
        if slo.name in probation_baselines and slo.gauge is None
    )


def probation_limits(calendar: Calendar) -> tuple[int, int]:
    """Return the least and most blocks of a probation: three hours, and a week."""
    min_blocks = max(calendar.blocks(MIN_HOURS), MIN_BLOCKS)
    return min_blocks, max(calendar.blocks(MAX_HOURS), min_blocks)


def _has_enough_events(
    slo: SloTerms, baseline: Baseline, series: Series | None, *, now: int, since: int
) -> bool:
    if series is None:
        return False
    planned_events = _planned_events(slo, baseline)
    return now - since >= slo.lag_blocks and series.between(since, now).total >= planned_events


def _planned_events(slo: SloTerms, baseline: Baseline) -> float:
    """Return the events by which a version that is worse by the margin is found."""
    ratio = min(ratio_of(baseline.count), 1 - slo.margin - 1e-6)
    return events_to_roll_back(ratio, slo.margin) * baseline.phi
