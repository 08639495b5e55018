"""Queries of one SLO of one product, for tools that read the same Prometheus.

The selectors are those of the operator's queries. The counts are those of a block by `increase()`, which
extrapolates; the operator counts the growth between the edges of the block exactly (`render_count`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluicegate.api.bound_promql import bind_promql
from sluicegate.api.promql_text import UnboundPromql, quote
from sluicegate.errors import invalid
from sluicegate.slo import metric_names as names
from sluicegate.slo.promql import Scope, any_of, select_named, select_series
from sluicegate.slo.queries import UNKNOWN_PATH, bucket_bound_spellings, select_requests

if TYPE_CHECKING:
    from sluicegate.api.product import DataProduct
    from sluicegate.api.slos import Counters, Latency, PromqlRatio, Slo


@dataclass(frozen=True, slots=True)
class RatioQueries:
    """Expressions of the good and of all events of a block."""

    good: str
    total: str


@dataclass(frozen=True, slots=True)
class SloQueries:
    """Queries of the SLOs of one product, all its versions together."""

    product: DataProduct

    @property
    def _scope(self) -> Scope:
        namespace, name = self.product.metadata.key
        return Scope((namespace,), (name,))

    @property
    def _block(self) -> int:
        return self.product.spec.analysis.block_seconds

    def ratio(self, slo: Slo) -> RatioQueries:
        """Return the queries of an SLO that counts events. ValueError for a gauge."""
        indicator = slo.indicator
        if indicator.latency:
            return self._latency(indicator.latency)
        if indicator.counters:
            return self._counters(indicator.counters)
        if indicator.promql:
            return self._promql(slo.name, indicator.promql)
        if indicator.outcomes:
            return self._outcomes(names.LABELLED_PREDICTIONS, [], good_outcome="correct")
        if indicator.events:
            label = f"{names.INDICATOR}={quote(indicator.events.indicator or slo.name)}"
            return self._outcomes(names.INDICATOR_EVENTS, [label], good_outcome="good")
        if indicator.availability:
            return self._availability()
        raise ValueError(f"SLO {slo.name!r} is a gauge: it counts no events")

    def gauge(self, metric: str) -> str:
        """Return the query of the mean of a gauge in a block."""
        selector = select_named(metric, self._scope.matchers())
        return f"avg(avg_over_time({selector}[{self._block}s]))"

    def _growth(self, selector: str, lag_seconds: int = 0) -> str:
        offset = f" offset {lag_seconds}s" if lag_seconds else ""
        return f"sum(increase({selector}[{self._block}s]{offset}))"

    def _requests(self, metric: str, matchers: list[str]) -> str:
        entry = f"{names.SERVICE}={quote(self.product.spec.model.bento.service)}"
        return self._growth(select_requests(metric, self._scope, [entry, *matchers]))

    def _availability(self) -> RatioQueries:
        good_query, total = (
            self._requests(names.REQUESTS, [f"{names.CODE}!~{quote(codes)}"])
            for codes in (f"{UNKNOWN_PATH}|5..", UNKNOWN_PATH)
        )
        return RatioQueries(good_query, total)

    def _latency(self, latency: Latency) -> RatioQueries:
        succeeded_matcher = f'{names.CODE}=~"2.."'
        bound_value = any_of(
            names.BOUND_LABEL, bucket_bound_spellings(latency.threshold_milliseconds)
        )
        good_query, total = (
            self._requests(names.DURATION_BUCKETS, [succeeded_matcher, bound_matcher])
            for bound_matcher in (bound_value, f'{names.BOUND_LABEL}="+Inf"')
        )
        return RatioQueries(good_query, total)

    def _outcomes(self, metric: str, matchers: list[str], *, good_outcome: str) -> RatioQueries:
        all_matchers = [*self._scope.matchers(), *matchers]
        selected_matchers = [*all_matchers, f"{names.OUTCOME}={quote(good_outcome)}"]
        return RatioQueries(
            *(
                self._growth(select_series(metric, matchers))
                for matchers in (selected_matchers, all_matchers)
            )
        )

    def _counters(self, counters: Counters) -> RatioQueries:
        good_query, total = (
            select_named(name, self._scope.matchers()) for name in (counters.good, counters.total)
        )
        return RatioQueries(self._growth(good_query), self._growth(total, counters.lag_seconds))

    def _promql(self, slo: str, ratio: PromqlRatio) -> RatioQueries:
        namespace = self.product.metadata.namespace
        try:
            good_query, total = (
                f"sum({bind_promql(expression, namespace, self._block)})"
                for expression in (ratio.good, ratio.total)
            )
        except UnboundPromql as error:
            raise invalid(f"spec.slos[{slo}].indicator.promql", str(error)) from error
        return RatioQueries(good_query, total)
