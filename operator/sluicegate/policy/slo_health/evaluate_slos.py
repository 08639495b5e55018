"""How the stable version does: each SLO judged, remembered, and its baseline learnt.

Lasting state is in status; each evaluation reads the blocks again.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import ceil

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.engine import SloRecord
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy.model.excluded_blocks import BlockSpan, exclude_blocks, spans_of
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health import gauge_slo, probation
from sluicegate.policy.slo_health.baseline import (
    from_production,
    is_season_known,
    production_needs,
    usable_baseline,
)
from sluicegate.policy.slo_health.client_errors import client_errors, judge_client_errors
from sluicegate.policy.slo_health.confirmation import confirm
from sluicegate.policy.slo_health.data_quality import (
    SloInput,
    data_problem,
    evidence_since,
    labels_are_due,
    settling_block,
)
from sluicegate.policy.slo_health.ratio_slo import SloResult, judge, shown_block_count, unknown
from sluicegate.slo.blocks import Quality, Series
from sluicegate.slo.budget import WINDOW_HOURS
from sluicegate.stats.canary_duration import warmed_up
from sluicegate.stats.counts import NOTHING, Count


def judge_stable(
    terms: Terms, status: DataProductStatus, stable: Version, observed: Observed
) -> tuple[tuple[SloResult, ...], DataProductStatus]:
    """Return the results of the stable version's SLOs, and the states to keep."""
    series = observed.series.get(stable.release.version, {})
    now = observed.block
    has_series = any(
        slo_series.block(now).quality not in {Quality.NO_SERIES, Quality.MISSING}
        for slo_series in series.values()
    )
    results: list[SloResult] = []
    slos: dict[str, SloRecord] = {}
    baselines: dict[str, Baseline] = {}
    warm_up_end = warmed_up(stable.promotion_time, terms.block_seconds)
    for slo in terms.slos:
        record, blocks = status.engine.slo(slo.name), series.get(slo.name)
        since, spans = (
            evidence_since(terms, status, stable, slo),
            spans_of(record, terms.block_seconds),
        )
        problem = observed.problem or observed.problems.get(slo.name)
        settling_end = settling_block(terms, status, stable, slo)
        labels_due = labels_are_due(terms, slo, series, since=since, now=now)
        view = SloInput(
            terms=slo,
            series=blocks,
            version_has_series=has_series,
            now=now,
            since=since,
            problem=problem,
            version=stable.release.version,
            settles=settling_end,
            warm_up_end=warm_up_end,
            labels_due=labels_due,
        )
        result = _judge(terms, view, status, stable, observed=observed, spans=spans)
        results.append(result)
        next_record = confirm(record, result, block=now, block_end=terms.block_end(now))
        next_record = _without_drop(terms, record, next_record, result)
        if next_record is not record:
            slos[slo.name] = next_record
        learnt = _learn(terms, result, next_record, view, observed=observed)
        if learnt is not None:
            baselines[slo.name] = learnt
    client_error_result = judge_client_errors(terms, status, stable, series, observed=observed)
    if client_error_result is not None:
        results.append(client_error_result)
        name = client_error_result.terms.name
        record, end = status.engine.slo(name), terms.block_end(now)
        slos[name] = confirm(record, client_error_result, block=now, block_end=end)
    if slos:
        status = status.with_engine(slos={**status.engine.slos, **slos})
    if baselines:
        accepted = stable.replace(baseline={**stable.baseline, **baselines})
        status = status.replace(stable=accepted)
    return tuple(results), _probation_over(terms, status, stable, series, now=now)


def _without_drop(
    terms: Terms, previous_record: SloRecord, next_record: SloRecord, result: SloResult
) -> SloRecord:
    """Return the SLO's record without the blocks of a drop that just ended.

    They would be evidence of a fall for as long again, and the next one would be found no sooner by them.
    """
    drift = result.drift
    if not previous_record.degraded or next_record.degraded or drift is None:
        return next_record
    if drift.recovery_block is None or drift.change_block is None:
        return next_record
    return exclude_blocks(
        next_record, drift.change_block + 1, drift.recovery_block, terms.block_seconds
    )


