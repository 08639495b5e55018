"""The log of predictions and their labels: rows are written by a thread, beside the requests.

A request only appends to a queue. The thread writes rows in batches, and tries again while the
place can't be written. The queue is bounded in bytes; rows beyond it are dropped and counted. At
the end of the process all rows are written, within the seconds that a terminating pod has.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.environment import (
    LOG_DROPPED_METRIC,
    LOG_FAILED_METRIC,
    LOG_HELD_METRIC,
    LOG_WRITTEN_METRIC,
)
from sluicegate_service.log_rows import Labelled, Served
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import LogStore, LogStoreError, store_of
from sluicegate_service.tokens import CallerId

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUE_BYTES: Final = 16 * 2**20
"""Bytes of rows in memory."""
LARGEST_ROW: Final = 2**20
"""Bytes of a request with its answer; larger ones aren't logged."""
BATCH_BYTES: Final = 2**20
"""Bytes of lines that are written at once."""
RETRY_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 4.0
"""Seconds for the last rows of a process, within the operator's DRAIN_SECONDS."""
RETENTION_PERIOD: Final = 6 * 3600.0
log = logging.getLogger("sluicegate.log")


@dataclass(slots=True)
class LogCounters:
    """Functions that count.

    Attributes
    ----------
    written, dropped : rows; those dropped with the reason.
    held : shows the rows in memory, as of the last write.
    failed : counts a write that failed, also a repeated one.
    """

    written: Callable[[int], None] = lambda _: None
    dropped: Callable[[str, int], None] = lambda _reason, _count: None
    held: Callable[[int], None] = lambda _: None
    failed: Callable[[], None] = lambda: None


