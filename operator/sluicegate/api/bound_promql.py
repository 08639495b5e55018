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
MOST_NESTED: Final = 50
"""Operators, calls and parentheses around one another: each is a few frames of Python's stack."""
_OF_THE_RANGE: Final = "the blocks that are read together differ from time to time"
_UNBOUND: Final = {
    "info": "it reads series of every namespace beside those that it is given",
    "start": _OF_THE_RANGE, "end": _OF_THE_RANGE, "range": _OF_THE_RANGE,
}  # fmt: skip
"""Functions of more than their arguments and the time of a block, with the reason."""
_OF_MATCHERS: Final = frozenset({"absent", "absent_over_time"})
"""Functions that make labels of matchers: the one that is added is to make none."""
_SIGNS: Final = re.compile(r"(?:[-+]\s*){10}")
"""What takes the parser a tenth of a second."""
_OPERATORS: Final = (
    (ast.MatchOp.Equal, "="),
    (ast.MatchOp.NotEqual, "!="),
    (ast.MatchOp.Re, "=~"),
    (ast.MatchOp.NotRe, "!~"),
)
_SIDES: Final = (
    (ast.VectorMatchCardinality.ManyToOne, "group_left"),
    (ast.VectorMatchCardinality.OneToMany, "group_right"),
)
_NO_VECTOR: Final = (
    ast.MatrixSelector, ast.SubqueryExpr, ast.NumberLiteral, ast.StringLiteral,
)  # fmt: skip


def bind(expression: str, namespace: str, window_seconds: int) -> str:
    """Return the expression with `$block` filled in and a namespace matcher in each selector.

    Raises
    ------
    UnboundPromql
        It is no PromQL, or can't be bound; the text continues the name of the field.
    """
    text, wrong = _bind(expression, namespace, window_seconds)
    if wrong:
        raise UnboundPromql(wrong)
    return text


@lru_cache(maxsize=4096)
def _bind(expression: str, namespace: str, window_seconds: int) -> tuple[str, str]:
    """Return the bound text, or the problem; cached, so that a refused expression isn't parsed in each block."""
    try:
        tree = _parse(expression.replace(BLOCK, f"{window_seconds}s"))
        return _text(tree, f"{NAMESPACE}={quote(namespace)}", MOST_NESTED), ""
    except UnboundPromql as error:
        return "", str(error)


def _parse(text: str) -> Any:
    if _SIGNS.search(text):
        raise UnboundPromql("has a long row of signs: write one")
    try:
        tree = ast.parse(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except (
        BaseException
    ) as error:  # a panic of the parser is no Exception, and would end the operator
        raise UnboundPromql(f"is no PromQL ({error}): correct it") from error
    if isinstance(tree, _NO_VECTOR):
        raise UnboundPromql(
            "must be an instant vector, e.g. sum by (version) (increase(…[$block]))"
        )
    return tree


def _text(node: Any, bound: str, left: int) -> str:  # noqa: C901, PLR0911, PLR0912 - a kind each
    """Bind the text; `left` is the number of further levels allowed."""
    if not left:
        raise UnboundPromql(
            f"nests operators, calls and parentheses more than {MOST_NESTED} deep: simplify it"
        )
    inner = partial(_text, bound=bound, left=left - 1)
    match node:
        case ast.NumberLiteral():
            return _number(node.val)
        case ast.StringLiteral():
            return quote(node.val)
        case ast.ParenExpr():
            return f"({inner(node.expr)})"
        case ast.UnaryExpr():
            return f"-({inner(node.expr)})"
        case ast.BinaryExpr():
            matching = _matching(node.modifier)
            return f"({inner(node.lhs)}) {node.op} {matching} ({inner(node.rhs)})"
        case ast.AggregateExpr():
            return _aggregate(node, inner)
        case ast.Call():
            return _call(node, inner)
        case ast.VectorSelector():
            return _selector(node, bound) + _moved(node)
        case ast.MatrixSelector():
            selected = node.vector_selector
            if node.range > LONGEST_RANGE:
                raise UnboundPromql("has a range of more than a day: write $block, or at most 1d")
            return f"{_selector(selected, bound)}[{_duration(node.range)}]{_moved(selected)}"
        case ast.SubqueryExpr():
            raise UnboundPromql(
                "has a subquery, which costs a query a step: write a range of a selector"
            )
        case _:
            kind = type(node).__name__
            raise UnboundPromql(f"has a part that can't be bound to the namespace: {kind}")


def _selector(node: ast.VectorSelector, bound: str) -> str:
    matchers = node.matchers
    if matchers.or_matchers:
        raise UnboundPromql("has matchers joined by `or`: write two selectors instead")
    bounded = [bound]
    for matcher in matchers.matchers:
        if matcher.name == NAMESPACE:
            raise UnboundPromql("has a matcher of namespace, which the operator sets: remove it")
        (label,) = _labels([matcher.name])
        (operator,) = (text for known, text in _OPERATORS if known == matcher.op)
        bounded.append(f"{label}{operator}{quote(matcher.value)}")
    if node.name and not any(matcher.name == "__name__" for matcher in matchers.matchers):
        bounded.append(f"__name__={quote(node.name)}")
    return f"{{{', '.join(bounded)}}}"


def _moved(node: ast.VectorSelector) -> str:
    if node.at is not None:
        raise UnboundPromql("has the modifier `@`: a block is evaluated at its end, remove it")
    return f" offset {_duration(node.offset)}" if node.offset else ""


def _aggregate(node: ast.AggregateExpr, inner: Callable[[Any], str]) -> str:
    by = ""
    if node.modifier is not None:
        word = "by" if node.modifier.type == ast.AggModifierType.By else "without"
        by = f" {word} ({', '.join(_labels(node.modifier.labels))})"
    parameter = "" if node.param is None else f"{inner(node.param)}, "
    return f"{node.op}{by} ({parameter}{inner(node.expr)})"


def _call(node: ast.Call, inner: Callable[[Any], str]) -> str:
    name = node.func.name
    if name in _UNBOUND:
        raise UnboundPromql(f"calls {name}(), but {_UNBOUND[name]}: remove it")
    text = f"{name}({', '.join(map(inner, node.args))})"
    if name in _OF_MATCHERS:
        return f'label_replace({text}, "{NAMESPACE}", "", "", "")'
    return text


def _matching(modifier: ast.BinModifier | None) -> str:
    if modifier is None:
        return ""
    words = ["bool"] if modifier.return_bool else []
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise UnboundPromql("fills in values of missing series: add `or` with a vector instead")
    if modifier.matching is not None:
        on = modifier.matching.type == ast.LabelModifierType.Include
        words.append(
            f"{'on' if on else 'ignoring'} ({', '.join(_labels(modifier.matching.labels))})"
        )
    for card, side in _SIDES:
        if card == modifier.card:
            words.append(f"{side} ({', '.join(_labels(modifier.group_labels or ()))})")
    return " ".join(words)


def _labels(labels: Iterable[str]) -> list[str]:
    names = list(labels)
    for label in names:
        if not _LABEL.fullmatch(label):
            raise UnboundPromql(f"names the label {label!r}: only letters, digits and _ are read")
    return names


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    return ("Inf" if value > 0 else "-Inf") if isinf(value) else repr(value)


def _duration(length: timedelta) -> str:
    milliseconds = round(length.total_seconds() * 1000)
    return f"{milliseconds}ms"
