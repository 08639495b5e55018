"""Requests of a product that call another one: the versions that answer, and their outcomes.

A request calls the upstream 1 + Poisson(`more_calls`) times, and is wrong less often with each call. With
draws, all of its calls have one version; without, each is split by itself, so a request may meet both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, factorial
from typing import TYPE_CHECKING, Final

from sluicegate.kube.resources import Key  # noqa: TC001 - a field of a dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.virtual.traffic import Version

MAX_CALLS: Final = 20
SEPARATOR: Final = "^"
"""In the name of an event: outcome^upstream^version^revision, or met^upstream^result."""


@dataclass(frozen=True, slots=True)
class Calling:
    """How a product calls another one.

    Attributes
    ----------
    upstream : the other product. more_calls : mean number of calls of a request beside the first.
    per_call : by how much less often a request is wrong with each call.
    draws : whether its requests have draws that reach the route. marks : whether answers have a mark.
    """

    upstream: Key
    more_calls: float = 0.0
    per_call: float = 0.0
    draws: bool = True
    marks: bool = True

    def events(
        self, rate: float, known_share: float, wrong: Mapping[Version, tuple[float, float]]
    ) -> Iterator[tuple[str, float]]:
        """Yield events a second by name; none without a canary of the upstream.

        Parameters
        ----------
        rate : requests a second. known_share : share of them that get a label.
        wrong : by version of the upstream, its share of the calls, and the share of wrong answers of
            requests that it answers.
        """
        if len(wrong) < 2 or not all(share for share, _ in wrong.values()):
            return
        prefix = f"{SEPARATOR}{self.upstream}{SEPARATOR}"
        mixed = 0.0
        for version, (share, ratio) in wrong.items():
            total, bad = self._counted(share, ratio)
            name = f"{prefix}{version.version}{SEPARATOR}{version.revision}"
            marked_rate = rate * known_share * self.marks
            yield f"correct{name}", marked_rate * (total - bad)
            yield f"wrong{name}", marked_rate * bad
            mixed += share - total if not self.draws else 0.0
        results = {"one": 1 - mixed, "mixed": mixed, "unmarked": 0.0}
        if not self.marks:
            results = {"one": 0.0, "mixed": 0.0, "unmarked": 1.0}
        for result, part in results.items():
            yield f"met{prefix}{result}", rate * part

    def _counted(self, share: float, wrong: float) -> tuple[float, float]:
        """Return the share of all requests that count for a version, and of all those that are wrong."""
        total = bad = 0.0
        for other_calls in range(MAX_CALLS):
            part = exp(-self.more_calls) * self.more_calls**other_calls / factorial(other_calls)
            part *= share if self.draws else share ** (1 + other_calls)
            keen = self.per_call * (other_calls - self.more_calls)
            total, bad = total + part, bad + part * min(max(wrong - keen, 0.0), 1.0)
        return total, bad


def calls_with(mixed: float, share: float) -> float:
    """Return the mean number of further calls with which this many requests would meet both versions.

    Parameters
    ----------
    mixed : share of the requests that are split call by call. share : of the candidate.
    """
    low, high = 0.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        both_sides = share * exp(-middle * (1 - share)) + (1 - share) * exp(-middle * share)
        low, high = (middle, high) if 1 - both_sides < mixed else (low, middle)
    return low
