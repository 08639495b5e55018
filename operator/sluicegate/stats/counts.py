"""Bad events of all events."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class Count(NamedTuple):
    """Bad events of all events."""

    bad: int
    total: int

    @property
    def ratio(self) -> float | None:
        """Share of bad events; None without events."""
        return self.bad / self.total if self.total else None


NOTHING: Final = Count(0, 0)


def summed(counts: Iterable[tuple[int, int]]) -> Count:
    """Add up counts."""
    bad = total = 0
    for one_bad, one_total in counts:
        bad += one_bad
        total += one_total
    return Count(bad, total)
