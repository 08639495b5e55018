"""What a decision leaves in status: when it begins to be carried out, and when a rollout has ended by it.

The operator carries a decision out over minutes, and a replay at once.
"""

from typing import Final, assert_never

from sluicegate.api.baseline import Baselines
from sluicegate.api.engine import EngineState, OriginalBaseline, SloRecord
from sluicegate.api.names import CHALLENGER_CAUSES
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus, LastHandled, SpecModel
from sluicegate.api.versions import (
    FULL_WEIGHT,
    Candidate,
    PastVersion,
    Probation,
    Share,
    Version,
    VersionBase,
    VersionSource,
)
from sluicegate.policy.model.decision import (
    ENDED_BY_FAULTS,
    Advance,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Retrain,
    Rollback,
    StartRollout,
    alert_key,
)
from sluicegate.policy.model.desired_model import LASTING_OUTCOMES, parent_of_next
from sluicegate.policy.model.history import with_accepted
from sluicegate.policy.model.retries import retry_seconds
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.retraining import pauses, tried_markets
from sluicegate.policy.rollout.candidates import (
    awaiting_approval,
    ended_shares,
    parked_candidate,
    restoring_candidate,
    started_candidate,
    with_promotion,
    with_rollback,
    with_share,
)
from sluicegate.policy.rollout.kept_verdict import verdict_of, verdict_of_return
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.policy.slo_health.label_settling import returns_traffic
from sluicegate.stats.paired import is_shown_better

FIRST_SECONDS: Final = 30
"""What comes up within this counts as stable from its beginning."""


def begin_decision(  # noqa: PLR0911 - one an outcome
    terms: Terms,
    status: DataProductStatus,
    decision: Decision,
    now: int,
    *,
    handled: LastHandled | None = None,
) -> DataProductStatus:
    """Compute the status when a decision starts at `now`, in seconds.

    A promotion or a rollback is recorded as complete only once the traffic has followed (`ended`). The
    traffic of a candidate returns to stable before another version starts; the decision is made again
    after that.

    Parameters
    ----------
    handled : the requests that were handled before this decision.
    """
    match decision:
        case Hold():
            return status
        case Alert():
            return _alert(status, decision)
        case Retrain():
            return _retrain(terms, status, decision, now)
        case StartRollout() if _has_traffic(status.candidate):
            return _superseded(status, decision, now, handled)
        case StartRollout():
            return _start(terms, status, decision, now)
        case Advance():
            return status.with_candidate(
                step=decision.step, target=decision.weight, wait_start_time=now
            )
        case Promote():
            return with_promotion(status, decision, now, suspended=terms.suspend)
        case Rollback():
            return _rolling_back(status, decision, now, handled)
        case Inconclusive():
            return with_rollback(status, decision.reason, decision.message, now)
        case _:
            assert_never(decision)


def end_rollout(
    terms: Terms,
    status: DataProductStatus,
    decision: Promote | Rollback | Inconclusive,
    now: int,
) -> DataProductStatus:
    """Compute the status when a rollout has ended by a decision at `now`, in seconds."""
    if isinstance(decision, Promote):
        return _promote(terms, status, decision, now)
    settles = status.engine.label_settling or any(slo.label_lag_seconds for slo in terms.slos)
    if settles and status.trial is not None and returns_traffic(status.trial.shares):
        status = status.with_engine(traffic_return_time=now)
    if isinstance(decision, Inconclusive):
        return _park(terms, status, decision.reason, now)
    if status.trial is not None and decision.leaving == status.trial.release:
        return _drop_candidate(terms, status, status.trial, decision.reason, now=now)
    return _restore(terms, status, decision, now)


def carry_out_at_once(
    terms: Terms, status: DataProductStatus, decision: Decision, now: int
) -> DataProductStatus:
    """Compute the status in a replay, where pods and traffic follow at once."""
    match decision:
        case StartRollout():
            status = _start(terms, status, decision, now)
        case Advance():
            pass
        case Inconclusive():
            return end_rollout(terms, begin_decision(terms, status, decision, now), decision, now)
        case Promote() | Rollback():
            return end_rollout(terms, status, decision, now)
        case _:
            return begin_decision(terms, status, decision, now)
    assert status.candidate is not None
    return status.replace(candidate=with_share(status.candidate, decision.weight, now))


def accept_first(
    terms: Terms, status: DataProductStatus, candidate: Candidate, now: int
) -> DataProductStatus:
    """Compute the status when the first version starts to serve; `now` in seconds.

    A version that starts quickly is stable from its creation: its Deployment is created with that
    annotation, which saves a write for every product.
    """
    now = candidate.start_time if now - candidate.start_time < FIRST_SECONDS else now
    return status.replace(
        stable=accepted_version(terms, candidate, now),
        candidate=None,
        history=tuple(
            past_version for past_version in status.history if past_version.promotion_time is None
        ),
        retraining=None,
        probation=None,
        spec_model=SpecModel.of(candidate.release, Outcome.PROMOTED, now),
        engine=EngineState(slos=fresh_slos(terms, now)),
    )


