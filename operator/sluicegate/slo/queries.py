"""All queries of the operator to Prometheus, each for all products at once.

The number of queries depends on the kinds of indicators, not on the number of products: at most
ten, two of the infrastructure, and one per fifty raw counters; one more for canaries in which outcomes
of consumers count. The exception are indicators of
PromQL, each of which is a query for one product (`render_ratio`). Only where a scope names
thousands of products does a query have room for fewer counters.

The bad requests have no `or 0 * requests` arm: readers of the answers take a missing bad series
beside a request series as zero, and the requests need not be evaluated twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from sluicegate.api.slos import Indicator, PromqlRatio
from sluicegate.slo import metric_names as names
from sluicegate.slo.gateway import GatewayMetric, render_gateway, render_sent
from sluicegate.slo.promql import (
    Scope,
    any_expression,
    any_of,
    quote,
    render_count,
    select_named,
    select_series,
    sum_by,
    tag,
)

T = TypeVar("T")

NAMES_PER_QUERY: Final = 50
"""Raw counters, or gauges, that one query reads at most."""
LONGEST_QUERY: Final = 8 * 2**20
"""Bytes. Go reads 10 MiB of a form; in a longer one Prometheus finds no parameter at all."""

NO_PRODUCT_ENDPOINT: Final = (
    "/((livez|readyz|healthz|metrics|feedback|docs\\.json|schema\\.json)?|-/mirrored/.*)"
)
"""Paths that BentoML counts though they are no requests of the product's users; those of mirrored
requests are `MIRRORED_PATH` of the library."""
UNKNOWN_PATH: Final = "404|405"
"""Status codes of unknown paths: BentoML counts any path under its raw name; only unknown ones have
no other codes."""

VERSION_LABELS: Final = (names.NAMESPACE, names.PRODUCT, names.VERSION, names.REVISION)
PREDICTION_LABELS: Final = (
    names.NAMESPACE,
    names.PRODUCT,
    names.PREDICTION_VERSION,
    names.PREDICTION_REVISION,
)
REPORTED_LABELS: Final = (*VERSION_LABELS, *PREDICTION_LABELS[2:])
"""Labels of the version whose pods count, and of the version that made the prediction."""
OUTCOMES: Final = {
    names.LABELLED_PREDICTIONS: (names.OUTCOME,),
    names.INDICATOR_EVENTS: (names.INDICATOR, names.OUTCOME),
    names.MARKET_EVENTS: (names.INDICATOR, names.OUTCOME, names.MARKET),
    names.PAIRED_PREDICTIONS: (
        names.SHADOW_VERSION,
        names.SHADOW_REVISION,
        names.OUTCOME,
        names.SHADOW_OUTCOME,
    ),
}
"""Labels of counters of outcomes: of predictions, of the products' own indicators, by market, and
of the predictions of two versions for one request."""


class QueryKind(StrEnum):
    """Subject of a query; the value is its name in logs and metrics."""

    REQUESTS = "requests"
    REQUESTS_BAD = "requests_bad"
    LATENCY = "latency"
    LABELLED = "labelled"
    LABELLED_BY_AGE = "labelled_by_age"
    PAIRED = "paired"
    EVENTS = "events"
    UPSTREAMS = "upstreams"
    MARKETS = "markets"
    COUNTERS = "counters"
    GAUGES = "gauges"
    PROMQL = "promql"
    INPUTS = "inputs"
    TARGETS = "targets"
    CPU = "cpu"
    MEMORY = "memory"
    GATEWAY = "gateway"
    SENT = "sent"
    HISTOGRAM = "histogram"
    CALLERS = "callers"


SUPPLEMENTARY_QUERIES: Final = frozenset(
    {
        QueryKind.CPU,
        QueryKind.MEMORY,
        QueryKind.MARKETS,
        QueryKind.UPSTREAMS,
        QueryKind.GATEWAY,
        QueryKind.SENT,
    }
)
"""Queries that no SLO is counted from: without their answers a check reports it, and the counts
remain valid."""

KUBELET_SECONDS: Final = 60
"""Shortest window for metrics of the kubelet, which measures every ten or fifteen seconds."""


class Fact(StrEnum):
    """Meaning of a row, in the queries that answer several questions."""

    UP = "up"
    """Scrapes that succeeded in the block, of all targets of the version."""
    SCRAPES = "scrapes"
    """Scrapes that were attempted in the block, of all targets of the version."""
    LONGEST = "longest"
    """Attempted scrapes of the target that has most."""
    AGE = "age"
    """Seconds from the newest sample to the block's end."""
    DUPLICATES = "duplicates"
    """Pods that are scraped by more than one target."""
    SECRETLESS = "secretless"
    """Pods whose feedback Secret lacks a key, by their newest sample."""
    MEAN = "mean"
    """Mean of a gauge in the block."""
    WAITED = "waited"
    """Share of time in which a container of the pod could run and had no CPU; the highest of all pods."""
    USED = "used"
    """CPUs that the pod used; the highest of all pods."""
    GOOD = "good"
    """Good events by a product's own expression."""
    TOTAL = "total"
    """All events by a product's own expression."""
    INPUT = "input"
    """Age of an input's newest data in seconds, or number of rules that it breaks, by a product's own expression."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query and its kind; `names` are the raw counters or gauges in it."""

    kind: QueryKind
    text: str
    names: frozenset[str] = frozenset()


