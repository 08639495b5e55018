"""Events on objects, as client-go's record.EventRecorder.

One for each transition, written in the background. They wait in a bounded queue. Repeats of an
event within ten minutes become one series: the first is written at once, the rest are counted and
written once, when the series has been quiet for a while. An event has exactly the text that was
recorded: another text is another event. Normal events of one kind are written once in three minutes
at most, with the newest text, so a rollout that steps every few seconds writes few events. A write
that fails temporarily is repeated several times under the same name, so the event exists once.
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
"""Length of the queue: thousands of products may begin to serve in the same minute, with one event each."""
BURST_PER_OBJECT = 25
RATE_PER_OBJECT = 1 / 300
SERIES_SECONDS = 600.0  # a repeat later than this is a new event
QUIET_SECONDS = 60.0  # a series without repeats for so long is written
NEWS_SECONDS = 180.0  # least time between two texts of Normal events
KNOWN_SERIES = 4096
KNOWN_OBJECTS = 4096
LONGEST_NOTE = 1024  # bytes; the API server's own limits
HEAD_OF_NOTE = 256  # bytes; the end of a longer note is kept too, where a traceback has its reason
WRITE_SECONDS = 15.0  # between two checks of all series
LONGEST_NAME = 200
MAX_TRIES = 20  # with WRITE_SECONDS between them: longer than a restart of the API server
MAX_UNSENT = 1000

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The object that an event is about."""

    resource: Resource
    key: Key
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """Content of an event: `reason` and `action` are UpperCamelCase words, `note` is a text."""

    subject: EventSubject
    reason: str
    action: str
    note: str
    severity: Severity = "Normal"

    @property
    def series(self) -> tuple[str, str, str, str]:
        """Return the key of the series: events with equal keys are repeats."""
        return (self.subject.uid, self.severity, self.reason, self.action)


@dataclass(slots=True)
class EventSeries:
    """A written Event, with its repeats or newer text that are not written yet.

    Attributes
    ----------
    name, text : of the event that was written. written_at, seen_at : by the recorder's clock.
    last : time of the last repeat. held : Normal event with another text, written three
    minutes after the last, unless another event of the object is written before.
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
    what : label of its metric. send : function that sends it. tries : number of tries.
    """

    what: str
    send: Callable[[], Awaitable[object]]
    tries: int = 0


