"""Stored objects of the page: facts of each product and review, and the objects themselves, compressed."""

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from typing_extensions import override

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.extent import compact_json
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.kube.resources import Key, key_of
from sluicegate.reporting.summary import PeriodSummary, summary_of
from sluicegate.reviews.agreed_actions import AgreedAction, actions_of
from sluicegate.reviews.periods import local_day
from sluicegate.reviews.resource_hours import hours_of, trainings_ended_on
from sluicegate.reviews.store import (
    UnreadableReview,
    read_review,
    read_review_text,
    review_text,
)
from sluicegate.views.operator_lease import AbandonedLease, LeaseKey
from sluicegate.views.product_facts import ProductFacts, read_facts
from sluicegate.views.resource_hours import ResourceHours

Facts = TypeVar("Facts")

HOURS_DAYS: Final = 7
STALE_SECONDS: Final = 600.0
"""Seconds without an answer of the API server, after which the page shows that it may be out of date."""


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """Facts of one review: product, period, state; times are seconds since the epoch.

    `hours` are those of its last days, at most `HOURS_DAYS`; `summary` is what its period brought;
    `actions` are those that were agreed in it.
    """

    key: Key
    product: str
    uid: str
    first_day: str
    last_day: str
    start: int
    state: str
    due: int | None
    signed_by: tuple[str, ...]
    missing: tuple[str, ...]
    summary: PeriodSummary
    hours: ResourceHours | None = None
    actions: tuple[AgreedAction, ...] = ()


