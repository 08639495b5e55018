"""Whatever pods expose and products name, the queries are answered, and the others' rows are right."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import Phase, given, settings

from sluicegate.slo.gateway import TRAEFIK_METRIC, backend_of, render_gateway
from sluicegate.slo.promql import Scope, quote
from sluicegate.slo.queries import Needs, QueryKind, render_queries
from tests.support.prometheus.hostile_pages import (
    SAMPLES,
    SENT,
    Line,
    Pod,
    always,
    input_series,
    pods,
    series_of,
)
from tests.support.prometheus.promtool import run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUTE = {"endpoint": "/predict", "runner_name": "Search", "http_response_code": "200"}
PREDICTION = {"prediction_version": "v1"}
BUCKETS = "bentoml_service_request_duration_seconds_bucket"
LABELLED = "sluicegate_predictions_labelled_total"
VICTIM = Pod(
    "victim",
    (
        Line("bentoml_service_request_total", ROUTE),
        Line("bentoml_service_request_total", {**ROUTE, "http_response_code": "500"}, "restarts"),
        *(Line(BUCKETS, {**ROUTE, "le": bound}) for bound in ("0.25", "+Inf")),
        *(Line(LABELLED, {**PREDICTION, "outcome": one}) for one in ("correct", "wrong")),
        Line(
            "sluicegate_indicator_events_total", {**PREDICTION, "indicator": "i", "outcome": "bad"}
        ),
        Line("served_total"),
        Line("clicked_total", {}, "is born"),
        Line("nan", {}, "stays"),
    ),
    "catalog",
    (("victim", "v1"),),
)
OWN = {"served_total", "clicked_total", "nan"}
ROWS: dict[QueryKind, list[tuple[dict[str, str], float]]] = {
    QueryKind.TARGETS: [
        ({"version": "v1", "sluicegate_fact": fact}, value)
        for fact, value in {"up": 10, "scrapes": 10, "longest": 10, "age": 0}.items()
    ],
    # 30 and, as a counter that restarts in the block counts the 15 it grew by before, 15 + 12.
    QueryKind.REQUESTS: [({"version": "v1", "runner_name": "Search"}, 30 + 15 + 12)],
    QueryKind.REQUESTS_BAD: [
        ({"version": "v1", "runner_name": "Search", "http_response_code": "500"}, 15 + 12)
    ],
    QueryKind.LATENCY: [
        ({"version": "v1", "runner_name": "Search", "le": bound}, 30) for bound in ("0.25", "+Inf")
    ],
    QueryKind.LABELLED: [
        ({"version": "v1", **PREDICTION, "outcome": one}, 30) for one in ("correct", "wrong")
    ],
    QueryKind.EVENTS: [
        ({"version": "v1", **PREDICTION, "indicator": "i", "outcome": "bad"}, 30)
    ],
    QueryKind.COUNTERS: [
        ({"version": "v1", "sluicegate_counter": name, "sluicegate_lag": lag}, value)
        for (name, lag), value in {
            ("served_total", "0"): 30, ("clicked_total", "0"): 10, ("nan", "0"): 0, ("nan", "60"): 0,
        }.items()
    ],
    QueryKind.GAUGES: [
        ({"version": "v1", "sluicegate_counter": "nan", "sluicegate_fact": fact}, value)
        for fact, value in {"mean": 7, "age": 0}.items()
    ],
    QueryKind.CPU: [({"version": "v1"}, 0.25)],
    QueryKind.MEMORY: [({"version": "v1"}, 0.75)],
}  # fmt: skip
"""The newest block's counts of the victim: 30 s a scrape, 300 s a block."""


