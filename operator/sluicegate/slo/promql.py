"""The grammar the queries are built from: escaping, matchers, and the exact count of a block.

Text in, text out. Whatever comes from a DataProduct enters a query through `quote` or
`any_of`, so that no label value can end a matcher, and every selector names a namespace.

One query is about the pods of all products, and Prometheus refuses it whole where two series
of a step have the same labels. A pod chooses the labels of its metrics page but for those of
its target, so no operator that may meet the same labels twice is given series as they are:
they are summed first, without whatever label is to be set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sluicegate.api.promql_text import quote as quote  # noqa: PLC0414 - part of this grammar
from sluicegate.slo import metric_names as names

_REGEX_SPECIAL = frozenset(r"\.+*?()|[]{}^$")


def escape_regex(value: str) -> str:
    """The RE2 pattern that matches `value` and nothing else (PromQL anchors both ends)."""
    return "".join(f"\\{char}" if char in _REGEX_SPECIAL else char for char in value)


def any_of(label: str, values: Iterable[str]) -> str:
    """A matcher for a label that holds one of `values`; an equality where there is one."""
    ordered = sorted(set(values))
    if not ordered:
        raise ValueError(f"matcher for label {label!r} needs at least one value")
    if len(ordered) == 1:
        return f"{label}={quote(ordered[0])}"
    return f"{label}=~{quote('|'.join(escape_regex(value) for value in ordered))}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which products a query reads; it always says something about `namespace`.

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
        """Matchers for any series that carries the target labels of a product's pod."""
        product = any_of(names.PRODUCT, self.products) if self.products else f'{names.PRODUCT}!=""'
        return (self.namespace_matcher(), product)

    def namespace_matcher(self) -> str:
        """The one matcher that is in every selector, also where there is no product label."""
        if self.namespaces:
            return any_of(names.NAMESPACE, self.namespaces)
        return f'{names.NAMESPACE}!=""'


def select(metric: str, matchers: Sequence[str]) -> str:
    """An instant vector selector."""
    return f"{metric}{{{', '.join(matchers)}}}"


def select_named(metric: str, matchers: Sequence[str]) -> str:
    """An instant vector selector of a metric whose name a user gave.

    The name is a label's value: in front of the braces `nan`, `on` or `bool` are words of PromQL.
    """
    return select("", [*matchers, f"__name__={quote(metric)}"])


def sum_by(labels: Sequence[str], expression: str) -> str:
    """`expression` summed so that only `labels` stay."""
    return f"sum by ({', '.join(labels)}) (\n{expression}\n)"


def sum_without(label: str, expression: str) -> str:
    """`expression` without a label; series that no other label distinguishes are summed."""
    return f"sum without ({label}) (\n{expression}\n)"


def tag(expression: str, label: str, value: str) -> str:
    """`expression` with a label of ours, so that several answers fit in one query.

    The labels of `expression` must be known: of series that a pod exposes, two may differ in
    nothing but this label (see `sum_without`).
    """
    return f'label_replace(\n{expression}\n, "{label}", {quote(value)}, "", "")'


def any_arm(arms: Iterable[str]) -> str:
    """The union of expressions whose label sets differ."""
    return "\nor\n".join(arms)


def render_count(selector: str, window_seconds: int, *, up: str, lag_seconds: int = 0) -> str:
    """How much each counter of `selector` grew in a block, exactly.

    The difference between the block's edges instead of `increase()`, which extrapolates: two
    samples a block double the variance of a Poisson count. Counts of adjacent blocks add up
    to the growth of the counter. The first that applies, per series:

    1. no value below the last one before the block: the peak less that value;
    2. a restart inside the block, seen as a peak above the last value: likewise, so that what
       came before the restart isn't lost;
    3. a series that was not there before, or a counter that restarted between the blocks: its
       whole value, provided its target was scraped in the block before. Without that
       condition a counter seen again after a scrape gap counts its whole life;
    4. a target not scraped in the block before: only the growth that was seen. A pod that is
       given to another product or version is another target.

    In addition, tagged apart: the value after a restart inside the block (of 2).

    `up` is the selector of the targets' `up`. Its state is taken over the block before, not
    at an instant: an instant looks back five minutes, which is sixty blocks of 5 s.

    What no value shows isn't counted: a series that BentoML exports only from its first event
    on (503, 504, 429), and that after a restart is first seen at no less than it was before.
    """
    offset = f" offset {lag_seconds}s" if lag_seconds else ""
    block = f"{selector}[{window_seconds}s]{offset}"
    before = f"[{window_seconds}s] offset {lag_seconds + window_seconds}s"
    scraped = f"on ({', '.join(names.TARGET)}) (max_over_time({up}{before}) == 1)"
    peak, last, least = (f"{each}_over_time({block})" for each in ("max", "last", "min"))
    edge = f"last_over_time({selector}{before})"
    after_restart = f"({last} < {peak})\n    and {scraped}"
    arms = (
        f"  {peak} - ({edge} <= {least})",
        f"  ({peak} > {last}) - {edge} >= 0",
        f"  {peak}\n    and {scraped}",
        f"  {last} - {least}",
        f"  {tag(sum_without(names.PART, after_restart), names.PART, 'after_restart')}",
    )
    return "\n  or\n".join(arms)
