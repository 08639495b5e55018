"""Response times and failures from ledgers: of a product, by operation, by caller, and of several in a row. Pure."""

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, inf, isinf
from typing import Any, Final

from sluicegate.api.consumers import OTHER_CONSUMERS
from sluicegate.api.review import ReviewDay
from sluicegate.reporting.by_market import interval_of
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.views.numbers import percent

Histogram = Sequence[tuple[float, int]]
"""Cumulative counts by upper bound in seconds, the last one of all responses (+Inf)."""
DRAWS: Final = 1000
"""Values that are drawn from each histogram, evenly over its shares: enough for some percent of accuracy."""


def histogram_of(days: Iterable[ReviewDay]) -> Histogram:
    """Return the sum of the histograms of some days; empty if none has one."""
    totals: Counter[float] = Counter()
    for day in days:
        for bucket_bound, number in day.responses.items():
            totals[float(bucket_bound)] += number
    return sorted(totals.items())


def quantile_of(histogram: Histogram, quantile_share: float) -> float | None:
    """Estimate a quantile in seconds.

    It is interpolated within its bound, as in Prometheus; None if it is beyond the last bound, or
    nothing was counted.
    """
    if not histogram or not histogram[-1][1]:
        return None
    rank = quantile_share * histogram[-1][1]
    bucket_index = bisect_left(histogram, rank, key=lambda bucket: bucket[1])
    bucket_bound, number = histogram[bucket_index]
    if isinf(bucket_bound):
        return None
    bucket_begin, requests_below = histogram[bucket_index - 1] if bucket_index else (0.0, 0)
    bucket_fraction = (
        (rank - requests_below) / (number - requests_below) if number > requests_below else 1.0
    )
    return bucket_begin + (bucket_bound - bucket_begin) * bucket_fraction


def quantiles_of_sum(
    histograms: Sequence[Histogram], shares: Sequence[float]
) -> tuple[float | None, ...]:
    """Estimate quantiles, in seconds, of the sum of independent response times; None as for a single one.

    A sum of quantiles is no quantile of the sum, as it is rarer that all are slow at once. So
    values are drawn evenly from each histogram and combined at random, with a fixed seed.
    """
    if not histograms or not all(
        histogram_entry and histogram_entry[-1][1] for histogram_entry in histograms
    ):
        return (None,) * len(shares)
    order = random.Random(0)
    totals = [0.0] * DRAWS
    for histogram in histograms:
        values = [quantile_of(histogram, (number + 0.5) / DRAWS) for number in range(DRAWS)]
        order.shuffle(values)
        totals = [
            total + (inf if value is None else value)
            for total, value in zip(totals, values, strict=True)
        ]
    totals.sort()
    quantile_estimates = (
        totals[max(0, ceil(quantile_share * DRAWS) - 1)] for quantile_share in shares
    )
    return tuple(None if isinf(estimate) else estimate for estimate in quantile_estimates)


def failures_text(count: Count) -> str:
    """Return the share of failed requests with its 95 % interval; a dash without requests."""
    share_bounds = interval_of(count)
    if share_bounds is None:
        return percent(None)
    lowest_percent, highest_percent = (
        percent(1 - share_bound) for share_bound in reversed(share_bounds)
    )
    return f"{percent(count.bad / count.total)} [{lowest_percent} to {highest_percent}]"


@dataclass(frozen=True, slots=True)
class OperationPeriod:
    """One operation over some days: `failed` of `requests` were answered 5xx; times are estimates in seconds."""

    name: str
    requests: int
    refused: int
    failed: int
    median: float | None
    p95: float | None

    @property
    def failures(self) -> str:
        """Return the share of failed requests with its 95 % interval; a dash without requests."""
        return failures_text(Count(self.failed, self.requests))


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """One operation in a period; `before` is None without requests in the previous period."""

    now: OperationPeriod
    before: OperationPeriod | None


def operations_of(
    days: Iterable[ReviewDay], earlier_days: Iterable[ReviewDay]
) -> tuple[OperationFacts, ...]:
    """Return the operations of a period, those with the most requests first."""
    earlier_periods = _operation_periods(earlier_days)
    periods = _operation_periods(days).values()
    sorted_periods = sorted(periods, key=lambda period: (-period.requests, period.name))
    return tuple(
        OperationFacts(operation, earlier_periods.get(operation.name))
        for operation in sorted_periods
    )


def _operation_periods(days: Iterable[ReviewDay]) -> dict[str, OperationPeriod]:
    buckets: dict[str, Counter[float]] = {}
    codes: dict[str, Counter[str]] = {}
    for day in days:
        for operation in day.operations:
            requests_by_bucket = buckets.setdefault(operation.name, Counter())
            # All bounds count, as a quantile is interpolated between two of them.
            requests_by_bucket.update(dict.fromkeys(map(float, day.responses), 0))
            for bucket_bound, number in operation.responses.items():
                requests_by_bucket[float(bucket_bound)] += number
            codes.setdefault(operation.name, Counter()).update(
                refused=operation.refused, failed=operation.failed
            )
    return {
        name: _operation_period(name, requests_by_bucket, codes[name])
        for name, requests_by_bucket in buckets.items()
    }


def _operation_period(name: str, buckets: Counter[float], codes: Counter[str]) -> OperationPeriod:
    bucket_bounds = sorted(buckets)
    histogram: Histogram = list(
        zip(
            bucket_bounds,
            accumulate(buckets[bucket_bound] for bucket_bound in bucket_bounds),
            strict=True,
        )
    )
    return OperationPeriod(
        name=name,
        requests=buckets.total() + codes.total(),
        refused=codes["refused"],
        failed=codes["failed"],
        median=quantile_of(histogram, 0.5),
        p95=quantile_of(histogram, 0.95),
    )


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """Failed and all requests of one caller over some days, and over the days before.

    Attributes
    ----------
    share : of all requests of the product in these days.
    before : NOTHING if it had no requests.
    """

    name: str
    count: Count
    share: float
    before: Count

    @property
    def failures(self) -> str:
        """Return the share of failed requests with its 95 % interval; a dash without requests."""
        return failures_text(self.count)

    @property
    def failures_before(self) -> str:
        """Return the failed share of the days before with its 95 % interval; empty without requests."""
        return failures_text(self.before) if self.before.total else ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "name": self.name,
            "requests": self.count.total,
            "failed": self.count.bad,
            "requestsBefore": self.before.total,
            "failedBefore": self.before.bad,
        }


def callers_of(
    days: Iterable[ReviewDay], earlier_days: Iterable[ReviewDay] = ()
) -> tuple[CallerFacts, ...]:
    """Return the callers of some days, those with the most requests first and `other` last.

    Callers without requests are listed, too: a consumer that doesn't call, or sends no name. Empty if
    requests aren't counted by caller.
    """
    counts, earlier_counts = dict(_caller_counts(days)), dict(_caller_counts(earlier_days))
    total = sum(count.total for count in counts.values())
    callers = (
        CallerFacts(
            name, count, count.total / total if total else 0.0, earlier_counts.get(name, NOTHING)
        )
        for name, count in counts.items()
    )
    return tuple(
        sorted(
            callers,
            key=lambda caller: (caller.name == OTHER_CONSUMERS, -caller.count.total, caller.name),
        )
    )


def _caller_counts(days: Iterable[ReviewDay]) -> Iterator[tuple[str, Count]]:
    by_name: dict[str, list[tuple[int, int]]] = {}
    for day in days:
        for name, (bad_events, total) in day.callers.items():
            by_name.setdefault(name, []).append((bad_events, total))
    return ((name, summed(counts)) for name, counts in by_name.items())