def accepted_version(terms: Terms, candidate: Candidate, now: int) -> Version:
    """Return a candidate as the stable version from `now`; its baselines are its hold-out counts."""
    return Version(
        **candidate.identity_fields,
        promotion_time=now,
        baseline=from_evaluation(candidate.evaluation, terms.slos, now),
    )


def _alert(status: DataProductStatus, decision: Alert) -> DataProductStatus:
    """Return the status after an alert; an alert about a candidate that passed starts the wait for its approval."""
    if decision.reason is Reason.AWAITING_APPROVAL and status.candidate is not None:
        status = status.replace(candidate=awaiting_approval(status.candidate))
    if not decision.about:
        return status
    key = alert_key(decision.reason, decision.about)
    return status.with_engine(emitted_alerts=(*status.engine.emitted_alerts, key))


def _retrain(
    terms: Terms, status: DataProductStatus, decision: Retrain, now: int
) -> DataProductStatus:
    """Return the status with a started training and its trigger: cause, indicator and numbers."""
    record = status.engine.slo(decision.slo)
    trigger = Trigger(
        id=decision.trigger,
        cause=str(decision.reason),
        slo=decision.slo,
        indicator=terms.indicator(decision.slo),
        iteration=decision.iteration,
        version=decision.parent.version,
        first_bad_block_time=record.missed_markets.get(decision.market)
        if record.streak is None
        else record.streak.first * terms.block_seconds,
        message=decision.message,
        market=decision.market,
        change_time=decision.changed,
        accepted_share=decision.accepted_share,
        trigger_time=now,
    )
    retraining_before = status.retraining or RetrainingStatus()
    return status.with_retraining(
        trigger=trigger,
        inputs=terms.retraining.inputs if terms.retraining else "",
        retry_time=None,
        attempt=decision.attempt,
        start_time=now,
        last_training_time=now,
        previous_training_time=retraining_before.last_training_time,
        started_attempts=retraining_before.number + 1,
    )


def _start(
    terms: Terms, status: DataProductStatus, decision: StartRollout, now: int
) -> DataProductStatus:
    training = status.training if decision.source is VersionSource.RETRAINING else None
    candidate_before = status.trial
    if candidate_before is not None and not (
        candidate_before.is_parked and candidate_before.release == decision.candidate
    ):
        candidate_before = None
    candidate = started_candidate(
        decision.candidate,
        decision.source,
        now,
        before=candidate_before,
        cause=training.cause if training else candidate_before.cause if candidate_before else "",
        cause_slo=training.slo
        if training
        else candidate_before.cause_slo
        if candidate_before
        else "",
        iteration=training.iteration
        if training
        else candidate_before.iteration
        if candidate_before
        else None,
        cause_market=training.market
        if training
        else candidate_before.cause_market
        if candidate_before
        else "",
        descends_from=_parent_bento(status, decision),
        target=decision.weight,
        derived=decision.derived,
        evaluation=dict(decision.evaluation),
        stable_evaluation=dict(decision.stable_evaluation),
        pairs=dict(decision.pairs),
        data_end_time=None if terms.shadow_seconds is None else decision.data_end,
        trigger=decision.trigger,
        requested=terms.suspend,  # nothing else starts one then
    )
    if candidate_before is not None:
        candidate = candidate.replace(
            retries=candidate_before.retries,
            api=candidate_before.api if candidate_before.changes_api else None,
            data_end_time=candidate_before.data_end_time,
            shadow=candidate_before.shadow,  # its rows aren't scored twice
        )
    model = status.spec_model
    if decision.source is VersionSource.SPEC:
        handled_model = decision.handles or decision.candidate
        model = SpecModel.of(handled_model, Outcome.IN_PROGRESS, now)
    status = status.replace(candidate=candidate, spec_model=model)
    return _without_training(status.with_engine(correlation={}, candidate_baselines={}), now)


def _parent_bento(status: DataProductStatus, decision: StartRollout) -> str:
    """Return the bento of spec.model from which the candidate was retrained; empty without a retraining."""
    if decision.source is VersionSource.RETRAINING:
        return parent_of_next(status)
    stable = status.stable
    renewal = stable is not None and decision.candidate.is_renewal_of(stable.release)
    return status.descends_from if renewal else ""


def _without_training(status: DataProductStatus, now: int) -> DataProductStatus:
    """Return the status without a running or failed training."""
    retraining = status.retraining
    if retraining is None or retraining.trigger is None:
        return status
    seconds_run = retraining.seconds_run(now)
    return status.with_retraining(trigger=None, last_duration_seconds=seconds_run, lost_jobs=0)


