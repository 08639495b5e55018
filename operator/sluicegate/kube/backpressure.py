"""Backpressure of the API server: the pause that a 429 requests, shared by all senders.

A 429 applies to the client, not only to the request that received it: requests of other workers, of
the resync or of a watch would be rejected as well.
"""

import asyncio
import time
from collections.abc import Callable


class Backpressure:
    """The time until which no request is sent."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")

    @property
    def left(self) -> float:
        """Return the seconds until requests may be sent again; 0 if they may be sent now."""
        return max(0.0, self._until - self._clock())

    def pause_for(self, seconds: float) -> None:
        """Pause all requests for the seconds of a Retry-After."""
        self._until = max(self._until, self._clock() + seconds)

    async def wait(self) -> None:
        """Wait until requests may be sent again."""
        while seconds := self.left:  # noqa: ASYNC110  # another answer may prolong it
            await asyncio.sleep(seconds)
