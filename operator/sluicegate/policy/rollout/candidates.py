"""The candidate in each phase, with the transitions to the next one.

All of its phases are written here, by the table in phases.py. Times are in seconds.
"""

from typing import Any, Final

from sluicegate.api.model import counts_of
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    FULL_WEIGHT,
    MAX_SHARES,
    Candidate,
    CandidatePhase,
    Release,
    Share,
    VersionBase,
    VersionSource,
)
from sluicegate.policy.model.decision import Promote, Rollback
from sluicegate.policy.rollout.phases import PhaseCause, next_phase

_ASKED: Final = frozenset(
    {
        DecisionReason.ROLLBACK_REQUESTED,
        DecisionReason.ABORT_REQUESTED,
        DecisionReason.APPROVAL_REFUSED,
        DecisionReason.PROMOTE_REQUESTED,
    }
)


def is_frozen(status: DataProductStatus, *, suspend: bool) -> bool:
    """Return whether spec.suspend blocks changes of versions, pods and traffic.

    A candidate that a person promotes, aborts or rolls back continues all the same.
    """
    candidate = status.candidate
    requested = candidate is not None and (
        candidate.requested or candidate.decision_reason in _ASKED
    )
    return suspend and not requested


# ---- what begins a rollout ------------------------------------------------------------------
def first_candidate(
    product: DataProduct,
    status: DataProductStatus,
    release: VersionBase,
    start_time: int,
    *,
    claims: bool = True,
) -> Candidate:
    """Return the first version's candidate, which gets all traffic once it is ready.

    A new spec.model replaces one that isn't ready yet at once, without a verdict. Without a route,
    ready pods of that one stay until the new one's are there (`allocation.with_predecessors`).

    Parameters
    ----------
    start_time : when this operator first saw it, in seconds: a product may be older than its operator.
    claims : its evaluation says how it did; not after a loss, when something else may have served.
    """
    candidate_before = status.candidate
    if candidate_before is not None and candidate_before.revision == release.revision:
        return candidate_before
    evaluation = counts_of(product.spec.model.evaluation) if claims else {}
    return Candidate(
        **release.replace(evaluation=evaluation).identity_fields,
        phase=next_phase(None, PhaseCause.FIRST),
        start_time=start_time,
    )


def started_candidate(
    release: Release,
    source: VersionSource,
    now: int,
    *,
    before: Candidate | None = None,
    **fields: Any,
) -> Candidate:
    """Return a candidate whose rollout starts; `before` is the same candidate when it was parked."""
    phase = next_phase(None if before is None else before.phase, PhaseCause.START)
    return Candidate.of(release, source, phase=phase, start_time=now, **fields)


def restoring_candidate(
    status: DataProductStatus, decision: Rollback, now: int
) -> Candidate | None:
    """Return a candidate that restores an earlier version; None if it is no longer in the history."""
    entry = next(
        (past_version for past_version in status.history if past_version.release == decision.to),
        None,
    )
    if entry is None:
        return None
    return Candidate(
        **entry.identity_fields,
        phase=next_phase(None, PhaseCause.RESTORE),
        start_time=now,
        restoring=True,
        decision_reason=str(decision.reason),
        decision_message=decision.message,
    )


def recovered_candidate(
    version: VersionBase, weight: int, now: int, *, restoring: bool
) -> Candidate:
    """Return the candidate after a lost status; without its evidence it is rolled back.

    Parameters
    ----------
    weight : percent of the traffic that it still may have. restoring : it was stable once.
    """
    return Candidate(
        **version.model_dump(),
        phase=next_phase(None, PhaseCause.LOST),
        weight=weight,
        shares=(Share(weight=weight, start_time=now),),
        start_time=now,
        restoring=restoring,
        decision_reason=str(DecisionReason.SUPERSEDED),
        decision_message="status was lost, and with it the evidence of this version",
    )


# ---- what takes it on -----------------------------------------------------------------------
def with_share(candidate: Candidate, weight: int, now: int) -> Candidate:
    """Return the candidate with another share of the traffic, in percent, since `now`.

    A share below the decided one is a part of it, as the pods come up in parts: it waits for the next ones.
    """
    is_part = weight < (
        FULL_WEIGHT if candidate.phase is CandidatePhase.PROMOTING else candidate.target
    )
    changes: dict[str, object] = {"wait_start_time": now} if is_part else {}
    if candidate.phase is CandidatePhase.STARTING:
        changes["step"] = 1
    if candidate.phase is not CandidatePhase.PROMOTING:
        changes["phase"] = next_phase(candidate.phase, PhaseCause.SHARE)
    shares = (*candidate.shares, Share(weight=weight, start_time=now))
    return candidate.replace(
        weight=weight,
        target=max(weight, candidate.target) if is_part else weight,
        shares=bounded_shares(shares),
        first_traffic_time=candidate.first_traffic_time or now,
        **changes,
    )


def ended_shares(shares: tuple[Share, ...], now: int) -> tuple[Share, ...]:
    """Return the traffic shares of a version whose traffic ends now; empty if it had none."""
    if not shares:
        return ()
    if shares[-1].weight == 0:  # a rollback has recorded it
        return shares
    return bounded_shares((*shares, Share(weight=0, start_time=now)))


def bounded_shares(shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """Return the shares that status has room for: the first, where evidence begins, and the newest."""
    return shares if len(shares) <= MAX_SHARES else (shares[0], *shares[1 - MAX_SHARES :])


def awaiting_approval(candidate: Candidate) -> Candidate:
    """Return a candidate that passed, in the phase in which it awaits its approval."""
    return candidate.replace(phase=next_phase(candidate.phase, PhaseCause.HAS_PASSED))


def with_promotion(
    status: DataProductStatus, decision: Promote, now: int, *, suspended: bool
) -> DataProductStatus:
    """Return the status of a candidate that gets all traffic, with the baselines of its probation.

    `suspended`: spec.suspend is set, so a person asked for it.
    """
    assert status.candidate is not None
    phase = next_phase(status.candidate.phase, PhaseCause.PROMOTE)
    status = status.with_engine(candidate_baselines=dict(decision.candidate_baselines))
    return status.with_candidate(
        phase=phase,
        wait_start_time=now,
        decision_reason="" if decision.on_evidence else str(decision.reason),
        decision_message=decision.message,
        hold=None,
        requested=suspended,
    )


def with_rollback(
    status: DataProductStatus, reason: DecisionReason, message: str, now: int
) -> DataProductStatus:
    """Return the status of a rolled back candidate: its weight is zero first, then its pods are removed."""
    assert status.candidate is not None
    return status.with_candidate(
        phase=next_phase(status.candidate.phase, PhaseCause.ROLL_BACK),
        wait_start_time=now,
        decision_reason=str(reason),
        decision_message=message,
        hold=None,
    )


def parked_candidate(candidate: Candidate, **retry: object) -> Candidate:
    """Return a candidate without traffic or verdict; `retry` holds the fields for its next rollout."""
    phase = next_phase(candidate.phase, PhaseCause.PARK)
    return candidate.replace(phase=phase, weight=0, returning=None, **retry)
