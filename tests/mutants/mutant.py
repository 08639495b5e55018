"""A mutant: one change of one place in the operator's code that a test should notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
CODE = Path("operator/sluicegate")
"""Where the operator's code is, within the tree."""
NAMED = Path(__file__).with_name("named.yaml")


class NotApplicableError(Exception):
    """The code that a mutant changes isn't there, or is there more than once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change.

    Attributes
    ----------
    name : unique. file : within `operator/sluicegate`, e.g. "policy/canary/evidence_gathering.py".
    before : text of that file that is there exactly once. after : what replaces it.
    at : offset of `before` in characters; None has it looked for.
    rule : what is wrong with the operator then, as a sentence.
    """

    name: str
    file: str
    before: str
    after: str
    rule: str
    at: int | None = None

    @property
    def path(self) -> Path:
        """The file within the tree."""
        return CODE / self.file

    def lines(self, text: str) -> range:
        """Return the numbers of the lines that it changes, counted from 1.

        Raises NotApplicableError.
        """
        begin = self._begin(text)
        same = _shared(self.before, self.after)
        first = text.count("\n", 0, begin + same) + 1
        last = text.count("\n", 0, begin + max(len(self.before.rstrip()), same + 1) - 1) + 1
        return range(first, max(first, last) + 1)

    def applied(self, text: str) -> str:
        """Return the file's text with the change in it; raises NotApplicableError."""
        begin = self._begin(text)
        return text[:begin] + self.after + text[begin + len(self.before) :]

    def _begin(self, text: str) -> int:
        if self.at is not None:
            return self.at
        if (times := text.count(self.before)) != 1:
            raise NotApplicableError(
                f"{self.name}: {self.file} holds {self.before!r} {times} times"
            )
        return text.index(self.before)

    @classmethod
    def read(cls, name: str, fields: dict[str, str]) -> Self:
        """Return a mutant as `named.yaml` holds it."""
        return cls(name, fields["file"], fields["before"], fields["after"], fields["rule"])


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def named_mutants() -> list[Mutant]:
    """Return all mutants of `named.yaml`."""
    held = yaml.safe_load(NAMED.read_text(encoding="utf-8"))
    return [Mutant.read(name, fields) for name, fields in held.items()]
