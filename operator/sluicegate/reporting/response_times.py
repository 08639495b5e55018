"""Response times from the histograms of ledgers: of a product, and of several in a row. Pure."""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil, inf, isinf
from typing import Final

from sluicegate.api.review import ReviewDay

Histogram = Sequence[tuple[float, int]]
"""Cumulative counts by upper bound in seconds, the last one of all responses (+Inf)."""
DRAWS: Final = 1000
"""Values that are drawn from each histogram, evenly over its shares: enough for some percent of accuracy."""


def histogram_of(days: Iterable[ReviewDay]) -> Histogram:
    """Return the sum of the histograms of some days; empty if none has one."""
    totals: Counter[float] = Counter()
    for day in days:
        for bound, number in day.responses.items():
            totals[float(bound)] += number
    return sorted(totals.items())


def quantile(histogram: Histogram, share: float) -> float | None:
    """Estimate a quantile in seconds.

    It is interpolated within its bound, as in Prometheus; None if it is beyond the last bound, or
    nothing was counted.
    """
    if not histogram or not histogram[-1][1]:
        return None
    rank = share * histogram[-1][1]
    place = bisect_left(histogram, rank, key=lambda bucket: bucket[1])
    bound, number = histogram[place]
    if isinf(bound):
        return None
    low, below = histogram[place - 1] if place else (0.0, 0)
    within = (rank - below) / (number - below) if number > below else 1.0
    return low + (bound - low) * within


def quantiles_of_sum(
    histograms: Sequence[Histogram], shares: Sequence[float]
) -> tuple[float | None, ...]:
    """Estimate quantiles, in seconds, of the sum of independent response times; None as for a single one.

    A sum of quantiles is no quantile of the sum, as it is rarer that all are slow at once. So
    values are drawn evenly from each histogram and combined at random, with a fixed seed.
    """
    if not histograms or not all(one and one[-1][1] for one in histograms):
        return (None,) * len(shares)
    order = random.Random(0)
    totals = [0.0] * DRAWS
    for histogram in histograms:
        values = [quantile(histogram, (number + 0.5) / DRAWS) for number in range(DRAWS)]
        order.shuffle(values)
        totals = [
            total + (inf if value is None else value)
            for total, value in zip(totals, values, strict=True)
        ]
    totals.sort()
    ends = (totals[max(0, ceil(share * DRAWS) - 1)] for share in shares)
    return tuple(None if isinf(one) else one for one in ends)
