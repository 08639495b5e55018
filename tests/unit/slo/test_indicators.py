"""All that follows from the kind of an indicator is in one table, which no other module repeats."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sluicegate.api.slos import Indicator, IndicatorKind
from sluicegate.slo.indicators import INDICATORS, SloRows
from sluicegate.slo.queries import QueryKind

OPERATOR = Path(__file__).parents[3] / "operator/sluicegate"
BRANCHES = {
    "IndicatorKind": {
        "api/slos.py": "declares the kinds, and the rules of their fields",
        "slo/indicators.py": "the table",
        "policy/slo_health/client_errors.py": "client errors have the margin of the availability",
        "policy/canary/block_checks.py": "requests are counted by an SLO of the availability first",
        "views/journey_shares.py": "a journey shows the shares of these two kinds",
    },
    "QueryKind": {
        "slo/queries.py": "renders the queries",
        "slo/indicators.py": "the table",
        "prometheus/result_table.py": "the labels of each query's rows",
        "prometheus/block_assembly.py": "what else is read: scrapes, facts, the gateway, markets, pairs",
        "prometheus/block_reader.py": "scrapes and the gateway",
        "prometheus/consumer_blocks.py": "outcomes of consumers",
        "prometheus/past_blocks.py": "the queries of the past",
        "prometheus/quarantine.py": "a product's own query fails alone",
        "prometheus/query_batch.py": "scrapes come first, and a product's own query is sent alone",
        "measurement/product_view.py": "scrapes, without which no SLO can be read",
        "reviews/hour_reader.py": "answers and callers of an hour",
    },
}
"""Modules that name single kinds, with the reason. The lists may only become shorter."""


@pytest.mark.parametrize("enum", BRANCHES)
def test_only_the_listed_modules_branch_on_indicator_kinds(enum):
    named = {
        path.relative_to(OPERATOR).as_posix()
        for path in OPERATOR.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == enum
        and node.attr.isupper()
    }
    assert named - BRANCHES[enum].keys() == set(), "add a field to IndicatorDefinition instead"
    assert BRANCHES[enum].keys() - named == set(), "needs no exception any more"


def test_each_indicator_kind_is_in_the_registry():
    assert INDICATORS.keys() == set(IndicatorKind)


class Answers:
    """Rows of one version, by their query and their labels after those of the version."""

    def __init__(self, rows: dict[tuple[str, ...], float]) -> None:
        self.rows = rows

    def table(self, kind):
        return {("ns", "a", "v1", *key[1:]): {7: n} for key, n in self.rows.items() if key[0] == kind}  # fmt: skip

    def of_service(self, kind, version, service, *rest):
        return self.table(kind).get((*version, service, *rest))


COUNTERS = {"counters": {"good": "clicks_total", "total": "shown_total", "lagSeconds": 60}}


PROMQL = {"promql": {"good": "increase(a[$block])", "total": "increase(b[$block])"}}


@pytest.mark.parametrize(
    ("sentence", "indicator", "rows", "counts"),
    [
        ("requests answered 5xx are bad", {"availability": {}},
         {("requests", "S"): 9, ("requests_bad", "S", "failed"): 2}, (2, 9)),
        ("requests slower than the threshold are bad", {"latency": {"thresholdMilliseconds": 250}},
         {("requests", "S"): 9, ("latency", "S", "inf"): 9, ("latency", "S", "0.25"): 6}, (3, 9)),
        ("requests before the first success are no slow ones", {"latency": {"thresholdMilliseconds": 250}},
         {("requests", "S"): 9}, (None, 0)),
        ("wrong predictions are bad", {"outcomes": {}},
         {("labelled", "correct"): 5, ("labelled", "wrong"): 2}, (2, 7)),
        ("bad events are counted under the name of the SLO", {"events": {}},
         {("events", "slo", "good"): 5, ("events", "slo", "bad"): 1}, (1, 6)),
        ("events may be counted under another name", {"events": {"indicator": "clicks"}},
         {("events", "clicks", "good"): 5, ("events", "clicks", "bad"): 1}, (1, 6)),
        ("of two counters what is not good is bad", COUNTERS,
         {("counters", "shown_total", "60"): 8, ("counters", "clicks_total", "0"): 5}, (3, 8)),
        ("a counter without the other says nothing", COUNTERS,
         {("counters", "shown_total", "60"): 8}, (None, None)),
        ("of an own query what is not good is bad", PROMQL,
         {("promql", "slo", "total"): 8, ("promql", "slo", "good"): 5}, (3, 8)),
        ("without rows there are no counts", {"events": {}}, {}, (None, None)),
    ],
)  # fmt: skip
def test_an_indicator_kind_reads_its_counts_from_its_own_queries(sentence, indicator, rows, counts):
    """Rows are `(query, further labels): events of block 7`."""
    kind = Indicator(**indicator)
    definition = INDICATORS[kind.kind]
    read = {QueryKind(row[0]) for row in rows}
    assert read <= definition.queries, sentence
    found = definition.counts(SloRows(Answers(rows), ("ns", "a", "v1"), "S", "slo", kind))
    assert (found.bad(7), found.total(7)) == counts, sentence


def test_a_gauge_indicator_has_no_counts():
    gauge = Indicator(gauge={"metric": "basket"})
    with pytest.raises(ValueError, match="has means"):
        INDICATORS[gauge.kind].counts(SloRows(Answers({}), ("ns", "a", "v1"), "S", "slo", gauge))


@pytest.mark.parametrize(
    ("indicator", "label"),
    [
        ({"availability": {}}, "availability"),
        ({"latency": {"thresholdMilliseconds": 250}}, "latency:250"),
        ({"outcomes": {}}, "outcomes"),
        ({"events": {}}, "slo"),
        ({"events": {"indicator": "clicks"}}, "clicks"),
        ({"counters": {"good": "good_total", "total": "all_total"}}, ""),
        ({"gauge": {"metric": "basket"}}, ""),
    ],
)
def test_the_library_counts_the_events_of_an_slo_by_market_under_one_name(indicator, label):
    kind = Indicator(**indicator)
    assert INDICATORS[kind.kind].market_label("slo", kind) == label
