"""The outcome of a rollout, once pods and traffic have followed the decision about it.

A candidate whose pods went away gives its traffic back at once, as of INFRASTRUCTURE; whose doing
it was shows while the traffic goes. So the verdict on it is given here, from what is observed then.
"""

from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, PastVersion, Version
from sluicegate.policy.model.decision import NOT_ITS_DOING, Inconclusive, Promote, Rollback
from sluicegate.policy.model.history import newest_first
from sluicegate.policy.model.observed import Failure

AT_FAULT: Final = frozenset(
    {
        Reason.CANARY_NOT_READY,
        Reason.IMAGE_NOT_FOUND,
        Reason.RUNTIME_MISMATCH,
        Reason.SERVICE_NOT_FOUND,
    }
)
"""Reasons after which an earlier version isn't restored again: its own pods failed."""


def conclude(
    status: DataProductStatus, candidate: Candidate, stable: Version, attribution: Failure | None
) -> Promote | Rollback | Inconclusive:
    """What is recorded of a candidate that has, or has given back, all of the traffic.

    Parameters
    ----------
    attribution : the cause if no pod of it is ready.
    """
    if candidate.phase is CandidatePhase.PROMOTING:
        return _promoted(status, candidate, stable)
    reason, message = Reason.read(candidate.decision_reason), candidate.decision_message
    if (
        reason is Reason.INFRASTRUCTURE
        and attribution is not None
        and attribution.reason is not reason
    ):
        reason, message = attribution.reason, attribution.message
    if reason in NOT_ITS_DOING or reason is Reason.MAX_DURATION:
        return Inconclusive(reason=reason, message=message, candidate=candidate.release)
    return Rollback(reason=reason, message=message, leaving=candidate.release, to=stable.release)


def outcome_of(decision: Rollback | Inconclusive) -> Outcome:
    """What the history says of a candidate that isn't tried again by itself."""
    if isinstance(decision, Inconclusive):
        return Outcome.INCONCLUSIVE
    return Outcome.SUPERSEDED if decision.reason is Reason.SUPERSEDED else Outcome.ROLLED_BACK


def without_return(
    status: DataProductStatus, candidate: Candidate, now: int
) -> tuple[PastVersion, ...]:
    """The history after a failed rollback; its own pods' failure excludes another try.

    A person may still ask for it.
    """
    if candidate.decision_reason not in AT_FAULT:
        return status.history
    failed = {"outcome": Outcome.FAILED, "reason": candidate.decision_reason, "end_time": now}
    marked = (
        one.model_copy(update=failed) if one.revision == candidate.revision else one
        for one in status.history
    )
    return newest_first(marked)


def _promoted(
    status: DataProductStatus, candidate: Candidate, stable: Version
) -> Promote | Rollback:
    message = candidate.decision_message or f"{candidate.version} serves all traffic"
    if candidate.restoring:
        return Rollback(
            reason=Reason.read(candidate.decision_reason),
            message=message,
            leaving=stable.release,
            to=candidate.release,
        )
    return Promote(
        reason=Reason.read(candidate.decision_reason or Reason.CANARY_NOT_WORSE),
        message=message,
        candidate=candidate.release,
        replaced=stable.release,
        candidate_baselines=status.engine.candidate_baselines,
    )
