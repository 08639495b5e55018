"""What visitors saw, as counts that subtract: two snapshots are the counts of a span. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from used_car_market.tally import Tally

WINDOW_SECONDS = 15.0
MIN_JUDGED = 50  # of fewer predictions a share says nothing


@dataclass(frozen=True, slots=True)
class Counts:
    """Predictions whose truth is known."""

    right: int = 0
    wrong: int = 0

    @property
    def judged(self) -> int:
        """All of them."""
        return self.right + self.wrong

    @property
    def accuracy(self) -> float | None:
        """Share that was right; None of too few."""
        return self.right / self.judged if self.judged >= MIN_JUDGED else None

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.wrong + other.wrong)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.right - other.right, self.wrong - other.wrong)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts since the start; `at` in seconds of the monotonic clock."""

    at: float
    sent: int = 0
    failed: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, Counts] = field(default_factory=dict)

    @classmethod
    def of(cls, tally: Tally, at: float) -> Self:
        """Return the counts of a sender."""
        return cls(
            at,
            tally.sent,
            tally.failed,
            dict(tally.failures),
            {name: Counts(one.correct, one.wrong) for name, one in tally.versions.items()},
        )

    def since(self, before: Snapshot, version: str = "") -> Counts:
        """Return predictions between two snapshots, of one version or of all."""
        names = [version] if version else [*self.versions]
        none = Counts()
        return sum(
            (self.versions.get(name, none) - before.versions.get(name, none) for name in names),
            start=none,
        )


@dataclass(slots=True)
class Recent:
    """The last seconds of one product's answers."""

    seconds: float = WINDOW_SECONDS
    _kept: deque[Snapshot] = field(default_factory=deque)

    def add(self, snapshot: Snapshot) -> None:
        """Take in the newest snapshot, and forget what is too old."""
        self._kept.append(snapshot)
        while len(self._kept) > 1 and self._kept[1].at <= snapshot.at - self.seconds:
            self._kept.popleft()

    def counts(self, version: str = "") -> Counts:
        """Return predictions of the last seconds."""
        return self._kept[-1].since(self._kept[0], version) if self._kept else Counts()
