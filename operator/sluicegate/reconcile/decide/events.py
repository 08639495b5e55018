"""An event to emit, as a decision leaves it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventNote:
    """Something that people are told by an event; a quiet one is only logged.

    That a rollout goes on is told when the traffic follows, and all steps share one series.
    """

    reason: str
    action: str
    message: str
    warning: bool = False
    quiet: bool = False
