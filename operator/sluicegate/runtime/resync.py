"""Resync: lists of every kind in pages, once before the first write, then every few minutes and on demand.

A watch delivers changes; only a list shows which objects no longer exist (deletions during a gap of
the watch are lost). Only differences are queued, so an unchanged cluster costs a few reads.

Each kind of each namespace is a list of its own: a failed list is retried later, and doesn't delay
the others.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import Forbidden, KubeError, NotFound
from sluicegate.kube.resources import Resource
from sluicegate.runtime.cache import Cache, Caches, Change, Listing
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.unreadable_namespaces import Refusals

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""Seconds from a gap of a watch to the list that repairs it: watches of several kinds often break together."""

LONGEST_WAIT = 10.0
"""Longest pause between attempts while the API server is down."""

LONGEST_REFUSAL = 60.0
"""Longest pause between attempts at a forbidden list: the delay until a new permission takes effect."""

FIRST_SECONDS = 30.0
OBJECTS_AT_ONCE = 20
LATER_SHARE = 1 / 60
"""Part of an interval after which a list that was put off is considered again."""


@dataclass(slots=True)
class Due:
    """A list to make: its time, on the event loop's clock, and the pause after a failure."""

    at: float = float("-inf")
    pause: float = 1.0


class Resync:
    """Resync of all caches; `on_change` is called with each product to be reconciled.

    While the operator is `busy` the list of all kinds is put off, for one interval at most: with
    thousands of products it takes most of a minute, and watches rarely miss a change.
    """

    def __init__(
        self,
        api: KubeApi,
        caches: Caches,
        on_change: Callable[[Change], None],
        *,
        refusals: Refusals,
        namespaces: Sequence[str] = (),
        interval: float,
        jitter: Callable[[], float],
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._api = api
        self._caches = caches
        self._on_change = on_change
        self._refusals = refusals
        self._namespaces = tuple(namespaces) or ("",)
        self._interval = interval
        self._jitter = jitter
        self._busy = is_busy
        self._requested_resources: set[Resource] = set()
        self._vanished: set[tuple[Cache, str]] = set()
        self._due: dict[tuple[Cache, str], Due] = {}
        self._asked = asyncio.Event()
        self._returned = asyncio.Event()
        self.primed = asyncio.Event()

    def request(self, resource: Resource) -> None:
        """Request a list of one kind soon, e.g. after a gap of its watch."""
        self._requested_resources.add(resource)
        self._asked.set()

    def after_outage(self) -> None:
        """List all kinds soon after an outage of the API server, as changes may have been missed."""
        for cache in self._caches:
            self.request(cache.watched.resource)
        self._returned.set()

    async def prime(self) -> None:
        """Fill all caches before the first write, however long the API server is unreachable.

        A refused namespace doesn't delay the others. If one list covers all namespaces, it must
        succeed.
        """
        self._make_due(self._caches)
        await self._list_due()
        while any(not self._is_refused(key) for key in self._due.keys() - self._vanished):
            await self._pause(self._earliest())
            await self._list_due()
        self.primed.set()
        logger.info("caches are primed", extra={"objects": sum(map(len, self._caches))})

    async def run(self) -> None:
        """List until cancelled: all kinds each interval ± 20 %, a single one on request."""
        event_loop = asyncio.get_running_loop()
        # The first one is early, to find objects that were deleted between priming and watching.
        next_full = event_loop.time() + min(self._interval, FIRST_SECONDS)
        latest_time = next_full + self._interval
        while True:
            is_requested = await self._requested_before(min(next_full, self._earliest()))
            now = event_loop.time()
            if is_requested:
                self._make_due(is_requested)
            elif now >= next_full and now < latest_time and self._busy():
                next_full = min(latest_time, now + LATER_SHARE * self._interval)
            elif now >= next_full:
                next_full = now + self._interval * (0.8 + 0.4 * self._jitter())
                latest_time = next_full + self._interval
                self._make_due(self._caches)
            await self._list_due()

    async def _requested_before(self, deadline: float) -> Sequence[Cache]:
        try:
            async with asyncio.timeout_at(deadline):
                await self._asked.wait()
        except TimeoutError:
            return ()
        await asyncio.sleep(SETTLE_SECONDS)
        self._asked.clear()
        resources, self._requested_resources = self._requested_resources, set()
        return [self._caches[resource] for resource in resources]

    def _make_due(self, caches: Iterable[Cache]) -> None:
        """Make these lists due at once, except refused ones, which keep their own time."""
        for cache in caches:
            for namespace in self._namespaces:
                target = cache, namespace
                if target not in self._due or not self._is_refused(target):
                    self._due[target] = Due()

    def _is_refused(self, target: tuple[Cache, str]) -> bool:
        """Return whether this is one namespace of several, and its list is refused."""
        cache, namespace = target
        return bool(namespace) and self._refusals.lists(cache.watched.resource, namespace)

    def _earliest(self) -> float:
        return min((due_list.at for due_list in self._due.values()), default=float("inf"))

    async def _list_due(self) -> None:
        """Make each due list; a failed one is retried later."""
        event_loop = asyncio.get_running_loop()
        for (cache, namespace), due_list in tuple(self._due.items()):
            if due_list.at > event_loop.time():
                continue
            resource = cache.watched.resource
            try:
                await self._list(cache, namespace)
            except KubeError as error:
                is_refused = isinstance(error, Forbidden)
                delay = due_list.pause * (0.5 + self._jitter() / 2)
                due_list.at = event_loop.time() + delay
                due_list.pause = min(
                    LONGEST_REFUSAL if is_refused else LONGEST_WAIT, due_list.pause * 2
                )
                if not is_refused or self._refusals.add(resource, namespace):
                    kind, namespace_text = (
                        resource.qualified,
                        f" in {namespace}" if namespace else "",
                    )
                    logger.warning(
                        "list of %s%s is retried in %.1f s: %s", kind, namespace_text, delay, error
                    )
                if self._refusals.forget(resource, namespace):
                    self._forget(cache, namespace)
            else:
                if (cache, namespace) in self._vanished:
                    due_list.at, due_list.pause = (
                        event_loop.time() + due_list.pause,
                        min(LONGEST_WAIT, due_list.pause * 2),
                    )
                else:
                    del self._due[cache, namespace]
                if self._refusals.end(resource, namespace):
                    logger.info("list of %s in %s is allowed again", resource.qualified, namespace)
                    self._apply_decision(namespace)

    def _forget(self, cache: Cache, namespace: str) -> None:
        """Drop the records of a kind in a namespace that can't be read, and may be deleted."""
        with cache.listing(namespace) as cache_listing:
            for change in cache_listing.finish(2**63):
                self._on_change(change)

    def _apply_decision(self, namespace: str) -> None:
        """Requeue the products of a namespace after all of its kinds were listed."""
        if not self._refusals.hides(namespace):
            for key in self._caches.products:
                if namespace in ("", key.namespace):
                    self._on_change(Change(key, QueuePriority.NORMAL))

    async def _pause(self, until_time: float) -> None:
        """Wait until then, or until the API server answers again: then all lists are due."""
        self._returned.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until_time):
                await self._returned.wait()
                for due_list in self._due.values():
                    due_list.at = float("-inf")

    async def _list(self, cache: Cache, namespace: str) -> None:
        is_restored = False
        with cache.listing(namespace) as cache_listing:
            version = None
            try:
                async for page in self._api.pages(
                    cache.watched.resource, namespace=namespace, labels=cache.watched.labels
                ):
                    await self._take_in(cache_listing, page.items)
                    version = int(page.resource_version)
                    del page  # so that it isn't kept in memory while the next one is read
            except NotFound:
                self._vanish(cache, namespace, cache_listing)
            if version is not None and cache_listing.is_outdated(version):
                logger.warning(
                    "the API server shows an older state of %s than before, as after a restore from a"
                    " backup: the list is repeated and replaces the cache",
                    cache.watched.resource.qualified,
                )
                cache.outdate(namespace)
                is_restored = True
            elif version is not None:
                self._vanished.discard((cache, namespace))
                for change in cache_listing.finish(version):
                    self._on_change(change)
        if is_restored:
            await self._list(cache, namespace)

    def _vanish(self, cache: Cache, namespace: str, cache_listing: Listing) -> None:
        """Drop all objects, as the kind doesn't exist, or another server answers.

        An open watch doesn't send the objects again, so the list is repeated until it succeeds. A
        kind without objects may not exist in this cluster: the watch notices when it is installed.
        """
        for change in cache_listing.finish(2**63):
            self._vanished.add((cache, namespace))
            self._on_change(change)

    async def _take_in(self, cache_listing: Listing, items: Iterable[Mapping[str, Any]]) -> None:
        """Store a page in slices of a few milliseconds, so that other tasks run in between."""
        for number, body in enumerate(items, start=1):
            for change in cache_listing.add(body):
                self._on_change(change)
            if number % OBJECTS_AT_ONCE == 0:
                await asyncio.sleep(0)
