"""An event to emit, as a decision leaves it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventNote:
    """An event to emit; a quiet one is only logged.

    Progress events are emitted once the traffic has shifted; all steps share one series.
    """

    reason: str
    action: str
    message: str
    warning: bool = False
    quiet: bool = False
