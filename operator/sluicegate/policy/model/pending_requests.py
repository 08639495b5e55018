"""Which requests of people wait: annotations whose token wasn't handled yet."""

from dataclasses import replace

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.status import DataProductStatus, LastHandled
from sluicegate.policy.model.decision import Decision
from sluicegate.policy.model.observed import ManualRequest, Observed


def unhandled_requests(status: DataProductStatus, observed: Observed) -> tuple[ManualRequest, ...]:
    """Return the requests whose token isn't recorded as handled."""
    return tuple(request for request in observed.requests if is_pending(status, request))


def is_pending(status: DataProductStatus, request: ManualRequest) -> bool:
    """Return whether a request has a token that wasn't handled yet."""
    return bool(request.value) and _handled_token(status, request) != request.value


def approving_request(status: DataProductStatus, observed: Observed) -> ManualRequest | None:
    """Return the request that approves the candidate's last step; None without one."""
    if status.trial is None or status.trial.is_parked:
        return None
    for request in unhandled_requests(status, observed):
        named_version = request.version in {"", status.trial.release.version}
        if request.annotation == REQUEST_PROMOTE and named_version:
            return request
    return None


def with_request_handled(status: DataProductStatus, request: ManualRequest) -> DataProductStatus:
    """Return the status with this token as handled."""
    tokens = status.last_handled or LastHandled()
    return status.replace(last_handled=tokens.with_token(request.annotation, request.value))


def with_notes(
    decision: Decision,
    previous_status: DataProductStatus,
    next_status: DataProductStatus,
    observed: Observed,
) -> Decision:
    """Return a decision with the notes of the requests that `next_status` records as handled."""
    notes = [
        request.note
        for request in unhandled_requests(previous_status, observed)
        if request.note and not is_pending(next_status, request)
    ]
    return (
        replace(decision, message=f"{decision.message} ({'; '.join(notes)})") if notes else decision
    )


def _handled_token(status: DataProductStatus, request: ManualRequest) -> str:
    return "" if status.last_handled is None else status.last_handled.token(request.annotation)
