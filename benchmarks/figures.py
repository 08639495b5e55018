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
"""Sizes that an exponent needs."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """A text exposition, by the line's name with labels."""

    values: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Parse the values of all lines; labels are unchanged."""
        matches = filter(None, map(_LINE.match, text.splitlines()))
        return cls({f"{match[1]}{{{match[2] or ''}}}": float(match[3]) for match in matches})

    def get(self, name: str, labels: str = "") -> float:
        """Return one value, 0 if there is none."""
        return self.values.get(f"{name}{{{labels}}}", 0.0)

    def has(self, name: str) -> bool:
        """Return whether there is such a metric, with any labels."""
        return any(key.partition("{")[0] == name for key in self.values)

    def since(self, before: Metrics) -> Metrics:
        """Return the increases of counters and histograms."""
        return Metrics(
            {key: value - before.values.get(key, 0.0) for key, value in self.values.items()}
        )

    def quantile(self, name: str, share: float) -> float | None:
        """Return a quantile of a histogram, linear within its bucket; None if it is empty.

        In the last bucket it is that bucket's lower bound, as in Prometheus.
        """
        buckets = sorted(self._buckets(name))
        if not buckets or not buckets[-1][1]:
            return None
        rank = share * buckets[-1][1]
        low = below = 0.0
        for bound, upto in buckets:
            if upto >= rank and upto > below:
                return (
                    low if bound == inf else low + (bound - low) * (rank - below) / (upto - below)
                )
            low, below = bound, upto
        return None

    def _buckets(self, name: str) -> list[tuple[float, float]]:
        """Return bounds and counts, of all label sets together: a program may have several queues."""
        counts: dict[float, float] = {}
        for key, value in self.values.items():
            if key.startswith(f"{name}_bucket{{"):
                bound = float(key.partition('le="')[2].partition('"')[0])
                counts[bound] = counts.get(bound, 0.0) + value
        return list(counts.items())


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """Fit k of y ~ Nᵏ, by least squares of the logarithms; None with fewer than two sizes.

    Parameters
    ----------
    points
        (N, y); those with y = 0 are ignored.
    """
    usable = [(log(n), log(y)) for n, y in points if y > 0]
    if len({x for x, _ in usable}) < LEAST:
        return None
    mean_x = sum(x for x, _ in usable) / len(usable)
    mean_y = sum(y for _, y in usable) / len(usable)
    spread = sum((x - mean_x) ** 2 for x, _ in usable)
    return sum((x - mean_x) * (y - mean_y) for x, y in usable) / spread