class EventRecorder:
    """Recorder that queues notes without waiting; `run` writes them."""

    def __init__(
        self, api: KubeApi, clock: Clock, *, instance_name: str, wall_clock: Clock = time.time
    ) -> None:
        self._api = api
        self._wall = wall_clock
        self._clock = clock
        self._instance = instance_name
        self._queue: asyncio.Queue[Note] = asyncio.Queue(QUEUE_LENGTH)
        self._series: OrderedDict[tuple[str, str, str, str], EventSeries] = OrderedDict()
        self._budgets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._holding: dict[str, tuple[str, str, str, str]] = {}
        """By object, the series that holds good news back."""
        self._serial = 0
        self._unsent: deque[UnsentEvent] = deque()

    def record(self, note: Note) -> None:
        """Queue a note; it is dropped if the queue is full or its object has too many events."""
        if not self._budget(note.subject.uid).try_take():
            EVENTS_DROPPED.labels("budget").inc()
            return
        try:
            self._queue.put_nowait(note)
        except asyncio.QueueFull:
            EVENTS_DROPPED.labels("queue").inc()

    async def run(self) -> None:
        """Write notes and ended series until cancelled."""
        write_due = self._clock() + WRITE_SECONDS
        while True:
            note = None
            # Only the wait for a note has a timeout; a write isn't cancelled.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, write_due - self._clock())):
                    note = await self._queue.get()
            if note is not None:
                await self._take(note)
            if self._clock() >= write_due:  # also while notes keep coming
                await self.write_series()
                write_due = self._clock() + WRITE_SECONDS

    async def flush(self) -> None:
        """Write all waiting notes, e.g. before the process ends."""
        while not self._queue.empty():
            await self._take(self._queue.get_nowait())
        await self.write_series(at_once=True)

    async def write_series(self, *, at_once: bool = False) -> None:
        """Write held notes, and the counts of quiet series; drop series that have ended."""
        now = self._clock()
        for _ in range(len(self._unsent)):
            await self._try(self._unsent.popleft())
        for identity, series in list(self._series.items()):
            idle_seconds = now - series.seen_at
            if series.unwritten and (at_once or idle_seconds >= QUIET_SECONDS):
                series.unwritten = 0
                await self._send("series", partial(self._write_count, series))
            if series.held is not None and (at_once or now - series.written_at >= NEWS_SECONDS):
                await self._begin(series.held)
            elif idle_seconds >= SERIES_SECONDS:
                self._series.pop(identity, None)

    async def _take(self, note: Note) -> None:
        series = self._series.get(note.series)
        now = self._clock()
        if series is None or now - series.seen_at >= SERIES_SECONDS:
            await self._begin(note)
            return
        series.seen_at = now
        if note.note == series.text and series.held is None:
            series.count += 1
            series.unwritten += 1
            series.last = datetime.fromtimestamp(self._wall(), UTC)
        elif note.severity == "Normal" and now - series.written_at < NEWS_SECONDS:
            series.held = note
            self._holding[note.subject.uid] = note.series
        else:
            await self._begin(note)

    async def _begin(self, note: Note) -> None:
        """Write a note as a new Event that replaces a held note of the object's series."""
        held_series = self._series.get(self._holding.pop(note.subject.uid, note.series))
        if held_series is not None:
            held_series.held = None
        previous_series = self._series.pop(note.series, None)
        if previous_series is not None and previous_series.unwritten:
            await self._send("series", partial(self._write_count, previous_series))
        self._serial += 1
        event_time = datetime.fromtimestamp(self._wall(), UTC)
        event = render_event(note, self._instance, self._serial, event_time=event_time)
        meta, now = event["metadata"], self._clock()
        name = Key(meta["namespace"], meta["name"])
        self._series[note.series] = EventSeries(
            name, note.note, written_at=now, seen_at=now, last=event_time
        )
        if len(self._series) > KNOWN_SERIES:
            oldest_name, _ = self._series.popitem(last=False)
            self._holding.pop(oldest_name[0], None)
        await self._send("created", partial(self._create, event))

    async def _create(self, event: dict[str, Any]) -> None:
        await self._api.create(EVENTS, event)

    async def _write_count(self, series: EventSeries) -> None:
        series_count = {"count": series.count, "lastObservedTime": render_time(series.last)}
        await self._api.patch(EVENTS, series.name, {"series": series_count})

    async def _send(self, object_name: str, send_request: Callable[[], Awaitable[object]]) -> None:
        await self._try(UnsentEvent(object_name, send_request))

    async def _try(self, unsent_event: UnsentEvent) -> None:
        """Send a write; after a temporary failure it is retried at the next check of the series."""
        try:
            await unsent_event.send()
        except NotFound:
            EVENTS_DROPPED.labels("namespace").inc()  # its namespace, or the event, is deleted
        except AlreadyExists:
            EVENTS_SENT.labels(unsent_event.what).inc()  # the answer to an earlier try was lost
        except (Transient, Unauthorized) as error:
            if unsent_event.tries + 1 < MAX_TRIES and len(self._unsent) < MAX_UNSENT:
                self._unsent.append(replace(unsent_event, tries=unsent_event.tries + 1))
            else:
                self._give_up(error)
        except KubeError as error:
            self._give_up(error)
        else:
            EVENTS_SENT.labels(unsent_event.what).inc()

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


def shorten_text(text: str) -> str:
    """Return beginning and end of a text that is longer than the API server accepts."""
    encoded_text = text.encode()
    if len(encoded_text) <= LONGEST_NOTE:
        return text
    gap = " … ".encode()
    text_ends = encoded_text[:HEAD_OF_NOTE], encoded_text[HEAD_OF_NOTE + len(gap) - LONGEST_NOTE :]
    return " … ".join(text_end.decode(errors="ignore") for text_end in text_ends)


def render_event(
    note: Note, instance_name: str, serial: int, *, event_time: datetime
) -> dict[str, Any]:
    """Return the events.k8s.io/v1 object of a note."""
    event_subject = note.subject
    unique_suffix = f"{int(event_time.timestamp() * 1e6):x}{serial:04x}"
    return {
        "metadata": {
            "namespace": event_subject.key.namespace or "default",
            "name": f"{event_subject.key.name[:LONGEST_NAME]}.{unique_suffix}",
        },
        "eventTime": render_time(event_time),
        "type": note.severity,
        "reason": note.reason,
        "action": note.action,
        "note": shorten_text(note.note),
        "reportingController": "sluicegate.dev/operator",
        "reportingInstance": instance_name[-128:],
        "regarding": {
            "apiVersion": event_subject.resource.api_version,
            "kind": event_subject.resource.kind,
            "namespace": event_subject.key.namespace,
            "name": event_subject.key.name,
            "uid": event_subject.uid,
        },
    }
