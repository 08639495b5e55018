"""Counts by the hour, for the ledgers: answers by operation and bound, and requests by caller.

They are for estimates and lists, not for decisions, so an hour that lies in two days counts for the
first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Final

from sluicegate.api.consumers import OTHER_CONSUMERS
from sluicegate.prometheus.query_scopes import named_scope
from sluicegate.prometheus.result_table import Table, TableReader
from sluicegate.prometheus.source import Source
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.reviews.journal import DayCounts
from sluicegate.slo.indicators import Values
from sluicegate.slo.queries import QueryKind, render_callers, render_histogram

HOUR: Final = 3_600
TimeSpans = Sequence[tuple[int, int]]
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

    async def add(self, targets: Sequence[Target], time_spans: TimeSpans, counts: Counts) -> None:
        """Add answers and callers of these products to the counts of spans that follow each other."""
        await self._add_answers(targets, time_spans, counts)
        targets_with_callers = [target for target in targets if target.callers]
        if targets_with_callers:
            await self._add_callers(targets_with_callers, time_spans, counts)

    async def _add_answers(
        self, targets: Sequence[Target], time_spans: TimeSpans, counts: Counts
    ) -> None:
        text = render_histogram(named_scope(targets), self.step)
        keys = {target.key for target in targets}
        table = await self._table(QueryKind.HISTOGRAM, text, time_spans)
        for (namespace, product, endpoint, code, bucket_bound), values in table.items():
            key = ProductKey(namespace, product)
            for time_span in time_spans if key in keys else ():
                name = "+Inf" if bucket_bound == "inf" else bucket_bound
                counts[key, time_span].add_answers(
                    endpoint, code or name, self._total(values, time_span)
                )

    async def _add_callers(
        self, targets: Sequence[Target], time_spans: TimeSpans, counts: Counts
    ) -> None:
        """Add requests by caller; those of names that the spec doesn't have count as `other`."""
        callers = {target.key: target.callers for target in targets}
        text = render_callers(named_scope(targets), self.step)
        table = await self._table(QueryKind.CALLERS, text, time_spans)
        for (namespace, product, caller, outcome), values in table.items():
            key = ProductKey(namespace, product)
            for time_span in time_spans if key in callers else ():
                name = caller if caller in callers[key] else OTHER_CONSUMERS
                number = round(self._total(values, time_span))
                counts[key, time_span].add_requests(name, number, has_failed=outcome == "bad")

    async def _table(self, kind: QueryKind, text: str, time_spans: TimeSpans) -> Table:
        first_hour, last_hour = (
            time_spans[0][0] // self.step + 1,
            -(-time_spans[-1][1] // self.step),
        )
        return await self.source.query_range(
            text,
            start=first_hour * self.step,
            end=last_hour * self.step,
            step=self.step,
            reader=partial(TableReader, kind, step=self.step),
        )

    def _total(self, values: Values, time_span: tuple[int, int]) -> float:
        begin_time, end_time = time_span
        return sum(
            value
            for index, value in values.items()
            if begin_time < index * self.step <= end_time and isfinite(value)
        )
