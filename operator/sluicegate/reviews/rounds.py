"""Which product's ledger is visited when: once a day each, at a time of its own, and after a decision.

Runs on the leader only. Visits of a day are spread over twenty hours by a hash of the product, so
that writes never come in a crowd; so are those after a start, which write nothing that is there.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview, ReviewState
from sluicegate.conditions import Finding, find_condition
from sluicegate.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from sluicegate.kube.resources import Key
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.journal import (
    CYCLE_CHANGED,
    DAY_SECONDS,
    PERIOD_OVER,
    PRODUCT_GONE,
    Note,
)
from sluicegate.reviews.keeper import DELAY_SECONDS, Keeper, seal, visited_names
from sluicegate.reviews.periods import Period, UnknownZone, period_at
from sluicegate.reviews.signing import SigningState, finding_of, standing, with_standing
from sluicegate.reviews.store import CLOSED, OPEN, SEALED, ReviewStore, parse_review
from sluicegate.reviews.subject import ReviewSubject, subject_of
from sluicegate.runtime.interfaces import Reconciler, Result

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 10.0
AT_ONCE: Final = 50
"""Products of one visit: they share their queries."""
SPREAD_SECONDS: Final = 20 * 3600
SLOT_SECONDS: Final = 300
"""Products of one slot are visited together, so that they share their queries."""
START_SECONDS: Final = 3600
"""Over which the first visits after a start are spread."""
DECISION_SECONDS: Final = 5.0
"""After a decision or the end of a training, as the next one may come along."""
RETRY_SECONDS: Final = 300.0
SIGNED_SECONDS: Final = 60.0
READS_PER_SECOND: Final = 10
"""Reviews that wait for signatures are read no faster than this."""
SWEEP_SECONDS: Final = DAY_SECONDS
_OF_ONE: Final = (Conflict, Forbidden, Invalid, NotFound)
"""Why a review can't be written, which says nothing of others."""


@dataclass(slots=True)
class _Known:
    subject: ReviewSubject
    due: float
    wrong: str = ""
    """What was last said to be wrong with its review."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A review that waits for signatures: of which product, until when, and what is said of it."""

    uid: str
    due: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class _FollowedReview:
    """Where a sealed review stood when it was read: it stands there until it is written, or overdue."""

    version: str
    product: Key
    uid: str
    state: ReviewState
    waiting: Waiting | None

    def ends(self, now: float) -> bool:
        """Whether it has become overdue since."""
        waits = self.waiting is not None and self.state is ReviewState.TO_REVIEW
        return waits and self.waiting is not None and int(now) > self.waiting.due


@dataclass(slots=True)
class Overview:
    """What metrics say of reviews."""

    states: dict[ReviewState, int] = field(default_factory=lambda: defaultdict(int))
    waiting: dict[Key, Waiting] = field(default_factory=dict)
    """The review of a product that is to be signed, of several the one that is due first."""

    def add(self, seen: _FollowedReview) -> None:
        """Take in a review that is sealed, and that not all have signed."""
        self.states[seen.state] += 1
        if seen.waiting is None:
            return
        known = self.waiting.get(seen.product)
        if known is None or seen.waiting.due < known.due:
            self.waiting[seen.product] = seen.waiting


