"""Hours, days and weekdays of the clock, in the sums of twelve blocks that older counts are kept as.

What swings with the hour of the day swings with the clock, however long a block is. At blocks of
300 s twelve of them are an hour; at 60 s, five sums are one, and a day is a hundred and twenty.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final

from sluicegate.slo.blocks import BLOCKS_PER_HOUR, HOURS

HOUR_SECONDS: Final = 3_600
HOURS_A_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class Calendar:
    """How sums of blocks lie in hours and days.

    Attributes
    ----------
    block_seconds : length of a block.
    hour_seconds : length of an hour; another one than the clock's lets a demonstration, whose
        blocks are seconds long, see days in minutes.
    """

    block_seconds: int = 300
    hour_seconds: int = HOUR_SECONDS

    @property
    def sum_seconds(self) -> int:
        """Length of a sum of twelve blocks."""
        return BLOCKS_PER_HOUR * self.block_seconds

    @property
    def day_seconds(self) -> int:
        """Length of a day, and of a sum at least."""
        return max(HOURS_A_DAY * self.hour_seconds, self.sum_seconds)

    def sums(self, hours: int) -> int:
        """How many sums it takes to cover so many hours."""
        return ceil(hours * self.hour_seconds / self.sum_seconds)

    def keeps(self, hours: int) -> bool:
        """Whether sums are kept for so long."""
        return self.sums(hours) <= HOURS

    def hour_of_day(self, number: int) -> int:
        """The hour of the day, from 0, in which a sum begins."""
        return number * self.sum_seconds // self.hour_seconds % HOURS_A_DAY

    def day(self, number: int) -> int:
        """The day in which a sum begins."""
        return number * self.sum_seconds // self.day_seconds

    def first_sum(self, day: int) -> int:
        """The first sum that begins in this day."""
        return -(-day * self.day_seconds // self.sum_seconds)

    def first_day(self, number: int) -> int:
        """The first day that begins with this sum or after it."""
        day = self.day(number)
        return day if self.first_sum(day) == number else day + 1

    def hours_as_sums(self, hours: int) -> int:
        """As many hours, counted in sums of blocks: about that many, and at least one."""
        return max(round(hours * self.hour_seconds / self.sum_seconds), 1)


CLOCK: Final = Calendar()
"""Blocks of five minutes: a sum is an hour."""
