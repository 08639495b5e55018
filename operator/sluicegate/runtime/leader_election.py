"""Leader election: one replica holds the Lease and writes, the others are on standby.

It corresponds to client-go's leaderelection. Each rule prevents one way to two leaders:

- The holder counts its time from *before* it sent the renewal, on its own clock; it stops
  leading when ten of the fifteen seconds are over without another renewal.
- A candidate counts from the time at which *it saw* the record change, on its own clock. Clocks of
  different machines are never compared, so a step of the wall clock has no effect.
- Each write carries the resourceVersion that was read, so of two candidates one gets 409.
- Every call has a timeout, and leading is a task that is cancelled when the lease is lost.
- A write of a leader that was suspended is stopped by the gate (`runtime.write_fence`), and, if it
  was suspended between gate and socket, by the resourceVersion in the request.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sluicegate.kube.errors import Conflict, KubeError, NotFound
from sluicegate.kube.leases import LeaseRecord, LeaseStore
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.metrics import LEADING_GAUGE, NAME
from sluicegate.runtime.write_fence import MARGIN_SECONDS

logger = logging.getLogger(__name__)

NEVER_RENEWED = float("-inf")


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Durations in seconds: validity of a lease, deadline of its renewal, pause between two attempts.

    A standby reads the Lease at least each `poll_interval` seconds: it may be released at any time.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    call: float = 3.0
    poll_interval: float = 1.0

    def __post_init__(self) -> None:
        """Refuse timings with which two replicas could lead, or the gate would admit no write."""
        if self.renew_deadline <= self.call + self.retry:
            raise ValueError(
                f"lease: the renew deadline {self.renew_deadline} s must be above the sum"
                f" of a call's {self.call} s and the retry's {self.retry} s"
            )
        if self.duration < self.renew_deadline + MARGIN_SECONDS:
            raise ValueError(
                f"lease: the duration {self.duration} s must be at least the renew deadline"
                f" {self.renew_deadline} s and the fence's {MARGIN_SECONDS} s together"
            )


class Elector:
    """Candidate for one Lease under a unique identity."""

    def __init__(
        self,
        store: LeaseStore,
        clock: Clock,
        *,
        identity: str,
        timing: LeaseTiming,
        jitter: Callable[[], float],
        wall_clock: Clock = time.time,
    ) -> None:
        """Store the settings: decisions use `clock`, the times in the Lease are those of `wall`."""
        self._store = store
        self._clock = clock
        self._identity = identity
        self._timing = timing
        self._jitter = jitter
        self._wall = wall_clock
        self._seen = LeaseRecord()
        self._seen_at = NEVER_RENEWED
        self._renewed_at = NEVER_RENEWED
        self._left_at: float | None = None
        # Also before it contends: listing thousands of products takes half a minute.
        LEADING_GAUGE.labels(NAME).set(0)

    @property
    def identity(self) -> str:
        """Name of this process in the Lease."""
        return self._identity

    @property
    def valid_until(self) -> float:
        """Return the time of the clock until which no other replica can have acquired the lease."""
        return self._renewed_at + self._timing.duration

    @property
    def leading(self) -> bool:
        """Return whether this process may start work that writes."""
        return self._clock() < self._deadline

    @property
    def holder(self) -> str:
        """Return the holder of the lease at its last read; empty without one."""
        return self._seen.holder

    @property
    def left_at(self) -> float | None:
        """Time of the previous holder's last renewal before this process acquired the lease, by that holder's clock.

        No decision about leading uses it. None if there was no Lease.
        """
        return self._left_at

    @property
    def _deadline(self) -> float:
        return self._renewed_at + self._timing.renew_deadline

    async def run(self, lead_work: Callable[[], Awaitable[None]]) -> None:
        """Compete for the lease until cancelled; run `lead` while it is held."""
        while True:
            await self._acquire()
            try:
                await self._lead(lead_work)
            finally:
                LEADING_GAUGE.labels(NAME).set(0)

    async def release(self) -> None:
        """Release the lease, so that another replica needn't wait for its end."""
        if not self.leading:
            return
        self._renewed_at = NEVER_RENEWED
        if await self._attempt(self._give_back):
            logger.info("lease released")

    async def _acquire(self) -> None:
        while not (is_acquired := await self._attempt(self._try_acquire)):
            retry, poll_seconds = self._timing.retry, self._timing.poll_interval
            await asyncio.sleep(
                (retry if is_acquired is None else min(retry, poll_seconds)) * self._jitter()
            )
        logger.info("lease acquired", extra={"transitions": self._seen.transitions})
        LEADING_GAUGE.labels(NAME).set(1)

    async def _lead(self, lead_work: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead_work())
        try:
            while self.leading and not work.done():
                await asyncio.wait({work}, timeout=self._pause())
                if self.leading and not await self._attempt(self._renew) and self._lease_lost():
                    break
        finally:
            if self._lease_lost() or not self.leading:
                self._renewed_at = NEVER_RENEWED
            await self._end(work)

    def _pause(self) -> float:
        return max(0.0, min(self._timing.retry, self._deadline - self._clock()))

    def _lease_lost(self) -> bool:
        return self._seen.holder != self._identity

    async def _end(self, work: asyncio.Future[None]) -> None:
        if not work.done():
            logger.warning("leading ends", extra={"holder": self._seen.holder})
            work.cancel()
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool | None:
        """Return the result of a step; None if the API server's answer is an error."""
        try:
            async with asyncio.timeout(self._timing.call):
                return await step()
        except TimeoutError:
            logger.warning("lease: no answer in %.1f s", self._timing.call)
        except KubeError as error:
            logger.warning("lease: %s", error)
        return None

    async def _try_acquire(self) -> bool:
        lease_record = await self._read()
        # Without a Lease, its last holder may not have noticed the deletion yet.
        if not self._is_free(lease_record or self._seen):
            return False
        return await self._take(lease_record or LeaseRecord())

    async def _give_back(self) -> bool:
        # Read first: a renewal that was cancelled may have been stored.
        lease_record = await self._store.read()
        if lease_record is None or lease_record.holder != self._identity:
            return False
        await self._store.write(replace(lease_record, holder="", renewed=self._now()))
        return True

    async def _renew(self) -> bool:
        start_time = self._clock()
        try:
            was_written = await self._store.write(replace(self._seen, renewed=self._now()))
        except (Conflict, NotFound):
            # Another replica acquired it, or a person edited or deleted the Lease: the record shows which.
            self._seen = await self._read() or LeaseRecord()
            return not self._lease_lost() and await self._renew()
        self._hold(was_written, start_time)
        return True

    async def _take(self, lease_record: LeaseRecord) -> bool:
        start_time = self._clock()
        renew_time = self._now()
        is_own = lease_record.holder == self._identity
        desired_record = replace(
            lease_record,
            holder=self._identity,
            duration_seconds=round(self._timing.duration),
            acquired=lease_record.acquired if is_own else renew_time,
            renewed=renew_time,
            transitions=lease_record.transitions
            + (0 if is_own or not lease_record.resource_version else 1),
        )
        try:
            was_written = await self._store.write(desired_record)
        except Conflict:
            return False
        self._left_at = lease_record.renewed.timestamp() if lease_record.renewed else None
        self._hold(was_written, start_time)
        return True

    def _hold(self, written_record: LeaseRecord, start_time: float) -> None:
        self._seen, self._seen_at = written_record, self._clock()
        self._renewed_at = start_time

    async def _read(self) -> LeaseRecord | None:
        lease_record = await self._store.read()
        if (
            lease_record is not None
            and lease_record.resource_version != self._seen.resource_version
        ):
            self._seen, self._seen_at = lease_record, self._clock()
        return lease_record

    def _now(self) -> datetime:
        """Return the wall clock's time, for the Lease."""
        return datetime.fromtimestamp(self._wall(), UTC)

    def _is_free(self, lease_record: LeaseRecord) -> bool:
        if lease_record.holder in ("", self._identity):
            return True
        return self._clock() >= self._seen_at + lease_record.duration_seconds