@dataclass(slots=True)
class PredictionLog:
    """The log of one process; `start` it, and `close` it at the end."""

    settings: LogSettings
    store: LogStore
    counters: LogCounters = field(default_factory=LogCounters)
    clock: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random
    queue_bytes: int = QUEUE_BYTES
    retry_seconds: float = RETRY_SECONDS
    _queue: deque[Served | Labelled] = field(default_factory=deque, init=False)
    _held_bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _wake: threading.Event = field(default_factory=threading.Event, init=False)
    _closing: bool = field(default=False, init=False)
    _until: float = field(default=float("inf"), init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _process: str = field(default="", init=False)
    _away_since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Name the files of this process."""
        self._process = f"{socket.gethostname()}-{secrets.token_hex(3)}"

    # ---- requests --------------------------------------------------------------------------
    def samples(self, caller_id: str = "") -> bool:
        """Return whether a request is logged; the same for each request and label with one id."""
        share = self.settings.percent / 100
        if not caller_id:
            return self.draw() < share
        return int.from_bytes(CallerId(caller_id).identity[:8]) < share * 2**64

    def put(self, row: Served | Labelled) -> None:
        """Add a row; it is dropped if there is no room."""
        size = row.size
        if size > LARGEST_ROW:
            self.counters.dropped("TooLarge", 1)
            return
        with self._lock:
            has_room = self._held_bytes + size <= self.queue_bytes and not self._closing
            if has_room:
                self._queue.append(row)
                self._held_bytes += size
        if not has_room:
            self.counters.dropped("QueueFull", 1)
        elif self._held_bytes > self.queue_bytes // 2:
            self._wake.set()

    def label(self, identity: bytes, truth: Any) -> None:
        """Add the label of a prediction that was logged."""
        self.put(Labelled(self.clock(), identity, truth))

    # ---- the thread ------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread that writes."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write the buffered rows within a time, and stop; later rows are dropped."""
        self._until = time.monotonic() + seconds
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(seconds + 1)

    def _run(self) -> None:
        remove_at = time.monotonic() + random.uniform(0, 60)
        while not self._closing:
            self._wake.wait(self.store.flush_seconds)
            self._wake.clear()
            self._write_queue()
            if time.monotonic() >= remove_at and not self._closing:
                self._remove_old()
                remove_at = time.monotonic() + RETENTION_PERIOD
        self._write_queue()

    def _write_queue(self) -> None:
        while rows := self._next_batch():
            lines = b"".join(self._lines(rows))
            were_written = self._write(lines)
            self._show_held(0)
            with self._lock:
                self._held_bytes -= sum(row.size for row in rows)
            count = lines.count(b"\n")
            if were_written:
                self.counters.written(count)
            else:
                self.counters.dropped("Closed", count)

    def _next_batch(self) -> list[Served | Labelled]:
        """Return the rows of the next batch."""
        rows: list[Served | Labelled] = []
        size = 0
        with self._lock:
            while self._queue and size < BATCH_BYTES:
                rows.append(self._queue.popleft())
                size += rows[-1].size
        return rows

    def _lines(self, rows: list[Served | Labelled]) -> list[bytes]:
        lines: list[bytes] = []
        for row in rows:
            try:
                lines.extend(row.lines(self.settings))
            except (RecursionError, TypeError, ValueError):
                log.warning("a row of the log of predictions can't be written", exc_info=True)
                self.counters.dropped("Invalid", 1)
            time.sleep(0)  # the requests' thread needn't wait for a whole batch
        return lines

    def _write(self, lines: bytes) -> bool:
        """Write lines, as often as it takes; return False if the process ends before."""
        while True:
            self._show_held(lines.count(b"\n"))
            now = datetime.fromtimestamp(self.clock(), UTC)
            try:
                self.store.add(now.date().isoformat(), f"{now:%H}-{self._process}", lines)
            except LogStoreError as error:
                self.counters.failed()
                if self._away_since is None:
                    self._away_since = time.monotonic()
                    log.warning("%s; rows are kept in memory, and written later", error)
            else:
                self._warn_of_end()
                return True
            seconds_left = self._until - time.monotonic()
            if seconds_left <= 0:
                log.error("%d bytes of the log of predictions are lost at the end", len(lines))
                return False
            if self._closing:
                time.sleep(min(0.2, seconds_left))
            else:
                self._wake.clear()
                self._wake.wait(self.retry_seconds)

    def _warn_of_end(self) -> None:
        """Warn that rows are written again, if they could not be."""
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            log.warning("the log of predictions is written again, after %.0f s", seconds)
            self._away_since = None

    def _show_held(self, taken_bytes: int) -> None:
        """Show the rows in memory; `taken_bytes` are those that are being written."""
        with self._lock:
            waiting = sum(row.count for row in self._queue)
        self.counters.held(taken_bytes + waiting)

    def _remove_old(self) -> None:
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        oldest = (today - timedelta(days=self.settings.retention_days)).isoformat()
        try:
            for date in self.store.dates():
                if date < oldest:
                    self.store.remove(date)
        except LogStoreError as error:
            log.warning("%s; rows after their retention are deleted later", error)


@cache
def current_log() -> PredictionLog | None:
    """Return the log of this process, started; None if the product has none."""
    settings = LogSettings.from_environment(os.environ)
    if settings is None:
        return None
    predictions = PredictionLog(settings, store_of(settings), _counters())
    predictions.start()
    return predictions


def close_log() -> None:
    """Write the last rows of this process."""
    with contextlib.suppress(ValueError):
        if (predictions := current_log()) is not None:
            predictions.close()


def _counters() -> LogCounters:
    from prometheus_client import Counter, Gauge  # noqa: PLC0415 - reads the environment when imported

    written_rows = Counter(LOG_WRITTEN_METRIC, "Rows of the log of predictions that were written.")
    dropped = Counter(LOG_DROPPED_METRIC, "Rows that were dropped, by reason.", ["reason"])
    for reason in ("Closed", "Invalid", "QueueFull", "TooLarge"):
        dropped.labels(reason=reason)
    held_bytes = Gauge(
        LOG_HELD_METRIC,
        "Rows of the log of predictions in memory, which wait for their write.",
        multiprocess_mode="livemostrecent",
    )
    held_bytes.set(0)
    failed = Counter(LOG_FAILED_METRIC, "Writes to the place of the log that failed.")
    return LogCounters(
        written=written_rows.inc,
        dropped=lambda reason, count: dropped.labels(reason=reason).inc(count),
        held=held_bytes.set,
        failed=failed.inc,
    )