class Reviews:
    """Visits ledgers for ever. Used from the event loop only."""

    def __init__(
        self,
        store: ReviewStore,
        *,
        wall: Callable[[], float],
        exists: Callable[[Key, str], bool],
        tell: Callable[[DataProductReview, SigningState], None],
        misconfigured: Callable[[Key, str], None],
        wake: Callable[[Key], None],
        namespaces: tuple[str, ...] = (),
    ) -> None:
        """`exists` says whether a product of this name and uid is there.

        `tell` is told each review whose state has changed; `misconfigured` a product whose review
        can't be held, and why; `wake` a product of which another thing is to be said now.
        """
        self._store = store
        self._wall = wall
        self._exists = exists
        self._tell = tell
        self._misconfigured = misconfigured
        self._wake = wake
        self._namespaces = namespaces
        self._known: dict[Key, _Known] = {}
        self._unreviewed: set[Key] = set()
        """Products that were seen without a review since the last sweep."""
        self._notes: dict[Key, list[Note]] = defaultdict(list)
        self._began = wall()
        self._next_signed = 0.0
        self._next_sweep = 0.0
        self._latest = 0.0
        self.overview = Overview()
        self._seen: dict[Key, _FollowedReview] = {}
        self._followed = False

    def condition(self, product: DataProduct) -> Finding | None:
        """What is to be said of a product's review; None while nobody has to sign.

        Until this replica has read what waits for signatures, what was said before holds.
        """
        if not self._followed:
            known = find_condition(product.status.conditions, ConditionType.REVIEW_DUE)
            if known is None or known.status != "True":
                return None
            return Finding(ConditionType.REVIEW_DUE, "True", known.reason, known.message)
        waiting = self.overview.waiting.get(Key(*product.metadata.key))
        if waiting is None or waiting.uid != product.metadata.uid:
            return None
        return waiting.finding

    def know(self, key: Key, subject: ReviewSubject | None) -> None:
        """Take in how a product is now; None for one that isn't reviewed, or is gone."""
        if subject is None:
            self._known.pop(key, None)
            self._notes.pop(key, None)
            self._unreviewed.add(key)
            return
        self._unreviewed.discard(key)
        known = self._known.get(key)
        now = self._wall()
        if known is None:
            late = _hash(key) % START_SECONDS if now < self._began + START_SECONDS else 0.0
            self._known[key] = _Known(subject, now + late)
            return
        news = [one for one in subject.newest if one not in known.subject.newest]
        if news:
            self._notes[key] += news
            known.due = min(known.due, now + DECISION_SECONDS)
        if subject.cycle != known.subject.cycle:
            known.due, known.wrong = now, ""
        known.subject = subject

    async def run(self, reader: DayReader) -> None:
        """Visit for ever; `reader` is who reads days."""
        self.begin()
        while True:
            await self.round(reader)
            await asyncio.sleep(ROUND_SECONDS)

    def begin(self) -> None:
        """Forget when who is to be visited: this replica begins to lead, now or again."""
        now = self._began = self._next_signed = self._next_sweep = self._wall()
        self._followed = False
        for key, known in self._known.items():
            known.due = now + _hash(key) % START_SECONDS

    async def round(self, reader: DayReader) -> None:
        """Visit all whose time has come, and look after what waits for signatures."""
        now = self._wall()
        if now < self._latest - ROUND_SECONDS:
            self.begin()  # the clock was set back: what is planned may be years ahead
        self._latest = now
        due = [one for one in self._known.values() if one.due <= now and self._can_be_held(one)]
        due.sort(key=lambda one: one.due)
        for start in range(0, len(due), AT_ONCE):
            await self._visit(reader, due[start : start + AT_ONCE], now)
        if now >= self._next_signed:
            read = await self._follow_signatures(now)
            self._next_signed = now + max(SIGNED_SECONDS, read / READS_PER_SECOND)
        if now >= self._next_sweep:
            await self._sweep(now)
            self._next_sweep = now + SWEEP_SECONDS

    async def _visit(self, reader: DayReader, due: list[_Known], now: float) -> None:
        told = {one.subject.key: self._notes.pop(one.subject.key, []) for one in due}
        keeper = Keeper(
            self._store,
            reader,
            told=lambda review: self._tell(review, standing(review, now)),
            wrong=self._say_wrong,
        )
        visited = await keeper.visit([one.subject for one in due], told, now)
        for one in due:
            key = one.subject.key
            if key in visited:
                one.due = next_visit(one.subject, now)
            else:
                one.due = now + RETRY_SECONDS
                self._notes[key] = [*told[key], *self._notes.pop(key, [])]

    def _can_be_held(self, known: _Known) -> bool:
        try:
            period_at(known.subject.cycle, 0.0)
        except UnknownZone as error:
            self._say_wrong(known.subject.key, str(error))
            return False
        return True

    def _say_wrong(self, key: Key, text: str) -> None:
        """Say once what keeps a product's review from being held."""
        known = self._known.get(key)
        if known is not None and known.wrong != text:
            known.wrong = text
            self._misconfigured(key, text)

    async def _follow_signatures(self, now: float) -> int:
        """Look at the reviews that wait for signatures; return how many there are."""
        overview, read = Overview(), 0
        try:
            seen: dict[Key, _FollowedReview] = {}
            failures: list[str] = []
            async for document in self._store.documents(SEALED, self._namespaces):
                read += 1
                meta = document["metadata"]
                key, version = Key(meta["namespace"], meta["name"]), meta["resourceVersion"]
                known = self._seen.get(key)
                if known is None or known.version != version or known.ends(now):
                    with _noted(failures):
                        known = await self._follow(document, now)
                if known is not None:
                    seen[key] = known
                    if self._exists(known.product, known.uid):
                        overview.add(known)  # for a product that is gone nobody has to sign
            self._seen = seen
            _warn("%d reviews that wait for signatures are written later, the first: %s", failures)
        except NotFound:
            return 0  # the definition of reviews isn't installed
        except KubeError as error:
            logger.warning("signatures are read later: %s", error)
            return read
        overview.states[ReviewState.NOT_STARTED] = len(self._known)
        before, self.overview, self._followed = self.overview.waiting, overview, True
        for key in {key for key, _ in before.items() ^ overview.waiting.items()}:
            self._wake(key)
        return read

    async def _follow(self, document: Mapping[str, Any], now: float) -> _FollowedReview | None:
        """Look at one of them, and record where it stands; None for one that can't be read."""
        review = parse_review(document)
        if review is None:
            return None
        where = standing(review, now)
        status = with_standing(review.status, where)
        if status != review.status:
            await self._store.record(review, status)
            if where.state is not review.status.state:
                self._tell(review, where)
        if where.state in {ReviewState.REVIEWED, ReviewState.SKIPPED}:
            await self._store.label(review, CLOSED)
        ref, due = review.spec.product_ref, review.status.due_time
        waits = where.state in {ReviewState.TO_REVIEW, ReviewState.OVERDUE} and due is not None
        return _FollowedReview(
            version=review.metadata.resource_version,
            product=Key(review.metadata.namespace, ref.name),
            uid=ref.uid,
            state=where.state,
            waiting=Waiting(ref.uid, due, finding_of(review, where)) if waits and due else None,
        )

    async def _sweep(self, now: float) -> None:
        """Seal the open reviews that no visit comes to any more, and drop old ones without a product."""
        failures: list[str] = []
        try:
            async for review in self._store.labelled(OPEN, self._namespaces):
                with _noted(failures):
                    await self._seal_left(review, now)
            for label in (SEALED, CLOSED):
                async for document in self._store.documents(label, self._namespaces):
                    with _noted(failures):
                        await self._drop_expired(document, now)
        except NotFound:
            return
        except KubeError as error:
            logger.warning("reviews of deleted products are sealed and dropped later: %s", error)
        else:
            self._unreviewed.clear()
        _warn("%d reviews are sealed or dropped a day later, the first: %s", failures)

    async def _seal_left(self, review: DataProductReview, now: float) -> None:
        if review.status.seal_time is not None:
            await self._store.label(review, SEALED)  # it was ended between the two writes
            return
        because = self._left(review, now)
        if because is not None:
            await seal(self._store, review, now, because=because)

    def _left(self, review: DataProductReview, now: float) -> str | None:
        """Why no visit comes to an open review any more; None where one does, or it isn't known yet."""
        key = Key(review.metadata.namespace, review.spec.product_ref.name)
        if not self._exists(key, review.spec.product_ref.uid):
            return PRODUCT_GONE
        if now < review.spec.period.start:
            return None  # the clock was ahead: visits come to it once it begins
        known = self._known.get(key)
        if known is None and key not in self._unreviewed:
            return None
        if known is not None and (
            not self._can_be_held(known)
            or review.metadata.name in visited_names(known.subject, now)
        ):
            return None
        return PERIOD_OVER if review.spec.period.end <= now else CYCLE_CHANGED

    async def _drop_expired(self, document: Mapping[str, Any], now: float) -> None:
        """Drop a review whose product is gone, or isn't reviewed any more, once its time is over."""
        ref = (document.get("spec") or {}).get("productRef") or {}
        key = Key(document["metadata"]["namespace"], ref.get("name", ""))
        review = None if key in self._known else parse_review(document)
        if review is None or review.status.seal_time is None:
            return
        if review.status.expiry_time is None or now < review.status.expiry_time:
            return
        if key in self._unreviewed or not self._exists(key, review.spec.product_ref.uid):
            await self._store.drop(review)


