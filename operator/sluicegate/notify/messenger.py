"""Finds the transitions of each product, and puts what was collected into messages when it is time."""

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
from sluicegate.notify.messages import (
    Message,
    MessageBatch,
    batch_of,
    concerns,
    digest_message,
    sinks_of,
)
from sluicegate.notify.metrics import FOLDED, TRANSITIONS
from sluicegate.notify.transitions import (
    Origin,
    Transition,
    deletion,
    numbered,
    review_transition,
    transitions,
)
from sluicegate.notify.watched import ReviewRecord, needs_of_record, origin_of, review_record
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Caches
from sluicegate.runtime.interfaces import Done, Result

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 30.0
"""While nothing is collected; a digest may be so late."""
SETTLE_SECONDS: Final = 0.2
"""After a change: others that come at once are dispatched with it."""
UID_DIGITS: Final = 8


class Messenger:
    """The reconciler of one product, and the loop that dispatches for all."""

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
        """Nothing is read yet; `excluded` are namespaces that another messenger reports."""
        self._excluded = excluded
        self._configuration = configuration
        self._journal = journal
        self._api = api
        self._caches = caches
        self._wall = wall
        self._changed = asyncio.Event()
        journal.on_change.append(self._changed.set)

    async def begin(self) -> None:
        """Have the journal read again: another leader may have written it."""
        self._journal.outdated()

    # ---- one product --------------------------------------------------------------------------
    async def reconcile(self, key: Key) -> Result:
        """Keep the transitions of one product since the last look."""
        if key.namespace in self._excluded:
            return Done()
        await self._journal.fresh()
        before = self._journal.cursor(key)
        record = self._caches.products.get(key)
        if not isinstance(record, ProductRecord):
            if before is not None:
                gone = deletion(Origin(key.namespace, key.name, before.uid), int(self._wall()))
                await self._take(key, None, numbered([gone], before))
            return Done()
        status, origin = record.status, origin_of(record)
        uid = record.uid.replace("-", "")[-UID_DIGITS:]
        if before is not None and before.uid != uid:
            before = None
        reviews = self._reviews(key, record.uid)
        known = {name: one.facts for name, one in reviews.items()}
        after = cursor_of(status, known, before or Cursor(), uid)
        # At first sight what lasts is news, and what has happened isn't.
        since = before or after.without_levels()
        found = numbered(
            [
                *transitions(since, after, status, origin),
                *await self._reviewed(since, reviews, origin),
            ],
            since,
        )
        after = replace(after, count=since.count + len(found))
        if after != before:
            await self._take(key, after, found)
        return Done()

    async def _take(self, key: Key, after: Cursor | None, found: list[Transition]) -> None:
        await self._journal.take(key, after, found)
        for one in found:
            TRANSITIONS.labels(one.kind).inc()
            logger.info(
                "transition %s", one.kind, extra={"transition": one.id, "reason": one.reason}
            )

    def _reviews(self, key: Key, uid: str) -> Mapping[str, ReviewRecord]:
        """The product's reviews that wait for signatures, by name."""
        return {
            one.key.name: one
            for one in self._caches[DATA_PRODUCT_REVIEWS].children(key)
            if isinstance(one, ReviewRecord) and one.product_uid in ("", uid)
        }

    async def _reviewed(
        self, before: Cursor, now: Mapping[str, ReviewRecord], origin: Origin
    ) -> list[Transition]:
        """What happened to the product's reviews; one that waits no more is looked at once more."""
        found = dict(now)
        for name in before.reviews.keys() - now.keys():
            try:
                body = await self._api.get(DATA_PRODUCT_REVIEWS, Key(origin.namespace, name))
            except NotFound:
                continue  # it was deleted, which skips it
            found[name] = review_record(body)
        made = (
            review_transition(
                name,
                before.reviews.get(name),
                one.facts,
                origin,
                time=one.time or int(self._wall()),
            )
            for name, one in sorted(found.items())
        )
        return [one for one in made if one is not None]

    # ---- all of them --------------------------------------------------------------------------
    async def dispatch(self) -> None:
        """Put what was collected into messages, for ever."""
        known = False
        while True:
            try:
                await self._journal.fresh()
                if not known:
                    await self._journal.keep_known(tuple(self._configuration.sinks))
                    known = True
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
        """Make the messages that are due, if any are."""
        now = int(self._wall())
        journal = self._journal
        batch = batch_of(journal.collected, journal.recent, self._configuration, now)
        days, made = await self._digests(now)
        if batch is None and not days:
            return
        batch = batch or MessageBatch((), (), journal.recent)
        batch = replace(batch, messages=(*batch.messages, *made))
        await journal.dispatch(batch, days)
        FOLDED.inc(batch.folded)

    async def _digests(self, now: int) -> tuple[dict[str, str], list[Message]]:
        days: dict[str, str] = {}
        made = []
        for plan in self._configuration.digests:
            day = digests.due_day(plan, self._journal.digest_day(plan.name), now)
            if not day:
                continue
            days[plan.name] = day
            some = []
            for key, record, cursor in tuple(self._known()):
                if concerns(plan.when, origin_of(record)):
                    some.append(digests.DigestedProduct(str(key), cursor, needs_of_record(record)))
                    await asyncio.sleep(0)  # to parse thousands takes seconds
            content = digests.content(day, some, total=len(some), now=now)
            made.append(digest_message(plan.name, day, content, sinks=plan.to, now=now))
        return days, made

    def _known(self) -> Iterator[tuple[Key, ProductRecord, Cursor]]:
        """Products that are there and were seen."""
        for key in self._journal.products():
            record, cursor = self._caches.products.get(key), self._journal.cursor(key)
            if isinstance(record, ProductRecord) and cursor is not None:
                yield key, record, cursor

    def open_alerts(self, sink: str) -> list[alerts.Alert]:
        """The states that are open for an Alertmanager."""
        configuration, now = self._configuration, self._wall()
        portfolio = configuration.portfolio_url or ""
        return [
            alerts.alert_of(one, configuration.cluster, portfolio, now)
            for _, record, cursor in self._known()
            if not cursor.is_quiet or cursor.upstream
            for one in alerts.open_states(cursor, record.status, origin_of(record))
            if sink in sinks_of(one, configuration)
        ]
