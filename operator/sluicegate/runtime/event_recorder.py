"""Events on objects, as client-go's record.EventRecorder: one per transition; they delay no work.

They wait in a queue of their own, which is bounded. Repeats of an event within ten
minutes become one series: the first is written at once, the rest are counted and written once,
when the series has been quiet for a while. An event has exactly the text that was recorded:
another text is another event. Of good news of one kind the newest is written, one a minute, so a
rollout that steps each few seconds costs no event a step. What the API server can't take at the
moment is sent again under the same name, some times, so it is there once.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import (
    AlreadyExists,
    KubeError,
    NotFound,
    Transient,
    Unauthorized,
)
from sluicegate.kube.leases import render_time
from sluicegate.kube.resources import EVENTS, Key, Resource
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.metrics import EVENTS_DROPPED, EVENTS_SENT
from sluicegate.runtime.rate_limiter import TokenBucket

logger = logging.getLogger(__name__)

QUEUE_LENGTH = 5000
"""Thousands of products may begin to serve in the same minute, and each is one event."""
BURST_PER_OBJECT = 25
RATE_PER_OBJECT = 1 / 300
SERIES_SECONDS = 600.0  # a repeat later than this is a new event
QUIET_SECONDS = 60.0  # a series that rests so long is written
NEWS_SECONDS = 180.0  # good news of another text comes no sooner after the last
KNOWN_SERIES = 4096
KNOWN_OBJECTS = 4096
LONGEST_NOTE = 1024  # bytes; the API server's own limits
HEAD_OF_NOTE = 256  # bytes; of a longer note the end is kept too, where a traceback has its reason
WRITE_SECONDS = 15.0  # how often series are looked through
LONGEST_NAME = 200
MOST_TRIES = 20  # with WRITE_SECONDS between them: an API server that restarts is back by then
MOST_UNSENT = 1000

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The object that an event is about."""

    resource: Resource
    key: Key
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """What happened: `reason` and `action` are UpperCamelCase words, `note` is for people."""

    subject: EventSubject
    reason: str
    action: str
    note: str
    severity: Severity = "Normal"

    @property
    def series(self) -> tuple[str, str, str, str]:
        """Events equal in this are repeats of one another."""
        return (self.subject.uid, self.severity, self.reason, self.action)


@dataclass(slots=True)
class EventSeries:
    """An event that was written, and what wasn't yet: its repeats, or another text after it.

    Attributes
    ----------
    name, text : of the event that was written. written_at, seen_at : by the recorder's clock.
    last : when it was repeated last. held : good news of another text,
    written three minutes after the last, unless something else happens to the object before.
    """

    name: Key
    text: str
    written_at: float
    seen_at: float
    last: datetime
    count: int = 1
    unwritten: int = 0
    held: Note | None = None


@dataclass(frozen=True, slots=True)
class UnsentEvent:
    """A write that failed and may succeed later.

    Attributes
    ----------
    what : as it is counted. send : makes the call. tries : how often it was made.
    """

    what: str
    send: Callable[[], Awaitable[object]]
    tries: int = 0


