"""The schedule of visits to ledgers.

Once a day for each product, at a time of its own, and after a decision. It runs on the leader only.
Visits of a day are spread over twenty hours by a hash of the product, so that writes don't come at
the same time; so are those after a start, which rewrite nothing.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from zlib import crc32

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview, ReviewState
from sluicegate.conditions import Finding, find_condition
from sluicegate.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from sluicegate.kube.resources import Key
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.agreed_actions import ActionIndex, LateActions, remaining_actions
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.journal import DAY_SECONDS, Note
from sluicegate.reviews.ledger_writer import DELAY_SECONDS, LedgerWriter, seal_review, visited_names
from sluicegate.reviews.periods import Period, UnknownZone, period_at
from sluicegate.reviews.seal import CYCLE_CHANGED, PERIOD_OVER, PRODUCT_GONE
from sluicegate.reviews.signing import (
    SigningState,
    finding_of,
    signing_state_of,
    with_signing_state,
)
from sluicegate.reviews.store import (
    CLOSED_STATE,
    OPEN_STATE,
    SEALED_STATE,
    ReviewStore,
    parse_review,
)
from sluicegate.reviews.subject import ReviewSubject, subject_of
from sluicegate.runtime.interfaces import Reconciler, Result

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 10.0
MAX_VISITS_AT_ONCE: Final = 50
"""Products of one visit, which share their queries."""
SPREAD_SECONDS: Final = 20 * 3600
SLOT_SECONDS: Final = 300
"""Products of one slot are visited together, so that they share their queries."""
START_SECONDS: Final = 3600
"""Seconds over which the first visits after a start are spread."""
DECISION_SECONDS: Final = 5.0
"""Delay after a decision or the end of a training, so that several are written together."""
RETRY_SECONDS: Final = 300.0
SIGNED_SECONDS: Final = 60.0
READS_PER_SECOND: Final = 10
"""Highest rate of reads of reviews that wait for signatures."""
SWEEP_SECONDS: Final = DAY_SECONDS
_ERRORS_OF_ONE_PRODUCT: Final = (Conflict, Forbidden, Invalid, NotFound)
"""Errors that concern a single review, and not the others."""


@dataclass(slots=True)
class _Known:
    subject: ReviewSubject
    due: float
    wrong: str = ""
    """Last reported mistake of its review."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A review that waits for signatures: its product, due date, condition, and how many wait beside it."""

    uid: str
    due: int
    finding: Finding
    others: int = 0

    @property
    def product_finding(self) -> Finding:
        """Return the condition of the product."""
        if not self.others:
            return self.finding
        text = f"{self.others} more {'waits' if self.others == 1 else 'wait'} for signatures"
        return replace(self.finding, message=f"{self.finding.message}; {text}")


@dataclass(frozen=True, slots=True)
class _FollowedReview:
    """State of a sealed review as last read; valid until the review is written or becomes overdue."""

    version: str
    product: Key
    uid: str
    state: ReviewState
    waiting: Waiting | None

    def ends(self, now: float) -> bool:
        """Return whether the review has become overdue since it was read."""
        is_waiting = self.waiting is not None and self.state is ReviewState.TO_REVIEW
        return is_waiting and self.waiting is not None and int(now) > self.waiting.due


@dataclass(slots=True)
class Overview:
    """Numbers of open, waiting and overdue reviews, for metrics."""

    states: dict[ReviewState, int] = field(default_factory=lambda: defaultdict(int))
    waiting: dict[Key, Waiting] = field(default_factory=dict)
    """The review of each product that is to be signed; of several the one that is due first."""

    def add(self, followed_review: _FollowedReview) -> None:
        """Add a sealed review without all signatures."""
        self.states[followed_review.state] += 1
        if followed_review.waiting is None:
            return
        waiting_review, earlier_review = (
            followed_review.waiting,
            self.waiting.get(followed_review.product),
        )
        if earlier_review is not None:
            first_review = min(earlier_review, waiting_review, key=lambda review: review.due)
            waiting_review = replace(first_review, others=earlier_review.others + 1)
        self.waiting[followed_review.product] = waiting_review


