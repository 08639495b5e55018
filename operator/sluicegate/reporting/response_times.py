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
"""Of each histogram, evenly over its shares: a quantile of a sum is then right to some percent."""


def histogram_of(days: Iterable[ReviewDay]) -> Histogram:
    """The sum of the histograms of some days; empty where none has one."""
    found: Counter[float] = Counter()
    for day in days:
        for bound, number in day.responses.items():
            found[float(bound)] += number
    return sorted(found.items())


def quantile(histogram: Histogram, share: float) -> float | None:
    """The estimate of a quantile in seconds.

    Interpolated within the bound that it lies in, as Prometheus does; None where it lies beyond the
    last one, or nothing was counted.
    """
    if not histogram or not histogram[-1][1]:
        return None
    wanted = share * histogram[-1][1]
    place = bisect_left(histogram, wanted, key=lambda one: one[1])
    bound, number = histogram[place]
    if isinf(bound):
        return None
    low, below = histogram[place - 1] if place else (0.0, 0)
    within = (wanted - below) / (number - below) if number > below else 1.0
    return low + (bound - low) * within


def quantiles_of_sum(
    histograms: Sequence[Histogram], shares: Sequence[float]
) -> tuple[float | None, ...]:
    """Quantiles, in seconds, of the sum of independent response times; None as for a single one.

    A sum of quantiles is no quantile of the sum: that all are slow at once is rarer. So values are
    drawn evenly from each histogram and put together by chance, which is the same each time.
    """
    if not histograms or not all(one and one[-1][1] for one in histograms):
        return (None,) * len(shares)
    order = random.Random(0)
    totals = [0.0] * DRAWS
    for histogram in histograms:
        found = [quantile(histogram, (number + 0.5) / DRAWS) for number in range(DRAWS)]
        order.shuffle(found)
        totals = [
            total + (inf if one is None else one) for total, one in zip(totals, found, strict=True)
        ]
    totals.sort()
    ends = (totals[max(0, ceil(share * DRAWS) - 1)] for share in shares)
    return tuple(None if isinf(one) else one for one in ends)
