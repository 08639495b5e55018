"""Every query as text, so that a change of one is seen in review."""

from dataclasses import replace
from pathlib import Path

import pytest

from sluicegate.api.slos import PromqlRatio
from sluicegate.slo.gateway import TRAEFIK, render_gateway
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Needs, QueryKind, render_queries, render_ratio

GOLDENS = Path(__file__).parent / "queries"
NEEDS = Needs(
    thresholds=frozenset({250, 1000}),
    labelled=True,
    events=True,
    markets=True,
    counters=frozenset({("search_served_total", 1800), ("search_clicked_total", 0)}),
    gauges=frozenset({"basket_value"}),
)
TEXTS = {
    **{f"{q.kind}.promql": q.text + "\n" for q in render_queries(Scope(), 300, NEEDS)},
    **{
        f"{q.kind}.promql": q.text + "\n"
        for q in render_queries(Scope(), 300, replace(NEEDS, paired=True), canary=True)
        if q.kind is QueryKind.PAIRED
    },
    "requests_scoped.promql": render_queries(Scope(("catalog", "pricing"), ("a.b",)), 60, NEEDS)[
        1
    ].text
    + "\n",
    "promql.promql": render_ratio(
        ("catalog", "search"),
        "orders",
        PromqlRatio(
            good='sum by (version) (increase(orders_total{result="ok"}[$block]))',
            total="sum by (version) (increase(orders_total[$block]))",
        ),
        300,
    )
    + "\n",
    "gateway.promql": render_gateway(
        TRAEFIK, 60, Scope(("catalog",), ("search-ranking", "pricing"))
    )
    + "\n",
}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_query_reads_as_reviewed(name, golden):
    golden(GOLDENS / name, TEXTS[name])


def test_no_query_is_kept_that_is_not_asked_any_more():
    assert {path.name for path in GOLDENS.iterdir()} == TEXTS.keys()