class Reviews:
    """Loop of visits to ledgers. Only for the event loop's thread."""

    def __init__(
        self,
        store: ReviewStore,
        *,
        wall_clock: Callable[[], float],
        product_exists: Callable[[Key, str], bool],
        emit_state: Callable[[DataProductReview, SigningState], None],
        emit_misconfigured: Callable[[Key, str], None],
        requeue: Callable[[Key], None],
        namespaces: tuple[str, ...] = (),
    ) -> None:
        """Store the settings.

        `exists` returns whether a product with this name and uid exists. `emit` is called with each
        review whose state has changed, `misconfigured` with a product whose review can't be held
        and the reason, `requeue` with a product whose condition has changed.
        """
        self._store = store
        self._wall = wall_clock
        self._exists = product_exists
        self._emit = emit_state
        self._misconfigured = emit_misconfigured
        self._requeue = requeue
        self._namespaces = namespaces
        self._known: dict[Key, _Known] = {}
        self._unreviewed: set[Key] = set()
        """Products that were seen without a review since the last sweep."""
        self._notes: dict[Key, list[Note]] = defaultdict(list)
        self._began = wall_clock()
        self._next_signed = 0.0
        self._next_sweep = 0.0
        self._latest = 0.0
        self.overview = Overview()
        self._late: dict[Key, list[LateActions]] = {}
        """Late actions by product; those of a former product of the same name are apart."""
        self._swept = False
        self._seen: dict[Key, _FollowedReview] = {}
        self._followed = False

    def conditions(self, product: DataProduct) -> tuple[Finding, ...]:
        """Return the conditions of a product's reviews: missing signatures, and late actions.

        Until this replica has read the reviews, the earlier conditions remain.
        """
        key, uid = Key(*product.metadata.key), product.metadata.uid
        waiting_review = self.overview.waiting.get(key)
        due = (
            waiting_review.product_finding
            if waiting_review is not None and waiting_review.uid == uid
            else None
        )
        late = next((one.finding for one in self._late.get(key, ()) if one.uid == uid), None)
        if not self._followed:
            due = _earlier_finding(product, ConditionType.REVIEW_DUE)
        due = _with_unknown_zone(product, due)
        if not self._swept:
            late = _earlier_finding(product, ConditionType.ACTIONS_LATE)
        return tuple(finding for finding in (due, late) if finding is not None)

    def update_subject(self, key: Key, review_subject: ReviewSubject | None) -> None:
        """Update a product; None if it isn't reviewed, or is deleted."""
        if review_subject is None:
            self._known.pop(key, None)
            self._notes.pop(key, None)
            self._unreviewed.add(key)
            return
        self._unreviewed.discard(key)
        entry = self._known.get(key)
        now = self._wall()
        if entry is None:
            delay_seconds = (
                _key_hash(key) % START_SECONDS if now < self._began + START_SECONDS else 0.0
            )
            self._known[key] = _Known(review_subject, now + delay_seconds)
            return
        new_notes = [note for note in review_subject.newest if note not in entry.subject.newest]
        if new_notes:
            self._notes[key] += new_notes
        if new_notes or review_subject.missed_markets != entry.subject.missed_markets:
            entry.due = min(entry.due, now + DECISION_SECONDS)
        if review_subject.cycle != entry.subject.cycle:
            entry.due, entry.wrong = now, ""
        entry.subject = review_subject

    async def run(self, day_reader: DayReader) -> None:
        """Visit until cancelled; `reader` reads days."""
        self.begin()
        while True:
            await self.run_once(day_reader)
            await asyncio.sleep(ROUND_SECONDS)

    def begin(self) -> None:
        """Schedule all visits again, as this replica starts to lead."""
        now = self._began = self._next_signed = self._next_sweep = self._wall()
        self._followed = self._swept = False
        for key, entry in self._known.items():
            entry.due = now + _key_hash(key) % START_SECONDS

    async def run_once(self, day_reader: DayReader) -> None:
        """Visit all products that are due, and follow the reviews that wait for signatures."""
        now = self._wall()
        if now < self._latest - ROUND_SECONDS:
            self.begin()  # the clock was set back: planned visits may be years ahead
        self._latest = now
        due_products = [
            known_product
            for known_product in self._known.values()
            if known_product.due <= now and self._can_be_held(known_product)
        ]
        due_products.sort(key=lambda known_product: known_product.due)
        for start in range(0, len(due_products), MAX_VISITS_AT_ONCE):
            await self._visit(day_reader, due_products[start : start + MAX_VISITS_AT_ONCE], now)
        if now >= self._next_signed:
            read_documents = await self._follow_signatures(now) + await self._follow_actions(now)
            self._next_signed = now + max(SIGNED_SECONDS, read_documents / READS_PER_SECOND)
        if now >= self._next_sweep:
            await self._sweep(now)
            self._next_sweep = now + SWEEP_SECONDS

    async def _visit(self, day_reader: DayReader, due_products: list[_Known], now: float) -> None:
        notes = {
            entry.subject.key: self._notes.pop(entry.subject.key, []) for entry in due_products
        }
        writer = LedgerWriter(
            self._store,
            day_reader,
            on_sealed=lambda review: self._emit(review, signing_state_of(review, now)),
            on_problem=self._report_misconfiguration,
        )
        visited_products = await writer.visit([entry.subject for entry in due_products], notes, now)
        for visited_entry in due_products:
            key = visited_entry.subject.key
            if key in visited_products:
                visited_entry.due = next_visit_time(visited_entry.subject, now)
            else:
                visited_entry.due = now + RETRY_SECONDS
                self._notes[key] = [*notes[key], *self._notes.pop(key, [])]

    def _can_be_held(self, entry: _Known) -> bool:
        try:
            period_at(entry.subject.cycle, 0.0)
        except UnknownZone as error:
            self._report_misconfiguration(entry.subject.key, str(error))
            return False
        return True

    def _report_misconfiguration(self, key: Key, text: str) -> None:
        """Report once why a product's review can't be held."""
        entry = self._known.get(key)
        if entry is not None and entry.wrong != text:
            entry.wrong = text
            self._misconfigured(key, text)

    async def _follow_signatures(self, now: float) -> int:
        """Update the reviews that wait for signatures; return their number."""
        overview, read_documents = Overview(), 0
        try:
            followed_reviews: dict[Key, _FollowedReview] = {}
            failures: list[str] = []
            async for document in self._store.documents(SEALED_STATE, self._namespaces):
                read_documents += 1
                meta = document["metadata"]
                key, version = Key(meta["namespace"], meta["name"]), meta["resourceVersion"]
                seen_review = self._seen.get(key)
                if seen_review is None or seen_review.version != version or seen_review.ends(now):
                    with _noted_failures(failures):
                        seen_review = await self._follow(document, now)
                if seen_review is not None:
                    followed_reviews[key] = seen_review
                    if self._exists(seen_review.product, seen_review.uid):
                        overview.add(seen_review)  # no signature is required for a deleted product
            self._seen = followed_reviews
            _warn_failure(
                "%d reviews that wait for signatures are written later, the first: %s", failures
            )
        except NotFound:
            return 0  # the definition of reviews isn't installed
        except KubeError as error:
            logger.warning("signatures are read later: %s", error)
            return read_documents
        overview.states[ReviewState.NOT_STARTED] = len(self._known)
        waiting_before, self.overview, self._followed = self.overview.waiting, overview, True
        for key in {key for key, _ in waiting_before.items() ^ overview.waiting.items()}:
            self._requeue(key)
        return read_documents

    async def _follow(self, document: Mapping[str, Any], now: float) -> _FollowedReview | None:
        """Record the state of a review; None if the review is unreadable."""
        review = parse_review(document)
        if review is None:
            return None
        signing_state = signing_state_of(review, now)
        status = with_signing_state(review.status, signing_state)
        if status != review.status:
            await self._store.record(review, status)
            if signing_state.state is not review.status.state:
                self._emit(review, signing_state)
        if signing_state.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
            await self._store.label(review, CLOSED_STATE)
        product_ref, due_time = review.spec.product_ref, review.status.due_time
        is_waiting = (
            signing_state.state in {ReviewState.TO_REVIEW, ReviewState.OVERDUE}
            and due_time is not None
        )
        return _FollowedReview(
            version=review.metadata.resource_version,
            product=Key(review.metadata.namespace, product_ref.name),
            uid=product_ref.uid,
            state=signing_state.state,
            waiting=Waiting(product_ref.uid, due_time, finding_of(review, signing_state))
            if is_waiting and due_time
            else None,
        )

    async def _sweep(self, now: float) -> None:
        """Seal open reviews that are no longer updated, and drop old reviews of deleted products."""
        failures: list[str] = []
        actions = ActionIndex()
        try:
            async for document in self._store.documents(OPEN_STATE, self._namespaces):
                actions.add(document)
                review = parse_review(document)
                if review is not None:
                    with _noted_failures(failures):
                        await self._seal_left(review, now)
            for label in (SEALED_STATE, CLOSED_STATE):
                async for document in self._store.documents(label, self._namespaces):
                    actions.add(document)
                    with _noted_failures(failures):
                        await self._drop_expired(document, now)
        except NotFound:
            return
        except KubeError as error:
            logger.warning("reviews of deleted products are sealed and dropped later: %s", error)
        else:
            self._unreviewed.clear()
            self._swept = True
            self._replace_late_actions(actions.late(now))
        _warn_failure("%d reviews are sealed or dropped a day later, the first: %s", failures)

    def _replace_late_actions(self, late: dict[Key, list[LateActions]]) -> None:
        """Requeue the products whose late actions have changed."""
        late_before, self._late = self._late, late
        for key in late_before.keys() | late.keys():
            if late_before.get(key) != late.get(key):
                self._requeue(key)

    async def _follow_actions(self, now: float) -> int:
        """Read reviews with late actions again to drop completed actions; return the number of reads.

        What has become late since is found by the daily sweep.
        """
        late, read_documents = {}, 0
        try:
            for product, of_products in self._late.items():
                actions = ActionIndex()
                for review_key in {action.review for one in of_products for action in one.actions}:
                    read_documents += 1
                    document = await self._store.document(review_key)
                    if document is not None:
                        actions.add(document)
                late[product] = remaining_actions(of_products, actions.late(now).get(product, ()))
        except KubeError as error:
            logger.warning("late actions of reviews are read later: %s", error)
            return read_documents
        self._replace_late_actions({product: left for product, left in late.items() if left})
        return read_documents

    async def _seal_left(self, review: DataProductReview, now: float) -> None:
        if review.status.seal_time is not None:
            await self._store.label(review, SEALED_STATE)  # it was ended between the two writes
            return
        seal_reason = self._left(review, now)
        if seal_reason is not None:
            await seal_review(self._store, review, now, seal_reason=seal_reason)

    def _left(self, review: DataProductReview, now: float) -> str | None:
        """Return why an open review is no longer updated; None if it is updated or unknown."""
        key = Key(review.metadata.namespace, review.spec.product_ref.name)
        if not self._exists(key, review.spec.product_ref.uid):
            return PRODUCT_GONE
        if now < review.spec.period.start:
            return None  # the clock was ahead: it is visited once it begins
        entry = self._known.get(key)
        if entry is None and key not in self._unreviewed:
            return None
        if entry is not None and (
            not self._can_be_held(entry)
            or review.metadata.name in visited_names(entry.subject, now)
        ):
            return None
        return PERIOD_OVER if review.spec.period.end <= now else CYCLE_CHANGED

    async def _drop_expired(self, document: Mapping[str, Any], now: float) -> None:
        """Drop an expired review whose product is deleted, or isn't reviewed any more."""
        product_ref = (document.get("spec") or {}).get("productRef") or {}
        key = Key(document["metadata"]["namespace"], product_ref.get("name", ""))
        review = None if key in self._known else parse_review(document)
        if review is None or review.status.seal_time is None:
            return
        if review.status.expiry_time is None or now < review.status.expiry_time:
            return
        if key in self._unreviewed or not self._exists(key, review.spec.product_ref.uid):
            await self._store.drop(review)


