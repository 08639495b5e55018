"""An event to emit, and a decision as status shows it."""

from dataclasses import dataclass

from sluicegate.api.status import DecisionStatus


@dataclass(frozen=True, slots=True)
class EventNote:
    """An event to emit; a quiet event is only logged.

    Progress events are emitted once the traffic has shifted; all steps share one series.
    """

    reason: str
    action: str
    message: str
    warning: bool = False
    log_only: bool = False


def decision_status(kind: str, reason: str, message: str, *, now: int) -> DecisionStatus:
    """Return a decision in the form of status; `now` in seconds."""
    return DecisionStatus(type=str(kind), reason=str(reason), message=message, decision_time=now)
