"""A token bucket: how many writes a second the operator allows itself.

Callers get their slots in the order of their calls, and sleep until then, so no caller starves
and no timer has to wake the bucket.
"""

import asyncio

from sluicegate.runtime.clock import Clock


class TokenBucket:
    """`burst` at once, then `rate` a second; both are positive."""

    def __init__(self, clock: Clock, *, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"rate {rate} must be above 0 and burst {burst} at least 1")
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Take a token, if need be one of the future; return the seconds until it is there."""
        self._fill()
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def try_take(self) -> bool:
        """Take a token if there is one now."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def take(self) -> None:
        """Return when there is a token."""
        if delay := self.reserve():
            await asyncio.sleep(delay)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
