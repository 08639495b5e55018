"""Counts by the hour, for the ledgers: answers by operation and bound, and requests by caller.

They are for estimates and lists, not for decisions, so an hour that lies in two days counts for the
first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Final

from sluicegate.api.consumers import OTHER_CALLERS
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.reviews.journal import DayCounts
from sluicegate.slo.indicators import Values
from sluicegate.slo.queries import QueryKind, render_callers, render_histogram

HOUR: Final = 3_600
Spans = Sequence[tuple[int, int]]
"""Pairs (begin, end) in seconds since 1970."""
Counts = Mapping[tuple[ProductKey, tuple[int, int]], DayCounts]


@dataclass(frozen=True, slots=True)
class HourReader:
    """Reader of blocks of an hour. PrometheusError if a query isn't answered.

    Attributes
    ----------
    step : seconds of a block; shorter than an hour for a day that has just begun.
    """

    source: Source
    step: int = HOUR

    async def add(self, targets: Sequence[Target], spans: Spans, counts: Counts) -> None:
        """Add answers and callers of these products to the counts of spans that follow each other."""
        await self._add_answers(targets, spans, counts)
        calling = [target for target in targets if target.callers]
        if calling:
            await self._add_callers(calling, spans, counts)

    async def _add_answers(self, targets: Sequence[Target], spans: Spans, counts: Counts) -> None:
        text = render_histogram(named_scope(targets), self.step)
        keys = {target.key for target in targets}
        table = await self._table(QueryKind.HISTOGRAM, text, spans)
        for (namespace, product, endpoint, code, bound), values in table.items():
            key = ProductKey(namespace, product)
            for span in spans if key in keys else ():
                name = "+Inf" if bound == "inf" else bound
                counts[key, span].add_answers(endpoint, code or name, self._total(values, span))

    async def _add_callers(self, targets: Sequence[Target], spans: Spans, counts: Counts) -> None:
        """Add requests by caller; those of names that the spec doesn't have count as `other`."""
        callers = {target.key: target.callers for target in targets}
        text = render_callers(named_scope(targets), self.step)
        table = await self._table(QueryKind.CALLERS, text, spans)
        for (namespace, product, caller, outcome), values in table.items():
            key = ProductKey(namespace, product)
            for span in spans if key in callers else ():
                name = caller if caller in callers[key] else OTHER_CALLERS
                number = round(self._total(values, span))
                counts[key, span].add_requests(name, number, failed=outcome == "bad")

    async def _table(self, kind: QueryKind, text: str, spans: Spans) -> Table:
        first, last = spans[0][0] // self.step + 1, -(-spans[-1][1] // self.step)
        return await self.source.query_range(
            text,
            start=first * self.step,
            end=last * self.step,
            step=self.step,
            reader=partial(TableReader, kind, step=self.step),
        )

    def _total(self, values: Values, span: tuple[int, int]) -> float:
        begin, end = span
        return sum(
            value
            for index, value in values.items()
            if begin < index * self.step <= end and isfinite(value)
        )
