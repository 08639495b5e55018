"""Base classes of this project's errors, and the form of a reported mistake."""

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: its field (`spec.slos[1].objective`) and the way out."""

    path: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SluicegateError(Exception):
    """Base class of all errors; raised itself where only the person at the command handles it."""


class MissingExtra(SluicegateError):  # noqa: N818 - says what is the case
    """A required extra isn't installed; the message names it."""


class InvalidInput(SluicegateError):  # noqa: N818 - the input is invalid; nothing failed
    """A file, object or setting that a person has to correct; `problems` lists all mistakes."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def invalid(path: str, message: str) -> InvalidInput:
    """Return the error for one mistake."""
    return InvalidInput([Problem(path, message)])


def unreadable(file: str, error: OSError | UnicodeError) -> InvalidInput:
    """Return the error for a file that can't be read: the reason, and the way out."""
    if isinstance(error, UnicodeError):
        return invalid(file, "can't be read (it is no UTF-8 text): give a text file")
    return invalid(file, f"can't be read ({error.strerror or error}): give a file that exists")
