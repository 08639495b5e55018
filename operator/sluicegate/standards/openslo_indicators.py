"""Indicators of OpenSLO v1 as indicators of `spec.slos`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.slos import GaugeDirection
from sluicegate.standards.query_conversion import (
    UnconvertedQuery,
    counter_of,
    counts_of_block,
    gauge_of,
)

if TYPE_CHECKING:
    from sluicegate.standards.located_yaml import Located

_QUERY_FIELDS: Final = ("query", "promql")
_DIRECTION_BY_OPERATOR: Final = {
    "gt": GaugeDirection.HIGHER_IS_BETTER,
    "gte": GaugeDirection.HIGHER_IS_BETTER,
    "lt": GaugeDirection.LOWER_IS_BETTER,
    "lte": GaugeDirection.LOWER_IS_BETTER,
}

IndicatorFields = dict[str, Any]


class IndicatorNotExpressed(ValueError):  # noqa: N818 - says what is the case
    """An indicator that spec.slos can't hold; the text has the reason and the way out."""

    def __init__(self, document_place: Located, text: str) -> None:
        super().__init__(text)
        self.at = document_place


def indicator_of(
    spec: Located, objective: Located | None
) -> tuple[IndicatorFields, list[tuple[Located, str]]]:
    """Return the indicator of an SLI's spec, and remarks on what is left out.

    Parameters
    ----------
    objective : that of the SLO, which has the bound of a threshold; None without an SLO.
    """
    if (ratio := spec.at("ratioMetric")) is not None:
        return _ratio_indicator(ratio), []
    if (threshold := spec.at("thresholdMetric")) is not None:
        return _gauge_indicator(threshold, objective)
    raise IndicatorNotExpressed(spec, "has neither ratioMetric nor thresholdMetric: add one")


def _ratio_indicator(ratio: Located) -> IndicatorFields:
    if raw_metric := ratio.at("raw"):
        raise IndicatorNotExpressed(
            raw_metric,
            "raw is a ratio without its events, by which nothing can be tested: write good and total",
        )
    total, good_query, bad_query = (ratio.at(name) for name in ("total", "good", "bad"))
    if total is None or (good_query is None) == (bad_query is None):
        raise IndicatorNotExpressed(ratio, "needs total, and one of good and bad: add it")
    if good_query is None:
        assert bad_query is not None
        total_counts = _counts(total)
        return {"promql": {"good": f"({total_counts}) - (({_counts(bad_query)}) or 0 * ({total_counts}))", "total": total_counts}}  # fmt: skip
    counters = [counter_of_source(counter_source) for counter_source in (good_query, total)]
    if all(counters):
        return {"counters": {"good": counters[0], "total": counters[1]}}
    return {"promql": {"good": _counts(good_query), "total": _counts(total)}}


def counter_of_source(metric: Located) -> str:
    """Return the counter that a metric's query sums; empty for another query."""
    query = _query(metric)
    try:
        return counter_of(query.value)
    except UnconvertedQuery as error:
        raise IndicatorNotExpressed(query, f"its query {error}") from error


def _counts(metric: Located) -> str:
    query = _query(metric)
    try:
        return counts_of_block(query.value)
    except UnconvertedQuery as error:
        raise IndicatorNotExpressed(query, f"its query {error}") from error


def _gauge_indicator(
    threshold: Located, objective: Located | None
) -> tuple[IndicatorFields, list[tuple[Located, str]]]:
    query = _query(threshold)
    try:
        metric = gauge_of(query.value)
    except UnconvertedQuery as error:
        raise IndicatorNotExpressed(query, f"its query {error}") from error
    if not metric:
        raise IndicatorNotExpressed(
            query,
            "its query isn't a gauge of the product alone: for a percentile of response times use"
            " indicator.latency with the share of requests below the threshold as objective; for another"
            " value export a gauge",
        )
    if objective is None:
        raise IndicatorNotExpressed(threshold, "has no SLO that names its bound: add one")
    operator, bound_value = objective.text("op"), objective.at("value")
    if operator not in _DIRECTION_BY_OPERATOR or bound_value is None:
        raise IndicatorNotExpressed(objective, "a threshold needs op and value: set both")
    gauge = {
        "metric": metric,
        "direction": str(_DIRECTION_BY_OPERATOR[operator]),
        "bound": _decimal_text(bound_value),
    }
    target_field = objective.at("target") or objective.at("targetPercent") or objective
    import_remark = (
        "target: a gauge has no share of good values; the mean of each block must keep the bound:"
        " count events with good and total where you can"
    )
    return {"gauge": gauge}, [(target_field, import_remark)]


def _decimal_text(number: Located) -> str:
    bound_value = finite_decimal(number.value)
    if bound_value is None:
        raise IndicatorNotExpressed(number, f'value is "{number.value}": write a number')
    return f"{bound_value.normalize():f}"


def finite_decimal(number: object) -> Decimal | None:
    """Return a number of a file as a decimal; None if it is none."""
    try:
        decimal_number = Decimal(str(number))
    except InvalidOperation:
        return None
    return decimal_number if decimal_number.is_finite() else None


def _query(metric: Located) -> Located:
    """Return the query of a metric of Prometheus."""
    source = metric.at("metricSource")
    if source is None:
        raise IndicatorNotExpressed(metric, "has no metricSource: add it")
    kind = source.at("type")
    if kind is not None and str(kind.value).lower() != "prometheus":
        raise IndicatorNotExpressed(
            kind,
            f"reads {kind.value}: the operator reads Prometheus only; export the counts there, and set"
            " type to Prometheus",
        )
    for name in _QUERY_FIELDS:
        if source.text("spec", name):
            query = source.at("spec", name)
            assert query is not None
            return query
    raise IndicatorNotExpressed(source, "has no spec.query with PromQL: add it")
