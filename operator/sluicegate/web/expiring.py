"""Answers that are used again for a while: few, short-lived, and each asked for once at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """At most `most` answers, the one least lately used goes first; each for `seconds`."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asked: dict[K, asyncio.Future[V]] = {}

    def known(self, key: K) -> V | None:
        """The answer that is kept; None where there is none that holds."""
        found = self._kept.get(key)
        if found is None or found[0] <= self._clock():
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: K, value: V) -> None:
        """Keep an answer."""
        self._kept[key] = (self._clock() + self._seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer that is kept, or a new one; who asks meanwhile waits for the same one.

        A failure is not kept: it is raised for all who wait.
        """
        found = self._kept.get(key)
        if found is not None and found[0] > self._clock():
            self._kept.move_to_end(key)
            return found[1]
        if (asked := self._asked.get(key)) is None:
            asked = self._asked[key] = asyncio.ensure_future(ask())
            asked.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(asked)

    def _ended(self, key: K, done: asyncio.Future[V]) -> None:
        del self._asked[key]
        if not done.cancelled() and done.exception() is None:
            self.put(key, done.result())
