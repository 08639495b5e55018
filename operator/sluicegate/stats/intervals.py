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
    """Return the z of a one-sided bound at a confidence, such as 0.95 → 1.645."""
    return NormalDist().inv_cdf(confidence)


def wilson_lower(bad_events: float, total: float, z_score: float) -> float:
    """Compute the one-sided lower Wilson bound of the bad ratio; 0 without events.

    Counts may be fractions, such as counts divided by the dispersion.
    """
    if total <= 0 or bad_events <= 0:
        return 0.0
    ratio = min(bad_events / total, 1.0)
    shift = z_score * z_score / total
    half_width = z_score * sqrt(ratio * (1 - ratio) / total + shift / (4 * total))
    return max((ratio + shift / 2 - half_width) / (1 + shift), 0.0)


def wilson_upper(bad_events: float, total: float, z_score: float) -> float:
    """Compute the one-sided upper Wilson bound of the bad ratio; 1 without events."""
    if total <= 0:
        return 1.0
    return 1.0 - wilson_lower(total - bad_events, total, z_score)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two bad ratios, and one-sided bounds on it (each at the same z)."""

    estimate: float
    lower: float
    upper: float


def newcombe_difference(
    first_sample: tuple[float, float], second_sample: tuple[float, float], z_score: float
) -> Difference:
    """Return the ratio of `first` minus that of `second`; both are (bad, total) with total > 0."""
    (first_bad, first_total), (second_bad, second_total) = first_sample, second_sample
    first_ratio, second_ratio = first_bad / first_total, second_bad / second_total
    first_lower, first_upper = (
        wilson_lower(first_bad, first_total, z_score),
        wilson_upper(first_bad, first_total, z_score),
    )
    second_lower, second_upper = (
        wilson_lower(second_bad, second_total, z_score),
        wilson_upper(second_bad, second_total, z_score),
    )
    estimate = first_ratio - second_ratio
    lower_distance = sqrt((first_ratio - first_lower) ** 2 + (second_upper - second_ratio) ** 2)
    distance_up = sqrt((first_upper - first_ratio) ** 2 + (second_ratio - second_lower) ** 2)
    return Difference(
        estimate, max(estimate - lower_distance, -1.0), min(estimate + distance_up, 1.0)
    )


def min_total(ratio: float) -> float:
    """Return the events at which, with none bad, the Wilson upper bound is `ratio`: fewer can't show "met"."""
    return Z95 * Z95 * (1 - ratio) / ratio