def fresh_slos(terms: Terms, now: int) -> dict[str, SloRecord]:
    """Return the initial state of each SLO of another serving version."""
    return {
        slo.name: SloRecord(steady_start_time=now, since=now, terms_hash=slo.indicator_hash)
        for slo in terms.slos
    }


def _has_traffic(candidate: Candidate | None) -> bool:
    """Return whether a candidate has traffic that must end before another version replaces it."""
    return candidate is not None and not candidate.is_parked and bool(candidate.shares)


def _superseded(
    status: DataProductStatus,
    decision: StartRollout | Rollback,
    now: int,
    last_handled: LastHandled | None,
) -> DataProductStatus:
    """Remove the candidate's traffic; the request that led to the decision remains unhandled."""
    waiting = status.replace(last_handled=last_handled)
    return with_rollback(waiting, Reason.SUPERSEDED, decision.message, now)


def _rolling_back(
    status: DataProductStatus, decision: Rollback, now: int, last_handled: LastHandled | None
) -> DataProductStatus:
    if _leaves_candidate(status, decision):
        return with_rollback(status, decision.reason, decision.cause or decision.message, now)
    if _has_traffic(status.candidate):
        return _superseded(status, decision, now, last_handled)
    restored_candidate = restoring_candidate(status, decision, now)
    return status if restored_candidate is None else status.replace(candidate=restored_candidate)


def _leaves_candidate(status: DataProductStatus, decision: Rollback) -> bool:
    return status.candidate is not None and status.candidate.release == decision.leaving


def _promote(
    terms: Terms, status: DataProductStatus, decision: Promote, now: int
) -> DataProductStatus:
    replaced_version, candidate, engine = status.stable, status.trial, status.engine
    assert replaced_version is not None
    assert candidate is not None
    baselines = dict(decision.candidate_baselines) or replaced_version.baseline
    better = tuple(name for name, rows in candidate.pairs.items() if is_shown_better(rows))
    probation_baselines = {
        name: baseline for name, baseline in baselines.items() if name not in better
    }
    other_versions = (
        baseline for baseline in status.accepted_versions if baseline.release != candidate.release
    )
    next_status = pauses.without_pause(status.with_retraining(trigger=None))
    if candidate.source is VersionSource.RETRAINING:
        pause = pauses.cooldown(terms, next_status.retraining)
        next_status = next_status.with_retraining(
            next_allowed_time=now + pause, last_reason=str(decision.reason)
        )
    original = engine.original_baseline or OriginalBaseline(version=replaced_version.version)
    original = original.replace(slos={**replaced_version.baseline, **original.slos})
    return next_status.replace(
        stable=accepted_version(terms, candidate, now).replace(
            verdict=verdict_of(terms, candidate, decision, now)
        ),
        candidate=None,
        history=with_accepted(
            status,
            (_replaced_version(status, replaced_version, baselines, now), *other_versions),
            terms.history_limit,
        ),
        probation=Probation(
            version=candidate.version,
            against=replaced_version.version,
            start_time=now,
            shown_better=better,
        ),
        spec_model=_model(status, candidate, Outcome.PROMOTED, now),
        engine=engine.replace(
            slos=fresh_slos(terms, now),
            tried_markets=tried_markets.tried_after_promotion(terms, status, candidate, now),
            original_baseline=original if original.slos else None,
            probation_baselines=probation_baselines,
            candidate_baselines={},
            correlation={},
            emitted_alerts=(),
        ),
    )


def _replaced_version(
    status: DataProductStatus, version: Version, probation_baselines: Baselines, now: int
) -> PastVersion:
    """Return the replaced version with its last results, for a later rollback."""
    worse = {
        name: baseline.count
        for name, baseline in probation_baselines.items()
        if baseline != version.baseline.get(name) and baseline.count.total
    }
    degraded = tuple(sorted(name for name, slo in status.engine.slos.items() if slo.degraded))
    return _past_version(version, Outcome.REPLACED, now).replace(record=worse, degraded=degraded)


def _past_version(version: Version, outcome: Outcome, now: int, reason: str = "") -> PastVersion:
    return PastVersion(
        **version.identity_fields,
        outcome=outcome,
        reason=reason,
        promotion_time=version.promotion_time,
        restored=version.restored,
        end_time=now,
        baseline=version.baseline,
        verdict=version.verdict,
        shares=ended_shares(_complete_shares(version), now),
    )


def _complete_shares(version: Version) -> tuple[Share, ...]:
    """Return the shares of a stable version up to all traffic; empty where they aren't recorded."""
    shares = version.shares
    if not shares or shares[-1].weight == FULL_WEIGHT:
        return shares
    return (*shares, Share(weight=FULL_WEIGHT, start_time=version.promotion_time))


