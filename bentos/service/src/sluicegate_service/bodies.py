"""Limits on the memory of request bodies in a pod, all together.

A parsed body needs up to thirty times the memory of its bytes, so that many small bodies can
exhaust a pod's memory like a single large one. Two things are limited:

- The bytes that are held, of bodies that arrive, wait or are processed. Without room, the body that
  has been arriving for the longest is dropped: a slow sender can't block others.
- The bytes that the service processes at a time. Complete bodies wait for their turn, in the order of
  their completion.

Small bodies, as most predictions have, have room of their own, so that large ones never delay them.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL_BYTES: Final = 32 * 1024
SMALL_ROOM_BYTES: Final = 4 * 1024 * 1024
HELD_FACTOR: Final = 4
"""Bytes that may be held, as a multiple of those that may be processed."""
SLOW_SECONDS: Final = 1.0
"""Seconds of arrival after which a body may be dropped in favour of others."""

COLLECTIONS: Final = 4
"""Number of garbage collections while as many bytes are processed as may be at a time."""
TASK_ENDS_SECONDS: Final = 0.02
"""Seconds after its answer in which a request's task ends, and the probes are answered."""


@dataclass(eq=False, slots=True)
class Body:
    """Body of one request, from its first byte until its answer is sent."""

    since: float
    timer: asyncio.Timeout | None = None
    """Timer of the wait for its next bytes."""
    parts: list[bytes] = field(default_factory=list)
    """Parts that have arrived, until it is complete."""
    size: int = 0
    gave_way: bool = False

    @property
    def small(self) -> bool:
        """Whether it uses the room for small bodies."""
        return self.size <= SMALL_BYTES


@dataclass(slots=True)
class Turns:
    """A queue that admits bodies of `capacity` bytes in total."""

    capacity: int
    _used: int = 0
    _waiting: deque[tuple[asyncio.Future[None], int]] = field(default_factory=deque)

    async def begin(self, size: int) -> None:
        """Wait for room for a body, and reserve it."""
        if not self._waiting and self._used + size <= self.capacity:
            self._used += size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((granted, size))
        try:
            await granted
        except asyncio.CancelledError:
            # Either it was admitted at the same time, or the next ones may fit.
            self.end(0 if granted.cancelled() else size)
            raise

    def end(self, size: int) -> None:
        """Release the room, and admit waiting bodies."""
        self._used -= size
        while self._waiting:
            granted, needed = self._waiting[0]
            if not granted.cancelled():
                if self._used + needed > self.capacity:
                    return
                self._used += needed
                granted.set_result(None)
            self._waiting.popleft()


class Bodies:
    """The bodies of all requests of this pod. Only for the event loop's thread."""

    def __init__(self, largest: int) -> None:
        """Store the limit; `largest`: bytes of the largest body that is accepted."""
        self._held = self._worked_on = 0
        self._room = HELD_FACTOR * largest
        self._arriving: dict[Body, None] = {}
        self._large, self._small = Turns(largest), Turns(SMALL_ROOM_BYTES)

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    @contextmanager
    def hold(self, now: float) -> Iterator[Body]:
        """Register a body that begins to arrive; its bytes are released at the end."""
        body = Body(since=now)
        self._arriving[body] = None
        try:
            yield body
        finally:
            self.drop(body)

    def take(self, body: Body, more: int, now: float) -> bool:
        """Make room for more bytes of a body; False if there is none."""
        body.size += more
        room = self._room + (SMALL_ROOM_BYTES if body.small else 0)
        while self._held + more > room:
            if not self._make_room(body, now):
                body.size -= more
                return False
        self._held += more
        return True

    def take_whole(self, body: Body) -> bytes:
        """Return the complete body, which isn't dropped any more."""
        self._arriving.pop(body, None)
        whole = b"".join(body.parts)
        body.parts.clear()
        return whole

    async def begin(self, body: Body) -> None:
        """Wait until the service may process a complete body."""
        await self._turns(body).begin(body.size)

    def end(self, body: Body) -> None:
        """Note that the service has processed a body.

        The data of a failed request is in a reference cycle with its traceback, and large lists of
        numbers don't trigger the collector. So it is run once the request's task has ended, before
        the next large body is admitted.
        """
        size, turns = body.size, self._turns(body)
        self._worked_on += size
        if self._worked_on < self._large.capacity // COLLECTIONS:
            turns.end(size)
            return
        self._worked_on = 0
        asyncio.get_running_loop().call_later(TASK_ENDS_SECONDS, self._clean, turns, size)

    def _clean(self, turns: Turns, size: int) -> None:
        gc.collect()
        turns.end(size)

    def _turns(self, body: Body) -> Turns:
        return self._small if body.small else self._large

    def _make_room(self, newcomer: Body, now: float) -> bool:
        for body in self._arriving:  # the oldest first
            if now - body.since < SLOW_SECONDS:
                return False
            if body is not newcomer and body.size:
                body.gave_way = True
                self.drop(body)
                if body.timer is not None and not body.timer.expired():
                    body.timer.reschedule(now)
                return True
        return False

    def drop(self, body: Body) -> None:
        """Release the bytes of a body."""
        self._arriving.pop(body, None)
        self._held -= body.size
        body.size = 0
        body.parts.clear()
