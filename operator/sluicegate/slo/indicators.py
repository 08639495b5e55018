"""All that follows from the kind of an indicator: its queries, its counts, and how it is evaluated.

A new kind is a type of `api.slos.Indicator`, and an entry in `INDICATORS`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Final, Protocol

from sluicegate.api.names import DecisionReason
from sluicegate.api.slos import Indicator, IndicatorKind
from sluicegate.slo.blocks import RING_SLACK
from sluicegate.slo.client_errors import ResponseKind
from sluicegate.slo.queries import Fact, QueryKind

Labels = tuple[str, ...]
Values = dict[int, float]
"""Values by block index."""
NO_VALUES: Final[Values] = {}


class Rows(Protocol):
    """Answers of Prometheus for all products."""

    def table(self, kind: QueryKind) -> Mapping[Labels, Values]:
        """Return the rows of a query by their labels; empty if the query was not sent or failed."""

    def of_service(
        self, kind: QueryKind, version: Labels, service: str, *further_labels: str
    ) -> Values | None:
        """Return a version's values; only those of its entry service, if that is known."""


@dataclass(frozen=True, slots=True)
class SloRows:
    """One SLO of one version, and the query rows that count its events.

    Attributes
    ----------
    version : labels of the version, as the rows have them.
    service : its entry service; empty if it isn't known.
    """

    rows: Rows
    version: Labels
    service: str
    slo: str
    indicator: Indicator

    def of_service(self, kind: QueryKind, *further_labels: str) -> Values | None:
        """Return the version's values of one kind of query."""
        return self.rows.of_service(kind, self.version, self.service, *further_labels)

    def of(self, kind: QueryKind, *labels: str) -> Values | None:
        """Return the version's row of a query with these further labels."""
        return self.rows.table(kind).get((*self.version, *labels))


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """Bad and total events by block; bad either directly or as total less good."""

    totals: Values | None
    bads: Values | None = None
    goods: Values | None = None
    lagging: bool = False

    def indexes(self) -> set[int]:
        """Return the blocks with any value."""
        return {index for row in (self.totals, self.bads, self.goods) if row for index in row}

    def total(self, index: int) -> float | None:
        """Return all events of a block; None without a row."""
        return None if self.totals is None else self.totals.get(index)

    def bad(self, index: int) -> float | None:
        """Return the bad events of a block; NaN where good events exceed all events."""
        if self.goods is None:
            return (self.bads or NO_VALUES).get(index)
        total, good_count = self.total(index), self.goods.get(index, 0.0)
        if total is None:
            return None
        if good_count > RING_SLACK * total and not self.lagging:
            return nan
        # A good event and its request may be counted in different blocks.
        return max(total - good_count, 0.0) if isfinite(total - good_count) else nan


def sum_rows(rows: Iterable[Values | None]) -> Values | None:
    """Add up values by block; None if there is no row."""
    rows_with_data = [row for row in rows if row is not None]
    if len(rows_with_data) <= 1:
        return next(iter(rows_with_data), None)
    total: dict[int, float] = defaultdict(float)
    for row in rows_with_data:
        for index, value in row.items():
            total[index] += value
    return dict(total)


def count_outcomes(good_values: Values | None, bad_values: Values | None) -> BlockCounts:
    """Return counts from separate rows of good and bad events."""
    if good_values is None and bad_values is None:
        return BlockCounts(None)
    return BlockCounts(sum_rows([good_values or {}, bad_values or {}]), bads=bad_values)


def _total_minus_good(
    totals: Values, good_values: Values, *, is_lagging: bool = False
) -> BlockCounts:
    """Return total less good, for blocks that have both: a missing series isn't zero."""
    common_totals = {index: total for index, total in totals.items() if index in good_values}
    return BlockCounts(common_totals or None, goods=good_values, lagging=is_lagging)


def _availability_counts(slo_rows: SloRows) -> BlockCounts:
    return BlockCounts(
        totals=slo_rows.of_service(QueryKind.REQUESTS),
        bads=slo_rows.of_service(QueryKind.REQUESTS_BAD, ResponseKind.FAILED),
    )


def _latency_counts(slo_rows: SloRows) -> BlockCounts:
    assert slo_rows.indicator.latency
    totals = slo_rows.of_service(QueryKind.LATENCY, "inf")
    # There is no histogram before the first success: if requests are counted, none succeeded.
    zero_requests = dict.fromkeys(slo_rows.of_service(QueryKind.REQUESTS) or NO_VALUES, 0.0)
    if totals is None:
        return BlockCounts(zero_requests or None)
    bound_label = str(slo_rows.indicator.latency.threshold_milliseconds / 1000)
    good_values = slo_rows.of_service(QueryKind.LATENCY, bound_label)
    if good_values is None:
        # A histogram without the threshold's bound has no answer.
        good_values = dict.fromkeys(totals, nan)
    return BlockCounts({**zero_requests, **totals}, goods={**zero_requests, **good_values})


def _latency_label(_slo: str, indicator: Indicator) -> str:
    assert indicator.latency
    return f"latency:{indicator.latency.threshold_milliseconds}"