OWN_QUERIES: Final = frozenset({QueryKind.PROMQL, QueryKind.INPUTS})
"""Queries that are expressions of one product, and are sent for it alone."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Data that a set of products needs; equal needs give equal queries.

    Parameters
    ----------
    thresholds
        Latency thresholds in use, milliseconds.
    labelled, events, markets
        Whether any product counts outcomes, events of its own, or either by market, by our library.
    counters
        Raw counters with the seconds by which they are read late.
    gauges
        Gauges by name.
    paired
        Whether any product counts outcomes of two versions, by our library.
    upstreams
        Whether outcomes of consumers count in the canary of any product.
    """

    thresholds: frozenset[int] = frozenset()
    labelled: bool = False
    events: bool = False
    markets: bool = False
    counters: frozenset[tuple[str, int]] = frozenset()
    gauges: frozenset[str] = frozenset()
    paired: bool = False
    upstreams: bool = False

    def asks(self, kind: QueryKind) -> bool:
        """Return whether a query of this kind is needed."""
        return bool(
            {
                QueryKind.LATENCY: self.thresholds,
                QueryKind.LABELLED: self.labelled,
                QueryKind.LABELLED_BY_AGE: self.labelled,
                QueryKind.PAIRED: self.paired,
                QueryKind.EVENTS: self.events,
                QueryKind.UPSTREAMS: self.upstreams,
                QueryKind.MARKETS: self.markets,
                QueryKind.COUNTERS: self.counters,
                QueryKind.GAUGES: self.gauges,
            }.get(kind, True)
        )

    def only(self, names: frozenset[str]) -> "Needs":
        """Return the same needs, restricted to these raw counters and gauges."""
        return replace(
            self,
            counters=frozenset(counter for counter in self.counters if counter[0] in names),
            gauges=self.gauges & names,
        )

    @classmethod
    def of(
        cls,
        indicators: Iterable[Indicator],
        *,
        markets: bool = False,
        paired: bool = False,
        upstreams: bool = False,
    ) -> "Needs":
        """Combine what these indicators need."""
        all_indicators = tuple(indicators)
        counters = [definition.counters for definition in all_indicators if definition.counters]
        return cls(
            thresholds=frozenset(
                indicator_spec.latency.threshold_milliseconds
                for indicator_spec in all_indicators
                if indicator_spec.latency
            ),
            labelled=any(definition.outcomes for definition in all_indicators),
            events=any(definition.events for definition in all_indicators),
            markets=markets,
            paired=paired,
            upstreams=upstreams,
            counters=frozenset((counter_pair.good, 0) for counter_pair in counters)
            | frozenset(
                (counter_pair.total, counter_pair.lag_seconds) for counter_pair in counters
            ),
            gauges=frozenset(
                definition.gauge.metric for definition in all_indicators if definition.gauge
            ),
        )


