"""Time that counts: the seconds in which an operator observed a product.

A deadline is about what could be seen and acted on. So what passes while no replica leads, while
Prometheus can't be read, or only on a clock that jumps, counts against no candidate. The durations of
a rollout, a probation, an outage and a start of pods are computed here.

A pause counts by the wall clock: the retry after a fault gives the cluster time to recover, and the
pause of trainings limits what they cost, also while no operator observes them.
"""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.engine import MAX_ABSENCES, TimeInterval
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate

MIN_SECONDS: Final = 300
"""A shorter absence counts as time: a restart or a takeover writes no status."""


def attended_seconds(status: DataProductStatus, since: int, until: int) -> int:
    """Return the seconds of (since, until] without the absences that status holds."""
    return seconds_without(status.engine.absences, since, until)


def rollout_seconds(
    status: DataProductStatus,
    candidate: Candidate,
    until: int,
    silences: Iterable[TimeInterval] = (),
) -> int:
    """Return the seconds of a rollout since its first share, without the operator's absences and `silences`.

    Time under spec.suspend and an outage that isn't over are left out, too.
    """
    begin_time = candidate.rollout_start_time
    outage = status.engine.outage_start_time
    end = until if outage is None else min(until, max(outage, begin_time))
    lost_intervals = _merged_absences((*status.engine.absences, *silences))
    seconds = seconds_without(lost_intervals, begin_time, end)
    return max(seconds - candidate.suspended_seconds, 0)


def with_absences(
    status: DataProductStatus, unattended_intervals: Iterable[TimeInterval], now: int
) -> DataProductStatus:
    """Return the status with the operator's absences during a candidate or a probation.

    Parameters
    ----------
    unattended_intervals : those that this process observed. now : in seconds; an interval that ends later
        is left out, as the clock has been set back since.
    """
    since = _observed_since(status)
    kept_intervals: tuple[TimeInterval, ...] = ()
    if since is not None:
        intervals = (*status.engine.absences, *unattended_intervals)
        kept_intervals = _longest_absences(
            interval
            for interval in intervals
            if since < interval.end <= now and interval.end - interval.begin >= MIN_SECONDS
        )
    return (
        status
        if kept_intervals == status.engine.absences
        else status.with_engine(absences=kept_intervals)
    )


def without_probation(status: DataProductStatus) -> DataProductStatus:
    """Return the status without a probation and its data."""
    next_status = status.replace(probation=None).with_engine(probation_baselines={})
    return (
        next_status
        if _observed_since(next_status) is not None
        else next_status.with_engine(absences=())
    )


def _observed_since(status: DataProductStatus) -> int | None:
    """Return the start of the interval whose observed time counts, in seconds; None without one."""
    candidate, probation = status.candidate, status.probation
    begin_times = [] if candidate is None or candidate.is_parked else [candidate.start_time]
    begin_times += [] if probation is None else [probation.start_time]
    return min(begin_times, default=None)


def seconds_without(unattended_intervals: Iterable[TimeInterval], since: int, until: int) -> int:
    """Return the seconds of (since, until] without these absences, which don't overlap."""
    lost_seconds = sum(
        max(min(absence.end, until) - max(absence.begin, since), 0)
        for absence in unattended_intervals
    )
    return until - since - lost_seconds


def _merged_absences(unattended_intervals: Iterable[TimeInterval]) -> list[TimeInterval]:
    """Return the absences in order, without overlaps."""
    merged: list[TimeInterval] = []
    for interval in sorted(
        unattended_intervals, key=lambda interval: (interval.begin, interval.end)
    ):
        if merged and interval.begin <= merged[-1].end:
            last = merged.pop()
            interval = TimeInterval(begin=last.begin, end=max(last.end, interval.end))  # noqa: PLW2901
        merged.append(interval)
    return merged


def _longest_absences(unattended_intervals: Iterable[TimeInterval]) -> tuple[TimeInterval, ...]:
    """Return the longest absences, in order and without overlaps."""
    united = _merged_absences(unattended_intervals)
    longest = sorted(united, key=lambda interval: interval.begin - interval.end)[:MAX_ABSENCES]
    return tuple(sorted(longest, key=lambda interval: interval.begin))
