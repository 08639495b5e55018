"""One visit to the ledgers of some products: what is missing is read, recorded, and sealed in time.

A visit is idempotent, and nothing is kept between two: whatever ends the operator, the next visit
finds in the review which days are there and reads the others. So each day is counted exactly once.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.review import DataProductReview, DataProductReviewStatus
from sluicegate.kube.errors import Conflict, KubeError
from sluicegate.kube.resources import Key
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.targets import ProductKey
from sluicegate.reviews.day_reader import DayReader
from sluicegate.reviews.journal import (
    DAY_SECONDS,
    PERIOD_OVER,
    PRODUCT_GONE,
    DayCounts,
    Note,
    may_be_sealed,
    sealed,
    wanted_days,
    with_day,
    with_notes,
    with_versions,
)
from sluicegate.reviews.periods import (
    Day,
    Period,
    before,
    kept_until,
    local_day,
    period_at,
    zone_of,
)
from sluicegate.reviews.readiness import judged_on
from sluicegate.reviews.store import SEALED, ReviewStore, UnreadableReview, opened, review_key
from sluicegate.reviews.subject import ReviewSubject

logger = logging.getLogger(__name__)

DELAY_SECONDS: Final = 600
"""After midnight, until the day's last samples are there."""
OLDEST_SECONDS: Final = 15 * DAY_SECONDS
"""What Prometheus keeps at least: a day that is older can't be read any more."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open review that is visited: what it says, and which of its days are to be read."""

    subject: ReviewSubject
    period: Period
    review: DataProductReview
    status: DataProductReviewStatus
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps ledgers.

    Attributes
    ----------
    told : is given each review that is sealed because its period is over.
    wrong : is given a product whose review can't be kept as it should, and why.
    """

    store: ReviewStore
    reader: DayReader
    told: Callable[[DataProductReview], None]
    wrong: Callable[[Key, str], None]

    async def visit(
        self,
        subjects: Sequence[ReviewSubject],
        notes: dict[Key, list[Note]],
        now: float,
    ) -> set[Key]:
        """Bring the open reviews of these products up to date; return those that were visited.

        Parameters
        ----------
        notes : what happened since the last visit, as far as this process knows.
        """
        failed: set[Key] = set()
        ledgers: list[Ledger] = []
        for subject in subjects:
            try:
                ledgers += await self._ledgers(subject, notes.get(subject.key, []), now)
            except UnreadableReview as error:
                self.wrong(subject.key, str(error))
                failed.add(subject.key)  # somebody may correct it
            except KubeError as error:
                logger.warning("the review of %s waits: %s", subject.key, error)
                failed.add(subject.key)
        try:
            read = await self._read(ledgers)
        except PrometheusError as error:
            logger.warning("days of %d products wait: %s", len(subjects), error)
            read, unread = {}, {one.subject.key for one in ledgers if one.days}
            failed |= unread
        for ledger in ledgers:
            try:
                await self._record(ledger, read, now)
            except Conflict:
                failed.add(ledger.subject.key)  # somebody signed meanwhile: read it anew
            except KubeError as error:
                logger.warning("the review of %s waits: %s", ledger.subject.key, error)
                failed.add(ledger.subject.key)
        return {one.key for one in subjects} - failed

    async def _ledgers(
        self, subject: ReviewSubject, notes: Sequence[Note], now: float
    ) -> list[Ledger]:
        """The product's reviews that aren't sealed: this period's, and the last one's for some days."""
        period = period_at(subject.cycle, now)
        if period is None:
            return []
        found = []
        last = before(subject.cycle, period)
        if last is not None:
            review = await self._own(subject, last)
            if review is not None:
                found.append((last, review))
        review = await self._opened(subject, period, now)
        if review is not None:
            found.append((period, review))
        return [
            self._ledger(subject, which, one, notes=notes, now=now)
            for which, one in found
            if one.status.seal_time is None
        ]

    async def _own(self, subject: ReviewSubject, period: Period) -> DataProductReview | None:
        """The product's review of a period; None where only another product of its name has one."""
        for uid in ("", subject.uid):
            review = await self.store.read(review_key(subject.key, period, uid))
            if review is not None and review.spec.product_ref.uid == subject.uid:
                return review
        return None

    async def _opened(
        self, subject: ReviewSubject, period: Period, now: float
    ) -> DataProductReview | None:
        """The review of this period, opened where there is none.

        A product of the same name that was deleted has left its own: that is sealed as it is.
        """
        review = await self.store.read(review_key(subject.key, period))
        if review is None:
            review = await self.store.open(subject, review_key(subject.key, period), period)
            await self._drop_beyond(subject, period)
        if review is None or review.spec.product_ref.uid == subject.uid:
            return review
        if review.status.seal_time is None:
            await seal(self.store, review, now, because=PRODUCT_GONE)
        key = review_key(subject.key, period, subject.uid)
        return await self.store.read(key) or await self.store.open(subject, key, period)

    async def _drop_beyond(self, subject: ReviewSubject, period: Period) -> None:
        """Drop what is beyond `keep`; what can't be keeps nobody from the period that begins."""
        try:
            newest = review_key(subject.key, period)
            staying = await self.store.drop_beyond(subject.key, subject.cycle.keep, newest)
        except UnreadableReview as error:
            self.wrong(subject.key, str(error))
            return
        if staying:
            text = (
                f"{staying} sealed reviews are older than the {subject.cycle.keep} that"
                " spec.review.keep asks for, and stay until they are archived: the last Jobs of the"
                " CronJob that archives them say why they aren't"
            )
            self.wrong(subject.key, text)

    @staticmethod
    def _ledger(
        subject: ReviewSubject,
        period: Period,
        review: DataProductReview,
        *,
        notes: Sequence[Note],
        now: float,
    ) -> Ledger:
        status = review.status
        if not status.time_zone:
            status = opened(subject, period)
        # A time zone holds for a whole period: another one would count an hour twice, or never.
        period = replace(period, zone=zone_of(status.time_zone))
        if period.end > now:  # afterwards what holds is the next period's
            today = local_day(int(now), status.time_zone)
            ready = judged_on(subject.checks, subject.cycle.exemptions, today)
            status = status.replace(
                slos=subject.slos,
                team=subject.team,
                readiness=ready,
                expiry_time=kept_until(subject.cycle, period),
            )
        status = with_notes(status, (*notes, *subject.newest), period)
        status = with_versions(status, subject.versions, period)
        over = now - DELAY_SECONDS
        days = wanted_days(status, period, over, oldest=now - OLDEST_SECONDS)
        return Ledger(subject, period, review, status, days)

    async def _read(
        self, ledgers: Sequence[Ledger]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        """The days of all of them, of as many products at a time as want the same."""
        groups: dict[tuple[tuple[int, int], ...], dict[Key, Ledger]] = defaultdict(dict)
        for one in ledgers:
            if one.days and one.subject.target is not None:
                spans = tuple((day.begin, day.end) for day in one.days)
                groups[spans][one.subject.key] = one
        read: dict[tuple[ProductKey, tuple[int, int]], DayCounts] = {}
        for spans, group in groups.items():
            targets = [one.subject.target for one in group.values() if one.subject.target]
            read |= await self.reader.read(targets, spans)
        return read

    async def _record(
        self,
        ledger: Ledger,
        read: dict[tuple[ProductKey, tuple[int, int]], DayCounts],
        now: float,
    ) -> None:
        """Write what is new, and seal what is over; nothing where nothing is."""
        status, key = ledger.status, ProductKey(*ledger.subject.key)
        for day in ledger.days:
            counts = read.get((key, (day.begin, day.end)))
            if counts is not None:
                status = with_day(status, day, counts, now, requests=ledger.subject.requests)
        review = ledger.review
        closes = may_be_sealed(ledger.period, now - DELAY_SECONDS) and not _owes(ledger, read, now)
        if closes:
            status = sealed(review.replace(status=status), now, because=PERIOD_OVER)
        if status.to_dict() != review.status.to_dict():
            await self.store.record(review, status)
        if closes:
            self.told(review.replace(status=status))
            await self.store.label(review, SEALED)


async def seal(store: ReviewStore, review: DataProductReview, now: float, *, because: str) -> None:
    """Seal a review with what is in it."""
    await store.record(review, sealed(review, now, because=because))
    await store.label(review, SEALED)


def visited_names(subject: ReviewSubject, now: float) -> set[str]:
    """Names of the reviews that a visit to a product comes to."""
    period = period_at(subject.cycle, now)
    last = before(subject.cycle, period) if period is not None else None
    return {
        review_key(subject.key, one, uid).name
        for one in (period, last)
        if one is not None
        for uid in ("", subject.uid)
    }


def _owes(
    ledger: Ledger, read: dict[tuple[ProductKey, tuple[int, int]], DayCounts], now: float
) -> bool:
    """Whether a day of it can still be read that wasn't: it is waited for as long as it can be."""
    if ledger.subject.target is None:
        return False
    key = ProductKey(*ledger.subject.key)
    missing = any((key, (day.begin, day.end)) not in read for day in ledger.days)
    return missing and now < ledger.period.end + OLDEST_SECONDS
