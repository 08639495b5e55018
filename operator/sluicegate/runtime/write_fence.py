"""The gate that every write passes: first the write budget, then the lease.

The order matters: a lease can expire during the wait for the budget, and there is no wait between
the check of the lease and the request.
"""

from typing import Protocol

from sluicegate.kube.errors import WriteFenced
from sluicegate.runtime.clock import Clock
from sluicegate.runtime.metrics import FENCED_WRITES
from sluicegate.runtime.rate_limiter import TokenBucket

MARGIN_SECONDS = 5.0
"""Seconds of the lease that must be left: a write takes at most three, the rest is for clocks and
schedulers."""


class Lease(Protocol):
    """Validity of the lease, as the elector provides it."""

    @property
    def valid_until(self) -> float:
        """Return the time of the clock until which no other replica can have the lease."""


class WriteFence:
    """Gate that admits a write when the budget allows it and the lease covers it."""

    def __init__(self, limiter: TokenBucket, lease: Lease, clock: Clock) -> None:
        self._limiter = limiter
        self._lease = lease
        self._clock = clock

    async def admit(self) -> None:
        """Wait for the budget; raise WriteFenced if the lease doesn't cover a write then."""
        await self._limiter.take()
        seconds_left = self._lease.valid_until - self._clock()
        if seconds_left <= MARGIN_SECONDS:
            FENCED_WRITES.inc()
            raise WriteFenced(
                f"{seconds_left:.1f} s are left of the lease, a write needs {MARGIN_SECONDS}"
            )


class OpenGate:
    """Gate that admits every write: for commands of a person, and for objects of tests."""

    async def admit(self) -> None:
        """Admit the write."""
