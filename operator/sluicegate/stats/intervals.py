"""Confidence bounds on a share of bad events, and on the difference of two.

A point estimate of three bad events in two hundred is uncertain, and a rule that compares it with a
threshold alarms by chance. Every comparison here uses a bound instead.

Sources: E. B. Wilson, JASA 22 (1927) 209–212; R. G. Newcombe, Statistics in Medicine 17 (1998)
873–890, method 10 (hybrid score).
"""

from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import NormalDist
from typing import Final

Z95: Final = NormalDist().inv_cdf(0.95)
"""z of a one-sided bound at 95 %."""
Z_INTERVAL: Final = NormalDist().inv_cdf(0.975)
"""z of each bound of a two-sided interval of 95 %."""


@cache
def quantile(confidence: float) -> float:
    """Return the z of a one-sided bound at `confidence`, such as 0.95 → 1.645."""
    return NormalDist().inv_cdf(confidence)


def wilson_lower(bad: float, total: float, z: float) -> float:
    """Return the least ratio that `bad` of `total` is compatible with, one-sided; 0 without events.

    Counts may be fractions, such as counts divided by the dispersion.
    """
    if total <= 0 or bad <= 0:
        return 0.0
    ratio = min(bad / total, 1.0)
    shift = z * z / total
    spread = z * sqrt(ratio * (1 - ratio) / total + shift / (4 * total))
    return max((ratio + shift / 2 - spread) / (1 + shift), 0.0)


def wilson_upper(bad: float, total: float, z: float) -> float:
    """Return the largest ratio that `bad` of `total` is compatible with, one-sided; 1 without events."""
    if total <= 0:
        return 1.0
    return 1.0 - wilson_lower(total - bad, total, z)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two bad ratios, and one-sided bounds on it (each at the same z)."""

    estimate: float
    lower: float
    upper: float


def newcombe(first: tuple[float, float], second: tuple[float, float], z: float) -> Difference:
    """Return the ratio of `first` minus that of `second`; both are (bad, total) with total > 0."""
    (bad1, total1), (bad2, total2) = first, second
    ratio1, ratio2 = bad1 / total1, bad2 / total2
    lower1, upper1 = wilson_lower(bad1, total1, z), wilson_upper(bad1, total1, z)
    lower2, upper2 = wilson_lower(bad2, total2, z), wilson_upper(bad2, total2, z)
    estimate = ratio1 - ratio2
    down = sqrt((ratio1 - lower1) ** 2 + (upper2 - ratio2) ** 2)
    distance_up = sqrt((upper1 - ratio1) ** 2 + (ratio2 - lower2) ** 2)
    return Difference(estimate, max(estimate - down, -1.0), min(estimate + distance_up, 1.0))


def least_total(ratio: float) -> float:
    """Return the events at which, with none bad, the Wilson upper bound is `ratio`: fewer can't show "met"."""
    return Z95 * Z95 * (1 - ratio) / ratio
