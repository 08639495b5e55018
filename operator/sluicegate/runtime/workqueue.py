"""A work queue of keys: each waits once, is processed by one worker at a time, and isn't lost.

It corresponds to client-go's workqueue.RateLimitingInterface, with priorities. A key that is added
while it waits is queued once; one that is added while a worker has it is processed again, as the
worker may have read the state before the change. Urgent keys come first, but no key waits
indefinitely. Within a priority the namespaces take turns, so the keys of one delay no other.
"""

import asyncio
import heapq
from collections.abc import Callable

from sluicegate.kube.resources import Key
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.interfaces import QueuePriority
from sluicegate.runtime.namespace_turns import NamespaceTurns, WaitingKey

FIRST_RETRY = 1.0
LAST_RETRY = 300.0
MAX_DOUBLINGS = 10  # 2¹⁰ s is beyond LAST_RETRY; more would only give a huge number
TIMER_RESOLUTION = 0.001
"""Seconds that are added to a wait: uvloop counts in milliseconds, and could end it up to one too early."""
LONGEST_WAITS = {QueuePriority.NORMAL: 1.0, QueuePriority.BACKGROUND: 30.0}
"""Waiting times in seconds after which less urgent keys get every second place, shared in
proportion. When thousands of products are created at once, those whose pods are ready need not wait
until the last one was begun."""

LONGEST_URGENT_WAIT = 1.0
"""Waiting time in seconds of the most urgent keys, after which another change doesn't move them to
the end any more."""


class ShutDown(Exception):  # noqa: N818  # an end, not an error
    """The queue was shut down and returns no more keys."""


class QueueObserver:
    """Observer of the queue; the metrics are a subclass."""

    def added(self, depth: int) -> None:
        """Note that a key became ready."""

    def taken(self, depth: int, waited: float) -> None:
        """Note that a worker got a key after `waited` seconds."""

    def retried(self) -> None:
        """Note that a key will be added again after a failure."""