def _outcome_counts(slo_rows: SloRows) -> BlockCounts:
    right_rows, wrong_rows = (
        slo_rows.of(QueryKind.LABELLED, outcome) for outcome in ("correct", "wrong")
    )
    return count_outcomes(right_rows, wrong_rows)


def _events_counts(slo_rows: SloRows) -> BlockCounts:
    label = _events_label(slo_rows.slo, slo_rows.indicator)
    good_values, bad_values = (
        slo_rows.of(QueryKind.EVENTS, label, outcome) for outcome in ("good", "bad")
    )
    return count_outcomes(good_values, bad_values)


def _events_label(slo: str, indicator: Indicator) -> str:
    assert indicator.events
    return indicator.events.indicator or slo


def _counter_counts(slo_rows: SloRows) -> BlockCounts:
    counters = slo_rows.indicator.counters
    assert counters
    totals = slo_rows.of(QueryKind.COUNTERS, counters.total, str(counters.lag_seconds))
    good_values = slo_rows.of(QueryKind.COUNTERS, counters.good, "0")
    return _total_minus_good(
        totals or NO_VALUES, good_values or NO_VALUES, is_lagging=counters.lag_seconds > 0
    )


def _promql_counts(slo_rows: SloRows) -> BlockCounts:
    totals, good_values = (
        slo_rows.of(QueryKind.PROMQL, slo_rows.slo, fact_label)
        for fact_label in (Fact.TOTAL, Fact.GOOD)
    )
    return _total_minus_good(totals or NO_VALUES, good_values or NO_VALUES)


def _no_event_counts(slo_rows: SloRows) -> BlockCounts:
    raise ValueError(f"SLO {slo_rows.slo!r} is a gauge: it has means, no counts")


def _without_label(_slo: str, _indicator: Indicator) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class IndicatorDefinition:
    """How the indicators of one kind are measured and evaluated.

    Attributes
    ----------
    queries
        Queries that it is counted from; without an answer to each it can't be read.
    counts
        Reads bad and total events from the answers.
    market_label
        Label under which the library counts the events of an SLO by market; empty where it doesn't.
        Raw counters, gauges and PromQL are the product's own, with unknown labels.
    about_requests
        Whether its events are requests: they are many, and known at once.
    from_truths
        Whether it needs the truth about predictions, which comes as feedback.
    explained_by_cpu
        Whether pods without CPU or memory explain a miss.
    counted_by_any_pod
        Whether any pod may count its events, when it receives the feedback; so coverage is that of
        the product's scrapes.
    is_share
        Whether it is a share of events.
    margin_share
        Margin of a candidate without maxRegression and maxDrop, as a share of the bad events that
        the objective allows.
    remaining_cause, remaining_text
        Cause of a degradation for which no check of the diagnosis found another one.
    """

    queries: frozenset[QueryKind]
    counts: Callable[[SloRows], BlockCounts]
    market_label: Callable[[str, Indicator], str] = _without_label
    about_requests: bool = False
    from_truths: bool = False
    explained_by_cpu: bool = False
    counted_by_any_pod: bool = True
    is_share: bool = True
    margin_share: float = 0.5
    remaining_cause: DecisionReason = DecisionReason.MODEL_DECAY
    remaining_text: str = "no cause outside the model was found: it no longer fits its data"


INDICATORS: Final[dict[IndicatorKind, IndicatorDefinition]] = {
    IndicatorKind.AVAILABILITY: IndicatorDefinition(
        frozenset({QueryKind.REQUESTS, QueryKind.REQUESTS_BAD}),
        _availability_counts,
        lambda _slo, _indicator: "availability",
        about_requests=True,
        counted_by_any_pod=False,
        margin_share=1.0,
        remaining_cause=DecisionReason.AVAILABILITY_ONLY,
        remaining_text="requests fail, which a training does not fix",
    ),
    IndicatorKind.LATENCY: IndicatorDefinition(
        frozenset({QueryKind.REQUESTS, QueryKind.LATENCY}),
        _latency_counts,
        _latency_label,
        about_requests=True,
        explained_by_cpu=True,
        counted_by_any_pod=False,
        remaining_cause=DecisionReason.MODEL_TOO_SLOW,
        remaining_text="no cause outside the model was found: it became too slow",
    ),
    IndicatorKind.OUTCOMES: IndicatorDefinition(
        frozenset({QueryKind.LABELLED}),
        _outcome_counts,
        lambda _slo, _indicator: "outcomes",
        from_truths=True,
    ),
    IndicatorKind.EVENTS: IndicatorDefinition(
        frozenset({QueryKind.EVENTS}), _events_counts, _events_label
    ),
    IndicatorKind.COUNTERS: IndicatorDefinition(frozenset({QueryKind.COUNTERS}), _counter_counts),
    IndicatorKind.GAUGE: IndicatorDefinition(
        frozenset({QueryKind.GAUGES}), _no_event_counts, counted_by_any_pod=False, is_share=False
    ),
    IndicatorKind.PROMQL: IndicatorDefinition(frozenset({QueryKind.PROMQL}), _promql_counts),
}
