"""A token bucket that limits the writes a second.

Callers get their slots in the order of their calls, and sleep until then, so no caller starves and
the bucket needs no timer.
"""

import asyncio

from sluicegate.runtime.clock import Clock


class TokenBucket:
    """Token bucket: `burst` at once, then `rate` a second; both are positive."""

    def __init__(self, clock: Clock, *, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"rate {rate} must be above 0 and burst {burst} at least 1")
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at = clock()

    def reserve(self) -> float:
        """Take the next token, also a future one; return the seconds until it may be used."""
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
        """Wait for a token."""
        if delay := self.reserve():
            await asyncio.sleep(delay)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
