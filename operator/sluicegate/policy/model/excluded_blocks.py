"""Stretches of blocks that are no evidence, as something outside the model disturbed them.

Of the sums of twelve, as which older counts are kept, whole ones are left out. So a stretch begins
with one: it may lie a little earlier or later anyway.
"""

from typing import Final, NamedTuple

from sluicegate.api.engine import SloRecord, TimeInterval
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS

BEFORE_BLOCKS: Final = 24
"""Blocks before a cause was found that may be of it: others are confirmed as late as we are."""
MAX_INTERVALS: Final = 24
"""Stretches that are remembered of an SLO. Evidence before the oldest of more counts no longer."""


class BlockSpan(NamedTuple):
    """The blocks with after < index ≤ last."""

    block_before_first: int
    last: int


def spans_of(record: SloRecord, block_seconds: int) -> tuple[BlockSpan, ...]:
    """Return the excluded spans, in blocks of this length, oldest first."""
    seconds = block_seconds * BLOCKS_PER_HOUR
    return tuple(
        BlockSpan(
            ignored_interval.begin // seconds * BLOCKS_PER_HOUR,
            -(-ignored_interval.end // block_seconds),
        )
        for ignored_interval in record.ignored_intervals
    )


def excluded_after(after: int) -> int:
    """Return the block after which blocks are left out, where those after block `after` are to be."""
    return -(-max(after, 0) // BLOCKS_PER_HOUR) * BLOCKS_PER_HOUR


def exclude_blocks(record: SloRecord, first: int, last: int, block_seconds: int) -> SloRecord:
    """Return the SLO's record with the blocks first … last excluded, in whole groups of twelve.

    Parameters
    ----------
    first, last : indexes. The first may lie before what is to be left out by a sum of blocks.
    """
    begin_time = excluded_after(first - 1) * block_seconds
    end = last * block_seconds
    oldest = end - HOURS * BLOCKS_PER_HOUR * block_seconds
    merged: list[TimeInterval] = []
    for interval in sorted(
        (*record.ignored_intervals, TimeInterval(begin=begin_time, end=end)),
        key=lambda interval: (interval.begin, interval.end),
    ):
        if interval.end <= max(oldest, record.since):
            continue
        if merged and interval.begin <= merged[-1].end:
            merged[-1] = merged[-1].replace(end=max(merged[-1].end, interval.end))
        else:
            merged.append(interval)
    dropped, kept_intervals = merged[:-MAX_INTERVALS], merged[-MAX_INTERVALS:]
    since = max(record.since, dropped[-1].end if dropped else 0)
    return record.replace(ignored_intervals=tuple(kept_intervals), since=since)


def block_before(now: int, length: int, spans: tuple[BlockSpan, ...]) -> int:
    """Return the block after which there are `length` counting blocks, up to and including `now`."""
    for after, last in reversed(spans):
        if now - last >= length:
            break
        length -= max(now - last, 0)
        now = min(now, after)
    return now - length
