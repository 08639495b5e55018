"""The Mann-Whitney test with the interval of its shift, as Kayenta's judge uses it.

Two-sided, normal approximation with continuity and tie correction; the interval's ends and the
Hodges-Lehmann estimate are where the shifted statistic crosses its quantiles.
Source: M. Hollander and D. A. Wolfe, Nonparametric Statistical Methods, §4.1–4.3.
"""

from typing import Final

import numpy as np

from sluicegate.simulation.traffic import Floats
from sluicegate.stats.intervals import quantile

CONFIDENCE: Final = 0.98
TOLERANCE: Final = 0.25
_BISECTIONS: Final = 30


def statistic(x: Floats, y: Floats, shift: float = 0.0) -> float:
    """Compute z of the rank sum of x − shift against y; positive if x is higher, 0 if all are tied."""
    moved, both = np.sort(x - shift), np.sort(y)
    below = np.searchsorted(both, moved, side="left")
    above = np.searchsorted(both, moved, side="right")
    excess = float((below + above).sum() / 2 - len(x) * len(y) / 2)
    _, ties = np.unique(np.concatenate([moved, both]), return_counts=True)
    size = len(x) + len(y)
    tied = float((ties**3 - ties).sum()) / (size * (size - 1))
    deviation = np.sqrt(len(x) * len(y) / 12 * (size + 1 - tied))
    return float((excess - np.sign(excess) / 2) / deviation) if deviation > 0 else 0.0


def _crossing(x: Floats, y: Floats, level: float) -> float:
    """Return the shift at which the statistic falls to `level`."""
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    if statistic(x, y, low) <= level:
        return low
    if statistic(x, y, high) >= level:
        return high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if statistic(x, y, middle) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def is_high(experiment: Floats, control: Floats) -> bool:
    """Return whether the experiment is classified as higher. Points without a value are removed."""
    x, y = experiment[~np.isnan(experiment)], control[~np.isnan(control)]
    if len(x) == 0 or len(y) == 0:
        return False
    z = quantile(1 - (1 - CONFIDENCE) / 2)
    if statistic(x, y) <= z:
        return False  # the interval's lower end isn't above 0, let alone above the tolerance
    lower, estimate = _crossing(x, y, z), _crossing(x, y, 0.0)
    return lower > TOLERANCE * abs(estimate) and x.mean() >= y.mean()
