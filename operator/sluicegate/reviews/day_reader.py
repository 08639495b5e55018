"""Counts of whole days, for the ledgers of some products at a time.

A day is the sum of its blocks of five minutes, whatever the products' own blocks are, so that days
in any time zone consist of whole blocks and products share their queries. Every version that has
any series counts, also one that doesn't exist any more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluicegate.prometheus.block_assembly import assemble_blocks
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.past_blocks import BlockRequest, ask_blocks, with_every_version
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.reviews.hour_reader import HOUR, HourReader
from sluicegate.reviews.journal import DayCounts
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.by_market import split_series
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.stats.counts import NOTHING, summed

STEP: Final = 300
"""Seconds of a block: midnight of every time zone is a multiple of it."""
MAX_BLOCKS: Final = 1_200
"""Most blocks of one query: some four days."""


@dataclass(frozen=True, slots=True)
class DayReader:
    """Reader of days. PrometheusError if a required query isn't answered.

    Attributes
    ----------
    step : seconds of a block; shorter for a day that has just begun.
    """

    source: Source
    timing: Timing
    namespaces: tuple[str, ...] = ()
    gateway: GatewayMetric | None = None
    step: int = STEP

    async def read(
        self, targets: Sequence[Target], day_spans: Sequence[tuple[int, int]]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        """Return the counts of these products in each of these spans, which don't overlap.

        Parameters
        ----------
        spans : pairs (begin, end) in seconds since 1970, multiples of `step`.

        Raises
        ------
        PrometheusError
            A part couldn't be read; the caller reads all of it again next time.
        """
        counts: dict[tuple[ProductKey, tuple[int, int]], DayCounts] = {}
        for span_group in _span_groups(day_spans):
            counts |= await self._piece(tuple(targets), span_group)
        return counts

    async def _piece(
        self, targets: tuple[Target, ...], day_spans: Sequence[tuple[int, int]]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        step = self.step
        block_indexes = range(day_spans[0][0] // step + 1, day_spans[-1][1] // step + 1)
        # The query for the targets is sent in any case, so pods need no further one.
        targets = tuple(replace(target, counts_pods=True) for target in targets)
        request = BlockRequest(targets, block_indexes, step)
        query_answers, problem = await ask_blocks(
            self.source, request, self.timing, namespaces=self.namespaces, gateway=self.gateway
        )
        if problem:
            raise PrometheusError(problem)
        complete_targets = with_every_version(query_answers, targets)
        blocks_by_series = await asyncio.to_thread(
            lambda: dict(assemble_blocks(query_answers, complete_targets))
        )
        counts = {
            (target.key, day_counts): DayCounts() for target in targets for day_counts in day_spans
        }
        slos = {target.key: target.slos for target in targets}
        for key, blocks in blocks_by_series.items():
            product = ProductKey(key.namespace, key.product)
            for begin_time, end_time in day_spans:
                low_index, high_index = (
                    begin_time // step + 1 - block_indexes[0],
                    end_time // step + 1 - block_indexes[0],
                )
                day_counts, span_blocks = (
                    counts[product, (begin_time, end_time)],
                    blocks[low_index:high_index],
                )
                if key.slo == POD_SECONDS:
                    day_counts.pod_seconds += sum(block.count.total for block in span_blocks)
                elif split_series(key.slo)[0] in slos[product]:
                    _add_blocks(day_counts, key, span_blocks)
        # One step for all of a day that has just begun.
        hour = HOUR if self.step == STEP else self.step
        await HourReader(self.source, hour).add(targets, day_spans, counts)
        return counts


def _span_groups(day_spans: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Group spans that one query may read together: neighbours of a few days."""
    span_groups: list[list[tuple[int, int]]] = []
    for day_span in sorted(day_spans):
        fits_in_group = span_groups and day_span[1] - span_groups[-1][0][0] <= MAX_BLOCKS * STEP
        if (
            fits_in_group and day_span[0] == span_groups[-1][-1][1]
        ):  # else the time between them would be read in vain
            span_groups[-1].append(day_span)
        else:
            span_groups.append([day_span])
    return span_groups


def _add_blocks(day_counts: DayCounts, key: SeriesKey, span_blocks: Sequence[Block]) -> None:
    """Add the blocks of one SLO of one version to the counts of a span."""
    count = summed(block.count for block in span_blocks)
    slo, market = split_series(key.slo)
    if market:
        market_counts = day_counts.markets.setdefault(slo, {})
        market_counts[market] = summed((market_counts.get(market, NOTHING), count))
        return
    day_counts.slos[slo] = summed((day_counts.slos.get(slo, NOTHING), count))
    if count.total:
        day_counts.versions.add(key.version)
    blocks_with_series = [block for block in span_blocks if block.quality is not Quality.NO_SERIES]
    day_counts.blocks += len(blocks_with_series)
    day_counts.good += sum(block.quality is Quality.COUNTED for block in blocks_with_series)
