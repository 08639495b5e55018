"""The text of queries: nothing that a user writes can change what is asked."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.slos import Indicator
from sluicegate.slo import queries
from sluicegate.slo.gateway import TRAEFIK_METRIC, GatewayMetric, render_gateway, render_sent
from sluicegate.slo.promql import Scope, any_of, escape_regex, quote, render_count
from sluicegate.slo.queries import Needs, QueryKind, bucket_bound_spellings, render_queries

NAMES_PER_QUERY = 50

EVERYTHING = Needs(
    thresholds=frozenset({250, 1000}),
    labelled=True,
    events=True,
    counters=frozenset({("search_served_total", 1800), ("search_clicked_total", 0)}),
    gauges=frozenset({"basket_value"}),
)


def unquote(literal: str) -> str:
    """Read a PromQL string literal as Prometheus does."""
    assert literal[0] == literal[-1] == '"'
    text, characters = "", iter(literal[1:-1])
    for char in characters:
        assert char not in {'"', "\n"}
        text += {"n": "\n", "\\": "\\", '"': '"'}[next(characters)] if char == "\\" else char
    return text


@pytest.mark.slow
@given(st.text())
def test_a_quoted_promql_value_round_trips(value: str):
    assert unquote(quote(value)) == value


@given(st.lists(st.text(min_size=1), min_size=2, unique=True))
def test_a_matcher_for_several_values_matches_each_and_escapes_all(values: list[str]):
    matcher = any_of("product", values)
    pattern = unquote(matcher.removeprefix("product=~"))
    assert pattern == "|".join(escape_regex(value) for value in sorted(values))


@pytest.mark.parametrize("value", ['x"} or up{a="', "a\\", "a\nb", "it's"])
def test_a_hostile_value_stays_inside_its_quotes(value: str):
    assert unquote(any_of("product", [value]).removeprefix("product=")) == value


def test_a_promql_pattern_escapes_every_special_character():
    assert escape_regex("a.b+c|d(e)[f]{g}^$*?\\") == (
        "a\\.b\\+c\\|d\\(e\\)\\[f\\]\\{g\\}\\^\\$\\*\\?\\\\"
    )


def test_a_matcher_without_values_is_an_error():
    with pytest.raises(ValueError, match="at least one value"):
        any_of("product", [])


def braces(text: str) -> list[str]:
    """Return the matchers between the braces of each selector."""
    return [part.split("}")[0] for part in text.split("{")[1:]]


@pytest.mark.parametrize("scope", [Scope(), Scope(("a", "b")), Scope(("a",), ("x", "y"))])
def test_every_selector_of_every_query_names_a_namespace(scope: Scope):
    for query in render_queries(scope, 300, EVERYTHING):
        for selector in braces(query.text):
            assert selector.startswith(scope.namespace_matcher()), query


def test_every_selector_of_a_gateway_names_a_namespace_too():
    gateway = GatewayMetric("traefik_service_requests_total", "service", ("gateway",))
    for selector in braces(render_gateway(gateway, 60, Scope((), ("cars",)))):
        assert selector.startswith('namespace="gateway"')


WORDS = ("inf", "NaN", "bool", "on", "ignoring", "group_left", "GROUP_RIGHT", "atan2", "by", "sum")


@pytest.mark.parametrize("word", WORDS)
def test_a_user_metric_name_is_a_quoted_value_in_the_query(word: str):
    needs = Needs(counters=frozenset({(word, 0), (word, 60)}), gauges=frozenset({word}))
    for query in render_queries(Scope(), 300, needs):
        if query.kind in {QueryKind.COUNTERS, QueryKind.GAUGES}:
            assert f"{word}{{" not in query.text
            selectors = [brace for brace in braces(query.text) if "__name__" in brace]
            assert selectors
            assert all(selector.endswith(f'__name__="{word}"') for selector in selectors)


def test_label_replace_is_used_only_if_series_stay_distinct():
    """A pod chooses its labels, and Prometheus refuses a query whose answer has a row twice."""
    texts = [query.text for query in render_queries(Scope(), 300, EVERYTHING)]
    texts.append(
        render_gateway(
            GatewayMetric("sent_total", "service", ("gateway",)), 60, Scope((), ("cars",))
        )
    )
    summed = re.compile(
        r"\s*(label_replace\(|(sum|avg|max|count) (by|without) \(|time\(\) - max by)"
    )
    for text in texts:
        for piece in text.split("label_replace(")[1:]:
            assert summed.match(piece) or not piece.strip(), piece
        for part in text.split('"sluicegate_part", "after_restart"')[:-1]:
            assert "sum without (sluicegate_part) (" in part.rpartition("label_replace(")[2]


def test_a_block_takes_at_most_eleven_queries_and_one_per_fifty_counters():
    counters = frozenset((f"c{number}_total", 0) for number in range(3 * NAMES_PER_QUERY - 1))
    needs = Needs(frozenset({250}), True, True, True, counters, frozenset({"g"}))
    queries = render_queries(Scope(), 300, needs)
    infrastructure = {QueryKind.CPU, QueryKind.MEMORY}
    of_counters = [q for q in queries if q.kind is QueryKind.COUNTERS]
    others = [q for q in queries if q.kind not in infrastructure | {QueryKind.COUNTERS}]
    assert len(of_counters) == 3
    assert len(others) <= 9
    assert len(queries) - len(of_counters) - len(others) == 2


def test_a_query_scope_has_at_least_one_name(monkeypatch):
    counters = frozenset({("a_total", 0), ("b_total", 0)})
    monkeypatch.setattr(queries, "LONGEST_QUERY", 1)
    asked = render_queries(Scope(), 300, Needs(counters=counters, gauges=frozenset({"g"})))
    assert [one.names for one in asked if one.names] == [{"a_total"}, {"b_total"}, {"g"}]


@pytest.mark.parametrize(
    ("scope", "backend"),
    [
        (Scope(), ".*"),
        (Scope(("a",)), "(?:a)-.+-[0-9a-f]+"),
        (Scope((), ("x", "b.c")), ".+-(?:b\\.c|x)-[0-9a-f]+"),
    ],
)
def test_a_gateway_query_selects_the_backends_of_its_scope(scope, backend):
    assert GatewayMetric("m", "l", before="<", after=">").pattern(scope) == f"<({backend})>"


def test_a_gateway_without_route_metrics_has_no_route_query():
    gateway = GatewayMetric("m", "l")
    with pytest.raises(ValueError, match="m: its gateway doesn't count by route"):
        render_sent(gateway, 60)
    kinds = [query.kind for query in render_queries(Scope(), 60, Needs(), gateway=gateway)]
    assert (kinds.count(QueryKind.GATEWAY), kinds.count(QueryKind.SENT)) == (1, 0)
    kinds = [query.kind for query in render_queries(Scope(), 60, Needs(), gateway=TRAEFIK_METRIC)]
    assert (kinds.count(QueryKind.GATEWAY), kinds.count(QueryKind.SENT)) == (1, 1)


def test_no_query_is_rendered_for_a_kind_that_no_slo_needs():
    kinds = [query.kind for query in render_queries(Scope(), 300, Needs(), canary=True)]
    assert kinds == [
        QueryKind.TARGETS, QueryKind.REQUESTS, QueryKind.REQUESTS_BAD, QueryKind.CPU,
    ]  # fmt: skip


def test_thousands_of_products_share_the_queries_of_their_indicators():
    few = [Indicator(latency={"thresholdMilliseconds": 250}), Indicator(availability={})]
    assert Needs.of(few * 5_000) == Needs.of(few)


@pytest.mark.parametrize(
    ("milliseconds", "spellings"),
    [(5, ("0.005",)), (250, ("0.25",)), (1_000, ("1.0", "1")), (180_000, ("180.0", "180"))],
)
def test_a_latency_query_matches_each_notation_of_the_threshold(milliseconds, spellings):
    assert bucket_bound_spellings(milliseconds) == spellings


def test_lagging_good_events_are_compared_with_totals_of_their_own_time():
    needs = Needs.of(
        [Indicator(counters={"good": "g_total", "total": "t_total", "lagSeconds": 60})]
    )
    assert needs.counters == {("g_total", 0), ("t_total", 60)}
    count = render_count("t_total{}", 300, up_selector="up{}", lag_seconds=60)
    assert "t_total{}[300s] offset 60s" in count
    assert "t_total{}[300s] offset 360s" in count
    assert "up{}[300s] offset 360s" in count


def test_probes_feedback_and_unknown_paths_are_excluded_from_requests():
    requests = next(
        query.text
        for query in render_queries(Scope(), 300, Needs())
        if query.kind is QueryKind.REQUESTS
    )
    own = "(livez|readyz|healthz|metrics|feedback|docs\\\\.json|schema\\\\.json)?"
    assert f"/({own}|-/mirrored/.*)" in requests
    assert 'http_response_code!~"404|405"' in requests