def _model(
    status: DataProductStatus, candidate: Candidate, outcome: Outcome, now: int
) -> SpecModel | None:
    """Return the outcome of spec.model if the candidate is its version."""
    model = status.spec_model
    if (
        model is None
        or model.outcome not in LASTING_OUTCOMES
        or candidate.source is not VersionSource.SPEC
    ):
        return model
    return model.replace(outcome=outcome, outcome_time=now)


def _drop_candidate(
    terms: Terms, status: DataProductStatus, candidate: Candidate, reason: Reason, *, now: int
) -> DataProductStatus:
    superseded = reason is Reason.SUPERSEDED
    if candidate.source is VersionSource.RETRAINING:
        failed = not superseded
        status = _after_candidate(terms, status, candidate, reason, now=now, failed=failed)
    model = (
        _with_model_unhandled(status, candidate)
        if superseded
        else _model(status, candidate, Outcome.ROLLED_BACK, now)
    )
    status = status.replace(candidate=None, spec_model=model)
    return status.with_engine(correlation={}, candidate_baselines={})


def _with_model_unhandled(status: DataProductStatus, candidate: Candidate) -> SpecModel | None:
    """Return spec.model as unhandled after its candidate was superseded, so that it may start again."""
    model = status.spec_model
    is_of_candidate = model is not None and model.release == candidate.release
    return None if is_of_candidate and candidate.source is VersionSource.SPEC else model


def _after_candidate(
    terms: Terms,
    status: DataProductStatus,
    version: VersionBase,
    reason: Reason,
    *,
    now: int,
    failed: bool,
) -> DataProductStatus:
    """Return the status after a trained version was rolled back, or ended without a verdict."""
    next_status = status.with_retraining(last_reason=str(reason))
    if reason is Reason.SUPERSEDED:
        return next_status
    challenger = version.cause in CHALLENGER_CAUSES
    return pauses.with_counted_attempt(
        terms, next_status, pauses.EndedAttempt(reason, failed, challenger, now)
    )


def _restore(
    terms: Terms, status: DataProductStatus, decision: Rollback, now: int
) -> DataProductStatus:
    """Return the status in which an earlier version replaces stable, and the candidate is discarded."""
    leaving_version = status.stable
    assert leaving_version is not None
    entry = next(entry for entry in status.accepted_versions if entry.release == decision.to)
    other_versions = tuple(
        other for other in status.accepted_versions if other.release != decision.to
    )
    restored_version = Version(
        **entry.identity_fields,
        promotion_time=now,
        restored=True,
        baseline=entry.baseline,
        verdict=verdict_of_return(entry, decision),
    )
    next_status = _without_training(status, now)
    if leaving_version.source is VersionSource.RETRAINING:
        next_status = _after_candidate(
            terms, next_status, leaving_version, decision.reason, now=now, failed=True
        )
    model = status.spec_model
    if status.trial is not None and decision.reason is not Reason.ROLLBACK_REQUESTED:
        model = _with_model_unhandled(status, status.trial)  # what it was tried against is gone
    if model is not None and _stops_model(model, leaving_version, restored_version):
        model = model.replace(outcome=Outcome.ROLLED_BACK, outcome_time=now)
    past_version = _past_version(leaving_version, Outcome.ROLLED_BACK, now, str(decision.reason))
    return next_status.replace(
        stable=restored_version,
        candidate=None,
        history=with_accepted(status, (past_version, *other_versions), terms.history_limit),
        probation=None,
        spec_model=model,
        engine=status.engine.replace(
            slos=fresh_slos(terms, now),
            tried_markets=tried_markets.tried_after_rollback(terms, status, now),
            probation_baselines={},
            candidate_baselines={},
            correlation={},
            emitted_alerts=(),
        ),
    )


def _stops_model(model: SpecModel, leaving_version: Version, restored_version: Version) -> bool:
    """Return whether the rollback stops the version of spec.model or its retrained successor."""
    was_served = (
        leaving_version.release == model.release or leaving_version.descends_from == model.image
    )
    serves = (
        restored_version.release == model.release or restored_version.descends_from == model.image
    )
    return was_served and not serves


def _park(terms: Terms, status: DataProductStatus, reason: Reason, now: int) -> DataProductStatus:
    candidate = status.trial
    assert candidate is not None
    if reason in ENDED_BY_FAULTS:
        retry_time = now + retry_seconds(candidate.retries)
        waiting_candidate = parked_candidate(
            candidate, retry_time=retry_time, retries=candidate.retries + 1
        )
        return status.replace(candidate=waiting_candidate)
    if candidate.source is VersionSource.RETRAINING:
        status = _after_candidate(terms, status, candidate, reason, now=now, failed=False)
    model = _model(status, candidate, Outcome.INCONCLUSIVE, now)
    return status.replace(candidate=parked_candidate(candidate), spec_model=model)
