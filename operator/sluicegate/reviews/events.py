"""Reports on reviews: events on the product, and metrics."""

from collections.abc import Mapping
from typing import Final, Literal

from prometheus_client import Gauge

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.review import DataProductReview, ReviewState
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.reviews.schedule import Overview
from sluicegate.reviews.signing import SigningState, signing_sentence
from sluicegate.runtime.event_recorder import EventRecorder, EventSubject, Note

REVIEWS = Gauge("sluicegate_reviews", "Reviews by state; open ones are NotStarted.", ["state"])
DUE_REVIEWS = Gauge(
    "sluicegate_product_review_due_timestamp_seconds",
    "Unix time by which a sealed review must be signed.",
    ["namespace", "product"],
)
_EVENT_BY_STATE: Final[Mapping[ReviewState, tuple[str, Literal["Normal", "Warning"]]]] = {
    ReviewState.TO_REVIEW: (EventReason.REVIEW_DUE, "Normal"),
    ReviewState.OVERDUE: (EventReason.REVIEW_OVERDUE, "Warning"),
    ReviewState.REVIEWED: (EventReason.REVIEWED, "Normal"),
    ReviewState.SKIPPED: (EventReason.REVIEW_SKIPPED, "Normal"),
}


def emit_state(
    recorder: EventRecorder, review: DataProductReview, signing_state: SigningState
) -> None:
    """Emit an event on the product whose review has changed its state."""
    reason, severity = _EVENT_BY_STATE[signing_state.state]
    product_ref = review.spec.product_ref
    event_subject = EventSubject(
        DATA_PRODUCTS, Key(review.metadata.namespace, product_ref.name), product_ref.uid
    )
    recorder.record(
        Note(event_subject, reason, "Review", signing_sentence(review, signing_state), severity)
    )


def emit_misconfigured(recorder: EventRecorder, key: Key, uid: str, text: str) -> None:
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


def export_overview(overview: Overview, max_exported: int) -> None:
    """Update the metrics; for single products as many as allowed, the earliest due first."""
    for state in ReviewState:
        REVIEWS.labels(str(state)).set(overview.states.get(state, 0))
    DUE_REVIEWS.clear()
    for key, waiting_review in sorted(overview.waiting.items(), key=lambda item: item[1].due)[
        :max_exported
    ]:
        DUE_REVIEWS.labels(key.namespace, key.name).set(waiting_review.due)