def _judge_gauge(terms: Terms, view: SloInput, stable: Version, observed: Observed) -> SloResult:
    slo = view.terms
    baseline = usable_baseline(stable.baseline.get(slo.name), slo)
    if view.problem is not None:
        result = unknown(slo, view.problem, NOTHING, baseline)
    else:
        result = gauge_slo.judge(
            slo,
            observed.means(stable.version, slo.name),
            baseline,
            now=view.now,
            since=view.since,
            drift_since=_drift_since(terms, view, baseline),
        )
    return replace(result, until=_exclusion_end(terms, view, result.reason))


def _judge(
    terms: Terms,
    view: SloInput,
    status: DataProductStatus,
    stable: Version,
    *,
    observed: Observed,
    spans: tuple[BlockSpan, ...],
) -> SloResult:
    slo, series, now = view.terms, view.series, view.now
    if slo.gauge is not None:
        return _judge_gauge(terms, view, stable, observed)
    baseline = usable_baseline(stable.baseline.get(slo.name), slo)
    begin_time = max(stable.promotion_time, status.engine.slo(slo.name).since)
    shown_since = begin_time // terms.block_seconds
    reason = data_problem(view)
    if reason is Reason.WARMING_UP and now > view.warm_up_end:
        reason = Reason.INSUFFICIENT_DATA  # not the version, only its evidence has just begun
    if reason is not None or series is None:
        recent_count = (
            Count(0, 0) if series is None else series.window(now, slo.recent, shown_since)
        )
        result = unknown(slo, reason or Reason.NO_DATA, recent_count, baseline)
        blocks = shown_block_count(slo, now, shown_since)
        until = _exclusion_end(terms, view, result.reason)
        budget = _budget(terms, stable, series, now=now)
        return replace(result, budget=budget, shown_blocks=blocks, until=until)
    record = status.engine.slo(slo.name)
    result = _judge_counts(
        terms,
        replace(view, series=series),
        baseline,
        spans=spans,
        shown_since=shown_since,
        missed=record.degraded or record.streak is not None,
    )
    if status.probation is not None and slo.name in status.engine.probation_baselines:
        probation_baseline = status.engine.probation_baselines[slo.name]
        counted_series = series.without(spans) if spans else series
        result = probation.judge(
            result, counted_series, probation_baseline, now=now, since=view.since
        )
    result = _with_needs(terms, view, status, result)
    return replace(result, budget=_budget(terms, stable, series, now=now))


def _with_needs(
    terms: Terms, view: SloInput, status: DataProductStatus, result: SloResult
) -> SloResult:
    """Return the result with the needs of its production baseline, where only this baseline ends the wait."""
    slo = view.terms
    awaits_baseline = result.reason is Reason.INSUFFICIENT_DATA and result.state is SloState.UNKNOWN
    if not awaits_baseline or result.baseline is not None or slo.allowed_bad_ratio is not None:
        return result
    until, needed = production_needs(
        slo,
        status.engine.slo(slo.name),
        result.recent_count,
        now=view.now,
        since=view.since,
        block_seconds=terms.block_seconds,
    )
    return replace(result, until=until, needed_events=needed)


def _exclusion_end(terms: Terms, view: SloInput, reason: Reason) -> int | None:
    """Return the end of the last block that doesn't count, in seconds; None for reasons that no time ends."""
    match reason:
        case Reason.LABELS_SETTLING:
            return terms.block_end(view.settles)
        case Reason.WARMING_UP:
            return terms.block_end(view.since)
        case Reason.BACKFILLING:
            return terms.block_end(view.warm_up_end)
        case _:
            return None


def _judge_counts(
    terms: Terms,
    view: SloInput,
    baseline: Baseline | None,
    *,
    spans: tuple[BlockSpan, ...],
    shown_since: int,
    missed: bool,
) -> SloResult:
    """Return the verdict on counts: on blocks after the last disturbance, or on all but disturbances.

    The worse holds: what came after it finds a large decay at once, all of it finds one in the few
    events between disturbances that come often.
    """
    assert view.series is not None
    drift_since = _drift_since(terms, view, baseline)
    judge_counts = partial(judge, view.terms, baseline=baseline, now=view.now, missed=missed)
    last_excluded = spans[-1].last if spans else 0
    newest = judge_counts(
        view.series,
        since=max(view.since, last_excluded),
        drift_since=max(drift_since, last_excluded),
        shown_since=max(shown_since, last_excluded),
    )
    if not spans or newest.state is SloState.MISSED:
        return newest
    result = judge_counts(
        view.series.without(spans),
        since=view.since,
        drift_since=drift_since,
        shown_since=shown_since,
    )
    if newest.state is SloState.AT_RISK and result.state is SloState.MET:
        return newest
    excluded_since = max(view.since, shown_since)
    if (
        not result.recent_count.total
        and view.series.window(view.now, view.terms.recent, excluded_since).total
    ):
        without_evidence = unknown(view.terms, Reason.INSUFFICIENT_DATA, NOTHING, baseline)
        return replace(
            without_evidence,
            shown_blocks=result.shown_blocks,
            left_out=terms.block_end(last_excluded),
        )
    return result


