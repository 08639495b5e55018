"""The messenger: detects the transitions of each product, and dispatches messages when they are due."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, NotFound
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, Key
from sluicegate.notify import alerts, digests
from sluicegate.notify.configuration import Configuration
from sluicegate.notify.cursor import Cursor, cursor_of
from sluicegate.notify.journal import Journal
from sluicegate.notify.message_batches import (
    Message,
    MessageBatch,
    batch_of,
    concerns,
    digest_message,
    sinks_of,
)
from sluicegate.notify.metrics import FOLDED_TRANSITIONS, TRANSITIONS
from sluicegate.notify.transitions import (
    Origin,
    Transition,
    deletion,
    numbered_transitions,
    review_transition,
    transitions_between,
)
from sluicegate.notify.watched import (
    ReviewRecord,
    dependent_transitions,
    needs_of_record,
    origin_of,
    review_record,
)
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Caches
from sluicegate.runtime.interfaces import Done, Result

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 30.0
"""Longest pause while nothing is collected; a digest may be late by it."""
SETTLE_SECONDS: Final = 0.2
"""Pause after a change, so that several changes are dispatched together."""
UID_DIGITS: Final = 8


class Messenger:
    """Reconciler of one product, and dispatch loop for all."""

    def __init__(
        self,
        configuration: Configuration,
        journal: Journal,
        api: KubeApi,
        caches: Caches,
        *,
        wall: Callable[[], float],
        excluded: Collection[str] = (),
    ) -> None:
        """Store the settings; `excluded` are namespaces that another messenger reports."""
        self._excluded = excluded
        self._configuration = configuration
        self._journal = journal
        self._api = api
        self._caches = caches
        self._wall = wall
        self._changed = asyncio.Event()
        journal.on_change.append(self._changed.set)

    async def begin(self) -> None:
        """Mark the journal as outdated: another leader may have written it."""
        self._journal.mark_outdated()

    # ---- one product --------------------------------------------------------------------------
    async def reconcile(self, key: Key) -> Result:
        """Store the transitions of one product since the last pass."""
        if key.namespace in self._excluded:
            return Done()
        await self._journal.refresh()
        previous_cursor = self._journal.cursor(key)
        cached_record = self._caches.products.get(key)
        if not isinstance(cached_record, ProductRecord):
            if previous_cursor is not None:
                deletion_change = deletion(
                    Origin(key.namespace, key.name, previous_cursor.uid), int(self._wall())
                )
                await self._take(
                    key, None, numbered_transitions([deletion_change], previous_cursor)
                )
            return Done()
        status, origin = cached_record.status, origin_of(cached_record)
        uid = cached_record.uid.replace("-", "")[-UID_DIGITS:]
        if previous_cursor is not None and previous_cursor.uid != uid:
            previous_cursor = None
        reviews = self._reviews(key, cached_record.uid)
        review_cursors = {name: review.facts for name, review in reviews.items()}
        new_cursor = cursor_of(status, review_cursors, previous_cursor or Cursor(), uid)
        # Of a new product, open states are reported, and past events aren't.
        compared_cursor = previous_cursor or new_cursor.without_levels()
        changes = numbered_transitions(
            [
                *transitions_between(compared_cursor, new_cursor, status, origin),
                *await self._reviewed(compared_cursor, reviews, origin),
            ],
            compared_cursor,
        )
        new_cursor = replace(new_cursor, count=compared_cursor.count + len(changes))
        if new_cursor != previous_cursor:
            from_upstreams = dependent_transitions(
                self._caches.products,
                cached_record,
                changes,
                (compared_cursor, new_cursor),
                excluded_namespaces=self._excluded,
            )
            await self._take(key, new_cursor, [*changes, *from_upstreams])
        return Done()

    async def _take(self, key: Key, new_cursor: Cursor | None, changes: list[Transition]) -> None:
        await self._journal.take(key, new_cursor, changes)
        for transition in changes:
            TRANSITIONS.labels(transition.kind).inc()
            logger.info(
                "transition %s",
                transition.kind,
                extra={"transition": transition.id, "reason": transition.reason},
            )

    def _reviews(self, key: Key, uid: str) -> Mapping[str, ReviewRecord]:
        """Return the product's reviews that wait for signatures, by name."""
        return {
            child.key.name: child
            for child in self._caches[DATA_PRODUCT_REVIEWS].children(key)
            if isinstance(child, ReviewRecord) and child.product_uid in ("", uid)
        }

    async def _reviewed(
        self, previous_cursor: Cursor, now: Mapping[str, ReviewRecord], origin: Origin
    ) -> list[Transition]:
        """Return the transitions of the product's reviews, including reviews that don't wait any more."""
        records = dict(now)
        for name in previous_cursor.reviews.keys() - now.keys():
            try:
                body = await self._api.get(DATA_PRODUCT_REVIEWS, Key(origin.namespace, name))
            except NotFound:
                continue  # it was deleted, which is no transition
            records[name] = review_record(body)
        review_transitions = (
            review_transition(
                name,
                previous_cursor.reviews.get(name),
                cached_record.facts,
                origin,
                time=cached_record.time or int(self._wall()),
                sign_time=cached_record.sign_time,
                text=cached_record.text,
                is_signed=cached_record.is_signed,
            )
            for name, cached_record in sorted(records.items())
        )
        return [transition for transition in review_transitions if transition is not None]

    # ---- all of them --------------------------------------------------------------------------
    async def dispatch(self) -> None:
        """Dispatch collected transitions as messages until cancelled."""
        has_dropped = False
        while True:
            try:
                await self._journal.refresh()
                if not has_dropped:
                    await self._journal.drop_unknown_sinks(tuple(self._configuration.sinks))
                    has_dropped = True
                await self.step()
            except KubeError as error:
                logger.warning("messages wait for the API server: %s", error)
            await self._pause(TICK_SECONDS if self._journal.collected else IDLE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()
        await asyncio.sleep(SETTLE_SECONDS)

    async def step(self) -> None:
        """Create the messages that are due, if any are."""
        now = int(self._wall())
        journal = self._journal
        batch = batch_of(journal.collected, journal.recent, self._configuration, now)
        days, new_digests = await self._digests(now)
        if batch is None and not days:
            return
        batch = batch or MessageBatch((), (), journal.recent)
        batch = replace(batch, messages=(*batch.messages, *new_digests))
        await journal.dispatch(batch, days)
        FOLDED_TRANSITIONS.inc(batch.folded)

    async def _digests(self, now: int) -> tuple[dict[str, str], list[Message]]:
        days: dict[str, str] = {}
        new_digests = []
        for plan in self._configuration.digests:
            day = digests.due_digest_day(plan, self._journal.digest_day(plan.name), now)
            if not day:
                continue
            days[plan.name] = day
            digest_sinks = []
            for key, cached_record, cursor in tuple(self._known()):
                if concerns(plan.when, origin_of(cached_record)):
                    digest_sinks.append(
                        digests.DigestedProduct(str(key), cursor, needs_of_record(cached_record))
                    )
                    await asyncio.sleep(0)  # parsing thousands takes seconds
            content = digests.digest_content(day, digest_sinks, total=len(digest_sinks), now=now)
            new_digests.append(digest_message(plan.name, day, content, sinks=plan.to, now=now))
        return days, new_digests

    def _known(self) -> Iterator[tuple[Key, ProductRecord, Cursor]]:
        """Yield the products that exist and have a cursor."""
        for key in self._journal.products():
            cached_record, cursor = self._caches.products.get(key), self._journal.cursor(key)
            if isinstance(cached_record, ProductRecord) and cursor is not None:
                yield key, cached_record, cursor

    def open_alerts(self, sink: str) -> list[alerts.Alert]:
        """Return the open states for an Alertmanager."""
        configuration, now = self._configuration, self._wall()
        portfolio = configuration.portfolio_url or ""
        return [
            alerts.alert_of(state, configuration.cluster, portfolio, now)
            for _, cached_record, cursor in self._known()
            if not cursor.is_quiet or cursor.upstream
            for state in alerts.open_states(cursor, cached_record.status, origin_of(cached_record))
            if sink in sinks_of(state, configuration)
        ]
