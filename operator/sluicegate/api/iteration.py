"""What was tried with a version, in the words of its author: labels of its bento, or the note of a request."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import Field

from sluicegate.api.base import StatusModel

LONGEST_HYPOTHESIS: Final = 300
LONGEST_NAME: Final = 120
"""Characters of an author, a ticket or a Git revision."""
LABELS: Final = {
    "hypothesis": "hypothesis",
    "author": "author",
    "ticket": "ticket",
    "git-revision": "git_revision",
}
"""Which label of a bento says which field."""


class Iteration(StatusModel):
    """What was tried with a version, as its author states it; no part has to be known."""

    hypothesis: Annotated[str, Field(max_length=LONGEST_HYPOTHESIS)] = ""
    """Expected effect: label hypothesis of the bento, or the reason of the request that led to it."""
    author: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    """Author: label author of the bento, or the user who made the request."""
    ticket: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    """Ticket: label ticket of the bento."""
    git_revision: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    """Git revision that the bento was built from: its label git-revision."""

    @classmethod
    def of_labels(cls, labels: Mapping[object, object]) -> Self | None:
        """Return the iteration in the labels of a bento; None without one."""
        statement = {
            field: line
            for label, field in LABELS.items()
            if (line := _line(labels.get(label), field))
        }
        return cls(**statement) if statement else None

    @classmethod
    def of_request(cls, user: str, reason: str) -> Self | None:
        """Return the iteration in the note of a request; None without a user and a reason."""
        statement = cls(hypothesis=_line(reason, "hypothesis"), author=_line(user, "author"))
        return statement if statement != cls() else None


def _line(value: object, field: str) -> str:
    """Return a text on one line within the length of its field; empty for another value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    max_length = LONGEST_HYPOTHESIS if field == "hypothesis" else LONGEST_NAME
    printable_characters = (char if char.isprintable() else " " for char in str(value))
    return " ".join("".join(printable_characters).split())[:max_length]
