"""Which blocks are complete, and how products are split over queries. Pure arithmetic."""

from dataclasses import dataclass
from typing import Final

LONGEST_CANARY_BLOCK: Final = 60
"""Seconds; a canary is judged at least once a minute."""
SCRAPES_PER_BLOCK: Final = 4
"""A block shorter than this many scrape intervals isn't a count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How Prometheus scrapes, and how long its samples may take to arrive.

    Parameters
    ----------
    scrape_seconds
        Interval at which the products' pods are scraped.
    settle_seconds
        Time to wait after a block's last scrape; never more than a block.
    """

    scrape_seconds: float = 30.0
    settle_seconds: float = 30.0

    def newest_settled(self, now: float, block_seconds: int) -> int:
        """Index of the newest block that may be read; block i ends at i × block_seconds."""
        return int((now - self._delay(block_seconds)) // block_seconds)

    def settled_at(self, index: int, block_seconds: int) -> float:
        """The moment from which on block `index` may be read."""
        return index * block_seconds + self._delay(block_seconds)

    def canary_block(self, block_seconds: int) -> int:
        """Length of a canary block: a minute or a block, but at least four scrapes."""
        shortest = round(SCRAPES_PER_BLOCK * self.scrape_seconds)
        return max(min(block_seconds, LONGEST_CANARY_BLOCK), shortest)

    def _delay(self, block_seconds: int) -> float:
        return self.scrape_seconds + min(self.settle_seconds, block_seconds)
