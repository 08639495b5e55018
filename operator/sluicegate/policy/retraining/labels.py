"""The number of events about a product, and the number that is needed to detect a drop.

Times that are given in hours fit one product and not the next: one has ten thousand labels an
hour, another fifty a day. What a pause or a period is for is counted in labels instead.
"""

from math import ceil
from typing import Final

from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import Series, hour_of
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, quantile

Z_DETECTED: Final = Z95 + quantile(0.8)
"""A drop of so many standard errors is found at 95 % confidence in four of five cases."""


def needed_events(slo: SloTerms, baseline: Count | None) -> int:
    """Return the events that distinguish a drop by `maxDrop` from none."""
    ratio = 0.5 if baseline is None or baseline.ratio is None else baseline.ratio
    ratio = min(ratio + slo.drop / 2, 0.5)
    return ceil(Z_DETECTED**2 * ratio * (1 - ratio) / slo.drop**2)


def events_since(terms: Terms, observed: Observed, slo: str, moment: int) -> int:
    """Return the events of an SLO, of any version, in the blocks that ended after `moment` (seconds).

    A block is decided about seconds after its end, so nearly all of the next one is after that.
    Sums are kept for fourteen days at blocks of 300 s, and for three at 60 s. For the time before
    that the mean rate of what is kept counts: a period in labels may be longer.
    """
    start_block = min(moment // terms.block_seconds, observed.block)
    rows = (series.get(slo) for series in observed.series.values())
    return sum(
        _between(series, start_block, observed.block) for series in rows if series is not None
    )


def _between(series: Series, start_block: int, last: int) -> int:
    """Return the events of the blocks with after < index ≤ last, estimated for blocks that aren't stored."""
    counted_events = series.between(start_block, last).total
    oldest = hour_of(series.newest) - HOURS + 1
    edge = oldest * BLOCKS_PER_HOUR
    if start_block >= edge or last <= edge or series.first_hour > oldest:
        return counted_events
    return counted_events + counted_events * (edge - start_block) // (last - edge)
