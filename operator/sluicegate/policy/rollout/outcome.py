"""The outcome of a rollout, once pods and traffic have followed the decision about it.

A candidate without pods loses its traffic at once, with the cause INFRASTRUCTURE; whether the version or the
cluster is the cause is observed while the traffic moves. So this module gives the final verdict.
"""

from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, PastVersion, VersionSource
from sluicegate.policy.model.decision import ENDED_BY_FAULTS, Inconclusive, Promote, Rollback
from sluicegate.policy.model.history import MAX_VERSIONS, newest_first
from sluicegate.policy.model.observed import Failure
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.candidates import ended_shares
from sluicegate.policy.rollout.decision_status import accept_first, end_rollout
from sluicegate.policy.rollout.kept_verdict import verdict_of
from sluicegate.policy.rollout.rollbacks import roll_back_candidate, roll_back_stable

AT_FAULT: Final = frozenset(
    {
        Reason.CANARY_NOT_READY,
        Reason.IMAGE_NOT_FOUND,
        Reason.RUNTIME_MISMATCH,
        Reason.SERVICE_NOT_FOUND,
    }
)
"""Reasons after which an earlier version isn't restored again: its own pods failed."""


def complete_decision(
    terms: Terms, status: DataProductStatus, attribution: Failure | None, now: int
) -> tuple[DataProductStatus, Promote | Rollback | Inconclusive | None]:
    """Return the status after the traffic has followed the decision, and the completed decision.

    Parameters
    ----------
    attribution : the cause if no pod of the candidate is ready. now : in seconds.

    Returns
    -------
    The decision is None for a first version, which nothing decided, and for an earlier version that
    wasn't restored: stable stays.
    """
    candidate = status.candidate
    assert candidate is not None
    if status.stable is None:
        return accept_first(terms, status, candidate, now), None
    promoting = candidate.phase is CandidatePhase.PROMOTING
    if candidate.restoring and not promoting:
        history = without_return(status, candidate, now)
        return status.replace(candidate=None, history=history), None
    decision = conclude(status, candidate, attribution)
    next_status = end_rollout(terms, status, decision, now)
    if promoting or isinstance(decision, Promote):
        return with_outcome(next_status, candidate, Outcome.PROMOTED, decision.reason), decision
    if decision.reason in ENDED_BY_FAULTS:
        return next_status, decision
    return _refused(terms, next_status, candidate, decision, now=now), decision


def with_ended_shares(
    next_status: DataProductStatus, candidate: Candidate, now: int
) -> DataProductStatus:
    """Return the status with the ended shares of a rolled back candidate, whose labels still arrive."""
    newest_version, *older_versions = next_status.history
    if newest_version.revision != candidate.revision or candidate.restoring:
        return next_status
    newest_version = newest_version.replace(shares=ended_shares(candidate.shares, now))
    return next_status.replace(history=(newest_version, *older_versions))


def conclude(
    status: DataProductStatus, candidate: Candidate, attribution: Failure | None
) -> Promote | Rollback | Inconclusive:
    """Return the record of a candidate that has received, or lost, all of the traffic.

    Parameters
    ----------
    attribution : the cause if no pod of it is ready.
    """
    if candidate.phase is CandidatePhase.PROMOTING:
        return _promoted(status, candidate)
    reason, message = Reason.read(candidate.decision_reason), candidate.decision_message
    if reason is Reason.INFRASTRUCTURE and attribution is not None and attribution.own:
        reason, message = attribution.reason, attribution.message
    if reason in ENDED_BY_FAULTS or reason is Reason.MAX_DURATION:
        return Inconclusive(reason=reason, message=message)
    return roll_back_candidate(status, reason, message)


def outcome_of(decision: Rollback | Inconclusive) -> Outcome:
    """Return the history's outcome of a candidate that isn't retried automatically."""
    if isinstance(decision, Inconclusive):
        return Outcome.INCONCLUSIVE
    return Outcome.SUPERSEDED if decision.reason is Reason.SUPERSEDED else Outcome.ROLLED_BACK


def without_return(
    status: DataProductStatus, candidate: Candidate, now: int
) -> tuple[PastVersion, ...]:
    """Return the history after a failed rollback, without the version whose own pods failed.

    A person may still ask for it.
    """
    if candidate.decision_reason not in AT_FAULT:
        return status.history
    failed = {"outcome": Outcome.FAILED, "reason": candidate.decision_reason, "end_time": now}
    history = (
        past_version.model_copy(update=failed)
        if past_version.revision == candidate.revision
        else past_version
        for past_version in status.history
    )
    return newest_first(history)


def _promoted(status: DataProductStatus, candidate: Candidate) -> Promote | Rollback:
    message = candidate.decision_message or f"{candidate.version} serves all traffic"
    if candidate.restoring:
        reason = Reason.read(candidate.decision_reason)
        return roll_back_stable(status, candidate.release, reason, message)
    return Promote(
        reason=Reason.read(candidate.decision_reason or Reason.CANARY_NOT_WORSE),
        message=message,
        candidate=candidate.release,
        candidate_baselines=status.engine.candidate_baselines,
    )


def _refused(
    terms: Terms,
    next_status: DataProductStatus,
    candidate: Candidate,
    decision: Rollback | Inconclusive,
    *,
    now: int,
) -> DataProductStatus:
    """Return the status with the outcome of a candidate that isn't retried automatically."""
    outcome, reason = outcome_of(decision), decision.reason
    candidate = candidate.replace(decision_reason=str(reason), decision_message=decision.message)
    next_status = with_outcome(next_status, candidate, outcome, reason)
    refused_version = PastVersion(
        **candidate.identity_fields,
        outcome=outcome,
        reason=str(reason),
        end_time=now,
        verdict=verdict_of(terms, candidate, decision, now),
    )
    return next_status.replace(
        history=newest_first((refused_version, *next_status.history))[:MAX_VERSIONS]
    )


def with_outcome(
    status: DataProductStatus, candidate: Candidate, outcome: Outcome, reason: Reason
) -> DataProductStatus:
    """Return the status with the candidate's outcome at its training attempt or spec.model."""
    model, retraining = status.spec_model, status.retraining
    returned = int(candidate.restoring)  # then the newest of the history is what was left
    if model is not None and model.is_rejected:
        tried_markets = {
            candidate.release,
            *(retraining.release for retraining in status.history[:returned]),
        }
        if model.release in tried_markets or reason is Reason.ROLLBACK_REQUESTED:
            model = model.replace(reason=str(reason))
    elif model is not None:
        model = model.replace(reason="")
    status = status.replace(spec_model=model)
    if (
        candidate.source is not VersionSource.RETRAINING
        or retraining is None
        or retraining.last_result is None
    ):
        return status
    if candidate.restoring or retraining.last_result.image != candidate.image:
        return status
    update: dict[str, object] = {"outcome": outcome, "reason": str(reason)}
    if candidate.decision_message and outcome is not Outcome.PROMOTED:
        update["message"] = candidate.decision_message[:4096]
    return status.with_retraining(last_result=retraining.last_result.replace(**update))
