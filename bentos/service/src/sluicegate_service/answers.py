"""The answer to the current request, to which predictions and their tokens belong."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from sluicegate_service.tokens import CallerId


@dataclass(frozen=True, slots=True)
class Noted:
    """A prediction of an answer that is logged; its token, the caller's id, and its market if any."""

    value: Any
    token: str | None = None
    caller_id: CallerId | None = None
    market: str = ""


@dataclass(slots=True)
class Answer:
    """The answer to the current request: the caller's id, and the tokens that go into its header."""

    caller_id: str = ""
    issued: int = 0
    """Number of predictions, wherever their tokens go."""
    header: list[str] = field(default_factory=list)
    logged: bool = False
    """Whether its predictions are logged."""
    batch: bool = False
    """Whether the predictions are of the items of a list in the request, one each."""
    predictions: list[Noted] = field(default_factory=list)
    """The predictions that are logged."""
    monitored: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    """Values of each column, by the name of the monitor of BentoML that recorded them."""

    def next_id(self) -> CallerId | None:
        """Return the id of the next prediction; None if the caller has named none."""
        position, self.issued = self.issued, self.issued + 1
        return CallerId(self.caller_id, position) if self.caller_id else None


current_answer: ContextVar[Answer | None] = ContextVar("current_answer", default=None)
"""The answer to the current request; None outside of requests to the API."""
