"""Rollbacks of a candidate whose pods don't become ready, or whose weight isn't followed by traffic.

What its requests show is judged in verdict.py; this is decided in each phase, and needs no evidence.
"""

from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL_WEIGHT, Candidate, CandidatePhase
from sluicegate.policy.model.decision import Rollback
from sluicegate.policy.model.observed import Failure, Observed, RolloutProgress
from sluicegate.policy.rollout.api_gate import is_held
from sluicegate.policy.rollout.rollbacks import roll_back_candidate

PROMOTION_SECONDS: Final = 600
"""A promotion that the gateway hasn't taken by then, or only in part, is rolled back."""
_ENDING_PHASES: Final = frozenset({CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED})


def setback_rollback(status: DataProductStatus, observed: Observed) -> Rollback | None:
    """Return the rollback of a candidate whose rollout can't continue; None while it can."""
    candidate, stable, progress = status.candidate, status.stable, observed.rollout
    if candidate is None or stable is None or progress is None or candidate.phase in _ENDING_PHASES:
        return None
    if (
        progress.is_changing
        or progress.frozen
        or (is_held(status, observed) and not progress.unrecoverable)
    ):
        return None
    if candidate.phase is CandidatePhase.PROMOTING and candidate.weight >= FULL_WEIGHT:
        failure = _traffic_failure(candidate, progress)
    else:
        failure = _start_failure(candidate, progress) if progress.wants_share else None
    if failure is None:
        return None
    text = f"{candidate.version} is rolled back: {failure.message}"
    if candidate.restoring:
        text = f"the rollback to {candidate.version} failed, {stable.version} remains stable: {failure.message}"
    return roll_back_candidate(status, failure.reason, text, cause=failure.message)


def _start_failure(candidate: Candidate, progress: RolloutProgress) -> Failure | None:
    """Return the failure of unrecoverable pods, or of pods past their deadline."""
    own_failure = (
        candidate.restoring
        or progress.attribution is None
        or progress.attribution.reason is not Reason.INFRASTRUCTURE
    )
    if progress.problem is not None and progress.unrecoverable and own_failure:
        return progress.problem
    if progress.waited_seconds <= progress.deadline:
        return None
    text = (
        f"its pods weren't ready after {progress.waited_seconds:.0f} s: {_failure_text(progress)}"
    )
    return _attributed_failure(candidate, progress, text)


def _traffic_failure(candidate: Candidate, progress: RolloutProgress) -> Failure | None:
    """Return the failure of a candidate with all traffic and no ready pod, or whose share wasn't applied.

    Where the traffic merely can't be counted, the pods of stable wait.
    """
    no_version_serves = not progress.stable_serves
    if not progress.serves and (not no_version_serves or progress.given_since > progress.deadline):
        return _attributed_failure(candidate, progress, _failure_text(progress))
    if progress.not_followed and progress.given_since > PROMOTION_SECONDS:
        return Failure(Reason.TRAFFIC_NOT_VERIFIED, progress.not_followed)
    return None


def _attributed_failure(candidate: Candidate, progress: RolloutProgress, text: str) -> Failure:
    """Return the failure of a candidate; a restored version that doesn't start isn't retried, whatever the cause."""
    is_own_fault = progress.attribution is None or candidate.restoring
    return Failure(
        Reason.CANARY_NOT_READY
        if is_own_fault or not progress.attribution
        else progress.attribution.reason,
        text,
    )


def _failure_text(progress: RolloutProgress) -> str:
    cause = progress.problem or progress.attribution
    return "the pods report no reason" if cause is None else cause.message
