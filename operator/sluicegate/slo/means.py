"""The block means of one gauge, packed like the counts of blocks.py: newest singly, older as sums.

After a restart all of it is read again: the newest blocks individually, and older ones as means of
twelve.
"""

from array import array
from collections.abc import Iterable
from math import ceil, fsum, isnan, nan
from typing import Final, NamedTuple

from sluicegate.slo.blocks import SINGLE_BLOCKS
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS

_NO_BLOCK: Final = -1
"""Number of a sum earlier than any that occurs: the slot is empty."""


class Values(NamedTuple):
    """The sum of some block means, and the number of these blocks."""

    total: float
    blocks: int

    @property
    def mean(self) -> float:
        """Return the mean of the blocks. ZeroDivisionError without any."""
        return self.total / self.blocks


class Means:
    """Means of one gauge of one version by block; a block without a fresh value has none.

    Not frozen, as a cache appends to it; decisions only read it.
    """

    __slots__ = ("_blocks", "_newest", "_numbers", "_singles", "_totals", "derived")

    derived: dict[object, object]
    """Values that a reader computed from complete sums and caches here; emptied when a sum changes.
    Keys contain the inputs."""

    def __init__(self, values: Iterable[tuple[int, float]] = ()) -> None:
        """Store the means of consecutive blocks, oldest first."""
        self._newest = -1
        self.derived = {}
        self._singles = array("d", [nan] * SINGLE_BLOCKS)
        self._numbers = array("q", [_NO_BLOCK] * HOURS)
        self._totals, self._blocks = array("d", [0.0] * HOURS), bytearray(HOURS)
        for index, value in values:
            self.record(index, value)

    # ---- writing ---------------------------------------------------------------------------

    def record(self, index: int, value: float | None) -> None:
        """Record the mean of a block, or None. A block that isn't kept singly is dropped."""
        number = (index - 1) // BLOCKS_PER_HOUR
        if index <= self._newest - SINGLE_BLOCKS:
            return
        if (number + 1) * BLOCKS_PER_HOUR <= self._newest:
            self.derived.clear()
        for passed_index in range(max(self._newest, index - SINGLE_BLOCKS) + 1, index + 1):
            self._singles[passed_index % SINGLE_BLOCKS] = nan
        self._newest = max(self._newest, index)
        self._singles[index % SINGLE_BLOCKS] = nan if value is None else value
        if self._is_single(number):
            first_block = number * BLOCKS_PER_HOUR + 1
            self._put_sum(
                number, self._of_singles(first_block - 1, first_block + BLOCKS_PER_HOUR - 1)
            )

    def record_sum(self, number: int, mean_value: float) -> None:
        """Record the mean of the blocks with 12 × number < index ≤ 12 × number + 12.

        For blocks that are kept singly, their own means are used.
        """
        if not self._is_single(number) and number > self._last_sum - HOURS:
            self.derived.clear()
            self._put_sum(number, Values(BLOCKS_PER_HOUR * mean_value, BLOCKS_PER_HOUR))

    @property
    def _last_sum(self) -> int:
        return (self._newest - 1) // BLOCKS_PER_HOUR

    def _is_single(self, number: int) -> bool:
        return number * BLOCKS_PER_HOUR + 1 > self._newest - SINGLE_BLOCKS

    def _put_sum(self, number: int, values: Values) -> None:
        slot = number % HOURS
        self._numbers[slot] = number
        self._totals[slot], self._blocks[slot] = values

    # ---- reading ---------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """Index of the newest block that was read; -1 before the first."""
        return self._newest

    @property
    def known(self) -> bool:
        """Return whether any block that is kept has a mean."""
        return any(self.of_sum(number).blocks for number in self._numbers)

    def of_block(self, index: int) -> float | None:
        """Return the mean of a block; None if the block has none or only its hour's sum is kept."""
        if not 0 <= self._newest - index < SINGLE_BLOCKS:
            return None
        value = self._singles[index % SINGLE_BLOCKS]
        return None if isnan(value) else value

    def of_sum(self, number: int) -> Values:
        """Add up the block means of a group of twelve blocks."""
        slot = number % HOURS
        if self._numbers[slot] != number or number <= self._last_sum - HOURS:
            return Values(0.0, 0)
        return Values(self._totals[slot], self._blocks[slot])

    def between(self, after_block: int, last_block: int) -> Values:
        """Add up the means of the blocks with after < index ≤ last (of whole sums, if it begins earlier)."""
        last_block = min(last_block, self._newest)
        if after_block >= self._newest - SINGLE_BLOCKS:
            return self._of_singles(after_block, last_block)
        first_sum = ceil(after_block / BLOCKS_PER_HOUR)
        sums_end = max(last_block // BLOCKS_PER_HOUR, first_sum)
        rest_singles = self._of_singles(sums_end * BLOCKS_PER_HOUR, last_block)
        return add_values(
            (*(self.of_sum(number) for number in range(first_sum, sums_end)), rest_singles)
        )

    def _of_singles(self, after_block: int, last_block: int) -> Values:
        block_means = (self.of_block(index) for index in range(after_block + 1, last_block + 1))
        values = [value for value in block_means if value is not None]
        return Values(fsum(values), len(values))


def add_values(values: Iterable[Values]) -> Values:
    """Add up several sums of block means."""
    value_list = tuple(values)
    return Values(
        fsum(block_values.total for block_values in value_list),
        sum(block_values.blocks for block_values in value_list),
    )
