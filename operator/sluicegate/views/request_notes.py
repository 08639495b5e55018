"""The note of a one-shot request: who asks for what, and why; an annotation of three lines. Pure."""

from dataclasses import dataclass
from typing import Final, Self

from sluicegate.views.plain_text import clean_text

MAX_REASON_LENGTH: Final = 500
"""Most characters of a reason."""
MAX_NOTE_LENGTH: Final = 1_200
"""Most characters of the annotation: a request, a user name, and a reason."""


@dataclass(frozen=True, slots=True)
class RequestNote:
    """The reason of a manual request, as an annotation.

    Attributes
    ----------
    value : the value of the request's annotation, so that a note is never read with another request.
    user : the user name as the API server has it; the chart's policy compares it with the sender.
    reason : in the person's words, on one line.
    """

    value: str
    user: str
    reason: str

    @classmethod
    def create(cls, value: str, user: str, reason: str) -> Self:
        """Return the note of a request; the reason becomes one line, without what reorders or hides text."""
        line = clean_text(" ".join(reason.split()))
        return cls(value, user, " ".join(line.split())[:MAX_REASON_LENGTH])

    @classmethod
    def parse(cls, annotation: object) -> Self | None:
        """Return the note in an annotation; None for invalid text."""
        if not isinstance(annotation, str) or len(annotation) > MAX_NOTE_LENGTH:
            return None
        lines = annotation.split("\n")
        if len(lines) != 3:  # noqa: PLR2004 - its lines
            return None
        return cls(*lines)

    @property
    def annotation(self) -> str:
        """Return the value of the annotation."""
        return f"{self.value}\n{self.user}\n{self.reason}"

    @property
    def text(self) -> str:
        """Return who asks, and why, in words."""
        return f"{self.user}: {self.reason}"
