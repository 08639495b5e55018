"""The API server's wish to be left alone for a while, kept for all who share it.

A 429 is meant for the client, not for the one request that happened to get it: what another
worker, the resync or a watch sends meanwhile is as unwelcome.
"""

import asyncio
import time
from collections.abc import Callable


class Patience:
    """Until when nothing is to be sent; in force from the answer on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")

    @property
    def left(self) -> float:
        """Return the seconds for which the API server still wants to be left alone."""
        return max(0.0, self._until - self._clock())

    def ask(self, seconds: float) -> None:
        """Take in a Retry-After."""
        self._until = max(self._until, self._clock() + seconds)

    async def wait(self) -> None:
        """Return when requests are welcome again."""
        while left := self.left:  # noqa: ASYNC110  # another answer may prolong it
            await asyncio.sleep(left)
