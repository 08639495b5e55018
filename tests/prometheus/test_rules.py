"""The queries as Prometheus' own tools read them: what they count in each awkward case.

Series are scraped each 30 s; a block is 5 minutes, so it holds the samples 10k+1 … 10k+10.
In promtool's notation 1x3 is four samples, but _x3 is three without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api.slos import Indicator
from sluicegate.prometheus.query_scopes import split_scopes
from sluicegate.prometheus.result_table import KINDS_WITHOUT_VERSION
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.gateway import (
    TRAEFIK_METRIC,
    GatewayMetric,
    render_gateway,
    render_sent,
)
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import (
    Query,
    QueryKind,
    render_queries,
)
from tests.support.prometheus.promtool import (
    NEEDS,
    OTHER,
    ROUTE,
    TARGET,
    VERSION,
    check_values,
    check_values_at,
    query,
    requests,
    run,
    up,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COUNTED_BY_V1 = 'namespace="catalog", product="search", version="v1"'
"""The labels of the version whose pods counted, beside those of the version that predicted."""


def test_the_latency_query_counts_five_percent_of_requests_above_half_a_second(
    promtool: Path, tmp_path: Path
):
    def bucket(bound: str, step: int, code: int = 200):
        labels = f'{TARGET}, {ROUTE}, http_response_code="{code}", le="{bound}"'
        name = "bentoml_service_request_duration_seconds_bucket"
        return {"series": f"{name}{{{labels}}}", "values": f"0+{step}x40"}

    series = [
        up(),
        *(bucket(bound, step) for bound, step in (("0.1", 1), ("0.5", 19), ("+Inf", 20))),
        # Refused in a millisecond, and broken: neither makes the service look fast.
        *(bucket(bound, 50, code) for bound in ("0.5", "+Inf") for code in (429, 500)),
    ]
    samples = [
        {"labels": VERSION.replace("}", f', le="{bound}"}}'), "value": value}
        for bound, value in (("+Inf", 200), ("0.5", 190))
    ]
    check_values(promtool, tmp_path, series, {query(QueryKind.LATENCY): samples})


def test_outcomes_are_counted_for_the_predicting_version(promtool: Path, tmp_path: Path):
    def labelled(outcome: str, version: str, values: str):
        labels = f'{TARGET}, outcome="{outcome}", prediction_version="{version}"'
        return {"series": f"sluicegate_predictions_labelled_total{{{labels}}}", "values": values}

    def sample(outcome: str, version: str, value: float):
        labels = f'{COUNTED_BY_V1}, prediction_version="{version}"'
        return {"labels": f'{{{labels}, outcome="{outcome}"}}', "value": value}

    series = [
        up(),
        labelled("correct", "v1", "0+9x40"),
        labelled("wrong", "v1", "0+1x40"),
        labelled("wrong", "v0", "0x12 2x30"),
    ]
    samples = [
        sample("correct", "v1", 90),
        sample("wrong", "v1", 10),
        sample("wrong", "v0", 2),
    ]
    check_values(promtool, tmp_path, series, {query(QueryKind.LABELLED): samples})


def test_pairs_are_counted_for_the_answering_and_the_mirrored_version(
    promtool: Path, tmp_path: Path
):
    def by(outcome: str, said: str, shadow: str) -> str:
        return (
            f'outcome="{outcome}", shadow_outcome="{said}", prediction_version="v1",'
            f' prediction_revision="a", shadow_version="{shadow}", shadow_revision="b"'
        )

    name = "sluicegate_predictions_paired_total"
    series = [
        up(),
        {"series": f"{name}{{{TARGET}, {by('correct', 'wrong', 'v2')}}}", "values": "0+1x40"},
        {"series": f"{name}{{{TARGET}, {by('wrong', 'correct', 'v2')}}}", "values": "0+2x40"},
        # The first pair of a version, whose series wasn't there before.
        {"series": f"{name}{{{TARGET}, {by('wrong', 'wrong', 'v3')}}}", "values": "_x17 3x30"},
    ]
    samples = [
        {"labels": f"{{{COUNTED_BY_V1}, {by('correct', 'wrong', 'v2')}}}", "value": 10},
        {"labels": f"{{{COUNTED_BY_V1}, {by('wrong', 'correct', 'v2')}}}", "value": 20},
        {"labels": f"{{{COUNTED_BY_V1}, {by('wrong', 'wrong', 'v3')}}}", "value": 3},
    ]
    check_values(promtool, tmp_path, series, {query(QueryKind.PAIRED): samples})


def test_consumer_outcomes_are_counted_for_the_upstream_version(promtool: Path, tmp_path: Path):
    upstream = 'upstream="catalog/pricing"'
    version = f'{upstream}, upstream_revision="b"'
    counted = {
        "sluicegate_upstream_outcomes_total": f'{version}, outcome="wrong", age="30"',
        "sluicegate_upstream_events_total": f'{version}, indicator="click", outcome="bad"',
        "sluicegate_upstream_requests_total": f'{upstream}, result="mixed"',
        "sluicegate_predictions_labelled_total": 'outcome="wrong", age="30"',
        "sluicegate_indicator_events_total": 'indicator="click", outcome="bad"',
    }
    others = {
        "sluicegate_upstream_outcomes_total": ', upstream_version="v2"',
        "sluicegate_upstream_events_total": ', upstream_version="v2"',
        "sluicegate_predictions_labelled_total": ', prediction_version="v7"',
        "sluicegate_indicator_events_total": ', prediction_version="v7"',
    }
    series, samples = [up()], []
    for number, (name, labels) in enumerate(counted.items(), start=1):
        target = f"{TARGET}, {labels}{others.get(name, '')}"
        series.append({"series": f"{name}{{{target}}}", "values": f"0+{number}x40"})
        of = f'{{namespace="catalog", product="search", {labels}}}'
        samples.append({"labels": of, "value": 10 * number})
    check_values(promtool, tmp_path, series, {query(QueryKind.UPSTREAMS): samples})


def test_good_and_bad_events_are_counted_by_market(promtool: Path, tmp_path: Path):
    def by(labels: str) -> str:
        return (
            f'{labels}, indicator="availability", outcome="bad", prediction_version="v1", market='
        )

    series = [
        up(),
        {"series": f'sluicegate_market_events_total{{{by(TARGET)}"AT"}}', "values": "0+2x40"},
        {"series": f'sluicegate_market_events_total{{{by(TARGET)}"other"}}', "values": "0x40"},
    ]
    samples = [
        {"labels": f'{{{by(COUNTED_BY_V1)}"AT"}}', "value": 20},
        {"labels": f'{{{by(COUNTED_BY_V1)}"other"}}', "value": 0},
    ]
    check_values(promtool, tmp_path, series, {query(QueryKind.MARKETS): samples})


def test_totals_are_read_with_the_lag_of_good_events_as_offset(promtool: Path, tmp_path: Path):
    series = [
        up("1x80"),
        {"series": f"served_total{{{TARGET}}}", "values": "0+10x60"},
        {"series": f"clicked_total{{{TARGET}}}", "values": "0x40 1+1x60"},
    ]
    # At minute 25 the total is that of minutes 10 to 15.
    labels = 'namespace="catalog", product="search", version="v1"'
    samples = [
        {"labels": f'{{{labels}, sluicegate_counter="{name}", sluicegate_lag="{lag}"}}', "value": v}
        for name, lag, v in (("clicked_total", 0, 10), ("served_total", 600, 100))
    ]
    check_values_at(promtool, tmp_path, series, [(25, query(QueryKind.COUNTERS), samples)])


def test_the_target_query_has_scrapes_failed_scrapes_and_pods_scraped_twice(
    promtool: Path, tmp_path: Path
):
    labels = 'namespace="catalog", product="search", version="v1"'
    facts = {"age": 0, "duplicates": 1, "longest": 10, "scrapes": 30, "up": 25}
    samples = [
        {"labels": f'{{{labels}, sluicegate_fact="{fact}"}}', "value": value}
        for fact, value in facts.items()
    ]
    twice = TARGET.replace('job="j"', 'job="other"')
    series = [up(), up("1x40", twice), up("1x15 0x20", OTHER)]
    check_values(promtool, tmp_path, series, {query(QueryKind.TARGETS): samples})


def test_the_container_query_has_throttling_waiting_and_memory_by_product(
    promtool: Path, tmp_path: Path
):
    def container(metric: str, values: str, pod: str = "p-0"):
        labels = f'namespace="catalog", pod="{pod}", container="server", job="kubelet"'
        return {"series": f"{metric}{{{labels}}}", "values": values}

    series = [
        up(),
        container("container_cpu_cfs_periods_total", "0+20x40"),
        container("container_cpu_cfs_throttled_periods_total", "0+5x40"),
        container("container_pressure_cpu_waiting_seconds_total", "0+9x40"),
        container("container_cpu_usage_seconds_total", "0+6x40"),
        container("container_pressure_cpu_waiting_seconds_total", "0+30x40", "of-nobody"),
        container("container_memory_working_set_bytes", "300x40"),
        container("container_spec_memory_limit_bytes", "400x40"),
        container("container_memory_working_set_bytes", "999x40", "of-nobody"),
        container("container_spec_memory_limit_bytes", "999x40", "of-nobody"),
    ]
    labels = '{namespace="catalog", product="search", version="v1"}'
    fact = labels.replace("}", ', sluicegate_fact="%s"}')
    expected = {
        query(QueryKind.CPU): [
            {"labels": labels, "value": 0.25},
            {"labels": fact % "waited", "value": 0.3},
            {"labels": fact % "used", "value": 0.2},
        ],
        query(QueryKind.MEMORY): [{"labels": labels, "value": 0.75}],
    }
    check_values(promtool, tmp_path, series, expected)


NATIVE = "{{schema:0 count:4 sum:5 buckets:[1 2 1]}}"


HOSTILE = TARGET.replace("search", "hostile").replace("p-0", "p-9")


@pytest.mark.parametrize("values", [f"{NATIVE}x40", f"1x15 {NATIVE}x24", f"{NATIVE}x15 1+1x24"])
def test_native_histograms_of_another_product_do_not_affect_counts(
    values: str, promtool: Path, tmp_path: Path
):
    """Under the names of counters and gauges, alone or between numbers."""

    def page(metric: str, labels: str = "") -> dict:
        return {"series": f"{metric}{{{HOSTILE}{labels}}}", "values": values}

    route = f', {ROUTE}, http_response_code="200"'
    series = [
        up(),
        up("1x40", HOSTILE),
        requests("0+1x40"),
        page("bentoml_service_request_total", route),
        page("bentoml_service_request_duration_seconds_bucket", f'{route}, le="0.5"'),
        page("sluicegate_predictions_labelled_total", ', outcome="correct"'),
        page("served_total"),
        page("sluicegate_market_events_total", ', indicator="outcomes", market="AT"'),
        {"series": f"basket_value{{{TARGET}}}", "values": "42x40"},
        page("basket_value"),
        {**page("up"), "series": f'up{{{HOSTILE}, other="1"}}'},
        page("container_cpu_cfs_periods_total", ', container="x"'),
        page("container_memory_working_set_bytes", ', container="x"'),
    ]
    # A product's own PromQL reads what its author names, and no page of pods.
    kinds = [one for one in QueryKind if one not in KINDS_WITHOUT_VERSION | {QueryKind.PROMQL}]
    # What is said of anybody else is dropped, and what is said of ours is no histogram.
    ours = {kind: f'label_replace({query(kind)}, "n", "$1", "product", "(.*)")' for kind in kinds}
    of_search = 'label_replace(vector(0), "n", "search", "", "")'
    expected = {f"count(({text}) and on (n) {of_search})": kind for kind, text in ours.items()}
    rows = {QueryKind.REQUESTS: 1, QueryKind.TARGETS: 4, QueryKind.GAUGES: 2}
    check_values(
        promtool,
        tmp_path,
        series,
        {
            text: [{"labels": "{}", "value": rows[kind]}] if kind in rows else []
            for text, kind in expected.items()
        },
    )
    mean = f"avg(({ours[QueryKind.REQUESTS]}) and on (n) {of_search})"
    check_values(promtool, tmp_path, series, {mean: [{"labels": "{}", "value": 10}]})


def test_a_pod_relabelled_to_another_product_has_one_owner_and_no_earlier_counts(
    promtool: Path, tmp_path: Path
):
    """Its counter of a whole life doesn't count for the new product, and no other product loses facts."""

    def container(pod: str, share: int) -> list[dict]:
        labels = f'namespace="catalog", pod="{pod}", container="server", job="kubelet"'
        values = {"throttled_periods": f"0+{share}x40", "periods": "0+20x40"}
        return [
            {"series": f"container_cpu_cfs_{name}_total{{{labels}}}", "values": text}
            for name, text in values.items()
        ]

    moved = TARGET.replace("search", "moved").replace("p-0", "p-1")
    to = moved.replace("moved", "other")
    series = [
        up(),
        up("1x17 stale", moved),
        up("_x18 1x20", to),
        requests("1000+1x17 stale", 200, moved),
        requests("_x18 1018+1x20", 200, to),
        *container("p-0", 5),
        *container("p-1", 10),
    ]
    labels = '{namespace="catalog", product="%s", version="v1"}'
    of = VERSION.replace("search", "%s")
    expected = {
        query(QueryKind.CPU): [
            {"labels": labels % "search", "value": 0.25},
            {"labels": labels % "moved", "value": 0.5},
        ],
        query(QueryKind.REQUESTS): [
            {"labels": of % "moved", "value": 7},
            {"labels": of % "other", "value": 2},
        ],
    }
    check_values(promtool, tmp_path, series, expected)


