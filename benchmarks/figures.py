"""Arithmetic on what was measured: quantiles of histograms, exponents of growth. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LINE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
LEAST = 2
"""Sizes that a slope needs."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """A text exposition, by the line's name with labels."""

    values: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Values of all lines; the labels stay as they are written."""
        found = filter(None, map(_LINE.match, text.splitlines()))
        return cls({f"{one[1]}{{{one[2] or ''}}}": float(one[3]) for one in found})

    def get(self, name: str, labels: str = "") -> float:
        """One value, 0 when there is none."""
        return self.values.get(f"{name}{{{labels}}}", 0.0)

    def tells(self, name: str) -> bool:
        """Whether there is such a metric, with whatever labels."""
        return any(key.partition("{")[0] == name for key in self.values)

    def since(self, before: Metrics) -> Metrics:
        """What was added: for counters and histograms."""
        return Metrics(
            {key: value - before.values.get(key, 0.0) for key, value in self.values.items()}
        )

    def quantile(self, name: str, share: float) -> float | None:
        """A quantile of a histogram, linear within its bucket; None when it is empty.

        In the last bucket it is that bucket's lower bound, as Prometheus says too.
        """
        buckets = sorted(self._buckets(name))
        if not buckets or not buckets[-1][1]:
            return None
        wanted = share * buckets[-1][1]
        low = below = 0.0
        for bound, upto in buckets:
            if upto >= wanted and upto > below:
                return (
                    low if bound == inf else low + (bound - low) * (wanted - below) / (upto - below)
                )
            low, below = bound, upto
        return None

    def _buckets(self, name: str) -> list[tuple[float, float]]:
        """Bounds and counts, of all label sets together: a program may have several queues."""
        found: dict[float, float] = {}
        for key, value in self.values.items():
            if key.startswith(f"{name}_bucket{{"):
                bound = float(key.partition('le="')[2].partition('"')[0])
                found[bound] = found.get(bound, 0.0) + value
        return list(found.items())


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The k of y ~ Nᵏ, by least squares of the logarithms; None with fewer than two sizes.

    Parameters
    ----------
    points
        (N, y); those with y = 0 don't count, as zero doesn't grow.
    """
    usable = [(log(n), log(y)) for n, y in points if y > 0]
    if len({x for x, _ in usable}) < LEAST:
        return None
    mean_x = sum(x for x, _ in usable) / len(usable)
    mean_y = sum(y for _, y in usable) / len(usable)
    spread = sum((x - mean_x) ** 2 for x, _ in usable)
    return sum((x - mean_x) * (y - mean_y) for x, y in usable) / spread