class WorkQueue:
    """Work queue for one event loop; not safe for threads.

    `jitter` is a function that returns a factor in (0, 1], to spread retries of keys that failed
    together.
    """

    def __init__(
        self, clock: Clock, jitter: Callable[[], float], observer: QueueObserver | None = None
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._observer = observer or QueueObserver()
        self._ready = {priority: NamespaceTurns() for priority in QueuePriority}
        self._working: dict[Key, QueuePriority] = {}
        self._again: dict[Key, WaitingKey] = {}
        self._timers: list[tuple[float, int, Key]] = []
        self._due: dict[Key, tuple[float, int, QueuePriority]] = {}
        self._serial = 0
        self._failures: dict[Key, int] = {}
        self._wakeup = asyncio.Event()
        self._watching = asyncio.Lock()
        """Held by the one that waits for the next key, of all who want one."""
        self._indulged = False
        self._open = True

    def __len__(self) -> int:
        """Return the number of keys that are ready for a worker."""
        return sum(len(keys) for keys in self._ready.values())

    @property
    def working(self) -> frozenset[Key]:
        """Return the keys that workers have now."""
        return frozenset(self._working)

    def add(self, key: Key, priority: QueuePriority = QueuePriority.NORMAL) -> None:
        """Make a key ready, or raise the priority of a waiting key.

        A waiting key moves behind the others of its namespace and priority, so that one reconcile handles a burst of
        changes. It isn't moved by background work or by a less urgent change: otherwise keys that
        wait for longer than a block would be moved by each complete block, and never processed. Nor
        is it moved after the waiting time of its priority (`LONGEST_WAITS`): otherwise a product
        that changes all the time would never be processed under a lasting backlog.
        """
        if key in self._working:
            self._again[key] = merge_waits(self._again.get(key), priority, self._clock())
            return
        min_priority = priority if priority is QueuePriority.BACKGROUND else priority - 1
        if any(
            key in keys
            for queue_priority, keys in self._ready.items()
            if queue_priority <= min_priority
        ):
            return
        waiting_key = self._ready[priority].get(key)
        if waiting_key is not None and self._clock() - waiting_key.since >= LONGEST_WAITS.get(
            priority, LONGEST_URGENT_WAIT
        ):
            return
        self._make_ready(key, merge_waits(self._pop_ready(key), priority, self._clock()))

    def add_after(
        self, key: Key, seconds: float, priority: QueuePriority = QueuePriority.BACKGROUND
    ) -> None:
        """Make a key ready later; of several calls the earliest time and the most urgent priority count."""
        due_time = self._clock() + seconds
        if (delayed_due := self._due.get(key)) is not None:
            priority = min(priority, delayed_due[2])
            if delayed_due[0] <= due_time:
                self._due[key] = (delayed_due[0], delayed_due[1], priority)
                return
        self._serial += 1
        self._due[key] = (due_time, self._serial, priority)
        heapq.heappush(self._timers, (due_time, self._serial, key))
        if self._timers[0][1] == self._serial:
            self._wakeup.set()

    def retry(self, key: Key, *, at_least: float = 0.0, at_most: float = LAST_RETRY) -> float:
        """Make a key ready after a failure, with its priority; return the seconds until then.

        The pause grows from one second to `at_most` with each failure in a row, and is never below
        `at_least` (a Retry-After).
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff_seconds = min(at_most, FIRST_RETRY * 2.0 ** min(failures, MAX_DOUBLINGS))
        delay: float = max(backoff_seconds * self._jitter(), at_least)
        self.add_after(key, delay, self._working.get(key, QueuePriority.BACKGROUND))
        self._observer.retried()
        return delay

    def forget(self, key: Key) -> None:
        """Reset the backoff of a key."""
        self._failures.pop(key, None)

    def poll(self) -> Key | None:
        """Return the next key for a worker, or None; the worker must call `done`.

        A delayed addition of the same key is dropped: the reconcile that starts now returns the
        time of the next one.
        """
        self._ripen()
        if (priority := self._next_priority()) is None:
            return None
        key, waiting_key = self._ready[priority].take()
        self._due.pop(key, None)
        self._working[key] = priority
        self._observer.taken(len(self), self._clock() - waiting_key.since)
        return key

    def done(self, key: Key) -> None:
        """Return a processed key; it is ready again if it was added meanwhile."""
        self._working.pop(key, None)
        if (waiting_key := self._again.pop(key, None)) is not None:
            self._make_ready(key, waiting_key)

    def next_due(self) -> float | None:
        """Return the clock's time at which the next delayed key becomes ready."""
        while self._timers and not self._is_live(self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def take(self) -> Key:
        """Wait for the next key and return it; raise ShutDown after a shutdown."""
        while self._open:
            if (key := self.poll()) is not None:
                return key
            # Idle workers wait in a line: a new key wakes only one of them.
            async with self._watching:
                await self._next_is_ready()
        raise ShutDown

    def shut_down(self) -> None:
        """Return no more keys; workers finish theirs and call `done`."""
        self._open = False
        self._wakeup.set()

    async def _next_is_ready(self) -> None:
        """Wait until a key is ready, or the queue is shut down."""
        while self._open:
            self._ripen()
            if any(self._ready.values()):
                return
            self._wakeup.clear()
            due_time, wake_handle = self.next_due(), None
            if due_time is not None:
                seconds = max(0.0, due_time - self._clock()) + TIMER_RESOLUTION
                wake_handle = asyncio.get_running_loop().call_later(seconds, self._wakeup.set)
            try:
                await self._wakeup.wait()
            finally:
                if wake_handle is not None:
                    wake_handle.cancel()

    def _next_priority(self) -> QueuePriority | None:
        """Return the priority to serve next.

        The most urgent, and every second time one that has waited too long. Of several such
        priorities it is the one that has waited longest relative to its limit: so none waits
        indefinitely, and less urgent ones wait longer.
        """
        first_priority = next(
            (queue_priority for queue_priority, keys in self._ready.items() if keys), None
        )
        longest_waiting = max(LONGEST_WAITS, key=self._relative_wait)
        self._indulged = not self._indulged and self._relative_wait(longest_waiting) > 1.0
        return longest_waiting if self._indulged else first_priority

    def _relative_wait(self, priority: QueuePriority) -> float:
        """Return the waiting time of a priority relative to its limit; 0 if no key waits."""
        first_key = self._ready[priority].first()
        if first_key is None:
            return 0.0
        return (self._clock() - first_key.since) / LONGEST_WAITS[priority]

    def _ripen(self) -> None:
        now = self._clock()
        while (due_time := self.next_due()) is not None and due_time <= now:
            _, _, key = heapq.heappop(self._timers)
            _, _, priority = self._due.pop(key)
            self.add(key, priority)

    def _is_live(self, timer: tuple[float, int, Key]) -> bool:
        due_time = self._due.get(timer[2])
        return due_time is not None and due_time[1] == timer[1]

    def _pop_ready(self, key: Key) -> WaitingKey | None:
        for keys in self._ready.values():
            if (waiting_key := keys.remove(key)) is not None:
                return waiting_key
        return None

    def _make_ready(self, key: Key, waiting_key: WaitingKey) -> None:
        self._ready[waiting_key.priority].append(key, waiting_key)
        self._observer.added(len(self))
        self._wakeup.set()


def merge_waits(waiting_key: WaitingKey | None, priority: QueuePriority, now: float) -> WaitingKey:
    """Return the wait of a key that is added again: the higher priority, the earlier time."""
    if waiting_key is None:
        return WaitingKey(priority, now)
    return WaitingKey(min(waiting_key.priority, priority), waiting_key.since)
