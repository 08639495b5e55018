"""A cache of answers for a limited time, with one request for each key at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Cache of at most `max_size` answers for `seconds` each; the least recently used one is dropped."""

    def __init__(self, max_size: int, seconds: float, clock: Callable[[], float]) -> None:
        self._max_entries = max_size
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asked: dict[K, asyncio.Future[V]] = {}

    def peek(self, key: K) -> V | None:
        """Return the cached answer; None if there is none or it has expired."""
        entry = self._kept.get(key)
        if entry is None or entry[0] <= self._clock():
            return None
        self._kept.move_to_end(key)
        return entry[1]

    def put(self, key: K, value: V) -> None:
        """Store an answer."""
        self._kept[key] = (self._clock() + self._seconds, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_entries:
            self._kept.popitem(last=False)

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return the cached answer, or request a new one; concurrent callers wait for the same request.

        A failure is not cached: it is raised for all waiting callers.
        """
        entry = self._kept.get(key)
        if entry is not None and entry[0] > self._clock():
            self._kept.move_to_end(key)
            return entry[1]
        if (task := self._asked.get(key)) is None:
            task = self._asked[key] = asyncio.ensure_future(load())
            task.add_done_callback(lambda future: self._ended(key, future))
        return await asyncio.shield(task)

    def _ended(self, key: K, future: asyncio.Future[V]) -> None:
        del self._asked[key]
        if not future.cancelled() and future.exception() is None:
            self.put(key, future.result())
