"""Whether each pod serves far more than it is known to serve well.

A surge makes any model slow, and no training mends that. What is normal comes from the production
baseline. It takes a day, so until it is there the load that the version was seen to serve well
stands in: the mean since it was accepted, without the blocks that are being judged and without
any stretch in which the SLO was as bad as now. So a surge never becomes normal by lasting, and a
day that swings by 80 % stays below the factor from whatever hour it is learnt (docs/adr/0006).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.slo.blocks import SINGLE_BLOCKS, Quality, Series, hour_of
from sluicegate.slo.burn_rate import Level
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, wilson_lower

WINDOWS: Final = (3, 12)
"""Blocks: a surge is seen as soon as it is confirmed, and remembered for twelve."""
LEAST_BLOCKS: Final = 6
"""Blocks with events that tell what is normal; with fewer nothing is claimed."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a pod serves, and what it is known to serve.

    Attributes
    ----------
    present, normal : events a block, of as many pods as the spec wants.
    accepted : normal is the production baseline's; else what was served well so far.
    """

    present: float
    normal: float
    accepted: bool

    @property
    def ratio(self) -> float:
        """How many times the normal load it is."""
        return self.present / self.normal


def load_of(
    terms: SloTerms,
    series: Series,
    baseline: Baseline | None,
    *,
    now: int,
    since: int,
    block_seconds: int,
    pods: float,
) -> Load | None:
    """The load at block `now`; None while nothing tells what is normal, or no pod is ready.

    Parameters
    ----------
    series : blocks of the stable version. baseline : what it was accepted with.
    since : blocks up to this one are warm-up, or of another time.
    pods : ready pods, over those that the spec wants.
    """
    if pods <= 0:
        return None
    present = max(series.window(now, length, since).total / length for length in WINDOWS) / pods
    if baseline is not None and baseline.end > baseline.start:
        normal = baseline.count.total * block_seconds / (baseline.end - baseline.start)
        return Load(present, normal, accepted=True) if normal > 0 else None
    limit = _bad_from(terms, baseline)
    normal = _served_well(series, after=since, last=now - max(WINDOWS), limit=limit)
    return Load(present, normal, accepted=False) if normal > 0 else None


def _bad_from(terms: SloTerms, baseline: Baseline | None) -> float:
    """The bad ratio from which on a stretch wasn't served well: where a test may call it Missed."""
    limits = [one.ratio for one in terms.thresholds if one.row.level is Level.MISSED]
    if baseline is not None:
        limits.append(ratio_of(baseline.count) + terms.drop)
    return min(limits, default=1.0)


def _served_well(series: Series, *, after: int, last: int, limit: float) -> float:
    """Events a block in the stretches that weren't clearly worse than `limit`; 0 for unknown."""
    total = blocks = 0
    for count, length in _stretches(series, after, last):
        if wilson_lower(count.bad, count.total, Z95) <= limit:
            total += count.total
            blocks += length
    return total / blocks if blocks >= LEAST_BLOCKS else 0.0


def _stretches(series: Series, after: int, last: int) -> Iterator[tuple[Count, int]]:
    """Events of each sum of twelve with any, and of how many blocks; of the newest, what is there."""
    singles_from = max(series.newest - SINGLE_BLOCKS, after)
    first, end = -(-after // BLOCKS_PER_HOUR), min(singles_from, last) // BLOCKS_PER_HOUR
    bad, total = series.hours(first, end - 1)
    for count in map(Count, bad, total):
        if count.total > 0:
            yield count, BLOCKS_PER_HOUR
    singles = (
        block
        for block in series.blocks(singles_from, last)
        if block.quality is Quality.COUNTED and block.count.total > 0
    )
    for _, group in groupby(singles, key=lambda block: hour_of(block.index)):
        yield _sum(block.count for block in group)


def _sum(counts: Iterable[Count]) -> tuple[Count, int]:
    listed = list(counts)
    return Count(sum(one.bad for one in listed), sum(one.total for one in listed)), len(listed)