@contextmanager
def _noted_failures(failures: list[str]) -> Iterator[None]:
    """Log the failure of a review, so that the other reviews are still written."""
    try:
        yield
    except _ERRORS_OF_ONE_PRODUCT as error:
        failures.append(str(error))


def _with_unknown_zone(product: DataProduct, due: Finding | None) -> Finding | None:
    """Return the condition with a time zone that doesn't exist; a review that is due keeps its reason."""
    cycle = product.spec.review
    if cycle is None:
        return due
    try:
        period_at(cycle, 0.0)
    except UnknownZone as error:
        text = f"no review is opened: {error}"
        if due is None or due.reason == EventReason.REVIEW_MISCONFIGURED:
            return Finding(ConditionType.REVIEW_DUE, "True", EventReason.REVIEW_MISCONFIGURED, text)
        if text in due.message:
            return due
        return Finding(ConditionType.REVIEW_DUE, "True", due.reason, f"{due.message}; {text}")
    return due


def _earlier_finding(product: DataProduct, kind: ConditionType) -> Finding | None:
    """Return a condition as status has it; None unless it is True."""
    condition = find_condition(product.status.conditions, kind)
    if condition is None or condition.status != "True":
        return None
    return Finding(kind, "True", condition.reason, condition.message)


def _warn_failure(text: str, failures: list[str]) -> None:
    if failures:
        logger.warning(text, len(failures), failures[0])


