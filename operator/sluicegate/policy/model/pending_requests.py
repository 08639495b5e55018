"""Which requests of people wait: annotations whose token wasn't handled yet."""

from dataclasses import replace

from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.status import DataProductStatus, LastHandled
from sluicegate.policy.model.decision import Decision
from sluicegate.policy.model.observed import ManualRequest, Observed


def pending(status: DataProductStatus, observed: Observed) -> tuple[ManualRequest, ...]:
    """Requests whose token wasn't handled yet."""
    return tuple(request for request in observed.requests if is_pending(status, request))


def is_pending(status: DataProductStatus, request: ManualRequest) -> bool:
    """Return whether a request has a token that wasn't handled yet."""
    return bool(request.value) and _handled(status, request) != request.value


def approves(status: DataProductStatus, observed: Observed) -> ManualRequest | None:
    """Return the request that approves the candidate's last step; None without one."""
    if status.trial is None or status.trial.parked:
        return None
    for request in pending(status, observed):
        named_version = request.version in {"", status.trial.release.version}
        if request.annotation == REQUEST_PROMOTE and named_version:
            return request
    return None


def handled(status: DataProductStatus, request: ManualRequest) -> DataProductStatus:
    """Record that this token was handled."""
    tokens = status.last_handled or LastHandled()
    return status.replace(last_handled=tokens.with_token(request.annotation, request.value))


def with_notes(
    made: Decision, before: DataProductStatus, after: DataProductStatus, observed: Observed
) -> Decision:
    """Return a decision with the notes of the requests that it answers, as `after` records them."""
    notes = [
        request.note
        for request in pending(before, observed)
        if request.note and not is_pending(after, request)
    ]
    return replace(made, message=f"{made.message} ({'; '.join(notes)})") if notes else made


def _handled(status: DataProductStatus, request: ManualRequest) -> str:
    return "" if status.last_handled is None else status.last_handled.token(request.annotation)
