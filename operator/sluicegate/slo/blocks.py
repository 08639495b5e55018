"""Blocks of counts: every window, interval and test is computed from them.

Time is cut into blocks of `analysis.blockSeconds`; block i ends at i × blockSeconds. The newest 72
are kept singly, older ones only as sums of twelve (an "hour", aligned to absolute time), as five
thousand products share one process. A window no longer than 72 blocks is exact; a longer one begins
at the first whole hour inside it, so that it is the same whether single blocks or sums of twelve
were read again after a restart. Memory is allocated only for as many sums as exist.

Counts may arrive in any order; a block that is recorded again replaces its earlier counts.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import ceil, isfinite
from typing import Final

from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.counts import NOTHING, Count

SINGLE_BLOCKS: Final = 72
"""Number of blocks that are kept singly: the longest window that must be exact (6 h of 5 min)."""
MIN_COVERAGE: Final = 0.8
"""Share of the expected scrapes below which a block is dropped."""
RING_SIZES: Final = (21, 84, HOURS)
"""Sizes of the ring of sums: the first that suffices is used, so that a new version needs little memory."""
RING_SLACK: Final = 1.02
"""Factor by which bad events may exceed all events: the two are scraped at slightly different times."""

_WIDTHS: Final = (("B", 2**8), ("H", 2**16), ("I", 2**32), ("Q", 2**64))
"""Type codes of arrays, narrowest first, each with the first number that doesn't fit."""
_MAX_EVENTS: Final = 2**53
_NEVER_RECORDED: Final = 2**62
"""Number of an hour later than any that occurs: no hour was recorded."""


class Quality(IntEnum):
    """Whether the count of a block may be used, and if not, why."""

    MISSING = 0
    """The block was never read."""
    UNAVAILABLE = 1
    """The query failed."""
    LOW_COVERAGE = 2
    """Too few scrapes of the block succeeded."""
    INVALID = 3
    """The numbers are no count: negative, not finite, or more bad events than events."""
    NO_SERIES = 4
    """The query succeeded, and Prometheus has no such series."""
    COUNTED = 5
    """The count may be used; it may be zero."""


@dataclass(frozen=True, slots=True)
class SilentBlocks:
    """Newest blocks in a row in which stable has series and the candidate has none.

    Attributes
    ----------
    number : of blocks. expected : requests that the candidate's share would have given it in them.
    """

    number: int
    expected: float


_SILENT: Final = (Quality.COUNTED, Quality.NO_SERIES, Quality.MISSING)
"""Qualities of a block that may have no events; one that was never read says nothing."""
MEASURED: Final = (Quality.COUNTED, Quality.NO_SERIES)
"""Qualities of a block whose count is known; without a series it is zero."""
_QUALITIES: Final = tuple(Quality)
"""Qualities by their number; a lookup here is faster than `Quality(number)`."""


@dataclass(frozen=True, slots=True)
class BlockValue:
    """Quality and count of one block.

    Attributes
    ----------
    quality : whether the count may be used.
    count : the events; zero unless the quality is COUNTED.
    """

    quality: Quality
    count: Count = NOTHING


@dataclass(frozen=True, slots=True)
class Block:
    """Quality and count of one block of one SLO of one version.

    Attributes
    ----------
    index : the block's number; it ends at index × blockSeconds.
    quality : whether the count may be used.
    count : the events; zero unless the quality is COUNTED.
    """

    index: int
    quality: Quality
    count: Count = NOTHING


def read_block(
    index: int, bad_events: float | None, total: float | None, *, coverage: float | None = None
) -> Block:
    """Build a block from the numbers of Prometheus, after the checks of coverage and plausibility.

    `bad` and `total` are both None if there is no such series; if `bad` alone is None, there were
    no bad events.
    """
    if coverage is not None and not coverage >= MIN_COVERAGE:
        return Block(index, Quality.LOW_COVERAGE)
    if total is None:
        return Block(index, Quality.NO_SERIES if bad_events is None else Quality.INVALID)
    bad_events = 0 if bad_events is None else bad_events
    if (
        not (isfinite(bad_events) and isfinite(total))
        or bad_events < 0
        or total < 0
        or total > _MAX_EVENTS
    ):
        return Block(index, Quality.INVALID)
    if bad_events > RING_SLACK * total:
        return Block(index, Quality.INVALID)
    rounded_total = round(total)
    return Block(
        index, Quality.COUNTED, Count(min(round(bad_events), rounded_total), rounded_total)
    )


