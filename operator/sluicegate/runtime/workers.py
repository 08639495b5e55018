"""Workers that take keys from the queue and reconcile them; the type of an error decides about the retry."""

import asyncio
import logging
import time
from typing import assert_never

from sluicegate.kube.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NamespaceTerminating,
    TooManyRequests,
    WriteFenced,
)
from sluicegate.kube.resources import Key
from sluicegate.runtime import metrics
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import Done, InvalidSpec, Reconciler, RequeueAfter, Result
from sluicegate.runtime.logs import reconcile_context
from sluicegate.runtime.workqueue import LAST_RETRY, ShutDown, WorkQueue
from sluicegate.spans import Spans, no_spans

logger = logging.getLogger(__name__)

SLOW_RETRY = 60.0
"""Seconds until the retry after a bug, so that its traceback doesn't fill the logs."""

SOON_RETRY = 20.0
"""Longest pause between retries of a transient failure."""

CONFLICT_RETRY = 5.0
"""Longest pause between retries after a Conflict: the cache is current again, and a reconcile from
the caches costs little."""

TURN_SECONDS = 0.01
"""Seconds in which reconciles begin in one iteration of the event loop: three or four of idle products."""

LONG_SECONDS = 60.0
"""Seconds after which a running reconcile is logged; a request takes at most a few seconds."""


class Workers:
    """A number of workers (`count`) for one queue."""

    def __init__(
        self,
        queue: WorkQueue,
        reconciler: Reconciler,
        *,
        count: int,
        trace_spans: Spans = no_spans,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._reconciler = reconciler
        self._count = count
        self._spans = trace_spans
        self._begun: dict[Key, float] = {}
        self._turn_ends: float | None = None
        """From when on no look begins in this turn of the event loop; None before its first."""
        self._idle = asyncio.Event()
        self._idle.set()
        metrics.MAX_WORKERS.labels(metrics.NAME).set(count)

    async def run(self) -> None:
        """Process keys until the queue is shut down and empty of running keys."""
        self._idle.clear()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._count):
                    group.create_task(self._work(), name=f"worker {number}")
        finally:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no worker works."""
        await self._idle.wait()

    def export(self) -> None:
        """Update the metrics."""
        now = self._clock()
        ages = [now - start_time for start_time in self._begun.values()]
        metrics.UNFINISHED_WORK.labels(metrics.NAME).set(sum(ages))
        metrics.LONGEST_WORK.labels(metrics.NAME).set(max(ages, default=0.0))

    async def _work(self) -> None:
        while True:
            await self._wait_for_slice()
            try:
                key = await self._queue.take()
            except ShutDown:
                return
            try:
                await self._reconcile(key)
            finally:
                self._queue.done(key)

    async def _wait_for_slice(self) -> None:
        """Wait until a reconcile may begin.

        Each iteration of the event loop begins reconciles for a few milliseconds. A reconcile without a
        write never waits, so a queue of thousands would be one iteration. With one reconcile of
        each worker in an iteration, the answer to every write would wait for all of them. With a
        single one, each would wait for the interpreter lock, which other threads take in every
        iteration.
        """
        event_loop = asyncio.get_running_loop()
        while True:
            if self._turn_ends is None:
                self._turn_ends = event_loop.time() + TURN_SECONDS
                event_loop.call_soon(self._end_turn)
            if event_loop.time() < self._turn_ends:
                return
            await asyncio.sleep(0)

    def _end_turn(self) -> None:
        self._turn_ends = None

    async def _reconcile(self, key: Key) -> None:
        active_workers = metrics.ACTIVE_WORKERS.labels(metrics.NAME)
        self._begun[key] = self._clock()
        active_workers.inc()
        span_attributes = {"k8s.namespace.name": key.namespace, "sluicegate.product": key.name}
        try:
            with (
                self._spans("reconcile", span_attributes) as trace_span,
                reconcile_context(key) as reconcile,
            ):
                trace_span.set("sluicegate.reconcile_id", reconcile)
                late_timer = asyncio.get_running_loop().call_later(
                    LONG_SECONDS,
                    logger.warning,
                    "this reconcile has taken %.0f s and continues",
                    LONG_SECONDS,
                )
                try:
                    outcome = await self._attempt(key)
                finally:
                    late_timer.cancel()
                trace_span.set("sluicegate.result", outcome)
        finally:
            active_workers.dec()
            work_seconds = self._clock() - self._begun.pop(key)
            metrics.WORK_TIME.labels(metrics.NAME).observe(work_seconds)
            metrics.RECONCILE_TIME.labels(metrics.NAME).observe(work_seconds)
        metrics.RECONCILE_COUNTER.labels(metrics.NAME, outcome).inc()

    async def _attempt(self, key: Key) -> str:
        try:
            result = await self._reconciler.reconcile(key)
        except InvalidSpec as error:
            logger.info("waits for a change of the spec: %s", error)
            self._queue.forget(key)
            metrics.TERMINAL_ERRORS.labels(metrics.NAME).inc()
            return "invalid"
        except KubeError as error:
            return self._after_refusal(key, error)
        except Exception as error:  # noqa: BLE001  # logged whole; one product's bug stops no other
            return self._after_bug(key, error)
        return self._after_success(key, result)

    def _after_success(self, key: Key, result: Result) -> str:
        self._queue.forget(key)
        match result:
            case Done():
                return "success"
            case RequeueAfter(seconds):
                self._queue.add_after(key, seconds)
                return "requeue_after"
            case _:
                assert_never(result)

    def _after_refusal(self, key: Key, error: KubeError) -> str:
        at_least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
        delay = self._queue.retry(key, at_least=at_least, at_most=longest_wait(error))
        is_expected = isinstance(error, WriteFenced | Conflict | NamespaceTerminating)
        log_level = logging.INFO if is_expected else logging.WARNING
        logger.log(log_level, "retried in %.1f s: %s", delay, error)
        metrics.RECONCILE_ERRORS.labels(metrics.NAME).inc()
        return "error"

    def _after_bug(self, key: Key, error: Exception) -> str:
        delay = self._queue.retry(key, at_least=SLOW_RETRY)
        logger.error("a bug, please report it; retried in %.0f s", delay, exc_info=error)
        metrics.RECONCILE_BUGS.labels(metrics.NAME).inc()
        metrics.RECONCILE_ERRORS.labels(metrics.NAME).inc()
        return "error"


def longest_wait(error: KubeError) -> float:
    """Return the longest pause between retries after this error."""
    match error:
        case Conflict():
            return CONFLICT_RETRY
        case BadRequest() | Forbidden() | Invalid():
            return LAST_RETRY  # only a person can fix it
        case _:
            return SOON_RETRY
