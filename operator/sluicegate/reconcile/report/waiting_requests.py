"""Requests of people that can't act yet: which, since when, and what each waits for. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from sluicegate.api.names import REQUEST_RETRAIN, ConditionReason, DecisionReason
from sluicegate.api.status import DataProductStatus, PendingRequest
from sluicegate.api.versions import CandidatePhase
from sluicegate.policy import RetrainingRequest, obstacle_to_request
from sluicegate.policy.model.observed import ManualRequest
from sluicegate.policy.model.pending_requests import is_pending
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation

_TRAINING_WAITS: Final = {
    DecisionReason.ALREADY_RETRAINING: "until the training under way has ended",
    DecisionReason.CANARY_IN_PROGRESS: "until the rollout under way has ended",
    DecisionReason.INFRASTRUCTURE: "until status.retraining.retryTime, as a Job was lost to the cluster",
    DecisionReason.NO_SLOT: "until a training slot is free",
}
"""What ends the wait of a requested training, by what it waits for."""


def waiting_requests(observation: Observation, plan: Plan) -> tuple[PendingRequest, ...]:
    """Return the unhandled requests after a pass, each with the first reason for its wait."""
    previous_status, status = observation.product.status, plan.status
    open_requests = (
        request for request in observation.observed.requests if is_pending(status, request)
    )
    reasons = ((request, *_reason(observation, plan, request)) for request in open_requests)
    return tuple(_entries(previous_status, reasons, observation.now))


def refused_requests(
    previous_status: DataProductStatus, requests: Iterable[tuple[str, str]], now: int
) -> tuple[PendingRequest, ...]:
    """Return the requests of a product with an invalid spec; `now` in seconds."""
    manual_requests = (ManualRequest(name, value) for name, value in requests)
    text = "the spec has a mistake: correct it"
    reasons = ((request, str(ConditionReason.INVALID_SPEC), text) for request in manual_requests)
    return tuple(
        _entries(
            previous_status,
            (reason for reason in reasons if is_pending(previous_status, reason[0])),
            now,
        )
    )


def _entries(
    previous_status: DataProductStatus, reasons: Iterable[tuple[ManualRequest, str, str]], now: int
) -> Iterator[PendingRequest]:
    since = {
        (pending.annotation, pending.value): pending.wait_start_time
        for pending in previous_status.pending_requests
    }
    for request, reason, message in reasons:
        yield PendingRequest(
            annotation=request.annotation,
            value=request.value,
            wait_start_time=since.get((request.annotation, request.value), now),
            reason=reason,
            message=message,
        )


def _reason(  # noqa: PLR0911 - one a reason
    observation: Observation, plan: Plan, request: ManualRequest
) -> tuple[str, str]:
    """Return why a request waits: a reason, and a sentence without changing numbers."""
    status, candidate = plan.status, plan.status.candidate
    if status.stable is None:
        return str(ConditionReason.PROGRESSING), "no version is stable yet"
    if candidate is not None and candidate.phase is CandidatePhase.ROLLING_BACK:
        return str(candidate.phase), f"until {candidate.version} is rolled back"
    if candidate is not None and candidate.phase is CandidatePhase.PROMOTING:
        return str(candidate.phase), f"until {candidate.version} serves all traffic"
    if request.annotation == REQUEST_RETRAIN:
        return _training_waits(observation, status)
    if observation.invalid:
        return str(ConditionReason.INVALID_SPEC), "the spec has a mistake: correct it"
    if observation.observed.withheld:
        text = "spec.model has the name of another bento: give it a new version"
        return str(ConditionReason.VERSION_REUSED), text
    if candidate is not None:
        text = f"until the check that holds {candidate.version} passes"
        return str(candidate.phase), text
    if observation.product.spec.suspend:
        return str(ConditionReason.SUSPENDED), "until spec.suspend is unset"
    return str(ConditionReason.PROGRESSING), "until a rollout begins"


def _training_waits(observation: Observation, status: DataProductStatus) -> tuple[str, str]:
    """Return why a manual training request waits: a reason, and a sentence."""
    portfolio, now = observation.observed.portfolio, observation.now
    obstacle = obstacle_to_request(RetrainingRequest(observation.terms, status, portfolio, now))
    if obstacle is None:
        return str(ConditionReason.PROGRESSING), "until a training may start"
    return str(obstacle.reason), _TRAINING_WAITS.get(obstacle.reason, "until a training may start")