def render_queries(
    scope: Scope,
    window_seconds: int,
    query_needs: Needs,
    *,
    canary: bool = False,
    gateway: GatewayMetric | None = None,
) -> tuple[Query, ...]:
    """Render all queries for blocks of `window_seconds`, to be evaluated at a block's end."""
    queries = tuple(_product_queries(scope, window_seconds, query_needs, canary=canary))
    if gateway is None:
        return queries
    gateway_query = Query(QueryKind.GATEWAY, render_gateway(gateway, window_seconds, scope))
    if gateway.router is None:
        return *queries, gateway_query
    return (
        *queries,
        gateway_query,
        Query(QueryKind.SENT, render_sent(gateway, window_seconds, scope)),
    )


def _product_queries(
    scope: Scope, window: int, query_needs: Needs, *, canary: bool
) -> Iterator[Query]:
    yield Query(QueryKind.TARGETS, render_targets(scope, window))
    yield Query(QueryKind.REQUESTS, render_requests(scope, window))
    yield Query(QueryKind.REQUESTS_BAD, render_unsuccessful(scope, window))
    if query_needs.thresholds:
        yield Query(QueryKind.LATENCY, render_latency(scope, window, query_needs.thresholds))
    if query_needs.labelled:
        yield Query(QueryKind.LABELLED, render_outcomes(scope, window, names.LABELLED_PREDICTIONS))
    if query_needs.events:
        yield Query(QueryKind.EVENTS, render_outcomes(scope, window, names.INDICATOR_EVENTS))
    counters = _render_chunks(sorted(query_needs.counters), partial(render_counters, scope, window))
    for text, chunk in counters:
        yield Query(QueryKind.COUNTERS, text, frozenset(name for name, _ in chunk))
    gauges = _render_chunks(sorted(query_needs.gauges), partial(render_gauges, scope, window))
    for text, gauge_chunk in gauges:
        yield Query(QueryKind.GAUGES, text, frozenset(gauge_chunk))
    window_used = max(window, KUBELET_SECONDS)
    yield Query(QueryKind.CPU, render_cpu(scope, window_used))
    if query_needs.markets:
        yield Query(QueryKind.MARKETS, render_outcomes(scope, window, names.MARKET_EVENTS))
    if canary:
        yield from _canary_queries(scope, window, query_needs)
    else:  # a canary is judged by metrics of its pods
        yield Query(QueryKind.MEMORY, render_memory(scope, window_used))


def _canary_queries(scope: Scope, window: int, query_needs: Needs) -> Iterator[Query]:
    if query_needs.labelled:
        yield Query(QueryKind.LABELLED_BY_AGE, render_outcomes_by_age(scope, window))
    if query_needs.paired:
        yield Query(QueryKind.PAIRED, render_outcomes(scope, window, names.PAIRED_PREDICTIONS))
    if query_needs.upstreams:
        yield Query(QueryKind.UPSTREAMS, render_upstreams(scope, window))


def render_requests(scope: Scope, window: int) -> str:
    """Render the query for requests to the products' own routes."""
    selector = select_requests(names.REQUESTS, scope, [f"{names.CODE}!~{quote(UNKNOWN_PATH)}"])
    return sum_by((*VERSION_LABELS, names.SERVICE), _count(selector, window, scope))


def render_unsuccessful(scope: Scope, window: int) -> str:
    """Render the query for requests answered 4xx or 5xx, by code, those to unknown paths included."""
    selector = select_requests(names.REQUESTS, scope, [f'{names.CODE}=~"[45].."'])
    return sum_by((*VERSION_LABELS, names.SERVICE, names.CODE), _count(selector, window, scope))


def render_latency(scope: Scope, window: int, thresholds: Iterable[int]) -> str:
    """Render the query for requests that succeeded, by the bounds in use and in all (`le="+Inf"`).

    Only 2xx: a refusal by max_concurrency (429) or a validation error (400) is answered in a
    millisecond and would make an overloaded service look fast.
    """
    bucket_bounds = [
        bound_spelling
        for threshold in thresholds
        for bound_spelling in bucket_bound_spellings(threshold)
    ]
    matchers = [f'{names.CODE}=~"2.."', any_of(names.BOUND_LABEL, [*bucket_bounds, "+Inf"])]
    selector = select_requests(names.DURATION_BUCKETS, scope, matchers)
    return sum_by(
        (*VERSION_LABELS, names.SERVICE, names.BOUND_LABEL), _count(selector, window, scope)
    )