def _compress(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def _decompress(compressed: bytes) -> str:
    return zlib.decompress(compressed).decode()


def _without_managed_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
    return {**body, "metadata": meta}


class _Objects(Generic[Facts]):
    """Objects of one kind; a sink of `sluicegate.kube.follow`."""

    def __init__(self, on_change: Callable[[], None], clock: Callable[[], float]) -> None:
        self._changed = on_change
        self._clock = clock
        self._facts: dict[Key, Facts] = {}
        self._bodies: dict[Key, bytes] = {}
        self._versions: dict[Key, str] = {}
        self._listeners: dict[Key, set[Callable[[], None]]] = {}
        self.current_at: float | None = None
        self.outage_start: float | None = None

    def observe(self, body: Mapping[str, Any]) -> None:
        """Store an object; one without facts is ignored."""
        key = key_of(body)
        facts = self._facts_of(key, body)
        if facts is None:
            self.forget(key)
            return
        self._facts[key] = facts
        self._bodies[key] = _compress(self._text(body))
        self._versions[key] = str(body["metadata"].get("resourceVersion", ""))
        self._notify_listeners(key)

    def _facts_of(self, key: Key, body: Mapping[str, Any]) -> Facts | None:
        raise NotImplementedError

    def _text(self, body: Mapping[str, Any]) -> str:
        """Return the parts of an object that are kept, as JSON."""
        return compact_json(_without_managed_fields(body))

    def forget(self, key: Key) -> None:
        """Drop an object."""
        self._facts.pop(key, None)
        self._bodies.pop(key, None)
        self._versions.pop(key, None)
        self._notify_listeners(key)

    def _notify_listeners(self, key: Key) -> None:
        self._changed()
        for listener in tuple(self._listeners.get(key, ())):
            listener()

    def version_of(self, key: Key) -> str:
        """Return the resource version of an object; empty if there is none."""
        return self._versions.get(key, "")

    @contextmanager
    def listened(self, key: Key, on_change: Callable[[], None]) -> Iterator[None]:
        """Call `on_change` with each change of an object within the context."""
        self._listeners.setdefault(key, set()).add(on_change)
        try:
            yield
        finally:
            self._listeners[key].discard(on_change)
            if not self._listeners[key]:
                del self._listeners[key]

    def listed(self, listed_keys: set[Key], namespace: str) -> None:
        """Drop the objects that a list doesn't hold."""
        for key in [key for key in self._facts if namespace in {"", key.namespace}]:
            if key not in listed_keys:
                self.forget(key)

    def mark_current(self) -> None:
        """Note that the API server has answered."""
        self.current_at = self._clock()
        self.outage_start = None

    def mark_unreachable(self) -> None:
        """Record a failed list or watch; the outage starts at the first failure."""
        if self.outage_start is None:
            self.outage_start = self._clock()

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces that have objects."""
        return tuple(sorted({key.namespace for key in self._facts}))


class Products(_Objects["ProductFacts"]):
    """The products; one that can't be read has its name and the reason."""

    @override
    def _facts_of(self, key: Key, body: Mapping[str, Any]) -> ProductFacts:
        return read_facts(body)

    def facts(self) -> Iterable[ProductFacts]:
        """Return the facts of all products, by name."""
        return [self._facts[key] for key in sorted(self._facts)]

    def body(self, key: Key) -> dict[str, Any] | None:
        """Return a product as the API server sent it; None if there is none."""
        compressed = self._bodies.get(key)
        return None if compressed is None else dict(json.loads(_decompress(compressed)))

    def operators(self) -> set[LeaseKey]:
        """Return the Leases of the operators that wrote the products."""
        return {facts.operator for facts in self._facts.values() if facts.operator is not None}

    def product(self, key: Key) -> DataProduct | None:
        """Return a whole product; None if there is none, or it can't be read."""
        body = self.body(key)
        if body is None:
            return None
        try:
            return DataProduct.parse(body)
        except InvalidProduct:
            return None


class ProductReviews(_Objects[ReviewFacts]):
    """The reviews; one that can't be read is ignored, as the operator reports it."""

    @override
    def _facts_of(self, key: Key, body: Mapping[str, Any]) -> ReviewFacts | None:
        try:
            return _review_facts(key, read_review(body))
        except UnreadableReview:
            return None

    @override
    def _text(self, body: Mapping[str, Any]) -> str:
        return review_text(body)

    def facts(self) -> list[ReviewFacts]:
        """Return the facts of all reviews: the newest period first, then by name."""
        return sorted(
            self._facts.values(), key=lambda review_facts: (-review_facts.start, review_facts.key)
        )

    def of(
        self, namespace: str, product: str, uid: str, *, newest: int = 0
    ) -> list[DataProductReview]:
        """Return the reviews of a product, oldest first, without those of another product of the same name.

        With `newest` only that many.
        """
        reviews = [
            review_facts
            for review_facts in self._facts.values()
            if review_facts.key.namespace == namespace
            and review_facts.product == product
            and (not uid or not review_facts.uid or review_facts.uid == uid)
        ]
        sorted_reviews = sorted(reviews, key=lambda review: review.start)
        return [
            read_review_text(_decompress(self._bodies[review.key]))
            for review in sorted_reviews[-newest:]
        ]

    def until(self, key: Key) -> list[DataProductReview]:
        """Return the reviews of a product until this one, the oldest first; empty if it doesn't exist."""
        facts = self._facts.get(key)
        if facts is None:
            return []
        all_reviews = self.of(key.namespace, facts.product, facts.uid)
        position = next(
            n for n, review in enumerate(all_reviews) if review.metadata.name == key.name
        )
        return all_reviews[: position + 1]


class Store:
    """All objects of the page, of the namespaces in `read` (if empty: of all).

    `version` changes with each change of an object.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, *, read: tuple[str, ...] = ()
    ) -> None:
        self.read = read
        self.clock = clock
        self.version = 0
        self.products = Products(self._changed, clock)
        self.reviews = ProductReviews(self._changed, clock)
        self.abandoned_leases: dict[LeaseKey, AbandonedLease] = {}
        """Leases of operators that renew them no more."""

    def _changed(self) -> None:
        self.version += 1

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces that have products or reviews."""
        return tuple(sorted({*self.products.namespaces(), *self.reviews.namespaces()}))

    def silence(self) -> float | None:
        """Return the seconds since the API server last answered about products.

        None before the first answer.
        """
        current_at = self.products.current_at
        return None if current_at is None else max(0.0, self.clock() - current_at)

    def set_abandoned_leases(self, leases: dict[LeaseKey, AbandonedLease]) -> None:
        """Replace the Leases that are abandoned."""
        self.abandoned_leases = leases

    def outage_start(self) -> int | None:
        """Return since when the products can't be read, in seconds since the epoch; None if they can."""
        start = self.products.outage_start
        return None if start is None else int(start)


def _review_facts(key: Key, review: DataProductReview) -> ReviewFacts:
    status, period = review.status, review.spec.period
    zone = status.time_zone or "UTC"
    signed_roles = {sign_off.role for sign_off in review.spec.sign_offs}
    days = status.days[-HOURS_DAYS:]
    return ReviewFacts(
        key=key,
        product=review.spec.product_ref.name,
        uid=review.spec.product_ref.uid,
        first_day=local_day(period.start, zone),
        last_day=local_day(period.end - 1, zone),
        start=period.start,
        state=str(status.state),
        due=status.due_time,
        signed_by=tuple(
            f"{sign_off.username} ({sign_off.role}: {sign_off.verdict})"
            for sign_off in review.spec.sign_offs
        ),
        missing=tuple(role for role in status.signed_by if role not in signed_roles),
        summary=summary_of(review),
        hours=hours_of(days, trainings_ended_on(status, {day.date for day in days})),
        actions=actions_of(review),
    )
