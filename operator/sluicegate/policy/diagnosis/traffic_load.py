"""Whether each pod serves far more than it is known to serve well.

A surge makes any model slow, and no training fixes that. The normal load comes from the production
baseline. It takes a day, so until it is there the load that the version was seen to serve well
stands in: the mean since it was accepted, without the blocks that are being judged and without
any stretch in which the SLO was as bad as now. So a surge never becomes normal by lasting, and a
day that swings by 80 % stays below the factor from whatever hour it is learnt (docs/adr/0006).
Where an autoscaler changes the number of pods, the pods of now share the load of now, and the pods
of then that of then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.slo.blocks import SINGLE_BLOCKS, Quality, Series, hour_of
from sluicegate.slo.burn_rate import Level
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.counts import Count, summed
from sluicegate.stats.intervals import Z95, wilson_lower

WINDOWS: Final = (3, 12)
"""Blocks: a surge is seen as soon as it is confirmed, and remembered for twelve."""
MIN_BLOCKS: Final = 6
"""Blocks with events that the normal load needs; with fewer it is unknown."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a pod, and the load that it has served well.

    Attributes
    ----------
    present, normal : events a block: of one pod with an autoscaler, else of as many pods as the
        spec sets.
    accepted : normal is the production baseline's load; else the load served well so far.
    """

    present: float
    normal: float
    accepted: bool

    @property
    def ratio(self) -> float:
        """Return the load as a multiple of the normal load."""
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
    pod_seconds: Series | None = None,
) -> Load | None:
    """Return the load at block `now`; None if the normal load is unknown or no pod is ready.

    Parameters
    ----------
    series : blocks of the stable version. baseline : what it was accepted with.
    since : blocks up to this one are warm-up, or of another time.
    pods : ready pods, over those that the spec sets.
    pod_seconds : for how long pods answered by block, where an autoscaler changes their number.
    """
    if pods <= 0:
        return None
    accepted = baseline is not None and baseline.end > baseline.start
    shared = pod_seconds if not accepted or (baseline and baseline.pods) else None

    def served(length: int) -> float:
        total = series.window(now, length, since).total
        if shared is None:
            return total / length / pods
        events = shared.window(now, length, since).total / block_seconds
        return total / events if events else 0.0

    load = max(map(served, WINDOWS))
    if baseline is not None and accepted:
        normal = baseline.count.total * block_seconds / (baseline.end - baseline.start)
        if shared is not None and baseline.pods:
            normal /= baseline.pods
        return Load(load, normal, accepted=True) if normal > 0 else None
    limit, last = _bad_from(terms, baseline), now - max(WINDOWS)
    past = _Past(series, shared, since, last, block_seconds)
    normal = past.served_well(limit)
    return Load(load, normal, accepted=False) if normal > 0 else None


def _bad_from(terms: SloTerms, baseline: Baseline | None) -> float:
    """Return the bad ratio above which a stretch wasn't served well: the least that a test calls Missed."""
    limits = [
        threshold.ratio for threshold in terms.thresholds if threshold.row.level is Level.MISSED
    ]
    if baseline is not None:
        limits.append(ratio_of(baseline.count) + terms.drop)
    return min(limits, default=1.0)


@dataclass(frozen=True, slots=True)
class _Past:
    """The events from block `after` + 1 to `last`, and the pods that served them."""

    series: Series
    pod_seconds: Series | None
    after: int
    last: int
    block_seconds: int

    def served_well(self, limit: float) -> float:
        """Return the events a block and pod in the stretches not clearly worse than `limit`; 0 if unknown."""
        total, blocks, pods = 0, 0, 0.0
        for count, length, pod_blocks in self._stretches():
            if pod_blocks > 0 and wilson_lower(count.bad, count.total, Z95) <= limit:
                total += count.total
                blocks += length
                pods += pod_blocks
        return total / pods if blocks >= MIN_BLOCKS else 0.0

    def _stretches(self) -> Iterator[tuple[Count, int, float]]:
        """Yield each sum of twelve with any events, its blocks, and those blocks times their pods.

        The newest ones that exist; blocks without a count of pods are left out.
        """
        series, after, last = self.series, self.after, self.last
        singles_from = max(series.newest - SINGLE_BLOCKS, after)
        first, end = -(-after // BLOCKS_PER_HOUR), min(singles_from, last) // BLOCKS_PER_HOUR
        bad, total = series.hours(first, end - 1)
        for hour, count in enumerate(map(Count, bad, total), start=first):
            if count.total > 0:
                yield count, BLOCKS_PER_HOUR, self._pods_of_hour(hour)
        singles = (
            (block.count, self._pods_of(block.index), hour_of(block.index))
            for block in series.blocks(singles_from, last)
            if block.quality is Quality.COUNTED and block.count.total > 0
        )
        for _, group in groupby(singles, key=itemgetter(2)):
            rows = [(count, pods) for count, pods, _ in group if pods > 0]
            yield summed(count for count, _ in rows), len(rows), sum(pods for _, pods in rows)

    def _pods_of_hour(self, hour: int) -> float:
        if self.pod_seconds is None:
            return BLOCKS_PER_HOUR
        return self.pod_seconds.hour(hour).total / self.block_seconds

    def _pods_of(self, index: int) -> float:
        if self.pod_seconds is None:
            return 1.0
        return self.pod_seconds.block(index).count.total / self.block_seconds