def next_visit_time(review_subject: ReviewSubject, now: float) -> float:
    """Return the time of the next visit to a product's ledger.

    After its next midnight, at a time of its own.
    """
    period: Period | None = period_at(review_subject.cycle, now)
    if period is None:
        period = period_at(review_subject.cycle, now + 366 * DAY_SECONDS)
        return period.begin if period is not None else now + DAY_SECONDS
    delay_seconds = (
        DELAY_SECONDS
        + _key_hash(review_subject.key) % SPREAD_SECONDS // SLOT_SECONDS * SLOT_SECONDS
    )
    for day in period.days():
        if day.end + delay_seconds > now and day.end > now - SPREAD_SECONDS - DELAY_SECONDS:
            return float(day.end + delay_seconds)
    return float(period.end + delay_seconds)


def _key_hash(key: Key) -> int:
    return crc32(f"{key.namespace}/{key.name}".encode())


@dataclass(frozen=True, slots=True)
class ReviewedReconciler:
    """Reconciler that updates the products of the review loop.

    Attributes
    ----------
    product : function that returns the cached product of this name; None if it is deleted.
    """

    reconciler: Reconciler
    reviews: Reviews
    product: Callable[[Key], DataProduct | None]
    timing: Timing

    async def reconcile(self, key: Key) -> Result:
        """Reconcile, then update the product in the review loop; an invalid spec changes nothing there."""
        result = await self.reconciler.reconcile(key)
        product = self.product(key)
        self.reviews.update_subject(
            key, None if product is None else subject_of(product, self.timing)
        )
        return result
