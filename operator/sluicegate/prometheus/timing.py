"""Times at which blocks are complete, and lengths of canary blocks. Pure arithmetic."""

from dataclasses import dataclass
from typing import Final

LONGEST_CANARY_BLOCK: Final = 60
"""Longest canary block in seconds; a canary is evaluated at least once a minute."""
SCRAPES_PER_BLOCK: Final = 4
"""Scrape intervals that a block must have at least to be a count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Scrape interval of Prometheus, and the delay of its samples.

    Parameters
    ----------
    scrape_seconds
        Interval at which the products' pods are scraped.
    settle_seconds
        Time to wait after a block's last scrape; never more than a block.
    """

    scrape_seconds: float = 30.0
    settle_seconds: float = 30.0

    def newest_complete(self, now: float, block_seconds: int) -> int:
        """Return the index of the newest block that may be read; block i ends at i × block_seconds."""
        return int((now - self._delay(block_seconds)) // block_seconds)

    def complete_at(self, index: int, block_seconds: int) -> float:
        """Return the time from which block `index` may be read."""
        return index * block_seconds + self._delay(block_seconds)

    def canary_block(self, block_seconds: int) -> int:
        """Return the length of a canary block: a minute or a block, but at least four scrapes."""
        shortest_seconds = round(SCRAPES_PER_BLOCK * self.scrape_seconds)
        return max(min(block_seconds, LONGEST_CANARY_BLOCK), shortest_seconds)

    def _delay(self, block_seconds: int) -> float:
        return self.scrape_seconds + min(self.settle_seconds, block_seconds)