def render_histogram(scope: Scope, window: int) -> str:
    """Render the query for requests by operation: successful requests by latency bound, failed requests by status code."""
    group_labels = (names.NAMESPACE, names.PRODUCT, names.ENDPOINT)
    succeeded_requests = select_requests(names.DURATION_BUCKETS, scope, [f'{names.CODE}=~"2.."'])
    matchers = [
        f'{names.BOUND_LABEL}="+Inf"',
        f'{names.CODE}=~"[45].."',
        f"{names.CODE}!~{quote(UNKNOWN_PATH)}",
    ]
    other_answers = select_requests(names.DURATION_BUCKETS, scope, matchers)
    return any_expression(
        [
            sum_by((*group_labels, names.BOUND_LABEL), _count(succeeded_requests, window, scope)),
            sum_by((*group_labels, names.CODE), _count(other_answers, window, scope)),
        ]
    )


def render_callers(scope: Scope, window: int) -> str:
    """Render the query for requests by the name that callers send, and by outcome."""
    selector = select_series(names.CONSUMER_REQUESTS, scope.matchers())
    grouping_labels = (names.NAMESPACE, names.PRODUCT, names.CONSUMER, names.OUTCOME)
    return sum_by(grouping_labels, _count(selector, window, scope))


def bucket_bound_spellings(threshold_milliseconds: int) -> tuple[str, ...]:
    """Return the spellings of a threshold as a bucket's bound, in seconds: "1.0", and "1"."""
    exact_spelling = repr(threshold_milliseconds / 1000)
    return (
        (exact_spelling, exact_spelling.removesuffix(".0"))
        if exact_spelling.endswith(".0")
        else (exact_spelling,)
    )


def render_outcomes(scope: Scope, window: int, metric: str) -> str:
    """Render the query for predictions and events with a known outcome.

    It has them by the version that made them, and by that whose pods counted them (`VERSION_LABELS`).
    """
    selector = select_series(metric, scope.matchers())
    return sum_by((*REPORTED_LABELS, *OUTCOMES[metric]), _count(selector, window, scope))


def render_outcomes_by_age(scope: Scope, window: int) -> str:
    """Render the query for labelled predictions by the class of their age when the label arrived."""
    selector = select_series(names.LABELLED_PREDICTIONS, [*scope.matchers(), f'{names.AGE}!=""'])
    return sum_by((*REPORTED_LABELS, names.OUTCOME, names.AGE), _count(selector, window, scope))


def render_upstreams(scope: Scope, window: int) -> str:
    """Render the query for outcomes, events and requests of consumers by the version of an upstream.

    Beside them are all outcomes and events of these consumers, whatever their upstream served: they show
    what is usual before a canary.
    """
    owner = (names.NAMESPACE, names.PRODUCT)
    upstream = (*owner, names.UPSTREAM, names.UPSTREAM_REVISION)
    expressions = {
        names.UPSTREAM_OUTCOMES: (*upstream, names.OUTCOME, names.AGE),
        names.UPSTREAM_EVENTS: (*upstream, names.INDICATOR, names.OUTCOME),
        names.UPSTREAM_REQUESTS: (*owner, names.UPSTREAM, names.RESULT),
        names.LABELLED_PREDICTIONS: (*owner, names.OUTCOME, names.AGE),
        names.INDICATOR_EVENTS: (*owner, names.INDICATOR, names.OUTCOME),
    }
    return any_expression(
        sum_by(labels, _count(select_series(metric, scope.matchers()), window, scope))
        for metric, labels in expressions.items()
    )


def render_counters(scope: Scope, window: int, counters: Sequence[tuple[str, int]]) -> str:
    """Render the query for raw counters, each tagged with its name and its lag."""
    return any_expression(_counter(scope, window, name, lag) for name, lag in counters)


