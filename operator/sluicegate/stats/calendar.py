"""Hours, days and weekdays of the clock, in the sums of twelve blocks that older blocks are kept as.

What swings with the hour of the day swings with the clock, however long a block is. At blocks of
300 s twelve of them are an hour; at 60 s, five sums are one, and a day is a hundred and twenty.
The clock is UTC's, so no day is shorter or longer than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

BLOCKS_PER_HOUR: Final = 12
"""Blocks of the sums as which older ones are kept: at blocks of five minutes, an hour."""


HOURS: Final = 336
"""How many sums of twelve are kept: fourteen days at blocks of five minutes."""


HOUR_SECONDS: Final = 3_600
HOURS_A_DAY: Final = 24
MOST_SUMS: Final = HOURS // 30
"""Of an hour: where blocks are too short for thirty hours to be kept, an hour is shorter."""


@dataclass(frozen=True, slots=True)
class Units:
    """Stretches of time of one length, counted from 1970. A sum lies in the one it begins in.

    Attributes
    ----------
    seconds : length of one; that of a sum at least.
    sum_seconds : length of a sum of twelve blocks.
    """

    seconds: int
    sum_seconds: int

    def of(self, number: int) -> int:
        """The unit in which a sum lies."""
        return number * self.sum_seconds // self.seconds

    def start(self, unit: int) -> int:
        """The first sum of a unit."""
        return -(-unit * self.seconds // self.sum_seconds)

    def first_from(self, number: int) -> int:
        """The first unit that begins with this sum or after it."""
        unit = self.of(number)
        return unit if self.start(unit) == number else unit + 1

    @property
    def are_sums(self) -> bool:
        """Whether each sum is a unit by itself."""
        return self.seconds == self.sum_seconds


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

    @property
    def each_sum(self) -> Units:
        """Every sum by itself."""
        return Units(self.sum_seconds, self.sum_seconds)

    @property
    def hours(self) -> Units:
        """Hours; a sum, where that is longer, and less, where thirty hours aren't kept."""
        longest = min(self.hour_seconds, MOST_SUMS * self.sum_seconds)
        return Units(max(longest, self.sum_seconds), self.sum_seconds)

    @property
    def days(self) -> Units:
        """Whole days."""
        return Units(self.day_seconds, self.sum_seconds)

    def sums(self, hours: int) -> int:
        """How many sums it takes to cover so many hours."""
        return ceil(hours * self.hour_seconds / self.sum_seconds)

    def blocks(self, hours: int) -> int:
        """How many blocks it takes to cover so many hours, a week of them for example."""
        return ceil(hours * self.hour_seconds / self.block_seconds)

    def keeps(self, hours: int) -> bool:
        """Whether sums are kept for so long."""
        return self.sums(hours) <= HOURS

    def hour_of_day(self, number: int) -> int:
        """The hour of the day, from 0, in which a sum begins."""
        return number * self.sum_seconds // self.hour_seconds % HOURS_A_DAY

    def hours_as_sums(self, hours: int) -> int:
        """As many hours, counted in sums of blocks: about that many, and at least one."""
        return max(round(hours * self.hour_seconds / self.sum_seconds), 1)


CLOCK: Final = Calendar()
"""Blocks of five minutes: a sum is an hour."""
