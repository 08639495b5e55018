"""Watched kinds and their records: products, and reviews that wait for signatures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sluicegate.api import names
from sluicegate.api.base import StatusModel, Time, rfc3339
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product_info import PRODUCT_MANAGER
from sluicegate.api.review import ReviewState
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, Key
from sluicegate.notify.cursor import Cursor, ReviewCursor
from sluicegate.notify.dependents import consumers_to_answer, to_dependents
from sluicegate.notify.transitions import Origin, Transition
from sluicegate.reconcile.live.product import ProductRecord, decompressed, product_record
from sluicegate.runtime.cache import Cache
from sluicegate.runtime.interfaces import Record, Watched
from sluicegate.views.needs import Need, needs_of, unreadable_need

SEALED_SELECTOR: Final = f"{names.LABEL_REVIEW}=sealed"
"""Label selector of reviews that wait for signatures. Open ones change daily, closed ones never."""
LONGEST_NOTE: Final = 200
"""Characters of the note of a signature that a message has."""


class _ReviewTimes(StatusModel):
    """Fields of a review's status with the time of its state."""

    state: ReviewState = ReviewState.NOT_STARTED
    seal_time: Time | None = None
    due_time: Time | None = None
    review_time: Time | None = None
    time_zone: str = ""
    signed_by: tuple[str, ...] = ()

    @property
    def time(self) -> int:
        """Return the seconds since 1970; 0 if unknown."""
        match self.state:
            case ReviewState.TO_REVIEW:
                return self.seal_time or 0
            case ReviewState.OVERDUE:
                return self.due_time or 0
            case _:
                return self.review_time or 0


class _ReviewedPeriod(StatusModel):
    """Period of a review; fields are None if its spec can't be read."""

    start_time: Time | None = None
    end_time: Time | None = None


class _Signature(StatusModel):
    """Person, role, verdict, note and time of a signature."""

    username: str = ""
    role: str = ""
    verdict: str = ""
    note: str = ""
    sign_time: Time | None = None


