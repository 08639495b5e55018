"""Watches of the in-memory API server: one stream for each, and the history from which it begins."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]

HISTORY = 2000
"""Changes of a kind that are kept; a watch that begins before them is too old."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the object before and after it."""

    version: int
    before: Body | None
    after: Body | None


def selects(labels: str, body: Body | None) -> bool:
    """Return whether an object has these labels (`a=b,c=d`)."""
    if body is None:
        return False
    own_labels = body["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        name, equals, value = term.partition("=")
        if equals and own_labels.get(name) != value:
            return False
        if name not in own_labels:
            return False
    return True


@dataclass(eq=False, slots=True, weakref_slot=True)
class Stream:
    """One watch; `take` waits for its next event and raises EOFError when it has ended."""

    namespace: str
    labels: str
    _events: asyncio.Queue[Body | None] = field(default_factory=asyncio.Queue)
    closed: bool = False
    swallows: bool = False
    """Whether events get lost, as with a faulty proxy."""

    def expire(self, version: int) -> None:
        """End the watch at its timeout, after a bookmark of the version from which the next may begin."""
        if not self.swallows:
            meta = {"resourceVersion": str(version)}
            self._events.put_nowait({"type": "BOOKMARK", "object": {"metadata": meta}})
        self._events.put_nowait(None)

    def close(self) -> None:
        """End the watch."""
        self.closed = True
        self._events.put_nowait(None)

    async def take(self) -> Body:
        """Return the next event."""
        event = await self._events.get()
        if event is None or self.closed:
            raise EOFError
        return event

    def feed(self, change: Change) -> None:
        """Add the event of a write."""
        if self.swallows or self.closed:
            return
        some = change.after or change.before
        assert some is not None
        if self.namespace and some["metadata"].get("namespace") != self.namespace:
            return
        was, is_ = selects(self.labels, change.before), selects(self.labels, change.after)
        if is_:
            self._events.put_nowait(
                {"type": "MODIFIED" if was else "ADDED", "object": change.after}
            )
        elif was:
            assert change.before is not None
            meta = change.before["metadata"] | {"resourceVersion": str(change.version)}
            deleted = change.before | {"metadata": meta}
            self._events.put_nowait({"type": "DELETED", "object": deleted})


@dataclass(slots=True)
class Watchable:
    """The changes of a kind, and its watches."""

    history: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY))
    streams: list[Stream] = field(default_factory=list)
    forgotten: int = 0
    """The newest version that isn't in the history any more."""

    def record(self, change: Change) -> None:
        """Record a write, and pass it to all watches."""
        if len(self.history) == HISTORY:
            self.forgotten = self.history[0].version
        self.history.append(change)
        self.streams = [one for one in self.streams if not one.closed]
        for stream in self.streams:
            stream.feed(change)

    def compact(self) -> None:
        """Drop the history, as etcd does every five minutes."""
        if self.history:
            self.forgotten = self.history[-1].version
            self.history.clear()

    def since(self, version: int) -> Iterator[Change]:
        """Yield the writes after a version."""
        return (one for one in self.history if one.version > version)