def _budget(terms: Terms, stable: Version, series: Series | None, *, now: int) -> Count:
    """Return all events that count for the error budget, whatever their cause."""
    since = stable.promotion_time // terms.block_seconds
    length = terms.calendar.blocks(WINDOW_HOURS)
    return NOTHING if series is None else series.window(now, length, since)


def _drift_since(terms: Terms, view: SloInput, baseline: Baseline | None) -> int:
    return (
        view.since
        if baseline is None
        else max(view.since, ceil(baseline.end / terms.block_seconds))
    )


def _learn(
    terms: Terms, result: SloResult, record: SloRecord, view: SloInput, *, observed: Observed
) -> Baseline | None:
    """Return the production baseline if it is complete; else None."""
    current = result.baseline
    if record.disturbance_start_time is not None:
        return None
    if current is not None and current.source is BaselineSource.PRODUCTION and not result.probation:
        return None
    if result.gauge is not None and view.terms.gauge is not None:
        return _learn_gauge(terms, result, record, view, observed=observed)
    if view.series is None or not _may_be_learnt_from(result, record):
        return None
    baseline = from_production(
        view.terms,
        record,
        view.series,
        now=view.now,
        since=view.since,
        block_seconds=terms.block_seconds,
        pod_seconds=observed.pod_seconds,
    )
    # The hours of a day differ by a season or by a decay: no reason yet to give a hold-out up.
    season_unknown = baseline is not None and not is_season_known(baseline, view.terms.calendar)
    return None if season_unknown and current is not None else baseline


_TOO_LITTLE = frozenset({Reason.INSUFFICIENT_DATA, Reason.BASELINE_TOO_SMALL})
"""Why an SLO is Unknown although all is measured: what only a baseline of production can end."""


def _may_be_learnt_from(result: SloResult, record: SloRecord) -> bool:
    """Return whether the SLO is known to be met, so that a baseline may be learnt.

    Without an objective this is unknown before there is a baseline, so it is learnt then, too.
    """
    was_steady = not record.degraded and record.steady_start_time is not None
    lacks_evidence = result.state is SloState.UNKNOWN and result.reason in _TOO_LITTLE
    return was_steady and (lacks_evidence or result.state is SloState.MET)


def _learn_gauge(
    terms: Terms, result: SloResult, record: SloRecord, view: SloInput, *, observed: Observed
) -> Baseline | None:
    """Return the baseline of a gauge; a gauge without a bound is Unknown until it has a baseline."""
    if result.state in {SloState.AT_RISK, SloState.MISSED} or record.degraded:
        return None
    values = observed.means(view.version, view.terms.name)
    steady_block = ceil((record.steady_start_time or 0) / terms.block_seconds)
    return gauge_slo.learn_baseline(
        view.terms, values, now=view.now, since=max(view.since, steady_block)
    )


def _probation_over(
    terms: Terms,
    status: DataProductStatus,
    stable: Version,
    series: Mapping[str, Series],
    *,
    now: int,
) -> DataProductStatus:
    if status.probation is None:
        return status
    judged_slos = (*terms.deciding, client_errors(terms))
    if any(status.engine.slo(slo.name).streak is not None for slo in judged_slos):
        return status
    warm_up_end = warmed_up(stable.promotion_time, terms.block_seconds)
    settling = (settling_block(terms, status, stable, slo) for slo in terms.deciding)
    since = max(warm_up_end, *settling, 0)
    return probation.without_ended_probation(terms, status, series, now=now, since=since)
