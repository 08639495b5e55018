"""Watched kinds and their records: products, and reviews that wait for signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.base import StatusModel, Time
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.review import ReviewState
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key
from sluicegate.notify.cursor import ReviewCursor
from sluicegate.notify.transitions import Origin
from sluicegate.reconcile.live.product import ProductRecord, product_record, unpacked
from sluicegate.runtime.interfaces import Record, Watched
from sluicegate.views.needs import Need, needs_of, unreadable_need

SEALED: Final = f"{names.LABEL_REVIEW}=sealed"
"""Label selector of reviews that wait for signatures. Open ones change daily, closed ones never."""


class _ReviewTimes(StatusModel):
    """Fields of a review's status with the time of its state."""

    state: ReviewState = ReviewState.NOT_STARTED
    seal_time: Time | None = None
    due_time: Time | None = None
    review_time: Time | None = None

    @property
    def time(self) -> int:
        """Seconds since 1970; 0 if unknown."""
        match self.state:
            case ReviewState.TO_REVIEW:
                return self.seal_time or 0
            case ReviewState.OVERDUE:
                return self.due_time or 0
            case _:
                return self.review_time or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord(Record):
    """A review.

    Attributes
    ----------
    product_uid : of the product; another product of the same name has another uid.
    time : time of its last change of state, in seconds since 1970.
    """

    product_uid: str
    facts: ReviewCursor
    time: int


def watched() -> tuple[Watched, ...]:
    """Return the watched kinds, the products first."""
    return (
        Watched(DATA_PRODUCTS, product_record),
        Watched(DATA_PRODUCT_REVIEWS, review_record, labels=SEALED),
    )


def review_record(body: Mapping[str, Any]) -> ReviewRecord:
    """Reduce a DataProductReview to its record."""
    meta, spec = body["metadata"], body.get("spec") or {}
    product = spec.get("productRef") or {}
    status = _ReviewTimes.model_validate(body.get("status") or {}, strict=False, by_name=False)
    return ReviewRecord(
        key=Key(meta["namespace"], meta["name"]),
        parent=Key(meta["namespace"], str(product.get("name") or meta["name"])),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        product_uid=str(product.get("uid") or ""),
        facts=ReviewCursor(str(status.state), len(spec.get("signOffs") or ())),
        time=status.time,
    )


def origin_of(record: ProductRecord) -> Origin:
    """Return the product's fields for routes; missing or malformed ones of the spec are empty."""
    spec = unpacked(record.packed_spec)
    markets = spec.get("markets")
    return Origin(
        namespace=record.key.namespace,
        name=record.key.name,
        uid=record.uid,
        owner=_text(spec.get("owner")),
        priority=_text(spec.get("priority")) or "Medium",
        markets=tuple(map(str, markets)) if isinstance(markets, list) else (),
        title=_text(spec.get("displayName")),
    )


def needs_of_record(record: ProductRecord) -> tuple[Need, ...]:
    """Return the needs of a product, as on the page."""
    if record.deleting:
        return ()
    try:
        return needs_of(record.parse())
    except InvalidProduct as error:
        return (unreadable_need(str(error)),)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