def _counter(scope: Scope, window: int, name: str, lag: int) -> str:
    up_selector = select_series(names.UP_METRIC, scope.matchers())
    count = render_count(
        select_named(name, scope.matchers()), window, up_selector=up_selector, lag_seconds=lag
    )
    total = sum_by(REPORTED_LABELS, count)
    return tag(tag(total, names.COUNTER, name), names.LAG, str(lag))


def render_gauges(scope: Scope, window: int, gauges: Sequence[str]) -> str:
    """Render the query for means of gauges in the block, and the age of their newest sample."""
    return any_expression(
        expression for name in gauges for expression in _gauge_expressions(scope, window, name)
    )


def _gauge_expressions(scope: Scope, window: int, name: str) -> Iterator[str]:
    selector, group_labels = select_named(name, scope.matchers()), ", ".join(VERSION_LABELS)
    facts = {
        Fact.MEAN: f"avg by ({group_labels}) (avg_over_time({selector}[{window}s]))",
        Fact.AGE: f"time() - max by ({group_labels}) (timestamp({selector}))",
    }
    for fact_label, expression in facts.items():
        yield tag(tag(expression, names.COUNTER, name), names.FACT_LABEL, fact_label)


def render_ratio(key: tuple[str, str], slo: str, ratio: PromqlRatio, window: int) -> str:
    """Render the query for good and all events by a product's own expressions, as series of that product.

    Raises
    ------
    UnboundPromql
        An expression can't be bound to the product's namespace.
    """
    from sluicegate.api.bound_promql import bind_promql  # noqa: PLC0415 - its parser takes memory

    namespace, product = key
    owner = {names.NAMESPACE: namespace, names.PRODUCT: product, names.COUNTER: slo}
    expressions = []
    for fact_label, expression in ((Fact.GOOD, ratio.good), (Fact.TOTAL, ratio.total)):
        arm = sum_by(VERSION_LABELS[2:], bind_promql(expression, namespace, window))
        for label, value in {**owner, names.FACT_LABEL: fact_label}.items():
            arm = tag(arm, label, value)
        expressions.append(arm)
    return any_expression(expressions)


def render_input(key: tuple[str, str], name: str, expression: str, window: int) -> str:
    """Render the query for one input of a product, by the expression in the product's spec.

    Raises
    ------
    UnboundPromql
        The expression can't be bound to the product's namespace.
    """
    from sluicegate.api.bound_promql import bind_promql  # noqa: PLC0415 - its parser takes memory

    arm = f"max({bind_promql(expression, key[0], window)})"
    owner = {names.NAMESPACE: key[0], names.PRODUCT: key[1], names.COUNTER: name}
    for label, value in {**owner, names.FACT_LABEL: Fact.INPUT}.items():
        arm = tag(arm, label, value)
    return arm


def render_targets(scope: Scope, window: int) -> str:
    """Render the query for the scrapes of a block, pods that are scraped twice, and those without a Secret."""
    up_selector, group_labels = (
        select_series(names.UP_METRIC, scope.matchers()),
        ", ".join(VERSION_LABELS),
    )
    secret_selector = select_series(names.SECRET_USABLE, scope.matchers())
    duplicated_targets = (
        f"count by ({group_labels}, {names.POD}) (count_over_time({up_selector}[{window}s])) > 1"
    )
    facts = {
        Fact.UP: f"sum by ({group_labels}) (sum_over_time({up_selector}[{window}s]))",
        Fact.SCRAPES: f"sum by ({group_labels}) (count_over_time({up_selector}[{window}s]))",
        Fact.LONGEST: f"max by ({group_labels}) (count_over_time({up_selector}[{window}s]))",
        Fact.AGE: f"time() - max by ({group_labels}) (timestamp({up_selector}))",
        Fact.DUPLICATES: f"count by ({group_labels}) ({duplicated_targets})",
        Fact.SECRETLESS: f"count by ({group_labels}) (last_over_time({secret_selector}[{window}s]) == 0)",
    }
    return any_expression(
        tag(expression, names.FACT_LABEL, fact_label) for fact_label, expression in facts.items()
    )


