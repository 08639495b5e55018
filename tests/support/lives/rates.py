"""Error rates over many lives, against what is promised: exact binomial bounds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIDENCE: Final = 0.999
"""With which a rate must exceed its promise before it counts as broken: of six rates none by chance."""
PROMISES: Final[dict[str, float]] = {
    "promoted though worse by the margin": 0.05,
    "rolled back though equal": 0.05,
    "not promoted though equal": 0.10,
    "not promoted though better": 0.05,
    "not promoted though better, below the objective": 0.05,
    "retrained though healthy": 0.05,
    "decay not healed in time": 0.05,
    "retrained on an upstream's release": 0.0,
    "decay beside a release not retrained in twice the time": 0.20,
    "promoted though worse for a consumer": 0.05,
    "rolled back though equal for a consumer": 0.05,
    "not promoted though equal for a consumer": 0.10,
    "verdict from requests without draws": 0.0,
    "another cause than the true one named": 0.10,
    "another cause named at last": 0.10,
    "trained though the data are wrong": 0.05,
    "trained though an input shows that the data are wrong": 0.05,
    "trained though a score shows that the data are wrong": 0.05,
    "trained though a training shows that the data are wrong": 0.05,
    "drift not trained for": 0.05,
    "the feature that is served wrong not named": 0.05,
}
"""The most that each may happen, of the lives in which it could.

The first two are the promise of the sequential test (ADR 4). An equal or better candidate has three
times the duration that it needs (ADR 13). A healthy SLO is retrained in one of twenty years. Where no
input shows that the data are wrong, a score before the fit does, or one training.
"""


def tail(hits: int, trials: int, rate: float) -> float:
    """P(at least so many hits) at a rate."""
    if hits <= 0:
        return 1.0
    if rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    logs = (
        lgamma(trials + 1)
        - lgamma(number + 1)
        - lgamma(trials - number + 1)
        + number * log(rate)
        + (trials - number) * log(1 - rate)
        for number in range(hits, trials + 1)
    )
    return min(sum(map(exp, logs)), 1.0)


def bounds(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a rate; from 0 to 1 without a trial."""
    if not trials:
        return 0.0, 1.0
    each = (1 - confidence) / 2
    lower = 0.0 if not hits else _solved(lambda rate: tail(hits, trials, rate) < each)
    upper = 1.0 if hits == trials else _solved(lambda rate: 1 - tail(hits + 1, trials, rate) > each)
    return lower, upper


def _solved(below: Callable[[float], bool]) -> float:
    """The rate up to which something holds, by halves."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2


@dataclass
class Rates:
    """What happened in all lives so far.

    Attributes
    ----------
    counts : hits and trials by name. promised : the sum of what each life may do, by name.
    """

    counts: dict[str, tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    promised: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, judged: Mapping[str, bool], promised: Mapping[str, float] | None = None) -> None:
        """Count a life: by name, whether it happened.

        `promised` is how likely it may be in this life, where that depends on its length. Lives of
        unequal rates scatter less than a binomial of their mean, so its tail is a bound.
        """
        for name, hit in judged.items():
            hits, trials = self.counts[name]
            self.counts[name] = hits + bool(hit), trials + 1
            self.promised[name] += (promised or {}).get(name, PROMISES.get(name, 1.0))

    def broken(self) -> list[str]:
        """Promises that don't hold, with their numbers."""
        return [
            self._line(name)
            for name, (hits, trials) in sorted(self.counts.items())
            if tail(hits, trials, self._promise(name)) < 1 - CONFIDENCE
        ]

    def _promise(self, name: str) -> float:
        """The mean of what the lives so far may do."""
        return self.promised[name] / self.counts[name][1]

    def _line(self, name: str) -> str:
        hits, trials = self.counts[name]
        low, high = bounds(hits, trials)
        promised = f", promised {self._promise(name):.1%}" if name in PROMISES else ""
        return f"{name}: {hits} of {trials} ({low:.1%} to {high:.1%}{promised})"

    def __str__(self) -> str:
        """A line for each rate."""
        return "\n".join(map(self._line, sorted(self.counts)))
