"""Lists every kind in pages: once before the first write, then every few minutes, then on demand.

A watch tells what changes; only a list tells what isn't there any more (a deletion during a gap
of the watch is never told). Differences are queued, so an unchanged cluster costs a few reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from sluicegate.kube.errors import KubeError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sluicegate.kube.port import KubeApi
    from sluicegate.runtime.caches import Cache, Caches, Change, Listing
    from sluicegate.runtime.contracts import Resource

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 2.0
"""From a sign that a watch had a gap to the list that repairs it: watches of several kinds
often break together."""

LONGEST_WAIT = 10.0
"""Between attempts while the API server is away: what the operator may lag behind its return."""

FIRST_SECONDS = 30.0
OBJECTS_AT_ONCE = 20
LATER = 1 / 60
"""Of an interval: when to ask again whether a list is welcome."""


class Resync:
    """Replaces caches by lists; `on_change` is told each product that has to be looked at.

    While it is `busy` the list of all kinds is put off, for one interval at most: with thousands
    of products it takes both sides most of a minute's work, to find what watches rarely miss.
    """

    def __init__(
        self,
        api: KubeApi,
        caches: Caches,
        on_change: Callable[[Change], None],
        *,
        namespaces: Sequence[str] = (),
        interval: float,
        jitter: Callable[[], float],
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._api = api
        self._caches = caches
        self._on_change = on_change
        self._namespaces = tuple(namespaces) or ("",)
        self._interval = interval
        self._jitter = jitter
        self._busy = busy
        self._wanted: set[Resource] = set()
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
        """Fill all caches, however long the API server is away; writes must wait for it."""
        for cache in self._caches:
            await self._list_until_done(cache)
        self.primed.set()
        logger.info("caches are primed", extra={"objects": sum(map(len, self._caches))})

    async def run(self) -> None:
        """List for ever: all kinds each interval ± 20 %, a single one when asked."""
        loop = asyncio.get_running_loop()
        # The first one comes early: it finds what was deleted between priming and watching.
        next_full = loop.time() + min(self._interval, FIRST_SECONDS)
        latest = next_full + self._interval
        while True:
            due = await self._asked_before(next_full)
            now = loop.time()
            if due is None and now < latest and self._busy():
                next_full = min(latest, now + LATER * self._interval)
                continue
            if due is None:
                next_full = now + self._interval * (0.8 + 0.4 * self._jitter())
                latest = next_full + self._interval
            for cache in due or self._caches:
                await self._list_until_done(cache)

    async def _asked_before(self, deadline: float) -> Sequence[Cache] | None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._asked.wait()
        except TimeoutError:
            return None
        await asyncio.sleep(SETTLE_SECONDS)
        self._asked.clear()
        wanted, self._wanted = self._wanted, set()
        return [self._caches[resource] for resource in wanted]

    async def _list_until_done(self, cache: Cache) -> None:
        pause = 1.0
        while True:
            try:
                return await self._list(cache)
            except KubeError as error:
                delay = pause * (0.5 + self._jitter() / 2)
                kind = cache.watched.resource.qualified
                logger.warning("list of %s again in %.1f s: %s", kind, delay, error)
                await self._pause(delay)
                pause = min(LONGEST_WAIT, pause * 2)

    async def _pause(self, seconds: float) -> None:
        self._returned.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._returned.wait()

    async def _list(self, cache: Cache) -> None:
        for namespace in self._namespaces:
            with cache.listing(namespace) as listing:
                version = None
                try:
                    async for page in self._api.pages(
                        cache.watched.resource, namespace=namespace, labels=cache.watched.labels
                    ):
                        version = int(page.resource_version)
                        await self._take_in(listing, page.items)
                        del page  # or it would be held while the next one is read
                except NotFound:
                    # The kind itself is gone, and so is every object of it.
                    version = 2**63
                if version is not None:
                    for change in listing.finish(version):
                        self._on_change(change)

    async def _take_in(self, listing: Listing, items: Sequence[Mapping[str, Any]]) -> None:
        """Take in a page, a few milliseconds of work at a time: in between others have a turn."""
        for begin in range(0, len(items), OBJECTS_AT_ONCE):
            for change in listing.add(items[begin : begin + OBJECTS_AT_ONCE]):
                self._on_change(change)
            await asyncio.sleep(0)