def infrastructure() -> Iterator[tuple[dict[str, str], int, float]]:
    """Yield the series of the kubelet and of the gateway about the victim."""
    container = {"namespace": "catalog", "pod": "victim", "container": "server", "job": "kubelet"}
    gateway = {"namespace": "gateway", "pod": "g", "job": "gateway", "instance": "g"}
    for number in range(SAMPLES):
        for name, value in {
            "cpu_cfs_periods_total": 20.0 * number,
            "cpu_cfs_throttled_periods_total": 5.0 * number,
            "memory_working_set_bytes": 300.0,
            "spec_memory_limit_bytes": 400.0,
        }.items():
            yield {"__name__": f"container_{name}", **container}, number, value
        yield {"__name__": "up", **gateway}, number, 1.0
        sent = {"__name__": "traefik_service_requests_total", "service": SENT, **gateway}
        yield sent, number, 2.0 * number


def needs(hostile: tuple[Pod, ...]) -> Needs:
    """Return those of the victim, and of products that name all that is exposed anywhere."""
    named = frozenset({"nan", *(line.metric for pod in hostile for line in pod.lines)})
    counters = {(name, lag) for name in named for lag in (0, 60)}
    return Needs(
        thresholds=frozenset({250}),
        labelled=True,
        events=True,
        counters=frozenset(counters | {("served_total", 0), ("clicked_total", 0)}),
        gauges=named,
    )


def about_victim(text: str) -> str:
    """Return the rows of a query that are the victim's; a query that isn't answered has none."""
    whose = f'label_join({text}, "whose", "/", "product", "sluicegate_counter")'
    known = " or ".join(
        f'label_replace(vector(0), "whose", {quote(f"victim/{name}")}, "", "")'
        for name in ("", *sorted(OWN))
    )
    return f"({whose}) and on (whose) ({known})"


def expected(kind: QueryKind) -> list[dict]:
    """Return the victim's rows of all queries of a kind."""
    found = []
    for labels, value in ROWS[kind]:
        name = labels.get("sluicegate_counter", "")
        of = {"namespace": "catalog", "product": "victim", "whose": f"victim/{name}", **labels}
        spelled = ", ".join(f"{label}={quote(one)}" for label, one in of.items())
        found.append({"labels": f"{{{spelled}}}", "value": value})
    return found


def test_the_queries_succeed_beside_metrics_that_broke_them_before(promtool):
    check(always(), promtool)


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate], print_blob=True)
@given(drawn=pods())
def test_the_queries_succeed_for_arbitrary_metrics_of_pods_and_names_of_products(drawn, promtool):
    check(drawn, promtool)


def check(hostile: tuple[Pod, ...], promtool: Path) -> None:
    """Let Prometheus' own engine answer all queries beside these pods: the victim's rows are right."""
    samples = [one for pod in (VICTIM, *hostile) for one in series_of(pod)]
    backend = "sluicegate_backend"
    ours = quote(backend_of("catalog", "victim-0123456789"))
    sent = render_gateway(TRAEFIK_METRIC, 60, Scope(products=("victim",)))
    # Many names are asked for by several queries of a kind; each row is an answer to one of them.
    texts: dict[QueryKind, list[str]] = {}
    for query in render_queries(Scope(), 300, needs(hostile)):
        texts.setdefault(query.kind, []).append(f"({query.text})")
    tests = [
        {"expr": about_victim(f"({' or '.join(asked)})"), "exp_samples": expected(kind)}
        for kind, asked in texts.items()
    ]
    tests.append(
        {
            "expr": f'{sent} and on ({backend}) label_replace(vector(0), "{backend}", {ours}, "", "")',
            "exp_samples": [{"labels": f"{{{backend}={ours}}}", "value": 4}],
        }
    )
    case = {
        "interval": "30s",
        "input_series": input_series([*samples, *infrastructure()]),
        "promql_expr_test": [{"eval_time": "30m", **test} for test in tests],
    }
    with TemporaryDirectory() as folder:
        answer = run(promtool, Path(folder), "test", "rules", tests={"tests": [case]})
    assert answer.returncode == 0, answer.stdout + answer.stderr
