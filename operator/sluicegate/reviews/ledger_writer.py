"""A visit to the ledgers of some products: missing days are read and recorded, ended periods sealed.

A visit is idempotent, and has no state between two: after a restart, the next visit reads in the
review which days exist and reads the others. So each day is counted exactly once.
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
    DayCounts,
    Note,
    wanted_days,
    with_candidates,
    with_day,
    with_missed_markets,
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
from sluicegate.reviews.seal import PERIOD_OVER, PRODUCT_GONE, may_be_sealed, sealed
from sluicegate.reviews.store import (
    SEALED,
    ReviewStore,
    UnreadableReview,
    opened_status,
    review_key,
)
from sluicegate.reviews.subject import ReviewSubject

logger = logging.getLogger(__name__)

DELAY_SECONDS: Final = 600
"""Seconds after midnight until the day's last samples have arrived."""
OLDEST_SECONDS: Final = 15 * DAY_SECONDS
"""Least retention of Prometheus: an older day can't be read any more."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open review in a visit: its content, and the days to read."""

    subject: ReviewSubject
    period: Period
    review: DataProductReview
    status: DataProductReviewStatus
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class LedgerWriter:
    """Updates of ledgers.

    Attributes
    ----------
    on_sealed : called with each review that is sealed at the end of its period.
    on_problem : called with a product whose review can't be updated, and the reason.
    """

    store: ReviewStore
    reader: DayReader
    on_sealed: Callable[[DataProductReview], None]
    on_problem: Callable[[Key, str], None]

    async def visit(
        self,
        subjects: Sequence[ReviewSubject],
        notes: dict[Key, list[Note]],
        now: float,
    ) -> set[Key]:
        """Update the open reviews of these products; return the products that were visited.

        Parameters
        ----------
        notes : events since the last visit that this process knows.
        """
        failed: set[Key] = set()
        ledgers: list[Ledger] = []
        for subject in subjects:
            try:
                ledgers += await self._ledgers(subject, notes.get(subject.key, []), now)
            except UnreadableReview as error:
                self.on_problem(subject.key, str(error))
                failed.add(subject.key)  # a person may correct it
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
                failed.add(ledger.subject.key)  # it was signed meanwhile: read it again
            except KubeError as error:
                logger.warning("the review of %s waits: %s", ledger.subject.key, error)
                failed.add(ledger.subject.key)
        return {one.key for one in subjects} - failed

    async def _ledgers(
        self, subject: ReviewSubject, notes: Sequence[Note], now: float
    ) -> list[Ledger]:
        """Return the product's unsealed reviews: that of this period, and the last one for some days."""
        period = period_at(subject.cycle, now)
        if period is None:
            return []
        reviews = []
        last = before(subject.cycle, period)
        if last is not None:
            review = await self._own_review(subject, last)
            if review is not None:
                reviews.append((last, review))
        review = await self._open_review(subject, period, now)
        if review is not None:
            reviews.append((period, review))
        return [
            self._ledger(subject, of_review, review, notes=notes, now=now)
            for of_review, review in reviews
            if review.status.seal_time is None
        ]

    async def _own_review(self, subject: ReviewSubject, period: Period) -> DataProductReview | None:
        """Return the product's review of a period; None if it belongs to another product of its name."""
        for uid in ("", subject.uid):
            review = await self.store.read(review_key(subject.key, period, uid))
            if review is not None and review.spec.product_ref.uid == subject.uid:
                return review
        return None

    async def _open_review(
        self, subject: ReviewSubject, period: Period, now: float
    ) -> DataProductReview | None:
        """Return the review of this period, and create it if there is none.

        The review of a deleted product with the same name is sealed first.
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
        """Drop reviews beyond `keep`; a failure doesn't prevent the new period."""
        try:
            newest = review_key(subject.key, period)
            staying = await self.store.drop_beyond(subject.key, subject.cycle.keep, newest)
        except UnreadableReview as error:
            self.on_problem(subject.key, str(error))
            return
        if staying:
            text = (
                f"{staying} sealed reviews are older than the {subject.cycle.keep} that"
                " spec.review.keep asks for, and stay until they are archived: the last Jobs of the"
                " CronJob that archives them say why they aren't"
            )
            self.on_problem(subject.key, text)

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
            status = opened_status(subject, period)
        # A time zone applies to a whole period: another one would count an hour twice, or never.
        period = replace(period, zone=zone_of(status.time_zone))
        if period.end > now:  # afterwards the settings are those of the next period
            today = local_day(int(now), status.time_zone)
            status = status.replace(
                slos=subject.slos,
                team=subject.team,
                readiness=subject.readiness(today, now),
                expiry_time=kept_until(subject.cycle, period),
            )
            status = with_missed_markets(status, subject.missed_markets, now)
        status = with_notes(status, (*notes, *subject.newest), period)
        status = with_versions(status, subject.versions, period)
        status = with_candidates(status, subject.candidates, period)
        read_until = now - DELAY_SECONDS
        days = wanted_days(status, period, read_until, oldest=now - OLDEST_SECONDS)
        return Ledger(subject, period, review, status, days)

    async def _read(
        self, ledgers: Sequence[Ledger]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        """Read the days of all ledgers, for products with the same days together."""
        groups: dict[tuple[tuple[int, int], ...], dict[Key, Ledger]] = defaultdict(dict)
        for ledger in ledgers:
            if ledger.days and ledger.subject.target is not None:
                spans = tuple((day.begin, day.end) for day in ledger.days)
                groups[spans][ledger.subject.key] = ledger
        read: dict[tuple[ProductKey, tuple[int, int]], DayCounts] = {}
        for spans, group in groups.items():
            targets = [ledger.subject.target for ledger in group.values() if ledger.subject.target]
            read |= await self.reader.read(targets, spans)
        return read

    async def _record(
        self,
        ledger: Ledger,
        read: dict[tuple[ProductKey, tuple[int, int]], DayCounts],
        now: float,
    ) -> None:
        """Write new records, and seal an ended period; nothing is written without a change."""
        status, key = ledger.status, ProductKey(*ledger.subject.key)
        for day in ledger.days:
            counts = read.get((key, (day.begin, day.end)))
            if counts is not None:
                status = with_day(status, day, counts, now, requests=ledger.subject.requests)
        review = ledger.review
        closes = may_be_sealed(ledger.period, now - DELAY_SECONDS) and not _awaits_day(
            ledger, read, now
        )
        if closes:
            status = sealed(review.replace(status=status), now, because=PERIOD_OVER)
        if status.to_dict() != review.status.to_dict():
            await self.store.record(review, status)
        if closes:
            self.on_sealed(review.replace(status=status))
            await self.store.label(review, SEALED)


async def seal(store: ReviewStore, review: DataProductReview, now: float, *, because: str) -> None:
    """Seal a review with its current content."""
    await store.record(review, sealed(review, now, because=because))
    await store.label(review, SEALED)


def visited_names(subject: ReviewSubject, now: float) -> set[str]:
    """Return the names of the reviews that a visit to a product updates."""
    period = period_at(subject.cycle, now)
    last = before(subject.cycle, period) if period is not None else None
    return {
        review_key(subject.key, named_period, uid).name
        for named_period in (period, last)
        if named_period is not None
        for uid in ("", subject.uid)
    }


def _awaits_day(
    ledger: Ledger, read: dict[tuple[ProductKey, tuple[int, int]], DayCounts], now: float
) -> bool:
    """Return whether a missing day can still be read: the seal waits for it."""
    if ledger.subject.target is None:
        return False
    key = ProductKey(*ledger.subject.key)
    missing = any((key, (day.begin, day.end)) not in read for day in ledger.days)
    return missing and now < ledger.period.end + OLDEST_SECONDS