class BlockRow:
    """Consecutive blocks of one SLO of one version, packed into a few bytes each.

    A canary keeps thousands of them, and the objects of one block take two hundred bytes.
    """

    __slots__ = ("_bad", "_first", "_quality", "_total")

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        """Begin with these blocks, whose indexes are consecutive."""
        self._first = blocks[0].index if blocks else 0
        self._quality = bytearray(block.quality for block in blocks)
        self._bad = _packed_array([block.count.bad for block in blocks])
        self._total = _packed_array([block.count.total for block in blocks])

    def update(self, blocks: Sequence[Block]) -> None:
        """Insert consecutive blocks; a repeated block replaces the earlier value."""
        merged_row = BlockRow(blocks)
        if not self._quality:
            self._first = merged_row._first
        blocks_before = max(self._first - merged_row._first, 0)
        offset = merged_row._first - self._first + blocks_before
        blocks_after = max(
            offset + len(merged_row._quality) - blocks_before - len(self._quality), 0
        )
        self._first -= blocks_before
        self._quality = bytearray(blocks_before) + self._quality + bytearray(blocks_after)
        self._quality[offset : offset + len(merged_row._quality)] = merged_row._quality
        self._bad = _with_values_from(
            _with_padding(self._bad, blocks_before, blocks_after), offset, merged_row._bad
        )
        self._total = _with_values_from(
            _with_padding(self._total, blocks_before, blocks_after), offset, merged_row._total
        )

    def indexes(self) -> list[int]:
        """Return the indexes of the blocks that were read, oldest first."""
        return [index for index, quality in enumerate(self._quality, self._first) if quality]

    def value(self, index: int) -> BlockValue:
        """Return quality and count of the block with this index; MISSING if it was never read."""
        offset = index - self._first
        if not 0 <= offset < len(self._quality):
            return _block_value(Quality.MISSING, 0, 0)
        return _block_value(self._quality[offset], self._bad[offset], self._total[offset])

    def since(self, index: int) -> "BlockRow":
        """Return the blocks from this one on."""
        offset = max(index - self._first, 0)
        row = BlockRow()
        row._first = self._first + offset
        row._quality, row._bad, row._total = (
            self._quality[offset:],
            self._bad[offset:],
            self._total[offset:],
        )
        return row

    @property
    def number(self) -> int:
        """Return the number of blocks that were read."""
        return len(self._quality) - self._quality.count(Quality.MISSING)

    @property
    def measured_number(self) -> int:
        """Return the number of blocks whose count is known, zeros included."""
        return sum(self._quality.count(quality) for quality in MEASURED)

    @property
    def events(self) -> int:
        """Return all events of all blocks."""
        return sum(self._total)

    @property
    def quiet_number(self) -> int:
        """Return the number of the newest blocks in a row that were read without an event."""
        number = 0
        for quality, total in zip(reversed(self._quality), reversed(self._total), strict=True):
            if total or quality not in _SILENT:
                break
            number += quality != Quality.MISSING
        return number


