"""PromQL that a user wrote, bound to the namespace of the product.

The expression is parsed, and printed again node by node with a matcher of the namespace in every
selector: text of the user never reaches a query as it is. A node that isn't known here is refused,
since the series that it reads are unknown.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache, partial
from math import isinf, isnan
from typing import TYPE_CHECKING, Any, Final

import promql_parser as ast

from sluicegate.api.promql_text import UnboundPromql, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCK: Final = "$block"
"""What a user writes for the length of a block."""
LONGEST_RANGE: Final = timedelta(days=1)
NAMESPACE: Final = "namespace"
"""The target label that every selector of a user's expression is bound by."""
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
MAX_NESTING: Final = 50
"""Operators, calls and parentheses around one another: each is a few frames of Python's stack."""
_VARYING_RANGE: Final = "the blocks that are read together differ from time to time"
_REFUSED_FUNCTIONS: Final = {
    "info": "it reads series of every namespace beside those that it is given",
    "start": _VARYING_RANGE, "end": _VARYING_RANGE, "range": _VARYING_RANGE,
}  # fmt: skip
"""Functions of more than their arguments and the time of a block, with the reason."""
_LABELLED_BY_MATCHERS: Final = frozenset({"absent", "absent_over_time"})
"""Functions that make labels of matchers: the one that is added is to make none."""
_SIGN_ROW: Final = re.compile(r"(?:[-+]\s*){10}")
"""What takes the parser a tenth of a second."""
_MATCH_OPERATORS: Final = (
    (ast.MatchOp.Equal, "="),
    (ast.MatchOp.NotEqual, "!="),
    (ast.MatchOp.Re, "=~"),
    (ast.MatchOp.NotRe, "!~"),
)
_GROUP_SIDES: Final = (
    (ast.VectorMatchCardinality.ManyToOne, "group_left"),
    (ast.VectorMatchCardinality.OneToMany, "group_right"),
)
_NON_VECTOR_NODES: Final = (
    ast.MatrixSelector, ast.SubqueryExpr, ast.NumberLiteral, ast.StringLiteral,
)  # fmt: skip


def bind_promql(expression: str, namespace: str, window_seconds: int) -> str:
    """Return the expression with `$block` filled in and a namespace matcher in each selector.

    Raises
    ------
    UnboundPromql
        It is no PromQL, or can't be bound; the text continues the name of the field.
    """
    text, problem = _bound_text(expression, namespace, window_seconds)
    if problem:
        raise UnboundPromql(problem)
    return text


@lru_cache(maxsize=4096)
def _bound_text(expression: str, namespace: str, window_seconds: int) -> tuple[str, str]:
    """Return the bound text, or the problem; cached, so that a refused expression isn't parsed in each block."""
    try:
        tree = _parse(expression.replace(BLOCK, f"{window_seconds}s"))
        return _node_text(tree, f"{NAMESPACE}={quote(namespace)}", MAX_NESTING), ""
    except UnboundPromql as error:
        return "", str(error)


def _parse(text: str) -> Any:
    if _SIGN_ROW.search(text):
        raise UnboundPromql("has a long row of signs: write one")
    try:
        tree = ast.parse(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ) as error:  # a panic of the parser is no Exception, and would end the operator
        raise UnboundPromql(f"is no PromQL ({error}): correct it") from error
    if isinstance(tree, _NON_VECTOR_NODES):
        raise UnboundPromql(
            "must be an instant vector, e.g. sum by (version) (increase(…[$block]))"
        )
    return tree


