"""What Prometheus says of whole days, of some products at a time: counts for the ledger.

A day is the sum of its blocks of five minutes, whatever the products' own blocks are, so that days
in any time zone consist of whole ones and products share their queries. Every version that has any
series counts, also one that is long gone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from typing import Final

from sluicegate.ledger.journal import DayCounts
from sluicegate.prometheus.block_assembly import assemble_blocks
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.past_blocks import AskedBlocks, ask_blocks, with_every_version
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.result_table import TableReader
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.by_market import split_series
from sluicegate.slo.gateway import GatewayMetric
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.slo.queries import QueryKind, render_histogram
from sluicegate.stats.counts import NOTHING, summed

STEP: Final = 300
"""Seconds of a block: midnight of every time zone is a multiple of it."""
HISTOGRAM_STEP: Final = 3_600
"""Seconds of a block of the histogram, from which estimates are made, no decisions."""
MOST_BLOCKS: Final = 1_200
"""Of one query: some four days."""


@dataclass(frozen=True, slots=True)
class DayReader:
    """Reads days. PrometheusError when a query that they need isn't answered.

    Attributes
    ----------
    step : seconds of a block, of which a day is made; a shorter one is for a day that is young.
    """

    source: Source
    timing: Timing
    namespaces: tuple[str, ...] = ()
    gateway: GatewayMetric | None = None
    step: int = STEP

    async def read(
        self, targets: Sequence[Target], spans: Sequence[tuple[int, int]]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        """What these products did in each of these spans, which don't overlap.

        Parameters
        ----------
        spans : pairs (begin, end) in seconds since 1970, multiples of `step`.

        Raises
        ------
        PrometheusError
            Some of it couldn't be read; what was is lost, and read again next time.
        """
        found: dict[tuple[ProductKey, tuple[int, int]], DayCounts] = {}
        for piece in _pieces(spans):
            found |= await self._piece(tuple(targets), piece)
        return found

    async def _piece(
        self, targets: tuple[Target, ...], spans: Sequence[tuple[int, int]]
    ) -> dict[tuple[ProductKey, tuple[int, int]], DayCounts]:
        step = self.step
        indexes = range(spans[0][0] // step + 1, spans[-1][1] // step + 1)
        # The query of the targets is asked in any case, so pods cost no further one.
        targets = tuple(replace(one, counts_pods=True) for one in targets)
        asked = AskedBlocks(targets, indexes, step)
        answers, problem = await ask_blocks(
            self.source, asked, self.timing, namespaces=self.namespaces, gateway=self.gateway
        )
        if problem:
            raise PrometheusError(problem)
        every = with_every_version(answers, targets)
        read = await asyncio.to_thread(lambda: dict(assemble_blocks(answers, every)))
        found = {(one.key, span): DayCounts() for one in targets for span in spans}
        slos = {one.key: one.slos for one in targets}
        for key, blocks in read.items():
            product = ProductKey(key.namespace, key.product)
            for begin, end in spans:
                low, high = begin // step + 1 - indexes[0], end // step + 1 - indexes[0]
                span, chosen = found[product, (begin, end)], blocks[low:high]
                if key.slo == POD_SECONDS:
                    span.pod_seconds += sum(one.count.total for one in chosen)
                elif split_series(key.slo)[0] in slos[product]:
                    _add(span, key, chosen)
        await self._add_histogram(targets, spans, found)
        return found

    async def _add_histogram(
        self,
        targets: tuple[Target, ...],
        spans: Sequence[tuple[int, int]],
        found: Mapping[tuple[ProductKey, tuple[int, int]], DayCounts],
    ) -> None:
        """Successful answers by bound. Hours that lie in two days are the first one's."""
        step = HISTOGRAM_STEP if self.step == STEP else self.step
        text = render_histogram(named_scope(targets), step)
        first, last = spans[0][0] // step + 1, -(-spans[-1][1] // step)
        table = await self.source.query_range(
            text,
            start=first * step,
            end=last * step,
            step=step,
            reader=partial(TableReader, QueryKind.HISTOGRAM, step=step),
        )
        keys = {one.key for one in targets}
        for (namespace, product, bound), values in table.items():
            key = ProductKey(namespace, product)
            for begin, end in spans if key in keys else ():
                total = sum(
                    value
                    for index, value in values.items()
                    if begin < index * step <= end and isfinite(value)
                )
                name = "+Inf" if bound == "inf" else bound
                found[key, (begin, end)].answers[name] = round(total)


def _pieces(spans: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Spans that one query may ask for together: neighbours, of some days."""
    pieces: list[list[tuple[int, int]]] = []
    for span in sorted(spans):
        short = pieces and span[1] - pieces[-1][0][0] <= MOST_BLOCKS * STEP
        if short and span[0] == pieces[-1][-1][1]:  # what lies between would be read for nothing
            pieces[-1].append(span)
        else:
            pieces.append([span])
    return pieces


def _add(span: DayCounts, key: SeriesKey, chosen: Sequence[Block]) -> None:
    """Add the blocks of one SLO of one version to what is known of a span."""
    count = summed(one.count for one in chosen)
    slo, market = split_series(key.slo)
    if market:
        of = span.markets.setdefault(slo, {})
        of[market] = summed((of.get(market, NOTHING), count))
        return
    span.slos[slo] = summed((span.slos.get(slo, NOTHING), count))
    if count.total:
        span.versions.add(key.version)
    known = [one for one in chosen if one.quality is not Quality.NO_SERIES]
    span.blocks += len(known)
    span.good += sum(one.quality is Quality.COUNTED for one in known)
