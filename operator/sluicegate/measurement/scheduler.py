"""The schedule of reads: the blocks of each length as they complete, and the products to reconcile.

A round reads one length for all products that have it: the queries don't depend on the number of
products. Lengths don't wait for each other: there may be thousands of idle products, whose answers
take seconds to read, or a minute if Prometheus is slow; a canary's next blocks are complete before
that. The scheduler runs on a standby too, so that a new leader has its measurements at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from sluicegate.kube.resources import Key
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.block_reader import BlockReader, Length
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.tasks import end_tasks
from sluicegate.spans import Spans, no_spans

SHORTEST_PAUSE: Final = 0.25
"""Least seconds between two rounds of a length."""
GATHER_SECONDS: Final = 1.0
"""Seconds between the first new target and a round, so that one round reads several of them."""
RETRY_SECONDS: Final = 10.0
"""Seconds until a retry without an answer: a block may last minutes, but an outage may be shorter."""

KEYS_AT_ONCE: Final = 200
"""Idle products that are requeued without a delay when their block completes."""
PACE_SECONDS: Final = 0.006
"""Seconds between two of the other products: longer than a reconcile of one, so that urgent keys
are processed in between.

The reconciles of thousands at once would delay urgent keys by their total duration, some ten
seconds.

The reconciles of thousands at once would delay urgent keys by their total duration, some ten
seconds."""

Requeue = Callable[[Key, float, QueuePriority], None]


class BlockScheduler:
    """Scheduler with one round at a time for each block length."""

    def __init__(
        self,
        measurements: Measurements,
        evaluation: BlockReader,
        requeue: Requeue,
        trace_spans: Spans = no_spans,
        *,
        wall_clock: Clock = time.time,
    ) -> None:
        """Store the settings; `requeue` is called with a product, the delay and the priority."""
        self._measurements = measurements
        self._evaluation = evaluation
        self._requeue = requeue
        self._spans = trace_spans
        self._wall = wall_clock
        self._under_way: dict[Length, asyncio.Task[None]] = {}
        self._due: dict[Length, float] = {}
        """When the next round begins, by the event loop's clock, which is monotonic."""

    async def run(self) -> None:
        """Measure until cancelled; raise the error of a round."""
        try:
            while True:
                await self._begin(self._wall())
                await self._wait()
        finally:
            await end_tasks(self._under_way.values())

    async def _begin(self, now: float) -> None:
        """Start the rounds that are due."""
        if self._measurements.is_set_back(now):
            await end_tasks(self._under_way.values())
            self._under_way.clear()
            self._due.clear()
        self._measurements.prepare(self._evaluation, now)
        begin_time = asyncio.get_running_loop().time()
        for length in self._idle():
            if self._due.get(length, 0.0) <= begin_time:
                self._due.pop(length, None)
                name = f"round of {length.block_seconds} s"
                self._under_way[length] = asyncio.create_task(self._round(length, now), name=name)

    async def _round(self, length: Length, now: float) -> None:
        span_attributes = {
            "sluicegate.products": len(self._measurements.groups[length]),
            "sluicegate.block_seconds": length.block_seconds,
        }
        with self._spans("measure", span_attributes):
            moved_keys = await self._measurements.read_length(self._evaluation, length, now)
        self._call(moved_keys, length)
        # A target that was added meanwhile may have made it due already.
        self._due.setdefault(length, asyncio.get_running_loop().time() + self.pause(length, now))

    def _call(self, moved_keys: Sequence[Key], length: Length) -> None:
        """Requeue these products: canaries at once, idle products within half a block."""
        pace_seconds = min(PACE_SECONDS, length.block_seconds / 2 / max(len(moved_keys), 1))
        for number, key in enumerate(moved_keys):
            urgency = self._measurements.urgency(key)
            lateness_seconds = (
                max(number - KEYS_AT_ONCE, 0) * pace_seconds
                if urgency is QueuePriority.BACKGROUND
                else 0.0
            )
            self._requeue(key, lateness_seconds, urgency)

    async def _wait(self) -> None:
        """Wait until a round has ended or is due, or a product is new."""
        news_task = asyncio.create_task(self._news())
        try:
            await asyncio.wait(
                {news_task, *self._under_way.values()},
                timeout=self._next(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            await end_tasks([news_task])
        if self._measurements.news.is_set():
            await asyncio.sleep(GATHER_SECONDS)
            self._measurements.news.clear()
            self._due = dict.fromkeys({*self._measurements.groups, *self._under_way}, 0.0)
        for length, task in tuple(self._under_way.items()):
            if task.done():
                del self._under_way[length]
                task.result()

    async def _news(self) -> None:
        await self._measurements.news.wait()

    def _idle(self) -> list[Length]:
        return [group for group in self._measurements.groups if group not in self._under_way]

    def _next(self) -> float | None:
        """Return the seconds until a round is due; None if none is due before another one ends."""
        due_time = min((self._due.get(length, 0.0) for length in self._idle()), default=None)
        return None if due_time is None else max(due_time - asyncio.get_running_loop().time(), 0.0)

    def pause(self, length: Length, requested_at: float) -> float:
        """Return the seconds until the next block of this length completes.

        At most one block length: a clock that was set back would make it longer.
        """
        timing, seconds = self._measurements.timing, length.block_seconds
        complete_time = timing.complete_at(
            timing.newest_complete(requested_at, seconds) + 1, seconds
        )
        longest_pause = (
            min(RETRY_SECONDS, seconds) if self._measurements.awaits_answer(length) else seconds
        )
        return min(max(complete_time - self._wall(), SHORTEST_PAUSE), longest_pause)
