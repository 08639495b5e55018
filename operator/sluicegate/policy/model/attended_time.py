"""Time that counts: the seconds in which an operator observed a product.

A deadline is about what could be seen and acted on. So what passes while no replica leads, while
Prometheus can't be read, or only on a clock that jumps, counts against no candidate. The durations of
a rollout, a probation, an outage and a start of pods are computed here.

A pause counts by the wall clock: the retry after a fault gives the cluster time to recover, and the
pause of trainings limits what they cost, also while no operator observes them.
"""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.engine import MOST_ABSENCES, TimeInterval
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate

LEAST_SECONDS: Final = 300
"""A shorter absence counts as time: a restart or a takeover writes no status."""


def attended_seconds(status: DataProductStatus, since: int, until: int) -> int:
    """Return the seconds of (since, until] without the absences that status holds."""
    return seconds_without(status.engine.absences, since, until)


def rollout_seconds(status: DataProductStatus, candidate: Candidate, until: int) -> int:
    """Return how long a rollout has lasted since its first share, as far as that counts.

    What spec.suspend has held it for counts neither, nor does an outage that isn't over.
    """
    began = candidate.shares[0].start_time if candidate.shares else candidate.start_time
    outage = status.engine.outage_start_time
    end = until if outage is None else min(until, max(outage, began))
    return attended_seconds(status, began, end) - candidate.suspended_seconds


def with_absences(
    status: DataProductStatus, absences: Iterable[TimeInterval], now: int
) -> DataProductStatus:
    """Return the status with the absences that its candidate, or its probation, has lived through.

    Parameters
    ----------
    absences : those that this process knows of. now : in seconds; what ends later was read off a
        clock that has been set back since.
    """
    since = _observed_since(status)
    kept: tuple[TimeInterval, ...] = ()
    if since is not None:
        intervals = (*status.engine.absences, *absences)
        kept = _merged(
            one
            for one in intervals
            if since < one.end <= now and one.end - one.begin >= LEAST_SECONDS
        )
    return status if kept == status.engine.absences else status.with_engine(absences=kept)


def without_probation(status: DataProductStatus) -> DataProductStatus:
    """Return the status after its probation, without what is kept for it alone."""
    after = status.replace(probation=None).with_engine(probation_baselines={})
    return after if _observed_since(after) is not None else after.with_engine(absences=())


def _observed_since(status: DataProductStatus) -> int | None:
    """Return the begin of what takes observed time, in seconds; None while nothing does."""
    candidate, probation = status.candidate, status.probation
    begins = [] if candidate is None or candidate.parked else [candidate.start_time]
    begins += [] if probation is None else [probation.start_time]
    return min(begins, default=None)


def seconds_without(absences: Iterable[TimeInterval], since: int, until: int) -> int:
    """Return the seconds of (since, until] without these absences, none of which overlap."""
    lost = sum(max(min(one.end, until) - max(one.begin, since), 0) for one in absences)
    return until - since - lost


def _merged(absences: Iterable[TimeInterval]) -> tuple[TimeInterval, ...]:
    """Absences in their order without an overlap, the longest of them."""
    merged: list[TimeInterval] = []
    for interval in sorted(absences, key=lambda interval: (interval.begin, interval.end)):
        if merged and interval.begin <= merged[-1].end:
            last = merged.pop()
            interval = TimeInterval(begin=last.begin, end=max(last.end, interval.end))  # noqa: PLW2901
        merged.append(interval)
    longest = sorted(merged, key=lambda interval: interval.begin - interval.end)[:MOST_ABSENCES]
    return tuple(sorted(longest, key=lambda interval: interval.begin))