@contextmanager
def _noted(failures: list[str]) -> Iterator[None]:
    """What keeps one review from being written keeps no other."""
    try:
        yield
    except _OF_ONE as error:
        failures.append(str(error))


def _warn(text: str, failures: list[str]) -> None:
    if failures:
        logger.warning(text, len(failures), failures[0])


def next_visit(subject: ReviewSubject, now: float) -> float:
    """When a product's ledger is visited next: after its next midnight, at a time of its own."""
    period: Period | None = period_at(subject.cycle, now)
    if period is None:
        period = period_at(subject.cycle, now + 366 * DAY_SECONDS)
        return period.begin if period is not None else now + DAY_SECONDS
    late = DELAY_SECONDS + _hash(subject.key) % SPREAD_SECONDS // SLOT_SECONDS * SLOT_SECONDS
    for day in period.days():
        if day.end + late > now and day.end > now - SPREAD_SECONDS - DELAY_SECONDS:
            return float(day.end + late)
    return float(period.end + late)


def _hash(key: Key) -> int:
    return crc32(f"{key.namespace}/{key.name}".encode())


@dataclass(frozen=True, slots=True)
class ReviewedReconciler:
    """A reconciler whose products are known to their ledgers.

    Attributes
    ----------
    product : the product of this name as it is stored; None when it is gone.
    """

    reconciler: Reconciler
    reviews: Reviews
    product: Callable[[Key], DataProduct | None]
    timing: Timing

    async def reconcile(self, key: Key) -> Result:
        """Reconcile, then let the ledger know; of a spec that is refused it keeps what it knew."""
        result = await self.reconciler.reconcile(key)
        product = self.product(key)
        self.reviews.know(key, None if product is None else subject_of(product, self.timing))
        return result
