"""Bad events of all events."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class Count(NamedTuple):
    """A number of bad events, and the number of all events."""

    bad: int
    total: int

    @property
    def ratio(self) -> float | None:
        """Return the share of bad events; None without events."""
        return self.bad / self.total if self.total else None


NOTHING: Final = Count(0, 0)


def summed(counts: Iterable[tuple[int, int]]) -> Count:
    """Add up (bad, total) counts."""
    bad_events = total = 0
    for block_bad, block_total in counts:
        bad_events += block_bad
        total += block_total
    return Count(bad_events, total)
