"""Every query as text, so that a change of one is seen in review."""

from dataclasses import replace
from pathlib import Path

from sluicegate.api.slos import PromqlRatio
from sluicegate.slo.gateway import TRAEFIK_METRIC, render_gateway, render_sent
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import (
    Needs,
    QueryKind,
    render_callers,
    render_histogram,
    render_queries,
    render_ratio,
)

GOLDENS = Path(__file__).parent / "queries"
NEEDS = Needs(
    thresholds=frozenset({250, 1000}),
    labelled=True,
    events=True,
    markets=True,
    counters=frozenset({("search_served_total", 1800), ("search_clicked_total", 0)}),
    gauges=frozenset({"basket_value"}),
)


def texts() -> dict[str, str]:
    """Return every query by the name of its file.

    Rendered by the test, so that it executes what it tests.
    """
    return {
        **{f"{q.kind}.promql": q.text for q in render_queries(Scope(), 300, NEEDS)},
        **{
            f"{q.kind}.promql": q.text
            for q in render_queries(
                Scope(), 300, replace(NEEDS, paired=True, upstreams=True), canary=True
            )
            if q.kind in {QueryKind.PAIRED, QueryKind.LABELLED_BY_AGE, QueryKind.UPSTREAMS}
        },
        "requests_scoped.promql": render_queries(
            Scope(("catalog", "pricing"), ("a.b",)), 60, NEEDS
        )[1].text,
        "promql.promql": render_ratio(
            ("catalog", "search"),
            "orders",
            PromqlRatio(
                good='sum by (version) (increase(orders_total{result="ok"}[$block]))',
                total="sum by (version) (increase(orders_total[$block]))",
            ),
            300,
        ),
        "gateway.promql": render_gateway(
            TRAEFIK_METRIC, 60, Scope(("catalog",), ("search-ranking", "pricing"))
        ),
        "gateway_everywhere.promql": render_gateway(TRAEFIK_METRIC, 60),
        "sent.promql": render_sent(TRAEFIK_METRIC, 60, Scope((), ("pricing",))),
        "histogram.promql": render_histogram(Scope(("catalog",)), 3600),
        "callers.promql": render_callers(Scope(("catalog",), ("pricing",)), 3600),
        "memory_of_a_short_block.promql": render_queries(Scope(("catalog",), ("a",)), 5, Needs())[
            -1
        ].text,
    }


def test_each_promql_query_equals_its_golden(golden):
    rendered = texts()
    for name, text in rendered.items():
        golden(GOLDENS / name, [text])
    assert {path.name for path in GOLDENS.iterdir()} == rendered.keys()