class _ReviewSpec(StatusModel):
    """Fields of a review's spec that a message has."""

    period: _ReviewedPeriod = _ReviewedPeriod()
    sign_offs: tuple[_Signature, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord(Record):
    """The cached part of a review that messages need.

    Attributes
    ----------
    product_uid : of the product; another product of the same name has another uid.
    time : time of its last change of state, in seconds since 1970.
    sign_time : time of its newest signature, in seconds since 1970; 0 without one.
    text : its period, its signatures, and those that are missing.
    is_signed : whether each role has signed.
    """

    product_uid: str
    facts: ReviewCursor
    time: int
    sign_time: int = 0
    text: str = ""
    is_signed: bool = False


def watched_kinds() -> tuple[Watched, ...]:
    """Return the watched kinds, the products first."""
    return (
        Watched(DATA_PRODUCTS, product_record),
        Watched(DATA_PRODUCT_REVIEWS, review_record, labels=SEALED_SELECTOR),
    )


def review_record(body: Mapping[str, Any]) -> ReviewRecord:
    """Reduce a DataProductReview to its cached part."""
    meta, spec = body["metadata"], body.get("spec") or {}
    product = spec.get("productRef") or {}
    status = _ReviewTimes.model_validate(body.get("status") or {}, strict=False, by_name=False)
    review_spec = _ReviewSpec.model_validate(spec, strict=False, by_name=False)
    missing_roles = _missing_roles(status, review_spec)
    return ReviewRecord(
        key=Key(meta["namespace"], meta["name"]),
        parent=Key(meta["namespace"], str(product.get("name") or meta["name"])),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        product_uid=str(product.get("uid") or ""),
        facts=ReviewCursor(str(status.state), len(review_spec.sign_offs)),
        time=status.time,
        sign_time=max((sign_off.sign_time or 0 for sign_off in review_spec.sign_offs), default=0),
        text=_review_text(meta["name"], review_spec, status, missing_roles),
        is_signed=not missing_roles,
    )


def _missing_roles(status: _ReviewTimes, spec: _ReviewSpec) -> tuple[str, ...]:
    """Return the roles that haven't signed yet."""
    signed_roles = {sign_off.role for sign_off in spec.sign_offs}
    return tuple(
        role for role in status.signed_by or (PRODUCT_MANAGER,) if role not in signed_roles
    )


def _review_text(
    name: str, spec: _ReviewSpec, status: _ReviewTimes, missing_roles: Sequence[str]
) -> str:
    """Return a sentence about a review: its period, and the signatures that it has and lacks."""
    text, period = name, spec.period
    if period.start_time is not None and period.end_time is not None:
        first_day, last_day = (
            _day_text(time_seconds, status.time_zone)
            for time_seconds in (period.start_time, period.end_time - 1)
        )
        text = f"{name}, about {first_day} to {last_day},"
    roles = len(status.signed_by or (PRODUCT_MANAGER,))
    text = f"{text} has {roles - len(missing_roles)} of {roles} signatures"
    if spec.sign_offs:
        text = f"{text} ({'; '.join(map(_signature_text, spec.sign_offs))})"
    if not missing_roles:
        return text
    due_text = f" by {rfc3339(status.due_time)}" if status.due_time else ""
    return f"{text}; to sign{due_text}: {', '.join(missing_roles)}"


def _signature_text(signature: _Signature) -> str:
    cut = "…" if len(signature.note) > LONGEST_NOTE else ""
    note = f": {signature.note[:LONGEST_NOTE]}{cut}" if signature.note else ""
    return f"{signature.verdict} of {signature.username} as {signature.role}{note}"


def origin_of(product_record: ProductRecord) -> Origin:
    """Return the product's fields for routes; missing or malformed ones of the spec are empty."""
    spec = decompressed(product_record.packed_spec)
    markets = spec.get("markets")
    return Origin(
        namespace=product_record.key.namespace,
        name=product_record.key.name,
        uid=product_record.uid,
        owner=_text(spec.get("owner")),
        priority=_text(spec.get("priority")) or "Medium",
        markets=tuple(map(str, markets)) if isinstance(markets, list) else (),
        title=_text(spec.get("displayName")),
    )


def dependent_transitions(
    products: Cache,
    product_record: ProductRecord,
    changes: Sequence[Transition],
    cursors: tuple[Cursor, Cursor],
    *,
    excluded_namespaces: Collection[str] = (),
) -> list[Transition]:
    """Return the transitions of a product as the products that depend on it receive them.

    Parameters
    ----------
    products : all of them. record : the product. changes : its transitions. cursors : before and after.
    excluded : namespaces that another messenger reports.
    """
    if not changes and cursors[0].paused == cursors[1].paused:
        return []
    consumers = consumers_to_answer(product_record.status)
    dependents = [
        origin_of(other_record)
        for other_record in map(products.get, tuple(products))
        if isinstance(other_record, ProductRecord)
        and other_record.key.namespace not in excluded_namespaces
        and (product_record.key in other_record.depends_on or str(other_record.key) in consumers)
    ]
    return to_dependents(
        changes,
        cursors,
        product_record.status,
        upstream=origin_of(product_record),
        dependents=dependents,
    )


def needs_of_record(product_record: ProductRecord) -> tuple[Need, ...]:
    """Return the needs of a product, as on the page."""
    if product_record.deleting:
        return ()
    try:
        return needs_of(product_record.parse())
    except InvalidProduct as error:
        return (unreadable_need(str(error)),)


def _day_text(time_seconds: int, zone: str) -> str:
    """Return the date of a time in a time zone; in UTC if the zone isn't known here."""
    try:
        time_zone = ZoneInfo(zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        time_zone = ZoneInfo("UTC")
    return f"{datetime.fromtimestamp(time_seconds, time_zone):%Y-%m-%d}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