class Series:
    """The blocks of one SLO of one version, packed.

    Not frozen, as a cache appends to it; decisions only read it.
    """

    __slots__ = (
        "_bad", "_first_hour", "_hour_bad", "_hour_total", "_newest", "_quality", "_total", "derived",
        "repeats",
    )  # fmt: skip

    derived: dict[object, object]
    """Values that a reader computed from complete hours and caches here; emptied when an hour
    changes. Keys contain the inputs."""
    repeats: int
    """How many blocks were read again, with the same value or another one."""

    def __init__(self) -> None:
        self._newest = -1
        self._first_hour = _NEVER_RECORDED
        self._quality = bytearray(SINGLE_BLOCKS)
        self._bad, self._total = _zero_array(SINGLE_BLOCKS), _zero_array(SINGLE_BLOCKS)
        self._hour_bad, self._hour_total = _zero_array(RING_SIZES[0]), _zero_array(RING_SIZES[0])
        self.derived = {}
        self.repeats = 0

    # ---- writing ---------------------------------------------------------------------------

    def record(self, block: Block) -> None:
        """Record a block; a block older than the single blocks is added to the sum of its hour."""
        if block.index == self._newest + 1 and self._newest >= 0 and self._append(block):
            return
        if block.index > self._newest:
            self._move_to(block.index)
        else:
            self.repeats += 1
            if self._holds(block):  # each read repeats the newest block of the one before
                return
            self.derived.clear()
        age = self._newest - block.index
        previous_count = Count(0, 0)
        if age < SINGLE_BLOCKS:
            slot = block.index % SINGLE_BLOCKS
            previous_count = Count(self._bad[slot], self._total[slot])
            self._quality[slot] = block.quality
            self._bad = _with_value(self._bad, slot, block.count.bad)
            self._total = _with_value(self._total, slot, block.count.total)
        hour = hour_of(block.index)
        if hour_of(self._newest) - hour < HOURS:
            previous_hour_count = self.hour(hour)
            change = (
                block.count.bad - previous_count.bad,
                block.count.total - previous_count.total,
            )
            self._set_hour(
                hour,
                Count(
                    previous_hour_count.bad + change[0],
                    previous_hour_count.total + change[1],
                ),
            )

    def _holds(self, block: Block) -> bool:
        """Return whether this block was read before with the same value."""
        slot = block.index % SINGLE_BLOCKS
        return (
            self._newest - block.index < SINGLE_BLOCKS
            and self._quality[slot] == block.quality != Quality.MISSING
            and (self._bad[slot], self._total[slot]) == block.count
        )

    def _append(self, block: Block) -> bool:
        """Record the block after the newest block, unless a sum exceeds the arrays' range.

        This is the fast path of nearly all blocks. Return False, and change nothing, if a sum
        doesn't fit.
        """
        index, (bad_events, total) = block.index, block.count
        ring_size = len(self._hour_bad)
        slot, hour = index % SINGLE_BLOCKS, hour_of(index) % ring_size
        hour_bad, hour_total = bad_events, total
        if index % BLOCKS_PER_HOUR == 1:  # the first block of an hour replaces the sum in its slot
            if ring_size < HOURS and hour_of(index) - self._first_hour >= ring_size:
                return False
        else:
            hour_bad += self._hour_bad[hour]
            hour_total += self._hour_total[hour]
        previous_hour_counts = self._hour_bad[hour], self._hour_total[hour]
        try:
            self._hour_bad[hour], self._hour_total[hour] = hour_bad, hour_total
            self._bad[slot], self._total[slot] = bad_events, total
        except OverflowError:
            self._hour_bad[hour], self._hour_total[hour] = previous_hour_counts
            return False
        self._newest = index
        self._quality[slot] = block.quality
        return True

    def record_hour(self, hour: int, count: Count) -> None:
        """Set the sum of the blocks with 12 × hour < index ≤ 12 × hour + 12.

        Record the single blocks of an hour first: the sum replaces theirs.
        """
        if hour > hour_of(self._newest):
            self._move_to(hour * BLOCKS_PER_HOUR + 1)
        self.derived.clear()
        if hour_of(self._newest) - hour < HOURS:
            self._set_hour(hour, count)

    def _set_hour(self, hour: int, count: Count) -> None:
        if hour < self._first_hour:
            newest_hour = hour_of(self._newest)
            self._enlarge_ring(hour, newest_hour, newest_hour)
        slot = hour % len(self._hour_bad)
        self._hour_bad = _with_value(self._hour_bad, slot, count.bad)
        self._hour_total = _with_value(self._hour_total, slot, count.total)

    def _move_to(self, index: int) -> None:
        previous_newest, self._newest = self._newest, index
        if previous_newest < 0:  # nothing was recorded yet, so there is nothing to clear
            return
        for slot in _slots(previous_newest, index, SINGLE_BLOCKS):
            self._quality[slot] = Quality.MISSING
            self._bad[slot] = self._total[slot] = 0
        self._enlarge_ring(self._first_hour, hour_of(previous_newest), hour_of(index))
        for slot in _slots(hour_of(previous_newest), hour_of(index), len(self._hour_bad)):
            self._hour_bad[slot] = self._hour_total[slot] = 0

    def _enlarge_ring(self, first_hour: int, last_hour: int, newest_hour: int) -> None:
        """Enlarge the ring for the sums of the hours first … newest, up to its greatest size.

        The ring holds the sums from the first recorded hour to `last`.
        """
        first_recorded, self._first_hour = self._first_hour, first_hour
        ring_size, needed_hours = len(self._hour_bad), newest_hour - first_hour + 1
        if needed_hours > ring_size and ring_size < HOURS:
            ring_size = next((size for size in RING_SIZES if size >= needed_hours), HOURS)
            self._hour_bad = _moved_ring(self._hour_bad, first_recorded, last_hour, ring_size)
            self._hour_total = _moved_ring(self._hour_total, first_recorded, last_hour, ring_size)

    def without(self, excluded_spans: Sequence[tuple[int, int]]) -> "Series":
        """Return a read-only copy without the events of some blocks.

        Parameters
        ----------
        spans : pairs (after, last) of blocks with after < index ≤ last. Hours that they touch are
            left out completely, so that the way in which the blocks were read doesn't matter.
        """
        remaining_series = Series()
        remaining_series._newest, remaining_series._first_hour = self._newest, self._first_hour
        remaining_series.repeats = self.repeats
        remaining_series._quality, remaining_series._bad, remaining_series._total = (
            self._quality,
            self._bad[:],
            self._total[:],
        )
        remaining_series._hour_bad, remaining_series._hour_total = (
            self._hour_bad[:],
            self._hour_total[:],
        )
        newest_hour = hour_of(self._newest)
        oldest_hour, oldest_single_block = (
            newest_hour - len(self._hour_bad) + 1,
            self._newest - SINGLE_BLOCKS + 1,
        )
        for after_block, last_block in excluded_spans:
            for hour in range(
                max(hour_of(after_block + 1), oldest_hour, 0),
                min(hour_of(last_block), newest_hour) + 1,
            ):
                slot = hour % len(self._hour_bad)
                remaining_series._hour_bad[slot] = remaining_series._hour_total[slot] = 0
            for index in range(
                max(after_block + 1, oldest_single_block, 0), min(last_block, self._newest) + 1
            ):
                slot = index % SINGLE_BLOCKS
                remaining_series._bad[slot] = remaining_series._total[slot] = 0
        key = tuple(excluded_spans)
        cached_series = self.derived.get("without")
        if not isinstance(cached_series, tuple) or cached_series[0] != key:
            cached_series = self.derived["without"] = (key, {})
        remaining_series.derived = cached_series[1]
        return remaining_series

    # ---- reading ---------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """Index of the newest block that was read; -1 before the first."""
        return self._newest

    @property
    def first_hour(self) -> int:
        """Return the first recorded hour that is kept; a number later than any hour without blocks."""
        return self._first_hour

    @property
    def had_events(self) -> bool:
        """Return whether the blocks and hours that are kept have any events."""
        return any(self._hour_total) or any(self._total)

    def block(self, index: int) -> Block:
        """Return the block of an index; MISSING if it was never read or only its hour's sum is kept."""
        if index < 0 or not 0 <= self._newest - index < SINGLE_BLOCKS:
            return Block(index, Quality.MISSING)
        slot = index % SINGLE_BLOCKS
        count = Count(self._bad[slot], self._total[slot])
        return Block(index, _QUALITIES[self._quality[slot]], count)

    def hour(self, hour: int) -> Count:
        """Return the sum of an hour's twelve blocks; zero if the hour is not kept."""
        if hour < 0 or not 0 <= hour_of(self._newest) - hour < len(self._hour_bad):
            return Count(0, 0)
        slot = hour % len(self._hour_bad)
        return Count(self._hour_bad[slot], self._hour_total[slot])

    def hours(self, first_hour: int, last_hour: int) -> tuple["array[int]", "array[int]"]:
        """Return bad and total events of the hours from `first` to `last`, both included.

        Zero where not kept.
        """
        newest_hour = hour_of(self._newest)
        lowest_hour, highest_hour = (
            max(first_hour, newest_hour - len(self._hour_bad) + 1, 0),
            min(last_hour, newest_hour),
        )
        if highest_hour < lowest_hour:
            return _zero_array(max(last_hour - first_hour + 1, 0)), _zero_array(
                max(last_hour - first_hour + 1, 0)
            )
        bad_events, total = (
            _ring_slice(self._hour_bad, lowest_hour, highest_hour),
            _ring_slice(self._hour_total, lowest_hour, highest_hour),
        )
        if lowest_hour == first_hour and highest_hour == last_hour:
            return bad_events, total
        return _with_padding(
            bad_events, lowest_hour - first_hour, last_hour - highest_hour
        ), _with_padding(total, lowest_hour - first_hour, last_hour - highest_hour)

    def blocks(self, after_block: int, last_block: int) -> Iterator[Block]:
        """Yield the blocks with after < index ≤ last that are kept singly and were read, oldest first."""
        for index in range(
            max(after_block + 1, self._newest - SINGLE_BLOCKS + 1, 0), last_block + 1
        ):
            block = self.block(index)
            if block.quality is not Quality.MISSING:
                yield block

    def window(self, now: int, length: int, since_block: int = 0) -> Count:
        """Return the events of the `length` blocks up to and including `now`, without those before `since`.

        Parameters
        ----------
        now : the newest block that counts.
        length : the window in blocks.
        since : blocks up to and including this one are left out.
        """
        return self.between(max(now - length, since_block), now)

    def between(self, after_block: int, last_block: int) -> Count:
        """Return the events of the blocks with after < index ≤ last (of whole hours, if it begins earlier)."""
        last_block = min(last_block, self._newest)
        oldest_single = self._newest - SINGLE_BLOCKS
        if after_block >= oldest_single:
            return self._singles(after_block, last_block)
        first_hour = ceil(after_block / BLOCKS_PER_HOUR)
        hours_end = max(last_block // BLOCKS_PER_HOUR, first_hour) * BLOCKS_PER_HOUR
        first_kept_hour = (
            hour_of(self._newest) - len(self._hour_bad) + 1
        )  # there are no sums of earlier hours
        bad_events, total = self.hours(
            max(first_hour, first_kept_hour), hours_end // BLOCKS_PER_HOUR - 1
        )
        rest_singles = self._singles(hours_end, last_block)
        return Count(sum(bad_events) + rest_singles.bad, sum(total) + rest_singles.total)

    def _singles(self, after_block: int, last_block: int) -> Count:
        first_block = max(after_block + 1, self._newest - SINGLE_BLOCKS + 1, 0)
        if last_block < first_block:
            return Count(0, 0)
        if last_block == first_block:
            slot = first_block % SINGLE_BLOCKS
            return Count(self._bad[slot], self._total[slot])
        return Count(
            sum(_ring_slice(self._bad, first_block, last_block)),
            sum(_ring_slice(self._total, first_block, last_block)),
        )


def hour_of(index: int) -> int:
    """Return the hour of a block: twelve blocks, aligned to absolute time."""
    return (index - 1) // BLOCKS_PER_HOUR


@lru_cache(maxsize=1024)
def _block_value(quality: int, bad_events: int, total: int) -> BlockValue:
    """Return a shared object for equal values, as most blocks have the same value as many others."""
    return BlockValue(_QUALITIES[quality], Count(bad_events, total))


def _zero_array(length: int) -> "array[int]":
    return array(_WIDTHS[0][0], bytes(length))


def _with_padding(values: "array[int]", zeros_before: int, zeros_after: int) -> "array[int]":
    code, size = values.typecode, values.itemsize
    return array(code, bytes(zeros_before * size)) + values + array(code, bytes(zeros_after * size))


def _with_value(values: "array[int]", slot: int, value: int) -> "array[int]":
    """Set one entry of an array; a larger number widens the array's type."""
    value = max(value, 0)
    try:
        values[slot] = value
    except OverflowError:
        values = array(next(code for code, limit in _WIDTHS if value < limit), values)
        values[slot] = value
    return values


def _packed_array(values: Sequence[int]) -> "array[int]":
    largest_value = max(values, default=0)
    return array(next(code for code, limit in _WIDTHS if largest_value < limit), values)


def _with_values_from(values: "array[int]", offset: int, new_values: "array[int]") -> "array[int]":
    """Replace the values from `place` on; the narrower of both arrays is widened."""
    code = max(values, new_values, key=lambda values: values.itemsize).typecode
    values, new_values = (
        array_part if array_part.typecode == code else array(code, array_part)
        for array_part in (values, new_values)
    )
    values[offset : offset + len(new_values)] = new_values
    return values


def _moved_ring(
    values: "array[int]", first_hour: int, last_hour: int, ring_size: int
) -> "array[int]":
    """Copy entries first … last of a ring into a ring of size `ring_size`."""
    wider_array = array(values.typecode, bytes(ring_size * values.itemsize))
    for entry in range(first_hour, last_hour + 1):
        wider_array[entry % ring_size] = values[entry % len(values)]
    return wider_array


def _slots(previous_index: int, index: int, size: int) -> Iterator[int]:
    """Yield the ring slots that become free when the newest entry moves from `before` to `index`."""
    return (entry % size for entry in range(max(previous_index, index - size) + 1, index + 1))


def _ring_slice(values: "array[int]", first_hour: int, last_hour: int) -> "array[int]":
    """Return the entries of the hours first to last of a ring, in order; at most the ring's size."""
    size = len(values)
    low_slot, high_slot = first_hour % size, last_hour % size + 1
    return (
        values[low_slot:high_slot]
        if low_slot < high_slot
        else values[low_slot:] + values[:high_slot]
    )
