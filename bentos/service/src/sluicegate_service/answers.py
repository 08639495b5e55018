"""The answer to the current request, to which predictions and their tokens belong."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from sluicegate_service.tokens import CallerId


@dataclass(slots=True)
class Answer:
    """The answer to the current request: the caller's id, and the tokens that go into its header."""

    caller_id: str = ""
    issued: int = 0
    """Number of tokens, wherever they go."""
    header: list[str] = field(default_factory=list)

    def next_id(self) -> CallerId | None:
        """Return the id of the next prediction; None if the caller has named none."""
        position, self.issued = self.issued, self.issued + 1
        return CallerId(self.caller_id, position) if self.caller_id else None


current_answer: ContextVar[Answer | None] = ContextVar("current_answer", default=None)
"""The answer to the current request; None outside of requests to the API, and without feedback."""
