"""Lists every kind in pages: once before the first write, then every few minutes, then on demand.

A watch delivers changes; only a list shows which objects no longer exist (deletions during a gap
of the watch are lost). Differences are queued, so an unchanged cluster costs a few reads.

Each kind of each namespace is a list of its own: one that fails is tried again later, and keeps
no other waiting.
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
from sluicegate.runtime.refused_lists import Refusals

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""From a sign that a watch had a gap to the list that repairs it: watches of several kinds
often break together."""

LONGEST_WAIT = 10.0
"""Between attempts while the API server is away: what the operator may lag behind its return."""

LONGEST_REFUSAL = 60.0
"""Between attempts at what the API server forbids: how late a namespace that is back is noticed."""

FIRST_SECONDS = 30.0
OBJECTS_AT_ONCE = 20
LATER = 1 / 60
"""Of an interval: when to ask again whether a list is welcome."""


@dataclass(slots=True)
class Due:
    """A list that is still to be made: when, on the event loop's clock, and the pause after that."""

    at: float = float("-inf")
    pause: float = 1.0


class Resync:
    """Replaces caches by lists; `on_change` is called with each product to be reconciled.

    While it is `busy` the list of all kinds is put off, for one interval at most: with thousands
    of products it takes both sides most of a minute's work, to find what watches rarely miss.
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
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._api = api
        self._caches = caches
        self._on_change = on_change
        self._refusals = refusals
        self._namespaces = tuple(namespaces) or ("",)
        self._interval = interval
        self._jitter = jitter
        self._busy = busy
        self._wanted: set[Resource] = set()
        self._vanished: set[tuple[Cache, str]] = set()
        self._due: dict[tuple[Cache, str], Due] = {}
        self._asked = asyncio.Event()
        self._returned = asyncio.Event()
        self.primed = asyncio.Event()

    def request(self, resource: Resource) -> None:
        """Ask for a list of one kind soon, e.g. as its watch has had a gap."""
        self._wanted.add(resource)
        self._asked.set()

    def after_outage(self) -> None:
        """List all kinds soon, as the API server is back: who knows what happened meanwhile."""
        for cache in self._caches:
            self.request(cache.watched.resource)
        self._returned.set()

    async def prime(self) -> None:
        """Fill all caches, however long the API server is away; writes must wait for it.

        A namespace that is refused was tried, and keeps the others waiting no longer. Where all
        namespaces are watched by one list, that list must succeed.
        """
        self._want(self._caches)
        await self._list_due()
        while any(not self._is_refused(one) for one in self._due.keys() - self._vanished):
            await self._pause(self._earliest())
            await self._list_due()
        self.primed.set()
        logger.info("caches are primed", extra={"objects": sum(map(len, self._caches))})

    async def run(self) -> None:
        """List until cancelled: all kinds each interval ± 20 %, a single one on request."""
        loop = asyncio.get_running_loop()
        # The first one comes early: it finds what was deleted between priming and watching.
        next_full = loop.time() + min(self._interval, FIRST_SECONDS)
        latest = next_full + self._interval
        while True:
            asked = await self._asked_before(min(next_full, self._earliest()))
            now = loop.time()
            if asked:
                self._want(asked)
            elif now >= next_full and now < latest and self._busy():
                next_full = min(latest, now + LATER * self._interval)
            elif now >= next_full:
                next_full = now + self._interval * (0.8 + 0.4 * self._jitter())
                latest = next_full + self._interval
                self._want(self._caches)
            await self._list_due()

    async def _asked_before(self, deadline: float) -> Sequence[Cache]:
        try:
            async with asyncio.timeout_at(deadline):
                await self._asked.wait()
        except TimeoutError:
            return ()
        await asyncio.sleep(SETTLE_SECONDS)
        self._asked.clear()
        wanted, self._wanted = self._wanted, set()
        return [self._caches[resource] for resource in wanted]

    def _want(self, caches: Iterable[Cache]) -> None:
        """Have these listed at once, but for what is refused: that has its own time."""
        for cache in caches:
            for namespace in self._namespaces:
                one = cache, namespace
                if one not in self._due or not self._is_refused(one):
                    self._due[one] = Due()

    def _is_refused(self, one: tuple[Cache, str]) -> bool:
        """Whether this is one namespace of several that are listed, and it is refused."""
        cache, namespace = one
        return bool(namespace) and self._refusals.lists(cache.watched.resource, namespace)

    def _earliest(self) -> float:
        return min((one.at for one in self._due.values()), default=float("inf"))

    async def _list_due(self) -> None:
        """Make each list that is due; one that fails stays due, for later."""
        loop = asyncio.get_running_loop()
        for (cache, namespace), due in tuple(self._due.items()):
            if due.at > loop.time():
                continue
            resource = cache.watched.resource
            try:
                await self._list(cache, namespace)
            except KubeError as error:
                refused = isinstance(error, Forbidden)
                delay = due.pause * (0.5 + self._jitter() / 2)
                due.at = loop.time() + delay
                due.pause = min(LONGEST_REFUSAL if refused else LONGEST_WAIT, due.pause * 2)
                if not refused or self._refusals.add(resource, namespace):
                    kind, where = resource.qualified, f" in {namespace}" if namespace else ""
                    logger.warning(
                        "list of %s%s is retried in %.1f s: %s", kind, where, delay, error
                    )
                if self._refusals.forget(resource, namespace):
                    self._forget(cache, namespace)
            else:
                if (cache, namespace) in self._vanished:
                    due.at, due.pause = loop.time() + due.pause, min(LONGEST_WAIT, due.pause * 2)
                else:
                    del self._due[cache, namespace]
                if self._refusals.end(resource, namespace):
                    logger.info("list of %s in %s is allowed again", resource.qualified, namespace)
                    self._apply_decision(namespace)

    def _forget(self, cache: Cache, namespace: str) -> None:
        """Drop what was known of a kind in a namespace: it can't be read, and may be long gone."""
        with cache.listing(namespace) as listing:
            for change in listing.finish(2**63):
                self._on_change(change)

    def _apply_decision(self, namespace: str) -> None:
        """Have the products of a namespace reconciled once all of its kinds are listed again."""
        if not self._refusals.hides(namespace):
            for key in self._caches.products:
                if namespace in ("", key.namespace):
                    self._on_change(Change(key, QueuePriority.NORMAL))

    async def _pause(self, until: float) -> None:
        """Wait until then, or until the API server is back: then all is due."""
        self._returned.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._returned.wait()
                for due in self._due.values():
                    due.at = float("-inf")

    async def _list(self, cache: Cache, namespace: str) -> None:
        restored = False
        with cache.listing(namespace) as listing:
            version = None
            try:
                async for page in self._api.pages(
                    cache.watched.resource, namespace=namespace, labels=cache.watched.labels
                ):
                    await self._take_in(listing, page.items)
                    version = int(page.resource_version)
                    del page  # or it would be held while the next one is read
            except NotFound:
                self._vanish(cache, namespace, listing)
            if version is not None and listing.precedes_what_was_known(version):
                logger.warning(
                    "the API server shows an older state of %s than before, as after a restore from a"
                    " backup: the list is repeated and replaces the cache",
                    cache.watched.resource.qualified,
                )
                cache.outdate(namespace)
                restored = True
            elif version is not None:
                self._vanished.discard((cache, namespace))
                for change in listing.finish(version):
                    self._on_change(change)
        if restored:
            await self._list(cache, namespace)

    def _vanish(self, cache: Cache, namespace: str, listing: Listing) -> None:
        """Drop all objects, as the kind itself is gone, or what answers isn't the API server.

        A watch that is open all the while has no reason to send them again, so the list is repeated
        until it succeeds. A kind that had no objects is one that this cluster doesn't have: its
        arrival is the watch's to notice.
        """
        for change in listing.finish(2**63):
            self._vanished.add((cache, namespace))
            self._on_change(change)

    async def _take_in(self, listing: Listing, items: Iterable[Mapping[str, Any]]) -> None:
        """Take in a page, a few milliseconds of work at a time: in between others have a turn."""
        for number, body in enumerate(items, start=1):
            for change in listing.add(body):
                self._on_change(change)
            if number % OBJECTS_AT_ONCE == 0:
                await asyncio.sleep(0)
