"""What is written into an open review, and how it is sealed. Pure: a status in, a status out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.retraining_status import EndedTraining
from sluicegate.api.review import (
    MOST_DECISIONS,
    MOST_TRAININGS,
    MOST_VERSIONS,
    DataProductReview,
    DataProductReviewStatus,
    DaySlo,
    ReviewDay,
    ReviewDecision,
    ReviewState,
    ReviewVersion,
)
from sluicegate.reviews.periods import Day, Period
from sluicegate.stats.counts import Count

MOST_VERSIONS_OF_A_DAY: Final = 16
LATE_DAYS: Final = 3
"""Days after its end at which a day is read once more, and then never: samples may arrive late."""
DAY_SECONDS: Final = 86_400
PERIOD_OVER: Final = "PeriodOver"
PRODUCT_GONE: Final = "ProductGone"
CYCLE_CHANGED: Final = "CycleChanged"
"""spec.review is another one now, or none: no visit comes to this review any more."""
_SEALED: Final = (
    "timeZone",
    "signedBy",
    "team",
    "slos",
    "days",
    "decisions",
    "earlierDecisions",
    "versions",
    "trainings",
    "readiness",
)
"""Parts of a status that the digest covers."""


@dataclass(slots=True)
class DayCounts:
    """What was read of one product and day, or part of a day.

    Attributes
    ----------
    slos : events by SLO. markets : the same by SLO and market.
    answers : successful answers within each bound, as the histogram writes it.
    versions : those with events.
    blocks, good : blocks of its SLOs in all, and those that hold.
    pod_seconds : how long its pods answered scrapes, summed over the pods.
    """

    slos: dict[str, Count] = field(default_factory=dict)
    markets: dict[str, dict[str, Count]] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    blocks: int = 0
    good: int = 0
    pod_seconds: int = 0

    @property
    def measured(self) -> float:
        """Share of the blocks that hold."""
        return self.good / self.blocks if self.blocks else 0.0


def wanted_days(
    status: DataProductReviewStatus, period: Period, now: float, *, oldest: float
) -> tuple[Day, ...]:
    """The days of a period that are over and to be read, the oldest first.

    A day is read twice: once it is over, and once more when nothing comes any more. In between
    would change little, and cost as much each time.

    Parameters
    ----------
    now : a moment up to which everything has been read, in seconds.
    oldest : what is older isn't kept by Prometheus any more.
    """
    final = {day.date: day.final for day in status.days}
    return tuple(
        day
        for day in period.days()
        if day.end <= now and day.begin >= oldest and _is_to_be_read(day, final, now)
    )


def _is_to_be_read(day: Day, final: Mapping[str, bool], now: float) -> bool:
    known = final.get(day.date.isoformat())
    return known is None or (not known and now >= day.end + LATE_DAYS * DAY_SECONDS)


def with_day(
    status: DataProductReviewStatus,
    day: Day,
    counts: DayCounts,
    now: float,
    *,
    requests: Mapping[str, str] | None = None,
) -> DataProductReviewStatus:
    """The status with what was read of a day, in the place of what was read before.

    A day that was read better before keeps that, as Prometheus may have lost samples since. `requests`
    is what one pod requests now, by resource: a day keeps those of when it was first read.
    """
    known = {one.date: one for one in status.days}
    before = known.get(day.date.isoformat())
    if before is not None and before.pod_seconds:
        requests = before.pod_requests
    elif not counts.pod_seconds:
        requests = None
    made = ReviewDay(
        date=day.date.isoformat(),
        final=now >= day.end + LATE_DAYS * DAY_SECONDS,
        coverage=f"{counts.measured:.4f}",
        slos=tuple(
            DaySlo(
                name=name,
                bad=count.bad,
                total=count.total,
                markets={
                    market: (of.bad, of.total)
                    for market, of in sorted(counts.markets.get(name, {}).items())
                    if of.total
                },
            )
            for name, count in sorted(counts.slos.items())
        ),
        responses=dict(counts.answers),
        versions=tuple(sorted(counts.versions))[:MOST_VERSIONS_OF_A_DAY],
        pod_seconds=counts.pod_seconds or None,
        pod_requests=dict(requests or {}),
    )
    if before is not None and float(before.coverage) > float(made.coverage):
        made = before.replace(final=made.final)
    known[made.date] = made
    return status.replace(days=tuple(known[one] for one in sorted(known)))


Note = ReviewDecision | EndedTraining
"""What happened at a moment, and is recorded in the period of that moment."""


def with_notes(
    status: DataProductReviewStatus, notes: Iterable[Note], period: Period
) -> DataProductReviewStatus:
    """The status with the decisions of the period, and the trainings that ended in it."""
    for one in notes:
        if isinstance(one, EndedTraining):
            if period.begin <= one.end_time < period.end:
                status = with_training(status, one)
        elif period.begin <= one.decision_time < period.end:
            status = with_decision(status, one)
    return status


def with_training(
    status: DataProductReviewStatus, training: EndedTraining
) -> DataProductReviewStatus:
    """The status with a training that has ended; the same when it is there. The newest are kept."""
    known = {(one.job, one.start_time): one for one in (*status.trainings, training)}
    every = sorted(known.values(), key=lambda one: one.end_time)
    return status.replace(trainings=tuple(every[-MOST_TRAININGS:]))


def with_decision(
    status: DataProductReviewStatus, decision: ReviewDecision
) -> DataProductReviewStatus:
    """The status with a decision; the same when it is there. The oldest are only counted."""
    known = {(one.decision_time, one.type, one.reason) for one in status.decisions}
    if (decision.decision_time, decision.type, decision.reason) in known:
        return status
    every = sorted((*status.decisions, decision), key=lambda one: one.decision_time)
    earlier = Counter(status.earlier_decisions)
    for one in every[:-MOST_DECISIONS]:
        earlier[f"{one.type}/{one.reason}"] += 1
    kept = tuple(every[-MOST_DECISIONS:])
    return status.replace(decisions=kept, earlier_decisions=dict(sorted(earlier.items())))


def with_versions(
    status: DataProductReviewStatus, versions: Iterable[ReviewVersion], period: Period
) -> DataProductReviewStatus:
    """The status with the versions that were stable in the period; what was known of others stays."""
    known = {(one.version, one.digest, one.promotion_time): one for one in status.versions}
    begin, end = period.begin, period.end
    for one in versions:
        if one.promotion_time < end and (one.end_time is None or one.end_time > begin):
            known[one.version, one.digest, one.promotion_time] = one
    ordered = sorted(known.values(), key=lambda one: one.promotion_time)
    return status.replace(versions=tuple(ordered[-MOST_VERSIONS:]))


def may_be_sealed(period: Period, now: float) -> bool:
    """Whether nothing of the period comes any more."""
    return now >= period.end + LATE_DAYS * DAY_SECONDS


def sealed(review: DataProductReview, now: float, *, because: str) -> DataProductReviewStatus:
    """The status of a review that is sealed now: each day final, with digest and due date.

    Who may sign for a product that is gone still may, and nobody has to.
    """
    status = review.status
    days = tuple(day.replace(final=True) for day in status.days)
    status = status.replace(
        days=days,
        state=ReviewState.TO_REVIEW,
        seal_time=int(now),
        seal_reason=because,
        due_time=None if because == PRODUCT_GONE else int(now) + status.grace_days * DAY_SECONDS,
    )
    closed = review.replace(status=status)
    # The digest covers what is sealed, so the rest of the status may go on.
    return status.replace(digest=digest_of(closed))


def digest_of(review: DataProductReview) -> str:
    """`sha256:<hex>` of what is sealed: product, period, and what was recorded of it.

    The same for the same content, whatever wrote it: keys are sorted, what is empty is left out.
    """
    status = review.status.to_dict()
    content = {
        "product": [review.metadata.namespace, *review.spec.product_ref.to_dict().values()],
        "period": review.spec.period.to_dict(),
        "ledger": {name: status[name] for name in _SEALED if status.get(name)},
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