def _node_text(node: Any, namespace_matcher: str, levels_left: int) -> str:  # noqa: C901, PLR0911, PLR0912 - a kind each
    """Bind the text; `levels_left` is the number of further levels allowed."""
    if not levels_left:
        raise UnboundPromql(
            f"nests operators, calls and parentheses more than {MAX_NESTING} deep: simplify it"
        )
    inner_text = partial(
        _node_text, namespace_matcher=namespace_matcher, levels_left=levels_left - 1
    )
    match node:
        case ast.NumberLiteral():
            return _number_text(node.val)
        case ast.StringLiteral():
            return quote(node.val)
        case ast.ParenExpr():
            return f"({inner_text(node.expr)})"
        case ast.UnaryExpr():
            return f"-({inner_text(node.expr)})"
        case ast.BinaryExpr():
            matching_text = _matching_text(node.modifier)
            return f"({inner_text(node.lhs)}) {node.op} {matching_text} ({inner_text(node.rhs)})"
        case ast.AggregateExpr():
            return _aggregate_text(node, inner_text)
        case ast.Call():
            return _call_text(node, inner_text)
        case ast.VectorSelector():
            return _selector_text(node, namespace_matcher) + _offset_text(node)
        case ast.MatrixSelector():
            selector = node.vector_selector
            if node.range > LONGEST_RANGE:
                raise UnboundPromql("has a range of more than a day: write $block, or at most 1d")
            return f"{_selector_text(selector, namespace_matcher)}[{_duration_text(node.range)}]{_offset_text(selector)}"
        case ast.SubqueryExpr():
            raise UnboundPromql(
                "has a subquery, which costs a query a step: write a range of a selector"
            )
        case _:
            kind = type(node).__name__
            raise UnboundPromql(f"has a part that can't be bound to the namespace: {kind}")


def _selector_text(node: ast.VectorSelector, namespace_matcher: str) -> str:
    matchers = node.matchers
    if matchers.or_matchers:
        raise UnboundPromql("has matchers joined by `or`: write two selectors instead")
    matcher_texts = [namespace_matcher]
    for matcher in matchers.matchers:
        if matcher.name == NAMESPACE:
            raise UnboundPromql("has a matcher of namespace, which the operator sets: remove it")
        (label,) = _checked_labels([matcher.name])
        (operator,) = (
            text for match_operator, text in _MATCH_OPERATORS if match_operator == matcher.op
        )
        matcher_texts.append(f"{label}{operator}{quote(matcher.value)}")
    if node.name and not any(matcher.name == "__name__" for matcher in matchers.matchers):
        matcher_texts.append(f"__name__={quote(node.name)}")
    return f"{{{', '.join(matcher_texts)}}}"


def _offset_text(node: ast.VectorSelector) -> str:
    if node.at is not None:
        raise UnboundPromql("has the modifier `@`: a block is evaluated at its end, remove it")
    return f" offset {_duration_text(node.offset)}" if node.offset else ""


def _aggregate_text(node: ast.AggregateExpr, inner_text: Callable[[Any], str]) -> str:
    grouping = ""
    if node.modifier is not None:
        word = "by" if node.modifier.type == ast.AggModifierType.By else "without"
        grouping = f" {word} ({', '.join(_checked_labels(node.modifier.labels))})"
    parameter = "" if node.param is None else f"{inner_text(node.param)}, "
    return f"{node.op}{grouping} ({parameter}{inner_text(node.expr)})"


def _call_text(node: ast.Call, inner_text: Callable[[Any], str]) -> str:
    name = node.func.name
    if name in _REFUSED_FUNCTIONS:
        raise UnboundPromql(f"calls {name}(), but {_REFUSED_FUNCTIONS[name]}: remove it")
    text = f"{name}({', '.join(map(inner_text, node.args))})"
    if name in _LABELLED_BY_MATCHERS:
        return f'label_replace({text}, "{NAMESPACE}", "", "", "")'
    return text


def _matching_text(modifier: ast.BinModifier | None) -> str:
    if modifier is None:
        return ""
    words = ["bool"] if modifier.return_bool else []
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise UnboundPromql("fills in values of missing series: add `or` with a vector instead")
    if modifier.matching is not None:
        is_on = modifier.matching.type == ast.LabelModifierType.Include
        words.append(
            f"{'on' if is_on else 'ignoring'} ({', '.join(_checked_labels(modifier.matching.labels))})"
        )
    for card, side in _GROUP_SIDES:
        if card == modifier.card:
            words.append(f"{side} ({', '.join(_checked_labels(modifier.group_labels or ()))})")
    return " ".join(words)


def _checked_labels(labels: Iterable[str]) -> list[str]:
    names = list(labels)
    for label in names:
        if not _LABEL.fullmatch(label):
            raise UnboundPromql(f"names the label {label!r}: only letters, digits and _ are read")
    return names


def _number_text(value: float) -> str:
    if isnan(value):
        return "NaN"
    return ("Inf" if value > 0 else "-Inf") if isinf(value) else repr(value)


def _duration_text(length: timedelta) -> str:
    milliseconds = round(length.total_seconds() * 1000)
    return f"{milliseconds}ms"
