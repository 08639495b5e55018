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
    days_to_read,
    with_candidates,
    with_day,
    with_missed_markets,
    with_notes,
    with_versions,
)
from sluicegate.reviews.periods import (
    Day,
    Period,
    local_day,
    period_at,
    period_before,
    retention_end,
    zone_of,
)
from sluicegate.reviews.seal import PERIOD_OVER, PRODUCT_GONE, may_be_sealed, sealed_review
from sluicegate.reviews.store import (
    SEALED_STATE,
    ReviewStore,
    UnreadableReview,
    opened_status,
    review_key,
)
from sluicegate.reviews.subject import ReviewSubject

logger = logging.getLogger(__name__)

DELAY_SECONDS: Final = 600
"""Seconds after midnight until the day's last samples have arrived."""
MAX_AGE_SECONDS: Final = 15 * DAY_SECONDS
"""Least retention of Prometheus: an older day can't be read any more."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open review while it is updated: its content, and the days to read."""

    subject: ReviewSubject
    period: Period
    review: DataProductReview
    status: DataProductReviewStatus
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class LedgerWriter:
    """Writer of open reviews: it reads their days and updates or seals their ledgers.

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
        notes : events that this process observed since the last visit.
        """
        failed_keys: set[Key] = set()
        ledgers: list[Ledger] = []
        for review_subject in subjects:
            try:
                ledgers += await self._ledgers(
                    review_subject, notes.get(review_subject.key, []), now
                )
            except UnreadableReview as error:
                self.on_problem(review_subject.key, str(error))
                failed_keys.add(review_subject.key)  # a person may correct it
            except KubeError as error:
                logger.warning("the review of %s waits: %s", review_subject.key, error)
                failed_keys.add(review_subject.key)
        try:
            counts_by_span = await self._read(ledgers)
        except PrometheusError as error:
            logger.warning("days of %d products wait: %s", len(subjects), error)
            counts_by_span, unread_keys = (
                {},
                {ledger.subject.key for ledger in ledgers if ledger.days},
            )
            failed_keys |= unread_keys
        for ledger in ledgers:
            try:
                await self._record(ledger, counts_by_span, now)
            except Conflict:
                failed_keys.add(ledger.subject.key)  # it was signed meanwhile: read it again
            except KubeError as error:
                logger.warning("the review of %s waits: %s", ledger.subject.key, error)
                failed_keys.add(ledger.subject.key)
        return {ledger.key for ledger in subjects} - failed_keys

    async def _ledgers(
        self, review_subject: ReviewSubject, notes: Sequence[Note], now: float
    ) -> list[Ledger]:
        """Return a product's unsealed reviews: the current period's, and for some days the previous period's."""
        period = period_at(review_subject.cycle, now)
        if period is None:
            return []
        reviews = []
        previous_period = period_before(review_subject.cycle, period)
        if previous_period is not None:
            review = await self._own_review(review_subject, previous_period)
            if review is not None:
                reviews.append((previous_period, review))
        review = await self._open_review(review_subject, period, now)
        if review is not None:
            reviews.append((period, review))
        return [
            self._ledger(review_subject, review_day, review, notes=notes, now=now)
            for review_day, review in reviews
            if review.status.seal_time is None
        ]

    async def _own_review(
        self, review_subject: ReviewSubject, period: Period
    ) -> DataProductReview | None:
        """Return the product's review of a period; None if it belongs to an earlier product of the same name."""
        for uid in ("", review_subject.uid):
            review = await self.store.read(review_key(review_subject.key, period, uid))
            if review is not None and review.spec.product_ref.uid == review_subject.uid:
                return review
        return None

    async def _open_review(
        self, review_subject: ReviewSubject, period: Period, now: float
    ) -> DataProductReview | None:
        """Return the review of this period, and create it if there is none.

        The review of a deleted product with the same name is sealed first.
        """
        review = await self.store.read(review_key(review_subject.key, period))
        if review is None:
            review = await self.store.open(
                review_subject, review_key(review_subject.key, period), period
            )
            await self._drop_beyond(review_subject, period)
        if review is None or review.spec.product_ref.uid == review_subject.uid:
            return review
        if review.status.seal_time is None:
            await seal_review(self.store, review, now, seal_reason=PRODUCT_GONE)
        key = review_key(review_subject.key, period, review_subject.uid)
        return await self.store.read(key) or await self.store.open(review_subject, key, period)

    async def _drop_beyond(self, review_subject: ReviewSubject, period: Period) -> None:
        """Drop reviews beyond `keep`; a failure doesn't prevent the new period."""
        try:
            newest_key = review_key(review_subject.key, period)
            remaining_reviews = await self.store.drop_beyond(
                review_subject.key, review_subject.cycle.keep, newest_key
            )
        except UnreadableReview as error:
            self.on_problem(review_subject.key, str(error))
            return
        if remaining_reviews:
            text = (
                f"{remaining_reviews} sealed reviews are older than the {review_subject.cycle.keep} that"
                " spec.review.keep asks for, and stay until they are archived: the last Jobs of the"
                " CronJob that archives them say why they aren't"
            )
            self.on_problem(review_subject.key, text)

    @staticmethod
    def _ledger(
        review_subject: ReviewSubject,
        period: Period,
        review: DataProductReview,
        *,
        notes: Sequence[Note],
        now: float,
    ) -> Ledger:
        status = review.status
        if not status.time_zone:
            status = opened_status(review_subject, period)
        # A time zone applies to a whole period: another one would count an hour twice, or never.
        period = replace(period, zone=zone_of(status.time_zone))
        if period.end > now:  # afterwards the settings are those of the next period
            today_date = local_day(int(now), status.time_zone)
            status = status.replace(
                slos=review_subject.slos,
                team=review_subject.team,
                readiness=review_subject.readiness(today_date, now),
                expiry_time=retention_end(review_subject.cycle, period),
            )
            status = with_missed_markets(status, review_subject.missed_markets, now)
        status = with_notes(status, (*notes, *review_subject.newest), period)
        status = with_versions(status, review_subject.versions, period)
        status = with_candidates(status, review_subject.candidates, period)
        read_until = now - DELAY_SECONDS
        days = days_to_read(status, period, read_until, oldest_day=now - MAX_AGE_SECONDS)
        return Ledger(review_subject, period, review, status, days)

    async def _read(
        self, ledgers: Sequence[Ledger]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        """Read the days of all ledgers, for products with the same days together."""
        groups: dict[tuple[tuple[int, int], ...], dict[Key, Ledger]] = defaultdict(dict)
        for ledger in ledgers:
            if ledger.days and ledger.subject.target is not None:
                day_spans = tuple((day.begin, day.end) for day in ledger.days)
                groups[day_spans][ledger.subject.key] = ledger
        counts_by_span: dict[tuple[ProductKey, tuple[int, int]], DayCounts] = {}
        for day_spans, group in groups.items():
            targets = [ledger.subject.target for ledger in group.values() if ledger.subject.target]
            counts_by_span |= await self.reader.read(targets, day_spans)
        return counts_by_span

    async def _record(
        self,
        ledger: Ledger,
        counts_by_span: dict[tuple[ProductKey, tuple[int, int]], DayCounts],
        now: float,
    ) -> None:
        """Write new records, and seal an ended period; nothing is written without a change."""
        status, key = ledger.status, ProductKey(*ledger.subject.key)
        for day in ledger.days:
            counts = counts_by_span.get((key, (day.begin, day.end)))
            if counts is not None:
                status = with_day(status, day, counts, now, requests=ledger.subject.requests)
        review = ledger.review
        is_closing = may_be_sealed(ledger.period, now - DELAY_SECONDS) and not _awaits_day(
            ledger, counts_by_span, now
        )
        if is_closing:
            status = sealed_review(review.replace(status=status), now, seal_reason=PERIOD_OVER)
        if status.to_dict() != review.status.to_dict():
            await self.store.record(review, status)
        if is_closing:
            self.on_sealed(review.replace(status=status))
            await self.store.label(review, SEALED_STATE)


async def seal_review(
    store: ReviewStore, review: DataProductReview, now: float, *, seal_reason: str
) -> None:
    """Seal a review with its current content."""
    await store.record(review, sealed_review(review, now, seal_reason=seal_reason))
    await store.label(review, SEALED_STATE)


def visited_names(review_subject: ReviewSubject, now: float) -> set[str]:
    """Return the names of the reviews that a visit to a product updates."""
    period = period_at(review_subject.cycle, now)
    previous_period = period_before(review_subject.cycle, period) if period is not None else None
    return {
        review_key(review_subject.key, visited_period, uid).name
        for visited_period in (period, previous_period)
        if visited_period is not None
        for uid in ("", review_subject.uid)
    }


def _awaits_day(
    ledger: Ledger, counts_by_span: dict[tuple[ProductKey, tuple[int, int]], DayCounts], now: float
) -> bool:
    """Return whether a missing day may still be read, so that the review is not sealed yet."""
    if ledger.subject.target is None:
        return False
    key = ProductKey(*ledger.subject.key)
    has_missing_days = any((key, (day.begin, day.end)) not in counts_by_span for day in ledger.days)
    return has_missing_days and now < ledger.period.end + MAX_AGE_SECONDS
