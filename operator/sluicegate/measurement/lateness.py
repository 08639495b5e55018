"""How late the measurements are: by the oldest block that should be there, and isn't complete."""

from collections.abc import Iterable

from sluicegate.prometheus.targets import Readings
from sluicegate.prometheus.timing import Timing


class Punctuality:
    """Remembers the newest complete block of each length. Used from the event loop only."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._complete: dict[int, int] = {}

    def expect(self, lengths: Iterable[int], now: float) -> None:
        """Wait for blocks of these lengths: of a new one from its newest on, never of the future."""
        newest = {length: self._timing.newest_settled(now, length) for length in lengths}
        self._complete = {
            length: min(self._complete.get(length, last - 1), last)
            for length, last in newest.items()
        }

    def record(self, readings: Readings) -> None:
        """Take in what was read; a part of a block isn't one."""
        if readings.complete:
            self._complete[readings.block_seconds] = readings.last

    def lateness(self, now: float) -> float:
        """Seconds by which the next complete block of some length is overdue; 0 while none is."""
        due = [self._timing.settled_at(last + 1, length) for length, last in self._complete.items()]
        return max(now - min(due, default=now), 0.0)
