"""What is told of reviews: events on the product, and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import Gauge

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import KIND
from sluicegate.api.review import ReviewState
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.ledger.periods import local_day
from sluicegate.runtime.event_recorder import EventSubject, Note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate.api.review import DataProductReview
    from sluicegate.ledger.signing import SigningState
    from sluicegate.reviews.rounds import Overview
    from sluicegate.runtime.event_recorder import EventRecorder

REVIEWS = Gauge("sluicegate_reviews", "Reviews by state; open ones are NotStarted.", ["state"])
DUE = Gauge(
    "sluicegate_product_review_due_timestamp_seconds",
    "Unix time by which a sealed review must be signed.",
    ["namespace", "product"],
)
_SAYS: Final[Mapping[ReviewState, tuple[str, Literal["Normal", "Warning"]]]] = {
    ReviewState.TO_REVIEW: (EventReason.REVIEW_DUE, "Normal"),
    ReviewState.OVERDUE: (EventReason.REVIEW_OVERDUE, "Warning"),
    ReviewState.REVIEWED: (EventReason.REVIEWED, "Normal"),
    ReviewState.SKIPPED: (EventReason.REVIEW_SKIPPED, "Normal"),
}


def tell(recorder: EventRecorder, review: DataProductReview, where: SigningState) -> None:
    """Emit an event on the product whose review has come to another state."""
    reason, severity = _SAYS[where.state]
    ref = review.spec.product_ref
    subject = EventSubject(DATA_PRODUCTS, Key(review.metadata.namespace, ref.name), ref.uid)
    recorder.record(Note(subject, reason, "Review", sentence(review, where), severity))


def sentence(review: DataProductReview, where: SigningState) -> str:
    """Where a review stands, and what to do."""
    name = f"{review.metadata.namespace}/{review.metadata.name}"
    if where.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
        people = ", ".join(f"{one.username} ({one.role}: {one.verdict})" for one in where.signed)
        return f"{name} was signed by {people}"
    due = review.status.due_time
    text = f"{name} waits for a signature as {', '.join(where.missing)}"
    if where.state is ReviewState.OVERDUE and due is not None:
        text += f", and was due on {local_day(due, review.status.time_zone)}"
    if where.unfilled:
        text += (
            f"; no member of the team is {', '.join(where.unfilled)}: add one to spec.team of the"
            f" {KIND}, or another role to spec.review.signedBy, for the next period, and skip this one"
            " by deleting it"
        )
        return text
    return f"{text}: sign by `sluicegate review sign {name}`, or in its spec.signOffs"


def misconfigured(recorder: EventRecorder, key: Key, uid: str, text: str) -> None:
    """Emit an event on a product whose review can't be held."""
    recorder.record(
        Note(
            EventSubject(DATA_PRODUCTS, key, uid),
            EventReason.REVIEW_MISCONFIGURED,
            "Review",
            text,
            "Warning",
        )
    )


def export(overview: Overview, most: int) -> None:
    """Write the metrics anew; of single products as many as may have some, the earliest due first."""
    for state in ReviewState:
        REVIEWS.labels(str(state)).set(overview.states.get(state, 0))
    DUE.clear()
    for key, due in sorted(overview.due.items(), key=lambda one: one[1])[:most]:
        DUE.labels(key.namespace, key.name).set(due)
