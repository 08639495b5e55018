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
_DIRECTIONS: Final = {
    "gt": GaugeDirection.HIGHER_IS_BETTER,
    "gte": GaugeDirection.HIGHER_IS_BETTER,
    "lt": GaugeDirection.LOWER_IS_BETTER,
    "lte": GaugeDirection.LOWER_IS_BETTER,
}

IndicatorFields = dict[str, Any]


class IndicatorNotExpressed(ValueError):  # noqa: N818 - says what is the case
    """An indicator that spec.slos can't hold; the text has the reason and the way out."""

    def __init__(self, at: Located, text: str) -> None:
        super().__init__(text)
        self.at = at


def indicator_of(
    spec: Located, objective: Located | None
) -> tuple[IndicatorFields, list[tuple[Located, str]]]:
    """Return the indicator of an SLI's spec, and remarks on what is left out.

    Parameters
    ----------
    objective : that of the SLO, which has the bound of a threshold; None without an SLO.
    """
    if (ratio := spec.at("ratioMetric")) is not None:
        return _ratio(ratio), []
    if (threshold := spec.at("thresholdMetric")) is not None:
        return _gauge(threshold, objective)
    raise IndicatorNotExpressed(spec, "has neither ratioMetric nor thresholdMetric: add one")


def _ratio(ratio: Located) -> IndicatorFields:
    if raw := ratio.at("raw"):
        raise IndicatorNotExpressed(
            raw,
            "raw is a ratio without its events, by which nothing can be tested: write good and total",
        )
    total, good, bad = (ratio.at(name) for name in ("total", "good", "bad"))
    if total is None or (good is None) == (bad is None):
        raise IndicatorNotExpressed(ratio, "needs total, and one of good and bad: add it")
    if good is None:
        assert bad is not None
        total_counts = _counts(total)
        return {"promql": {"good": f"({total_counts}) - (({_counts(bad)}) or 0 * ({total_counts}))", "total": total_counts}}  # fmt: skip
    counters = [counter_of_source(one) for one in (good, total)]
    if all(counters):
        return {"counters": {"good": counters[0], "total": counters[1]}}
    return {"promql": {"good": _counts(good), "total": _counts(total)}}


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


def _gauge(
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
    operator, bound = objective.text("op"), objective.at("value")
    if operator not in _DIRECTIONS or bound is None:
        raise IndicatorNotExpressed(objective, "a threshold needs op and value: set both")
    gauge = {
        "metric": metric,
        "direction": str(_DIRECTIONS[operator]),
        "bound": _decimal(bound),
    }
    target_field = objective.at("target") or objective.at("targetPercent") or objective
    remark = (
        "target: a gauge has no share of good values; the mean of each block must keep the bound:"
        " count events with good and total where you can"
    )
    return {"gauge": gauge}, [(target_field, remark)]


def _decimal(number: Located) -> str:
    bound = finite(number.value)
    if bound is None:
        raise IndicatorNotExpressed(number, f'value is "{number.value}": write a number')
    return f"{bound.normalize():f}"


def finite(number: object) -> Decimal | None:
    """Return a number of a file as a decimal; None if it is none."""
    try:
        decimal = Decimal(str(number))
    except InvalidOperation:
        return None
    return decimal if decimal.is_finite() else None


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
