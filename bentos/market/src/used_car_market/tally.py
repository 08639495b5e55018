"""Counts of the traffic's sender, with which the operator's own are compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class VersionTally:
    """Answers of one version of a product."""

    answers: int = 0
    correct: int = 0
    wrong: int = 0
    seconds: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of the predictions that were right; None before the first label."""
        labelled = self.correct + self.wrong
        return self.correct / labelled if labelled else None


@dataclass(slots=True)
class Tally:
    """Requests sent and answered since the start.

    `failures` are counted by status, or by the name of the error. `refused` are labels that
    /feedback didn't count, by its reason.
    """

    sent: int = 0
    versions: dict[str, VersionTally] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    fallbacks: int = 0
    truths: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.failures.total()

    def of(self, version: str) -> VersionTally:
        """Return the tally of a version."""
        return self.versions.setdefault(version, VersionTally())

    def snapshot(self) -> dict[str, Any]:
        """Return the current counts as JSON; the difference of two is that of a time span."""
        return {
            "sent": self.sent,
            "failed": self.failed,
            "failures": dict(self.failures),
            "fallbacks": self.fallbacks,
            "truths": self.truths,
            "refused": dict(self.refused),
            "versions": {
                version: {
                    "answers": tally.answers,
                    "correct": tally.correct,
                    "wrong": tally.wrong,
                    "seconds": round(tally.seconds, 3),
                }
                for version, tally in sorted(self.versions.items())
            },
        }
