"""The queries of one fetch: asked together, each answered or failed on its own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from sluicegate.prometheus.answers import TableReader
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.slo.queries import QueryKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sluicegate.prometheus.answers import Table
    from sluicegate.prometheus.client import Prometheus
    from sluicegate.slo.queries import Query


class Batch:
    """The queries of one fetch while they are under way."""

    def __init__(self, prometheus: Prometheus, indexes: range, step: int, *, urgent: bool) -> None:
        self._prometheus = prometheus
        self._indexes = indexes
        self._step = step
        self._urgent = urgent
        self._answered: set[Query] = set()
        self.tables: dict[QueryKind, Table] = defaultdict(dict)
        self.failures: dict[QueryKind, str] = {}

    @property
    def problem(self) -> str:
        """What failed, in words; empty when all was answered."""
        return "; ".join(f"{kind}: {why}" for kind, why in sorted(self.failures.items()))

    async def ask_all(self, queries: Sequence[Query]) -> None:
        """Ask about the targets first: when that fails the rest needn't be asked."""
        first = [query for query in queries if query.kind is QueryKind.TARGETS]
        await asyncio.gather(*map(self._ask, first))
        if QueryKind.TARGETS not in self.failures:
            await asyncio.gather(*(self._ask(query) for query in queries if query not in first))

    def give_up(self, queries: Iterable[Query], seconds: float) -> None:
        """What isn't answered by now has failed."""
        for query in queries:
            if query not in self._answered:
                self.failures.setdefault(query.kind, f"no answer within {seconds:g} s in all")

    async def _ask(self, query: Query) -> None:
        step = self._step
        try:
            table = await self._prometheus.query_range(
                query.text,
                start=self._indexes[0] * step,
                end=self._indexes[-1] * step,
                step=step,
                reader=partial(TableReader, query.kind, step=step),
                urgent=self._urgent,
            )
        except PrometheusError as error:
            self.failures.setdefault(query.kind, str(error))
        else:
            self.tables[query.kind].update(table)
            self._answered.add(query)
