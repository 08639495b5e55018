"""Hours, days and weekdays of the clock, mapped to the sums of twelve blocks.

A daily pattern follows the clock, however long a block is. At blocks of 300 s a sum of twelve is an
hour; at 60 s, five sums are one, and a day is a hundred and twenty. The clock is UTC, so all days
have the same length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

BLOCKS_PER_HOUR: Final = 12
"""Blocks of one sum; older blocks are kept only as sums. At blocks of five minutes, a sum is an hour."""


HOURS: Final = 336
"""Number of sums that are kept: fourteen days at blocks of five minutes."""


HOUR_SECONDS: Final = 3_600
HOURS_A_DAY: Final = 24
MAX_SUMS: Final = HOURS // 30
"""Most sums of one hour: if blocks are too short for thirty hours to be kept, an "hour" is shorter."""


@dataclass(frozen=True, slots=True)
class Units:
    """Time since 1970 in units of one length, such as hours or days. A block sum belongs to the unit in which its time begins.

    Attributes
    ----------
    seconds : length of one unit; at least that of a sum.
    sum_seconds : length of a sum of twelve blocks.
    """

    seconds: int
    sum_seconds: int

    def number_of_hour(self, number: int) -> int:
        """Return the unit that a sum belongs to."""
        return number * self.sum_seconds // self.seconds

    def start(self, unit: int) -> int:
        """Return the first sum of a unit."""
        return -(-unit * self.seconds // self.sum_seconds)

    def first_from(self, number: int) -> int:
        """Return the first unit that begins at or after this block sum."""
        unit = self.number_of_hour(number)
        return unit if self.start(unit) == number else unit + 1

    @property
    def are_sums(self) -> bool:
        """Return whether each unit consists of one block sum."""
        return self.seconds == self.sum_seconds


@dataclass(frozen=True, slots=True)
class Calendar:
    """Mapping of sums of blocks to hours and days.

    Attributes
    ----------
    block_seconds : length of a block.
    hour_seconds : length of an hour; a shorter one than the clock's lets a demonstration with
        blocks of seconds have days of minutes.
    """

    block_seconds: int = 300
    hour_seconds: int = HOUR_SECONDS

    @property
    def sum_seconds(self) -> int:
        """Return the length of a sum of twelve blocks."""
        return BLOCKS_PER_HOUR * self.block_seconds

    @property
    def day_seconds(self) -> int:
        """Return the length of a day; at least that of a sum."""
        return max(HOURS_A_DAY * self.hour_seconds, self.sum_seconds)

    @property
    def sum_units(self) -> Units:
        """Return the units that consist of one block sum each."""
        return Units(self.sum_seconds, self.sum_seconds)

    @property
    def hours(self) -> Units:
        """Return the units of an hour; of a sum, if that is longer; shorter, if thirty hours aren't kept."""
        longest_block_seconds = min(self.hour_seconds, MAX_SUMS * self.sum_seconds)
        return Units(max(longest_block_seconds, self.sum_seconds), self.sum_seconds)

    @property
    def days(self) -> Units:
        """Return the units of one day."""
        return Units(self.day_seconds, self.sum_seconds)

    def sum_count(self, hours: int) -> int:
        """Return the number of block sums in these hours."""
        return ceil(hours * self.hour_seconds / self.sum_seconds)

    def blocks(self, hours: int) -> int:
        """Return the number of blocks in these hours."""
        return ceil(hours * self.hour_seconds / self.block_seconds)

    def is_kept(self, hours: int) -> bool:
        """Return whether sums are kept for that many hours."""
        return self.sum_count(hours) <= HOURS

    def hour_of_day(self, number: int) -> int:
        """Return the hour of the day, from 0, in which a sum begins."""
        return number * self.sum_seconds // self.hour_seconds % HOURS_A_DAY

    def hours_as_sums(self, hours: int) -> int:
        """Convert hours to a number of block sums: rounded, and at least 1."""
        return max(round(hours * self.hour_seconds / self.sum_seconds), 1)


CLOCK: Final = Calendar()
"""Blocks of five minutes: a sum is an hour."""