def test_the_gauge_query_returns_the_age_of_the_newest_sample(promtool: Path, tmp_path: Path):
    series = [up(), {"series": f"basket_value{{{TARGET}}}", "values": "40x10 41x3 44x3 _x20"}]
    labels = (
        'namespace="catalog", product="search", version="v1", sluicegate_counter="basket_value"'
    )
    samples = [
        {"labels": f'{{{labels}, sluicegate_fact="mean"}}', "value": 42.5},
        {"labels": f'{{{labels}, sluicegate_fact="age"}}', "value": 60},
    ]
    check_values(promtool, tmp_path, series, {query(QueryKind.GAUGES): samples})


# ---- syntax -------------------------------------------------------------------------------
def test_the_longest_queries_for_many_products_parse(promtool: Path, tmp_path: Path):
    key = ProductKey("n" * 63, "")
    slos = {"availability": Indicator(availability={})}
    targets = [
        Target(key=key._replace(product=f"{number:040}"), versions=("v1",), slos=slos)
        for number in range(5_001)
    ]
    scopes = split_scopes(targets, 5_000)
    assert len(scopes) > 1
    longest = max(scopes, key=lambda scope: len(scope.products))
    check_parses(promtool, tmp_path, render_queries(longest, 300, NEEDS))


def test_every_query_parses(promtool: Path, tmp_path: Path):
    gateway = GatewayMetric("traefik_service_requests_total", "service", ("a", "b"))
    scope = Scope(("a", "b"), ("x", 'hostile"} or up{a="'))
    queries = [
        *render_queries(scope, 5, NEEDS),
        Query(QueryKind.GATEWAY, render_gateway(gateway, 5)),
        Query(QueryKind.GATEWAY, render_gateway(TRAEFIK_METRIC, 5, scope)),
        Query(QueryKind.SENT, render_sent(TRAEFIK_METRIC, 5)),
        Query(QueryKind.SENT, render_sent(TRAEFIK_METRIC, 5, scope)),
    ]
    check_parses(promtool, tmp_path, queries)


def check_parses(promtool: Path, folder: Path, queries: Iterable[Query]) -> None:
    """Let Prometheus' own parser read them, as expressions of rules."""
    rules = [{"record": f"query:{q.kind}:{n}", "expr": q.text} for n, q in enumerate(queries)]
    answer = run(
        promtool, folder, "check", "rules", rules={"groups": [{"name": "g", "rules": rules}]}
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
