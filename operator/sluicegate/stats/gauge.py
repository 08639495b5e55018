"""Statistics of gauges: weaker than those of counts.

A gauge has no measure of its uncertainty, so normality and independence of its blocks are assumed,
and a verdict needs 28 blocks. Prefer counters.

Sources: D. Siegmund, Sequential Analysis (1985), for the CUSUM's bounds; I. Waudby-Smith et al.,
"Time-uniform central limit theory and asymptotic confidence sequences" (2024), for the canary.
"""

from collections.abc import Sequence
from math import log, sqrt
from statistics import fmean, stdev
from typing import Final, NamedTuple

MIN_BASELINE_VALUES: Final = 28
"""Blocks that a baseline needs: estimating mean and deviation from so many already halves the time
between false alarms."""
CUSUM_ALLOWANCE: Final = 0.5
"""Drift that isn't detected, in standard deviations."""
HOURLY_BOUND: Final = 9.5
"""Bound of S for hours: about 90,000 hours between false alarms, for independent normal blocks."""
DAILY_BOUND: Final = 5.0
"""Bound of S for days: about 900 days between false alarms."""
MIN_PAIRS: Final = 20
"""Paired canary blocks below which the normal approximation isn't used."""
_RECENT_VALUES, _VALUES_BEYOND = 4, 3


class GaugeBaseline(NamedTuple):
    """Mean and standard deviation of the baseline's blocks; higher values are better."""

    mean: float
    deviation: float


class Interval(NamedTuple):
    """Bounds on the mean difference of two versions that hold at all times simultaneously."""

    lower: float
    upper: float


def gauge_baseline(values: Sequence[float]) -> GaugeBaseline | None:
    """Compute mean and deviation of block means; None if they are too few or constant."""
    if len(values) < MIN_BASELINE_VALUES:
        return None
    deviation = stdev(values)
    return GaugeBaseline(fmean(values), deviation) if deviation > 0 else None


def gauge_cusum(values: Sequence[float], baseline: GaugeBaseline) -> float:
    """Compute S after the last block: S ← max(0, S − z − 0.5), z the block's distance in deviations."""
    cusum_value = 0.0
    for value in values:
        cusum_value = max(
            0.0, cusum_value - (value - baseline.mean) / baseline.deviation - CUSUM_ALLOWANCE
        )
    return cusum_value


def is_beyond_bound(values: Sequence[float], value_bound: float) -> bool:
    """Return whether at least three of the last four block means are worse than the bound."""
    return sum(value < value_bound for value in values[-_RECENT_VALUES:]) >= _VALUES_BEYOND


def difference_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Compute bounds on the mean of candidate − stable, each wrong at any time with probability α at most.

    None below twenty pairs, and if the differences don't vary.
    """
    pairs = len(differences)
    if pairs < MIN_PAIRS:
        return None
    deviation = stdev(differences)
    if deviation == 0:
        return None
    # the ρ² with the narrowest interval at 60 pairs
    rho_squared = (-2 * log(2 * alpha) + log(1 - 2 * log(2 * alpha))) / 60
    scaled_pairs = pairs * rho_squared + 1
    width = deviation * sqrt(
        2 * scaled_pairs / (pairs**2 * rho_squared) * log(sqrt(scaled_pairs) / (2 * alpha))
    )
    mean_difference = fmean(differences)
    return Interval(mean_difference - width, mean_difference + width)
