"""Events that people see under `kubectl describe`: one per transition, never in the way of work.

They wait in a queue of their own, which drops rather than grows. Repeats of an event within ten
minutes become one series: the first is written at once, the rest are counted and written once,
when the series has been quiet for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sluicegate.kube.errors import KubeError, NotFound
from sluicegate.kube.leases import render_time
from sluicegate.kube.resources import EVENTS, Key, Resource
from sluicegate.runtime.limiter import TokenBucket
from sluicegate.runtime.metrics import EVENTS_DROPPED, EVENTS_SENT

if TYPE_CHECKING:
    from sluicegate.kube.port import KubeApi
    from sluicegate.runtime.clock import Clock

logger = logging.getLogger(__name__)

QUEUE_LENGTH = 5000
"""Thousands of products may begin to serve in the same minute, and each is one event."""
BURST_PER_OBJECT = 25
RATE_PER_OBJECT = 1 / 300
SERIES_SECONDS = 600.0  # a repeat later than this is a new event
QUIET_SECONDS = 60.0  # a series that rests so long is written
KNOWN_SERIES = 4096
KNOWN_OBJECTS = 4096
LONGEST_NOTE = 1024  # the API server's own limits
LONGEST_NAME = 200

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about."""

    resource: Resource
    key: Key
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """What happened: `reason` and `action` are UpperCamelCase words, `note` is for people."""

    subject: Subject
    reason: str
    action: str
    note: str
    severity: Severity = "Normal"

    @property
    def series(self) -> tuple[str, str, str, str]:
        """Events equal in this are repeats of one another."""
        return (self.subject.uid, self.severity, self.reason, self.action)


@dataclass(slots=True)
class Series:
    """An event that was written, and the repeats that weren't yet."""

    name: Key
    seen_at: float
    last: datetime
    count: int = 1
    unwritten: int = 0


class Recorder:
    """Takes notes without waiting; `run` writes them."""

    def __init__(
        self, api: KubeApi, clock: Clock, *, instance: str, wall: Clock = time.time
    ) -> None:
        self._api = api
        self._wall = wall
        self._clock = clock
        self._instance = instance
        self._queue: asyncio.Queue[Note] = asyncio.Queue(QUEUE_LENGTH)
        self._series: OrderedDict[tuple[str, str, str, str], Series] = OrderedDict()
        self._budgets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._serial = 0

    def record(self, note: Note) -> None:
        """Queue a note; it is dropped when the queue is full or its object is too noisy."""
        if not self._budget(note.subject.uid).try_take():
            EVENTS_DROPPED.labels("budget").inc()
            return
        try:
            self._queue.put_nowait(note)
        except asyncio.QueueFull:
            EVENTS_DROPPED.labels("queue").inc()

    async def run(self) -> None:
        """Write notes and finished series for ever."""
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS / 4):
                    note = await self._queue.get()
            except TimeoutError:
                await self.write_series()
                continue
            await self._take(note)

    async def flush(self) -> None:
        """Write what waits, e.g. before the process ends."""
        while not self._queue.empty():
            await self._take(self._queue.get_nowait())
        await self.write_series(at_once=True)

    async def write_series(self, *, at_once: bool = False) -> None:
        """Write the counts of series that rest, and forget those that are over."""
        now = self._clock()
        for identity, series in list(self._series.items()):
            rests = now - series.seen_at
            if series.unwritten and (at_once or rests >= QUIET_SECONDS):
                series.unwritten = 0
                await self._send("series", self._write_count(series))
            if rests >= SERIES_SECONDS:
                self._series.pop(identity, None)

    async def _take(self, note: Note) -> None:
        known = self._series.get(note.series)
        now, moment = self._clock(), datetime.fromtimestamp(self._wall(), UTC)
        if known is not None and now - known.seen_at < SERIES_SECONDS:
            known.count += 1
            known.unwritten += 1
            known.seen_at, known.last = now, moment
            return
        self._serial += 1
        event = render_event(note, self._instance, self._serial, moment=moment)
        meta = event["metadata"]
        self._series[note.series] = Series(Key(meta["namespace"], meta["name"]), now, moment)
        if len(self._series) > KNOWN_SERIES:
            self._series.popitem(last=False)
        await self._send("created", self._create(event))

    async def _create(self, event: dict[str, Any]) -> None:
        await self._api.create(EVENTS, event)

    async def _write_count(self, series: Series) -> None:
        counted = {"count": series.count, "lastObservedTime": render_time(series.last)}
        await self._api.patch(EVENTS, series.name, {"series": counted})

    async def _send(self, what: str, writing: Any) -> None:
        try:
            await writing
        except NotFound:
            EVENTS_DROPPED.labels("namespace").inc()  # its namespace, or the event, is gone
        except KubeError as error:
            logger.info("an event is given up: %s", error)
            EVENTS_DROPPED.labels("error").inc()
        else:
            EVENTS_SENT.labels(what).inc()

    def _budget(self, uid: str) -> TokenBucket:
        budget = self._budgets.get(uid)
        if budget is None:
            budget = TokenBucket(self._clock, rate=RATE_PER_OBJECT, burst=BURST_PER_OBJECT)
            self._budgets[uid] = budget
            if len(self._budgets) > KNOWN_OBJECTS:
                self._budgets.popitem(last=False)
        return budget


def render_event(note: Note, instance: str, serial: int, *, moment: datetime) -> dict[str, Any]:
    """Return the events.k8s.io/v1 object of a note."""
    subject = note.subject
    unique = f"{int(moment.timestamp() * 1e6):x}{serial:04x}"
    return {
        "metadata": {
            "namespace": subject.key.namespace or "default",
            "name": f"{subject.key.name[:LONGEST_NAME]}.{unique}",
        },
        "eventTime": render_time(moment),
        "type": note.severity,
        "reason": note.reason,
        "action": note.action,
        "note": note.note[:LONGEST_NOTE],
        "reportingController": "sluicegate.dev/operator",
        "reportingInstance": instance[-128:],
        "regarding": {
            "apiVersion": subject.resource.api_version,
            "kind": subject.resource.kind,
            "namespace": subject.key.namespace,
            "name": subject.key.name,
            "uid": subject.uid,
        },
    }
