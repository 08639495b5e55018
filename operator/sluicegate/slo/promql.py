"""The grammar the queries are built from: escaping, matchers, and the exact count of a block.

All functions return text. Text from a DataProduct enters a query through `quote` or
`any_of`, so that no label value can end a matcher, and every selector names a namespace.

One query covers the pods of all products, and Prometheus refuses it as a whole if two series of a
step have the same labels. A pod chooses the labels of its metrics, except those of its target. So
series are summed, without the label that is to be set, before an operator could produce the same
labels twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluicegate.api.promql_text import quote as quote  # noqa: PLC0414 - part of this grammar
from sluicegate.slo import metric_names as names

_REGEX_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def escape_regex(value: str) -> str:
    """Return the RE2 pattern that matches `value` and nothing else (PromQL anchors both ends)."""
    return "".join(f"\\{char}" if char in _REGEX_SPECIAL else char for char in value)


def any_of(label: str, values: Iterable[str]) -> str:
    """Render the matcher of a label for any of `values`; an equality for a single value."""
    ordered_values = sorted(set(values))
    if not ordered_values:
        raise ValueError(f"matcher for label {label!r} needs at least one value")
    if len(ordered_values) == 1:
        return f"{label}={quote(ordered_values[0])}"
    return f"{label}=~{quote('|'.join(escape_regex(value) for value in ordered_values))}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Products that a query reads; there is always a matcher for `namespace`.

    Parameters
    ----------
    namespaces
        Namespaces to read; empty reads every namespace.
    products
        Product names to read; empty reads every product of those namespaces.
    """

    namespaces: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def matchers(self) -> tuple[str, ...]:
        """Return the matchers for any series that carries the target labels of a product's pod."""
        product = any_of(names.PRODUCT, self.products) if self.products else f'{names.PRODUCT}!=""'
        return (self.namespace_matcher(), product)

    def namespace_matcher(self) -> str:
        """Return the matcher that is in every selector, also where there is no product label."""
        if self.namespaces:
            return any_of(names.NAMESPACE, self.namespaces)
        return f'{names.NAMESPACE}!=""'


def select_series(metric: str, matchers: Sequence[str]) -> str:
    """Render an instant vector selector."""
    return f"{metric}{{{', '.join(matchers)}}}"


def select_named(metric: str, matchers: Sequence[str]) -> str:
    """Render an instant vector selector of a metric whose name comes from a user.

    The name is given as a label's value: before the braces `nan`, `on` or `bool` are keywords of
    PromQL.
    """
    return select_series("", [*matchers, f"__name__={quote(metric)}"])


def sum_by(labels: Sequence[str], expression: str) -> str:
    """Sum `expression` so that only `labels` remain."""
    return f"sum by ({', '.join(labels)}) (\n{expression}\n)"


def sum_without(label: str, expression: str) -> str:
    """Sum `expression` over one label."""
    return f"sum without ({label}) (\n{expression}\n)"


def tag(expression: str, label: str, value: str) -> str:
    """Set a label of the operator on `expression`, so that one query returns several quantities.

    The labels of `expression` must be known: two series of a pod may differ in this label alone
    (see `sum_without`).
    """
    return f'label_replace(\n{expression}\n, "{label}", {quote(value)}, "", "")'


def any_expression(expressions: Iterable[str]) -> str:
    """Render the union of expressions with different label sets."""
    return "\nor\n".join(expressions)


def render_count(
    selector: str, window_seconds: int, *, up_selector: str, lag_seconds: int = 0
) -> str:
    """Render the exact growth of each counter of `selector` in a block.

    The difference between the block's edges instead of `increase()`, which extrapolates: two
    samples a block double the variance of a Poisson count. Counts of adjacent blocks add up
    to the growth of the counter. For each series, the first of these cases that applies:

    1. no value below the last one before the block: the peak less that value;
    2. a restart inside the block, seen as a peak above the last value: likewise, so that what
       came before the restart isn't lost;
    3. a series that was not there before, or a counter that restarted between the blocks: its
       whole value, provided its target was scraped in the block before. Without that
       condition a counter that returns after a scrape gap would count its whole life;
    4. a target not scraped in the block before: only the growth between its samples.
       A pod that is given to another product or version is another target.

    In addition, with a tag of its own: the value after a restart inside the block (case 2).

    `up` is the selector of the targets' `up`. Its state is taken over the block before, not
    at an instant: an instant selector reads five minutes back, which is sixty blocks of 5 s.

    Not counted, because no sample shows it: the growth of a series that BentoML exports only from
    its first event on (503, 504, 429), if its first value after a restart is at least the one
    before.
    """
    offset = f" offset {lag_seconds}s" if lag_seconds else ""
    block = f"{selector}[{window_seconds}s]{offset}"
    previous_window = f"[{window_seconds}s] offset {lag_seconds + window_seconds}s"
    was_scraped = (
        f"on ({', '.join(names.TARGET)}) (max_over_time({up_selector}{previous_window}) == 1)"
    )
    peak, last_value, lowest_value = (
        f"{function}_over_time({block})" for function in ("max", "last", "min")
    )
    edge = f"last_over_time({selector}{previous_window})"
    after_restart = f"({last_value} < {peak})\n    and {was_scraped}"
    expressions = (
        f"  {peak} - ({edge} <= {lowest_value})",
        f"  ({peak} > {last_value}) - {edge} >= 0",
        f"  {peak}\n    and {was_scraped}",
        f"  {last_value} - {lowest_value}",
        f"  {tag(sum_without(names.PART_LABEL, after_restart), names.PART_LABEL, 'after_restart')}",
    )
    return "\n  or\n".join(expressions)
