"""Rate of a product's labels, and the duration of a rollout that waits for them.

Some products have thousands of labels a minute, others one batch a day. A rate that is taken from
the last hour says nothing of the latter, so it is that of the last week, as far as it is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from sluicegate.api.engine import TimeInterval
from sluicegate.api.rollout import DEFAULT_MAX_DURATION_SECONDS
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.steps import step_of
from sluicegate.policy.model.attended_time import rollout_seconds
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import Series, hour_of
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.canary_duration import MIN_BLOCKS, WARM_UP_BLOCKS, expected_seconds
from sluicegate.stats.counts import Count, summed
from sluicegate.stats.late_labels import REMEMBERED_LABELS
from sluicegate.stats.sequential_test import MIN_RATIO

WEEK_SECONDS: Final = 7 * 86_400
Silences = tuple[TimeInterval, ...]
"""Intervals without a request of either version, oldest first; a derived duration doesn't count them."""
SLOW_SECONDS: Final = DEFAULT_MAX_DURATION_SECONDS
"""An SLO that needs longer for all steps is waited for at the last one alone, if another speaks."""
CANARY_BLOCK_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class LabelPace:
    """The arrival of one SLO's events: rate, labels by age, dispersion.

    Attributes
    ----------
    per_second : events of all versions. ratio : share of the bad ones.
    gap_seconds : the longest time without any, in whole sums of blocks; 0 where each had some.
    """

    per_second: float
    ratio: float
    gap_seconds: float = 0.0


class StoredBlocks(Protocol):
    """The stored blocks of a product."""

    @property
    def block(self) -> int:
        """Return the index of the newest block."""

    @property
    def series(self) -> Mapping[str, Mapping[str, Series]]:
        """Return the blocks by version and SLO."""


def weekly_pace(terms: Terms, observed: StoredBlocks, slo: str) -> LabelPace | None:
    """Return the rate of an SLO's events in the last week; None without events."""
    rows = [series[slo] for series in observed.series.values() if slo in series]
    unit = BLOCKS_PER_HOUR * terms.block_seconds
    last = hour_of(observed.block)
    first = max(last - min(WEEK_SECONDS // unit, HOURS) + 1, 0)
    first = max(first, min((counts.first_hour for counts in rows), default=first))
    bad, total = 0, [0] * max(last - first + 1, 0)
    for counts in rows:
        wrong_labels, all_labels = counts.hours(first, last)
        bad += sum(wrong_labels)
        total = [a + b for a, b in zip(total, all_labels, strict=True)]
    events = sum(total)
    if not events:
        return None
    hours_with_events = [hour for hour, count in enumerate(total) if count]
    gap = (
        max(
            next_hour - previous_hour
            for previous_hour, next_hour in pairwise([-1, *hours_with_events, len(total)])
        )
        - 1
    )
    return LabelPace(events / (len(total) * unit), bad / events, gap * unit)


def with_weekly(earlier_count: Count, pace: LabelPace | None) -> Count:
    """Return the past counts, extended by the last week's if their dispersion can't be estimated otherwise."""
    if pace is None or earlier_count.total >= REMEMBERED_LABELS:
        return earlier_count
    missing_labels = min(
        REMEMBERED_LABELS - earlier_count.total, round(pace.per_second * WEEK_SECONDS)
    )
    return summed((earlier_count, Count(round(missing_labels * pace.ratio), missing_labels)))


def planned_seconds(
    terms: Terms, slo: SloTerms, pace: LabelPace, *, margin: float, evidence: float
) -> float:
    """Return the mean seconds until an equal candidate has passed; infinite without labels.

    Parameters
    ----------
    margin : δ. evidence : ln E that is there before the first step.
    """
    ratio = min(max(pace.ratio, MIN_RATIO), 1 - margin - MIN_RATIO)

    def with_steps(steps: tuple[int, ...]) -> float:
        return expected_seconds(
            steps,
            events_per_second=pace.per_second,
            ratio=ratio,
            margin=margin,
            block_seconds=CANARY_BLOCK_SECONDS,
            earlier_evidence=evidence,
        )

    seconds = seconds_of_all_steps(
        terms, slo, terms.steps, with_steps, block_seconds=CANARY_BLOCK_SECONDS
    )
    return slo.lag_blocks * terms.block_seconds + seconds + pace.gap_seconds


def seconds_of_all_steps(
    terms: Terms,
    slo: SloTerms,
    steps: tuple[int, ...],
    with_steps: Callable[[tuple[int, ...]], float],
    *,
    block_seconds: float,
) -> float:
    """Return the duration of all steps; slow labels are awaited only at the last step if another SLO can favour the candidate.

    Parameters
    ----------
    with_steps : mean time until an equal candidate has passed these steps by this SLO, in seconds.
    """
    seconds = with_steps(steps)
    if slo.measures_quality and seconds > SLOW_SECONDS and _has_service_slo(terms, slo):
        return with_steps(steps[-1:]) + (len(steps) - 1) * dwell_seconds(block_seconds)
    return seconds


def is_late(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    now: int,
    *,
    block_seconds: int,
    silences: Silences,
) -> bool:
    """Return whether the steps so far used more than their part of maxDuration.

    Of a duration that waits for labels, requests need no more than what applies without them.

    Parameters
    ----------
    silences : intervals whose time the duration doesn't count.
    """
    longest = terms.max_duration_seconds
    if not terms.is_duration_given:
        longest = min(longest, DEFAULT_MAX_DURATION_SECONDS)
    max_seconds = longest - MIN_BLOCKS * block_seconds
    seconds_taken = rollout_seconds(status, candidate, now, silences)
    return seconds_taken >= step_of(candidate, terms.steps) / len(terms.steps) * max_seconds


def dwell_seconds(block_seconds: float) -> float:
    """Return the least seconds of a step."""
    return (WARM_UP_BLOCKS + MIN_BLOCKS) * block_seconds


def _has_service_slo(terms: Terms, slo: SloTerms) -> bool:
    return any(
        not other_slo.measures_quality for other_slo in terms.deciding if other_slo is not slo
    )
