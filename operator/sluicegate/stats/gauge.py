"""Numbers that come as no count: a second, weaker path.

A gauge has no measure of its uncertainty, so normality and independence of its blocks are assumed,
and a verdict needs 28 blocks. Prefer counters.

Sources: D. Siegmund, Sequential Analysis (1985), for the CUSUM's bounds; I. Waudby-Smith et al.,
"Time-uniform central limit theory and asymptotic confidence sequences" (2024), for the canary.
"""

from collections.abc import Sequence
from math import log, sqrt
from statistics import fmean, stdev
from typing import Final, NamedTuple

LEAST_BASELINE: Final = 28
"""Blocks that a baseline needs: mean and deviation cost half of the bound's time as it is."""
ALLOWANCE: Final = 0.5
"""Deviations that are drift of no interest."""
HOURLY_BOUND: Final = 9.5
"""About 90,000 hours between false alarms, for independent normal blocks."""
DAILY_BOUND: Final = 5.0
"""About 900 days."""
LEAST_PAIRS: Final = 20
"""Paired canary blocks below which the normal approximation isn't trusted."""
_RECENT, _BEYOND = 4, 3


class GaugeBaseline(NamedTuple):
    """Mean and standard deviation of the baseline's blocks, higher being better."""

    mean: float
    deviation: float


class Interval(NamedTuple):
    """Bounds on the mean difference of two versions that hold at all times at once."""

    lower: float
    upper: float


def gauge_baseline(values: Sequence[float]) -> GaugeBaseline | None:
    """The baseline of these block means; None when there are too few, or they never vary."""
    if len(values) < LEAST_BASELINE:
        return None
    deviation = stdev(values)
    return GaugeBaseline(fmean(values), deviation) if deviation > 0 else None


def gauge_cusum(values: Sequence[float], baseline: GaugeBaseline) -> float:
    """S after the last block: S ← max(0, S − z − 0.5), z the block's distance in deviations."""
    s = 0.0
    for value in values:
        s = max(0.0, s - (value - baseline.mean) / baseline.deviation - ALLOWANCE)
    return s


def beyond_bound(values: Sequence[float], bound: float) -> bool:
    """Whether at least three of the last four block means are worse than the bound."""
    return sum(value < bound for value in values[-_RECENT:]) >= _BEYOND


def difference_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """Bounds on the mean of candidate − stable, each wrong at any time with chance α at most.

    None below twenty pairs, and when the differences don't vary.
    """
    pairs = len(differences)
    if pairs < LEAST_PAIRS:
        return None
    deviation = stdev(differences)
    if deviation == 0:
        return None
    # ρ² that makes the interval narrowest at 60 pairs
    rho2 = (-2 * log(2 * alpha) + log(1 - 2 * log(2 * alpha))) / 60
    spread = pairs * rho2 + 1
    width = deviation * sqrt(2 * spread / (pairs**2 * rho2) * log(sqrt(spread) / (2 * alpha)))
    mean = fmean(differences)
    return Interval(mean - width, mean + width)