class EventRecorder:
    """Takes notes without waiting; `run` writes them."""

    def __init__(
        self, api: KubeApi, clock: Clock, *, instance: str, wall: Clock = time.time
    ) -> None:
        self._api = api
        self._wall = wall
        self._clock = clock
        self._instance = instance
        self._queue: asyncio.Queue[Note] = asyncio.Queue(QUEUE_LENGTH)
        self._series: OrderedDict[tuple[str, str, str, str], EventSeries] = OrderedDict()
        self._budgets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._holding: dict[str, tuple[str, str, str, str]] = {}
        """By object, the series that holds good news back."""
        self._serial = 0
        self._unsent: deque[UnsentEvent] = deque()

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
        """Write notes and finished series until cancelled."""
        due = self._clock() + WRITE_SECONDS
        while True:
            note = None
            # Only the wait for a note has an end: one that is being written isn't given up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    note = await self._queue.get()
            if note is not None:
                await self._take(note)
            if self._clock() >= due:  # also while notes keep coming
                await self.write_series()
                due = self._clock() + WRITE_SECONDS

    async def flush(self) -> None:
        """Write what waits, e.g. before the process ends."""
        while not self._queue.empty():
            await self._take(self._queue.get_nowait())
        await self.write_series(at_once=True)

    async def write_series(self, *, at_once: bool = False) -> None:
        """Write what is held, and the counts of series that rest; forget those that are over."""
        now = self._clock()
        for _ in range(len(self._unsent)):
            await self._try(self._unsent.popleft())
        for identity, series in list(self._series.items()):
            rests = now - series.seen_at
            if series.unwritten and (at_once or rests >= QUIET_SECONDS):
                series.unwritten = 0
                await self._send("series", partial(self._write_count, series))
            if series.held is not None and (at_once or now - series.written_at >= NEWS_SECONDS):
                await self._begin(series.held)
            elif rests >= SERIES_SECONDS:
                self._series.pop(identity, None)

    async def _take(self, note: Note) -> None:
        known = self._series.get(note.series)
        now = self._clock()
        if known is None or now - known.seen_at >= SERIES_SECONDS:
            await self._begin(note)
            return
        known.seen_at = now
        if note.note == known.text and known.held is None:
            known.count += 1
            known.unwritten += 1
            known.last = datetime.fromtimestamp(self._wall(), UTC)
        elif note.severity == "Normal" and now - known.written_at < NEWS_SECONDS:
            known.held = note
            self._holding[note.subject.uid] = note.series
        else:
            await self._begin(note)

    async def _begin(self, note: Note) -> None:
        """Write a note as an event of its own; it is newer than what its object's series hold."""
        holding = self._series.get(self._holding.pop(note.subject.uid, note.series))
        if holding is not None:
            holding.held = None
        before = self._series.pop(note.series, None)
        if before is not None and before.unwritten:
            await self._send("series", partial(self._write_count, before))
        self._serial += 1
        moment = datetime.fromtimestamp(self._wall(), UTC)
        event = render_event(note, self._instance, self._serial, moment=moment)
        meta, now = event["metadata"], self._clock()
        name = Key(meta["namespace"], meta["name"])
        self._series[note.series] = EventSeries(
            name, note.note, written_at=now, seen_at=now, last=moment
        )
        if len(self._series) > KNOWN_SERIES:
            oldest, _ = self._series.popitem(last=False)
            self._holding.pop(oldest[0], None)
        await self._send("created", partial(self._create, event))

    async def _create(self, event: dict[str, Any]) -> None:
        await self._api.create(EVENTS, event)

    async def _write_count(self, series: EventSeries) -> None:
        counted = {"count": series.count, "lastObservedTime": render_time(series.last)}
        await self._api.patch(EVENTS, series.name, {"series": counted})

    async def _send(self, what: str, send: Callable[[], Awaitable[object]]) -> None:
        await self._try(UnsentEvent(what, send))

    async def _try(self, one: UnsentEvent) -> None:
        """Make a write; one that may succeed later is repeated at the next check of the series."""
        try:
            await one.send()
        except NotFound:
            EVENTS_DROPPED.labels("namespace").inc()  # its namespace, or the event, is gone
        except AlreadyExists:
            EVENTS_SENT.labels(one.what).inc()  # the answer to an earlier try was lost
        except (Transient, Unauthorized) as error:
            if one.tries + 1 < MOST_TRIES and len(self._unsent) < MOST_UNSENT:
                self._unsent.append(replace(one, tries=one.tries + 1))
            else:
                self._give_up(error)
        except KubeError as error:
            self._give_up(error)
        else:
            EVENTS_SENT.labels(one.what).inc()

    @staticmethod
    def _give_up(error: KubeError) -> None:
        logger.info("an event is dropped: %s", error)
        EVENTS_DROPPED.labels("error").inc()

    def _budget(self, uid: str) -> TokenBucket:
        budget = self._budgets.get(uid)
        if budget is None:
            budget = TokenBucket(self._clock, rate=RATE_PER_OBJECT, burst=BURST_PER_OBJECT)
            self._budgets[uid] = budget
            if len(self._budgets) > KNOWN_OBJECTS:
                self._budgets.popitem(last=False)
        return budget


def shortened(text: str) -> str:
    """The text within what the API server takes: its beginning and its end."""
    whole = text.encode()
    if len(whole) <= LONGEST_NOTE:
        return text
    gap = " … ".encode()
    ends = whole[:HEAD_OF_NOTE], whole[HEAD_OF_NOTE + len(gap) - LONGEST_NOTE :]
    return " … ".join(end.decode(errors="ignore") for end in ends)


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
        "note": shortened(note.note),
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
