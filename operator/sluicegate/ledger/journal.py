"""What is written into an open review, and how it is sealed. Pure: a status in, a status out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.review import (
    MOST_DECISIONS,
    MOST_VERSIONS,
    DataProductReview,
    DataProductReviewStatus,
    DaySlo,
    ReviewDay,
    ReviewDecision,
    ReviewState,
    ReviewVersion,
)
from sluicegate.ledger.periods import Day, Period
from sluicegate.stats.counts import Count

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
    "readiness",
)
"""Parts of a status that the digest covers."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """What was read of one product and day.

    Attributes
    ----------
    slos : events by SLO. markets : the same by SLO and market.
    answers : successful answers within each bound, as the histogram writes it.
    measured : share of the day's blocks that hold. versions : those with events.
    pod_seconds : how long its pods answered. pod_requests : what one pod requests now, by resource.
    """

    slos: Mapping[str, Count] = field(default_factory=dict)
    markets: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    measured: float = 0.0
    versions: tuple[str, ...] = ()
    pod_seconds: int = 0
    pod_requests: Mapping[str, str] = field(default_factory=dict)


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
    status: DataProductReviewStatus, day: Day, counts: DayCounts, now: float
) -> DataProductReviewStatus:
    """The status with what was read of a day, in the place of what was read before.

    A day that was read better before keeps that, as Prometheus may have lost samples since. What its
    pods requested is what they did when it was first read.
    """
    known = {one.date: one for one in status.days}
    before = known.get(day.date.isoformat())
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
        versions=counts.versions,
        pod_seconds=counts.pod_seconds or None,
        pod_requests=dict(
            before.pod_requests if before and before.pod_seconds else counts.pod_requests
        ),
    )
    if before is not None and float(before.coverage) > float(made.coverage):
        made = before.model_copy(update={"final": made.final})
    known[made.date] = made
    return status.model_copy(update={"days": tuple(known[one] for one in sorted(known))})


def with_decision(
    status: DataProductReviewStatus, decision: ReviewDecision
) -> DataProductReviewStatus:
    """The status with a decision; the same when it is there. The oldest are only counted."""
    if any(_same(one, decision) for one in status.decisions):
        return status
    every = sorted((*status.decisions, decision), key=lambda one: one.decision_time)
    earlier = Counter(status.earlier_decisions)
    for one in every[:-MOST_DECISIONS]:
        earlier[f"{one.type}/{one.reason}"] += 1
    kept = tuple(every[-MOST_DECISIONS:])
    return status.model_copy(
        update={"decisions": kept, "earlier_decisions": dict(sorted(earlier.items()))}
    )


def _same(one: ReviewDecision, other: ReviewDecision) -> bool:
    return (one.decision_time, one.type, one.reason) == (
        other.decision_time,
        other.type,
        other.reason,
    )


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
    return status.model_copy(update={"versions": tuple(ordered[-MOST_VERSIONS:])})


def may_be_sealed(period: Period, now: float) -> bool:
    """Whether nothing of the period comes any more."""
    return now >= period.end + LATE_DAYS * DAY_SECONDS


def sealed(review: DataProductReview, now: float, *, because: str) -> DataProductReviewStatus:
    """The status of a review that is sealed now: each day final, with digest and due date.

    Who may sign for a product that is gone still may, and nobody has to.
    """
    status = review.status
    days = tuple(day.model_copy(update={"final": True}) for day in status.days)
    status = status.model_copy(
        update={
            "days": days,
            "state": ReviewState.TO_REVIEW,
            "seal_time": int(now),
            "seal_reason": because,
            "due_time": None
            if because == PRODUCT_GONE
            else int(now) + status.grace_days * DAY_SECONDS,
        }
    )
    closed = review.model_copy(update={"status": status})
    # The digest covers what is sealed, so the rest of the status may go on.
    return status.model_copy(update={"digest": digest_of(closed)})


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