def render_cpu(scope: Scope, window: int) -> str:
    """Render the query for CPU throttling of a version, and for the CPU of its busiest pod.

    The untagged series is the share of CPU periods in which the version's containers were
    throttled; `WAITED` is the share of time in which a container could run and had no CPU, `USED`
    the CPUs that the pod used.
    """

    def usage_ratio(function: str, metric: str, *, pod_selector: str) -> str:
        pods = _aggregate_by_pod("sum", f"{function}({_container(metric, scope)}[{window}s])")
        return _aggregate_by_version(pod_selector, pods, scope, window)

    throttled_periods, periods = (
        usage_ratio("increase", metric_name, pod_selector="sum")
        for metric_name in (names.CPU_THROTTLED, names.CPU_PERIODS)
    )
    metric_by_fact = {Fact.WAITED: names.CPU_WAITED, Fact.USED: names.CPU_USED}
    highest_usage = [
        tag(usage_ratio("rate", metric_name, pod_selector="max"), names.FACT_LABEL, fact_label)
        for fact_label, metric_name in metric_by_fact.items()
    ]
    return any_expression([f"{throttled_periods}\n/\n({periods} > 0)", *highest_usage])


def render_memory(scope: Scope, window: int) -> str:
    """Render the query for the highest share of its memory limit that a container of a version reached."""
    memory_used = f"max_over_time({_container(names.MEMORY_USED, scope)}[{window}s])"
    limit = f"({_container(names.MEMORY_LIMIT, scope)} > 0)"
    join_labels = f"{names.NAMESPACE}, {names.POD}, container"
    memory_share = f"max by ({join_labels}) ({memory_used})\n/\nmax by ({join_labels}) ({limit})"
    return _aggregate_by_version("max", _aggregate_by_pod("max", memory_share), scope, window)


def select_requests(metric: str, scope: Scope, matchers: Sequence[str]) -> str:
    """Render the selector of BentoML's series about requests of the product's users."""
    endpoint = f"{names.ENDPOINT}!~{quote(NO_PRODUCT_ENDPOINT)}"
    return select_series(metric, [*scope.matchers(), endpoint, *matchers])


def _count(selector: str, window: int, scope: Scope) -> str:
    return render_count(
        selector, window, up_selector=select_series(names.UP_METRIC, scope.matchers())
    )


def _container(metric: str, scope: Scope) -> str:
    """Select a series of the kubelet, which has pods, not products; the pause container has no name."""
    return select_series(metric, [scope.namespace_matcher(), 'container!=""'])


def _aggregate_by_pod(operator: str, expression: str) -> str:
    """Aggregate series of containers to one series for each pod."""
    return f"{operator} by ({names.NAMESPACE}, {names.POD}) ({expression})"


def _aggregate_by_version(operator: str, expression: str, scope: Scope, window: int) -> str:
    """Aggregate `expression`, one series for each pod, over the pods of a version.

    A pod whose labels changed has belonged to two versions in the window: it counts for the one
    as which it was scraped most often. With two owners Prometheus would refuse the whole query.
    """
    up_selector = select_series(names.UP_METRIC, scope.matchers())
    group_labels = f"{names.POD}, {', '.join(VERSION_LABELS)}"
    join_labels = f"{names.NAMESPACE}, {names.POD}"
    owner = f"topk by ({join_labels}) (1, max by ({group_labels}) (count_over_time({up_selector}[{window}s])))"
    version_join = (
        f"* on ({join_labels}) group_left ({', '.join(VERSION_LABELS[1:])}) (\n0 * {owner} + 1\n)"
    )
    return f"{operator} by ({', '.join(VERSION_LABELS)}) (\n{expression}\n{version_join}\n)"


def _render_chunks(
    values: Sequence[T], render: Callable[[Sequence[T]], str]
) -> Iterator[tuple[str, Sequence[T]]]:
    """Yield the rendered query of each chunk of `values` that fits into one, with the chunk.

    The length of a rendered value is estimated from the first: the matchers are the same and the
    names are short.
    """
    if not values:
        return
    first_chunk = render(values[:1])
    # A form escapes the bar between two names as three bytes, and little else.
    characters_left = LONGEST_QUERY // (len(first_chunk) + 2 * first_chunk.count("|"))
    size = max(1, min(NAMES_PER_QUERY, characters_left))
    for start in range(0, len(values), size):
        chunk = values[start : start + size]
        yield render(chunk), chunk
