"""Queries of Prometheus, as SLO tools have them, as counts of events of a block by version."""

from __future__ import annotations

import re
from typing import Any, Final

import promql_parser as ast

from sluicegate.api.bound_promql import bind_promql
from sluicegate.api.promql_text import UnboundPromql, quote
from sluicegate.slo import metric_names as names

_BLOCK: Final = "$block"
_TEMPLATE: Final = re.compile(r"\[\s*(?:\{\{[^}]*\}\}|\$\{?\w+\}?)\s*(?=[\]:])")
"""Ranges that a tool fills in: `[{{.window}}]`, `[$__rate_interval]`."""
_ANY_RANGE: Final = "[5m"
_GROWTH_FUNCTIONS: Final = frozenset({"increase", "rate"})
_OPERATOR_TEXTS: Final = (
    (ast.MatchOp.Equal, "="),
    (ast.MatchOp.NotEqual, "!="),
    (ast.MatchOp.Re, "=~"),
    (ast.MatchOp.NotRe, "!~"),
)
_SUM_OPERATORS: Final = frozenset({"+", "-"})
_WAY_OUT: Final = (
    "write it in indicator.promql as counts of a block, e.g. sum by (version) (increase(…[$block]))"
)


class UnconvertedQuery(ValueError):  # noqa: N818 - says what is the case
    """The query counts no events that spec.slos can hold; the text has the reason and the way out."""


def counts_of_block(query: str) -> str:
    """Return the expression of a query's events in a block, by version.

    Raises
    ------
    UnconvertedQuery
        It isn't a sum of the growth of counters.
    """
    text = _counts(_parse(query))
    try:
        bind_promql(text, "any", 300)
    except UnboundPromql as error:
        raise UnconvertedQuery(str(error)) from error
    return text


def counter_of(query: str) -> str:
    """Return the counter whose growth a query sums, if it selects by no other label; otherwise nothing."""
    return _plain_metric(_parse(query), frozenset({"sum", *_GROWTH_FUNCTIONS}))


def gauge_of(query: str) -> str:
    """Return the gauge that a query reads, if it selects by no other label; otherwise nothing."""
    return _plain_metric(_parse(query), frozenset({"avg", "avg_over_time"}))


def _plain_metric(node: Any, allowed_functions: frozenset[str]) -> str:
    """Return the metric within these functions; namespace and product are the operator's own matchers."""
    match node:
        case ast.ParenExpr():
            return _plain_metric(node.expr, allowed_functions)
        case ast.AggregateExpr() if str(node.op) in allowed_functions:
            return _plain_metric(node.expr, allowed_functions)
        case ast.Call() if node.func.name in allowed_functions:
            return _plain_metric(node.args[0], allowed_functions)
        case ast.MatrixSelector():
            return _metric_alone(node.vector_selector)
        case ast.VectorSelector():
            return _metric_alone(node)
        case _:
            return ""


def _metric_alone(node: ast.VectorSelector) -> str:
    matchers = node.matchers.matchers
    operator_labels = {names.NAMESPACE, names.PRODUCT, "__name__"}
    if node.offset or node.at or node.matchers.or_matchers:
        return ""
    if any(
        matcher.name not in operator_labels or matcher.op != ast.MatchOp.Equal
        for matcher in matchers
    ):
        return ""
    metric_names = [matcher.value for matcher in matchers if matcher.name == "__name__"]
    return node.name or (metric_names[0] if metric_names else "")


def _parse(query: str) -> Any:
    try:
        return ast.parse(_TEMPLATE.sub(_ANY_RANGE, query.replace(_BLOCK, "5m")))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the parser is no Exception
        raise UnconvertedQuery(f"is no PromQL ({error}): correct it") from error


def _counts(node: Any) -> str:
    match node:
        case ast.ParenExpr():
            return _counts(node.expr)
        case ast.BinaryExpr() if str(node.op) in _SUM_OPERATORS and node.modifier is None:
            return f"({_counts(node.lhs)}) {node.op} ({_counts(node.rhs)})"
        case ast.AggregateExpr() if str(node.op) == "sum":
            return f"sum by ({names.VERSION}) ({_growth_text(node.expr)})"
        case ast.Call() | ast.VectorSelector():
            return f"sum by ({names.VERSION}) ({_growth_text(node)})"
        case _:
            raise UnconvertedQuery(f"isn't a sum of the growth of counters: {_WAY_OUT}")


def _growth_text(node: Any) -> str:
    match node:
        case ast.ParenExpr():
            return _growth_text(node.expr)
        case ast.AggregateExpr() if str(node.op) == "sum":
            return _growth_text(node.expr)
        case ast.Call() if node.func.name in _GROWTH_FUNCTIONS:
            return _growth_text(node.args[0])
        case ast.MatrixSelector():
            return _increase_text(node.vector_selector)
        case ast.VectorSelector():
            return _increase_text(node)
        case _:
            raise UnconvertedQuery(f"isn't a sum of the growth of counters: {_WAY_OUT}")


def _increase_text(node: ast.VectorSelector) -> str:
    if node.at is not None or node.matchers.or_matchers:
        raise UnconvertedQuery(f"has the modifier @, or matchers joined by `or`: {_WAY_OUT}")
    matchers = [
        f"{matcher.name}{_operator(matcher)}{quote(matcher.value)}"
        for matcher in node.matchers.matchers
        if not (
            matcher.name == names.NAMESPACE and matcher.op == ast.MatchOp.Equal
        )  # the operator sets it
    ]
    offset = f" offset {int(node.offset.total_seconds())}s" if node.offset else ""
    selector = f"{{{', '.join(matchers)}}}" if matchers else ""
    return f"increase({node.name or ''}{selector}[{_BLOCK}]{offset})"


def _operator(matcher: ast.Matcher) -> str:
    return next(text for operator, text in _OPERATOR_TEXTS if operator == matcher.op)
