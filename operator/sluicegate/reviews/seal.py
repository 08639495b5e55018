"""The seal of a review: when a period is closed, and the digest of its records. Pure."""

import hashlib
import json
from typing import Final

from sluicegate.api.review import DataProductReview, DataProductReviewStatus, ReviewState
from sluicegate.reviews.journal import DAY_SECONDS, LATE_DAYS
from sluicegate.reviews.periods import Period
from sluicegate.reviews.segments import with_first_periods

PERIOD_OVER: Final = "PeriodOver"
PRODUCT_GONE: Final = "ProductGone"
CYCLE_CHANGED: Final = "CycleChanged"
"""Reason of a seal: spec.review was changed or removed, so this review is not visited any more."""
_SEALED_FIELDS: Final = (
    "timeZone",
    "signedBy",
    "team",
    "slos",
    "days",
    "decisions",
    "earlierDecisions",
    "versions",
    "candidates",
    "trainings",
    "missedMarkets",
    "readiness",
)
"""Parts of a status that the digest covers."""


def may_be_sealed(period: Period, now: float) -> bool:
    """Return whether no samples of the period can arrive any more."""
    return now >= period.end + LATE_DAYS * DAY_SECONDS


def sealed_review(
    review: DataProductReview, now: float, *, seal_reason: str
) -> DataProductReviewStatus:
    """Return the status of a review that is sealed now: each day final, with digest and due date.

    The review of a deleted product can be signed, but no signature is required.
    """
    status = review.status
    days = tuple(day.replace(final=True) for day in status.days)
    status = status.replace(
        days=days,
        versions=with_first_periods(review.replace(status=status.replace(days=days))),
        state=ReviewState.TO_REVIEW,
        seal_time=int(now),
        seal_reason=seal_reason,
        due_time=None
        if seal_reason == PRODUCT_GONE
        else int(now) + status.grace_days * DAY_SECONDS,
    )
    closed_review = review.replace(status=status)
    # The digest covers only the sealed part, so the rest of the status may change.
    return status.replace(digest=digest_of(closed_review))


def differs_from_seal(review: DataProductReview) -> bool:
    """Return whether the ledger differs from its sealed digest."""
    return bool(review.status.digest) and review.status.digest != digest_of(review)


def digest_of(review: DataProductReview) -> str:
    """Return `sha256:<hex>` of the sealed content: product, period, and records.

    It depends only on the content: keys are sorted, empty fields are left out.
    """
    status = review.status.to_dict()
    content = {
        "product": [review.metadata.namespace, *review.spec.product_ref.to_dict().values()],
        "period": review.spec.period.to_dict(),
        "ledger": {name: status[name] for name in _SEALED_FIELDS if status.get(name)},
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
