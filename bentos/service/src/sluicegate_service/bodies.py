"""How much memory the bodies of requests may take in a pod, all together.

A parsed body takes up to thirty times the memory of its bytes, so that many bodies below the limit
of one end a pod like a single large one. Two things are bounded:

- The bytes that are held, of bodies that arrive, wait or are worked on. Where there is no room, the
  body that has been arriving for the longest gives way: who sends slowly can't keep others out.
- The bytes that the service works on at a time. Whole bodies wait for their turn, in the order in
  which they became whole.

Small bodies, as most predictions have, have room of their own, so that large ones never keep them
waiting.
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
"""Bytes that are held, as a multiple of those that are worked on."""
SLOW_SECONDS: Final = 1.0
"""A body that has been arriving for so long gives way to others."""

COLLECTIONS: Final = 4
"""How often garbage is collected while as many bytes are worked on as may be at a time."""
TASK_ENDS_SECONDS: Final = 0.02
"""After its answer a request's task ends, and the probes are answered."""


@dataclass(eq=False, slots=True)
class Body:
    """The body of one request, from its first byte until its answer is sent."""

    since: float
    timer: asyncio.Timeout | None = None
    """Ends the wait for its next bytes."""
    parts: list[bytes] = field(default_factory=list)
    """What has arrived of it, until it is whole."""
    size: int = 0
    gave_way: bool = False

    @property
    def small(self) -> bool:
        """Whether it has room beside the large ones."""
        return self.size <= SMALL_BYTES


@dataclass(slots=True)
class Turns:
    """Lets bodies of together `capacity` bytes in, and the others in turn."""

    capacity: int
    _used: int = 0
    _waiting: deque[tuple[asyncio.Future[None], int]] = field(default_factory=deque)

    async def begin(self, size: int) -> None:
        """Wait until there is room for a body, and take it."""
        if not self._waiting and self._used + size <= self.capacity:
            self._used += size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((granted, size))
        try:
            await granted
        except asyncio.CancelledError:
            # Either the turn came in the same moment, or those behind may fit.
            self.end(0 if granted.cancelled() else size)
            raise

    def end(self, size: int) -> None:
        """Give the room to those that wait."""
        self._used -= size
        while self._waiting:
            granted, wanted = self._waiting[0]
            if not granted.cancelled():
                if self._used + wanted > self.capacity:
                    return
                self._used += wanted
                granted.set_result(None)
            self._waiting.popleft()


class Bodies:
    """The bodies of all requests of this pod. Used from the event loop only."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes of the largest body that is let in."""
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
        """A body that begins to arrive; what it held is free again afterwards."""
        body = Body(since=now)
        self._arriving[body] = None
        try:
            yield body
        finally:
            self.drop(body)

    def take(self, body: Body, more: int, now: float) -> bool:
        """Make room for more bytes of a body; False when there is none."""
        body.size += more
        room = self._room + (SMALL_ROOM_BYTES if body.small else 0)
        while self._held + more > room:
            if not self._make_room(body, now):
                body.size -= more
                return False
        self._held += more
        return True

    def take_whole(self, body: Body) -> bytes:
        """All of the body has arrived: it doesn't give way any more."""
        self._arriving.pop(body, None)
        whole = b"".join(body.parts)
        body.parts.clear()
        return whole

    async def begin(self, body: Body) -> None:
        """Wait until the service may work on a whole body."""
        await self._turns(body).begin(body.size)

    def end(self, body: Body) -> None:
        """The service has worked on a body.

        What a failed request held hangs in a cycle with its traceback, which large lists of numbers
        don't make the collector look for. It is made to, once the request's task has ended, and
        before the next large body has its turn.
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
        """Let go of what a body holds."""
        self._arriving.pop(body, None)
        self._held -= body.size
        body.size = 0
        body.parts.clear()
