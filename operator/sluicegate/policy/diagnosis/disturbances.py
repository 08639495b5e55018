"""What was measured while something else was broken is no evidence against the model, ever after.

An upstream's incident ends, the labels of its time stay in windows of days and in the CUSUM. So
when a cause outside the model ends, the blocks of its time are left out for good: evidence before
and after them counts, and a decay is found even if an upstream fails every few hours. A verdict
must be confirmed again. The few hourly means of a gauge start again instead. If no measurement in
that time was worse than accepted, no block is ignored.
"""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.engine import SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.diagnosis.checks import DiagnosisResult
from sluicegate.policy.diagnosis.upstream_release import was_named
from sluicegate.policy.model.excluded_blocks import BEFORE_BLOCKS, exclude_blocks
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.current_level import accepted_limit
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.serving_skew import compare

CAUSES: Final = frozenset(
    {
        Reason.UPSTREAM_DEGRADED,
        Reason.UPSTREAM_RELEASED,
        Reason.COMMON_CAUSE,
        Reason.PODS_UNHEALTHY,
        Reason.NODE_BUSY,
        Reason.CPU_THROTTLED,
        Reason.MEMORY_PRESSURE,
        Reason.TRAFFIC_ANOMALY,
        Reason.INPUT_STALE,
        Reason.INPUT_CHANGED,
    }
)
"""Causes outside the model that come and go."""


def with_disturbances(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    results: tuple[SloResult, ...],
    *,
    diagnoses: Iterable[DiagnosisResult],
) -> DataProductStatus:
    """Return the status with the causes outside the model that began or ended with this block.

    An SLO whose evidence starts again is evaluated again.
    """
    if observed.problem is not None or not observed.facts.complete:
        return status  # what was measured meanwhile may not be read yet, or the cause still exists unread
    diagnosed = {diagnosis.slo: diagnosis for diagnosis in diagnoses}
    causes = {slo: diagnosis.cause for slo, diagnosis in diagnosed.items()}
    changed: dict[str, SloRecord] = {}
    end = terms.block_end(observed.block)
    for result in results:
        name, record = result.terms.name, status.engine.slo(result.terms.name)
        late = result.terms.measures_quality and any(
            data_input.is_bad for data_input in observed.facts.inputs
        )
        is_disturbed = causes.get(name) in CAUSES or bool(observed.facts.upstream_degraded) or late
        correction_begin = _corrected_since(terms, status, result, causes.get(name))
        if correction_begin is not None:
            since = record.replace(disturbance_start_time=correction_begin)
            changed[name] = _without(terms, since, result, observed.block)
        elif is_disturbed and record.disturbance_start_time is None:
            begin_time = end - terms.block_seconds
            release = diagnosed[name].release if name in diagnosed else None
            begin_times = (observed.facts.upstream_since, release.begin if release else None)
            first = min(
                (begin_time for begin_time in begin_times if begin_time is not None),
                default=begin_time,
            )
            changed[name] = record.replace(disturbance_start_time=min(begin_time, first))
        elif (
            not is_disturbed
            and record.disturbance_start_time is not None
            and not _is_hidden(result, causes)
            and not _is_ongoing(terms, status, observed, result.terms.name, cause=causes.get(name))
        ):
            kept = _is_decay_beside(status, record, diagnosed.get(name))
            was_worse = not kept and _was_worse(terms, status, observed, result)
            changed[name] = record.replace(disturbance_start_time=None)
            if was_worse:
                changed[name] = _without(terms, record, result, observed.block)
    if not changed:
        return status
    return status.with_engine(slos={**status.engine.slos, **changed})


def _corrected_since(
    terms: Terms, status: DataProductStatus, result: SloResult, cause: Reason | None
) -> int | None:
    """Return the begin of the bad blocks that a training has contradicted, once the present is as accepted; else None.

    Served features that were wrong, and no longer are, say nothing about the model.
    """
    if cause is not Reason.RECOVERED:
        return None
    skew = compare(terms, status, result.terms)
    streak = status.engine.slo(result.terms.name).streak
    if skew is None or not skew.differs or streak is None:
        return None
    return terms.block_end(streak.first - 1)


def evidence_restarted(before: DataProductStatus, after: DataProductStatus) -> bool:
    """Return whether the evidence of any SLO was restarted."""
    return any(
        (slo.since, slo.ignored_intervals) != (record_before.since, record_before.ignored_intervals)
        for name, slo in after.engine.slos.items()
        for record_before in (before.engine.slo(name),)
    )


def _without(terms: Terms, record: SloRecord, result: SloResult, block: int) -> SloRecord:
    """Return the record of an SLO without its evidence from the disturbance up to this block."""
    assert record.disturbance_start_time is not None
    end = terms.block_end(block)
    if result.terms.gauge is not None:
        return SloRecord(steady_start_time=end, since=end, terms_hash=record.terms_hash)
    restarted = SloRecord(
        steady_start_time=end,
        since=record.since,
        terms_hash=record.terms_hash,
        ignored_intervals=record.ignored_intervals,
        missed_markets=record.missed_markets,
    )
    begin_block = record.disturbance_start_time // terms.block_seconds - BEFORE_BLOCKS
    return exclude_blocks(restarted, begin_block + 1, block, terms.block_seconds)


def _is_hidden(result: SloResult, causes: dict[str, Reason]) -> bool:
    """Return whether a cause may still exist unseen: an SLO that can't be judged has no diagnosis."""
    return result.terms.name in causes and result.state is SloState.UNKNOWN


def _is_ongoing(
    terms: Terms, status: DataProductStatus, observed: Observed, slo: str, *, cause: Reason | None
) -> bool:
    """Return whether the release that was the cause still has its share while the newest events are as accepted.

    Labels that come late in bursts look so for an hour. The evidence since the release is kept until the SLO
    has recovered, so that the same drop isn't found again as one of its own.
    """
    return cause is Reason.RECOVERED and any(
        release.ended is None and was_named(terms, status, slo, release)
        for release in observed.facts.upstream_releases
    )


def _is_decay_beside(
    status: DataProductStatus, record: SloRecord, diagnosis: DiagnosisResult | None
) -> bool:
    """Return whether a release is the cause no longer because the SLO is shown to change by itself beside it.

    The release goes on, and the blocks since then are the evidence of that change.
    """
    before, begin = status.diagnosis, record.disturbance_start_time
    if before is None or before.cause != Reason.UPSTREAM_RELEASED or diagnosis is None:
        return False
    assert begin is not None
    return any(
        release.begin <= begin for finding in diagnosis.findings for release in finding.beside
    )


def _was_worse(
    terms: Terms, status: DataProductStatus, observed: Observed, result: SloResult
) -> bool:
    """Return whether a measurement during the disturbance was worse than accepted; true for gauges."""
    record = status.engine.slo(result.terms.name)
    assert status.stable is not None
    assert record.disturbance_start_time is not None
    series = observed.counts(status.stable.version, result.terms.name)
    limit = accepted_limit(result.terms, result.baseline)
    if record.degraded or result.state in {SloState.AT_RISK, SloState.MISSED} or limit is None:
        return True
    if series is None:
        return result.terms.gauge is not None
    begin_block = record.disturbance_start_time // terms.block_seconds - BEFORE_BLOCKS
    count = series.between(max(begin_block, 0), observed.block)
    return count.bad > limit * count.total
