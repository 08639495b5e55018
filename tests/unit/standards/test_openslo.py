"""SLOs in OpenSLO v1: documents hold to the published schema, and an import restores what was exported."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from sluicegate.__main__ import main
from sluicegate.api.product import DataProduct
from sluicegate.standards.located_yaml import located_documents
from sluicegate.standards.openslo import openslo_documents
from sluicegate.standards.openslo_import import import_openslo
from tests.support.samples.product_examples import EXAMPLE, changed, example

SCHEMAS = Path(__file__).parents[2] / "data" / "standards" / "openslo-v1"


@cache
def validator() -> Draft7Validator:
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.rglob("*.json")]
    registry = Registry().with_resources(
        (part["$id"], Resource.from_contents(part)) for part in parts
    )
    (root,) = (part for part in parts if part["title"] == "OpenSLO")
    return Draft7Validator(root, registry=registry)


def documents_of(document: dict) -> list[dict]:
    return list(openslo_documents(DataProduct.parse(document)))


def restored(documents: list[dict]):
    return import_openslo(located_documents(yaml.safe_dump_all(documents), "slos.yaml"))


METRICS = st.sampled_from(["served_total", "answered_total", "on", "a:b"])
LAGS = st.integers(0, 604_800)
SHARES = st.sampled_from(["0.5", "0.90", "0.999", "0.9990", "0.123456789012"])
RATIOS = st.one_of(
    st.just({"availability": {}}),
    st.sampled_from([10, 50, 100, 250, 1000]).map(
        lambda bound: {"latency": {"thresholdMilliseconds": bound}}
    ),
    st.sampled_from([{}, {"lagSeconds": 600}]).map(lambda fields: {"outcomes": fields}),
    st.sampled_from([{}, {"indicator": "click"}, {"lagSeconds": 60}]).map(
        lambda fields: {"events": fields}
    ),
    st.builds(
        lambda good, total, lag: {"counters": {"good": good, "total": total, "lagSeconds": lag}},
        METRICS, METRICS, LAGS,
    ),
    st.just(
        {
            "promql": {
                "good": 'sum by (version) (increase(a_total{code!~"5.."}[$block]))',
                "total": "sum by (version) (increase(a_total[$block]))",
            }
        }
    ),
)  # fmt: skip
GAUGES = st.builds(
    lambda metric, direction, bound: {
        "gauge": {"metric": metric, "direction": direction, "bound": bound}
    },
    METRICS, st.sampled_from(["HigherIsBetter", "LowerIsBetter"]), st.sampled_from(["0.4", "-3", "1.50"]),
)  # fmt: skip
REST = st.fixed_dictionaries(
    {},
    optional={
        "maxRegression": SHARES,
        "onDegraded": st.sampled_from(["Auto", "Retrain", "Rollback", "Alert", "Ignore"]),
        "canaryEvidence": st.sampled_from(["Required", "IfAvailable", "PostPromotion"]),
        "seasonality": st.sampled_from(["Auto", "Weekly"]),
    },
)
SLOS = st.one_of(
    st.builds(lambda kind, target, rest: {"indicator": kind, "objective": target, **rest}, RATIOS, SHARES, REST),
    st.builds(lambda kind, drop, rest: {"indicator": kind, "maxDrop": drop, **rest}, RATIOS, SHARES, REST),
    st.builds(lambda kind, rest: {"indicator": kind, **rest}, GAUGES, REST),
)  # fmt: skip


@given(st.lists(SLOS, min_size=1, max_size=2))
def test_an_openslo_round_trip_changes_nothing(slos):
    slos = [{"name": f"slo-{number}", **slo} for number, slo in enumerate(slos)]
    document = changed({"spec.slos": slos, "spec.businessGoals": [], "spec.model.evaluation": {}})

    documents = documents_of(document)
    result = restored(documents)

    assert result.slos == slos
    assert result.remarks == []
    assert documents_of(changed({"spec.slos": result.slos, "spec.businessGoals": [], "spec.model.evaluation": {}})) == documents  # fmt: skip
    for one in documents:
        validator().validate(one)


def test_each_exported_openslo_document_conforms_to_the_schema():
    documents = documents_of(example())

    for document in documents:
        validator().validate(document)
    assert [document["kind"] for document in documents] == ["Service", "SLO", "SLO", "SLO", "SLI", "SLI", "SLI"]  # fmt: skip


def test_the_openslo_schema_refuses_an_slo_without_target():
    (broken,) = (document for document in documents_of(example()) if document["metadata"]["name"].endswith("latency"))  # fmt: skip
    del broken["spec"]["objectives"][0]["target"]

    assert not validator().is_valid(broken)


def test_exported_openslo_queries_have_the_selectors_of_the_operator():
    documents = {document["metadata"]["name"]: document for document in documents_of(example())}

    conversion = documents["search-ranking-conversion"]["spec"]["ratioMetric"]
    availability = documents["search-ranking-availability"]["spec"]["indicator"]["spec"]

    assert conversion["total"]["metricSource"]["spec"]["query"] == (
        'sum(increase({namespace="catalog", product="search-ranking", __name__="search_served_total"}'
        "[300s] offset 1800s))"
    )
    assert 'runner_name="SearchRanking", http_response_code!~"404|405|5.."' in str(availability)


def test_an_edited_target_has_precedence_over_the_annotation():
    documents = documents_of(example())
    documents[1]["spec"]["objectives"][0]["target"] = 0.95

    availability = restored(documents).slos[0]

    assert availability == {
        "name": "availability",
        "indicator": {"availability": {}},
        "objective": "0.95",
    }


def test_an_edited_query_has_precedence_over_the_annotation():
    documents = documents_of(example())
    source = documents[3]["spec"]["indicator"]["spec"]["ratioMetric"]["good"]["metricSource"]
    source["spec"]["query"] = 'sum(rate(good_total{code="200"}[5m]))'

    accuracy = restored(documents).slos[2]

    assert accuracy["indicator"]["promql"] == {
        "good": 'sum by (version) (increase(good_total{code="200"}[$block]))',
        "total": "sum by (version)"
        ' (increase(sluicegate_predictions_labelled_total{product="search-ranking"}[$block]))',
    }
    assert accuracy["maxDrop"] == "0.03"


FOREIGN = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: %s}
spec:
  service: shop
  indicator:
    metadata: {name: i}
    spec:
%s
  timeWindow: [{duration: 14d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
  - target: 0.99
"""


def ratio(**queries: str) -> str:
    sources = {
        name: {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}
        for name, query in queries.items()
    }
    return f"      ratioMetric: {json.dumps({'counter': True, **sources})}"


@pytest.mark.parametrize(
    ("good", "total", "indicator"),
    [
        ("a_total", "b_total", {"counters": {"good": "a_total", "total": "b_total"}}),
        (
            "sum(rate(a_total[5m]))",
            'sum(increase(b_total{namespace="shop"}[{{.window}}]))',
            {"counters": {"good": "a_total", "total": "b_total"}},
        ),
        (
            'sum(rate(a_total{code!~"5.."}[$__rate_interval]))',
            "sum by (pod) (rate(a_total[5m] offset 1m)) + sum(b_total)",
            {
                "promql": {
                    "good": 'sum by (version) (increase(a_total{code!~"5.."}[$block]))',
                    "total": "(sum by (version) (increase(a_total[$block] offset 60s)))"
                    " + (sum by (version) (increase(b_total[$block])))",
                }
            },
        ),
    ],
)
def test_counters_and_queries_of_other_tools_become_indicators(good, total, indicator):
    result = import_openslo(
        located_documents(FOREIGN % ("answers", ratio(good=good, total=total)), "a.yaml")
    )

    assert result.slos == [{"indicator": indicator, "name": "answers", "objective": "0.99"}]
    assert not result.remarks


def test_an_exported_ratio_subtracts_bad_events_even_without_a_series_of_them():
    (slo,) = import_openslo(
        located_documents(FOREIGN % ("answers", ratio(bad="bad_total", total="a_total")), "a.yaml")
    ).slos

    every = "sum by (version) (increase(a_total[$block]))"
    assert slo["indicator"]["promql"] == {
        "good": f"({every}) - ((sum by (version) (increase(bad_total[$block]))) or 0 * ({every}))",
        "total": every,
    }


@pytest.mark.parametrize(
    ("indicator", "line", "text"),
    [
        (ratio(raw="a"), 9, "raw is a ratio without its events"),
        (ratio(good="a_total"), 9, "needs total"),
        (ratio(good="avg(a)", total="b"), 9, "isn't a sum of the growth of counters"),
        (ratio(good="a{", total="b"), 9, "is no PromQL"),
        (("      ratioMetric:\n        total: {metricSource: {type: Datadog, spec: {query: x}}}\n"
         "        good:\n          metricSource:\n            type: Datadog\n            spec: {query: x}"),
         13, "reads Datadog: the operator reads Prometheus only"),
        ("      thresholdMetric: {metricSource: {spec: {query: 'histogram_quantile(0.9, a)'}}}", 9,
         "use indicator.latency"),
        ("      thresholdMetric: {metricSource: {spec: {query: queue}}}", 13, "needs op and value"),
        ("      {}", 8, "has neither ratioMetric nor thresholdMetric"),
    ],
)  # fmt: skip
def test_an_indicator_without_an_equivalent_is_reported_with_its_line_and_the_way_out(
    indicator, line, text, tmp_path, capsys
):
    file = tmp_path / "slos.yaml"
    file.write_text(FOREIGN % ("answers", indicator), encoding="utf-8")

    assert main(["import", "--format", "openslo", str(file)]) == 1

    printed = capsys.readouterr()
    assert yaml.safe_load(printed.out) == {"spec": {"slos": []}}
    assert printed.err.startswith(f"{file}:{line}: answers: ")
    assert text in printed.err


def test_openslo_parts_without_an_equivalent_are_reported_and_the_slo_is_imported(tmp_path, capsys):
    file = tmp_path / "slos.yaml"
    file.write_text(
        """\
apiVersion: openslo/v1
kind: SLI
metadata: {name: queue}
spec: {thresholdMetric: {metricSource: {type: prometheus, spec: {query: avg(queue_length)}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: short-queue, displayName: Queue}
spec:
  description: The queue is short
  service: shop
  indicatorRef: queue
  timeWindow:
  - duration: 28d
    isRolling: true
  budgetingMethod: Timeslices
  objectives:
  - {op: lte, value: 5, targetPercent: 99.5, timeSliceTarget: 0.9, timeSliceWindow: 5m}
  alertPolicies: [page]
""",
        encoding="utf-8",
    )

    assert main(["import", "--format", "openslo", "-o", "json", str(file)]) == 0

    printed = capsys.readouterr()
    gauge = {"metric": "queue_length", "direction": "LowerIsBetter", "bound": "5"}
    assert json.loads(printed.out)["spec"]["slos"] == [
        {"indicator": {"gauge": gauge}, "name": "short-queue"}
    ]
    assert [line.split(":")[1:4:2] for line in printed.err.splitlines()] == [
        ["18", " target"], ["19", " alertPolicies"], ["10", " description"], ["8", " displayName"],
        ["14", " timeWindow"], ["16", " budgetingMethod"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("name: answers", "name: Answers", 3, 'name: is "Answers"'),
        ("target: 0.99", "target: 1.0", 12, "objective must lie between 0 and 1"),
        ("target: 0.99", "target: much", 13, 'target is "much": write a number'),
    ],
)
def test_an_imported_value_that_admission_refuses_is_reported_with_its_line(old, new, line, text):
    document = (FOREIGN % ("answers", ratio(good="a", total="b"))).replace(old, new)

    (remark,) = import_openslo(located_documents(document, "a.yaml")).remarks

    assert remark.line().startswith(f"a.yaml:{line}: ")
    assert text in remark.line()
    assert remark.missing


def test_a_reference_without_its_indicator_names_the_missing_sli():
    text = (FOREIGN % ("answers", "      {}")).replace("  indicator:\n    metadata: {name: i}\n    spec:\n      {}", "  indicatorRef: other")  # fmt: skip

    (remark,) = import_openslo(located_documents(text, "a.yaml")).remarks

    assert remark.line() == 'a.yaml:6: answers: no file has the SLI "other": give its file, too'


def test_only_slos_of_the_service_are_imported(tmp_path, capsys):
    file = tmp_path / "slos.yaml"
    file.write_text(yaml.safe_dump_all(documents_of(example())), encoding="utf-8")

    assert main(["import", "--format", "openslo", str(file), "--service", "search-ranking"]) == 0
    assert len(yaml.safe_load(capsys.readouterr().out)["spec"]["slos"]) == 6
    assert main(["import", "--format", "openslo", str(file), "--service", "pricing"]) == 2
    assert "it has those of search-ranking" in capsys.readouterr().err


def test_export_selects_a_product_by_name_or_exports_all(tmp_path, capsys):
    file = tmp_path / "products.yaml"
    file.write_text(
        yaml.safe_dump_all([example(), changed({"metadata.name": "second"})]), encoding="utf-8"
    )
    out = tmp_path / "slos.json"

    assert main(["export", "--format", "openslo", "-o", "json", "--from", str(file), "--file", str(out)]) == 0  # fmt: skip
    assert len(json.loads(out.read_text(encoding="utf-8"))) == 14
    capsys.readouterr()
    assert main(["export", "catalog/second", "--format", "openslo", "--from", str(EXAMPLE), str(file)]) == 0  # fmt: skip
    services = {
        document["metadata"]["name"] for document in yaml.safe_load_all(capsys.readouterr().out)
    }
    assert {"second", "second-clicks"} <= services
    assert main(["export", "catalog/third", "--format", "openslo", "--from", str(file)]) == 2
    assert main(["export", "--format", "openslo"]) == 2
    assert "give files with --from" in capsys.readouterr().err


def paths_in(value: object, path: tuple = ()):
    yield path
    fields = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for key, part in fields:
        yield from paths_in(part, (*path, key))


SOURCES = [*documents_of(example()), yaml.safe_load(FOREIGN % ("answers", ratio(bad="a", total="b")))]  # fmt: skip
PLACES = [(number, path) for number, one in enumerate(SOURCES) for path in paths_in(one) if path]
ODD = [None, 5, True, "x", "nan", float("nan"), [], {}, [1], {"a": 1}, [{"target": "inf"}], '{"name": 1}']  # fmt: skip


@given(st.sampled_from(PLACES), st.sampled_from(ODD))
def test_an_unexpected_openslo_value_is_reported_without_a_crash(place, odd):
    number, (*parents, last) = place
    document = copy.deepcopy(SOURCES[number])
    parent = document
    for key in parents:
        parent = parent[key]
    parent[last] = odd

    result = restored([document])

    assert all(remark.line().startswith("slos.yaml:") for remark in result.remarks)


@pytest.mark.parametrize(
    ("old", "new", "says", "missing"),
    [
        ("apiVersion: openslo/v1", "apiVersion: openslo/v1alpha", "only openslo/v1 is read", True),
        ("kind: SLO", "kind: slo", "kind slo: OpenSLO has no such kind", True),
        (
            "kind: SLO",
            "kind: AlertPolicy",
            "AlertPolicy: alerts follow from the error budget",
            False,
        ),
        (
            "apiVersion: openslo/v1",
            "apiVersion: v1",
            "apiVersion v1: only openslo/v1 is read",
            False,
        ),
    ],
)
def test_a_document_that_is_no_openslo_v1_slo_is_reported(old, new, says, missing):
    document = (FOREIGN % ("answers", ratio(good="a", total="b"))).replace(old, new, 1)

    result = import_openslo(located_documents(document, "a.yaml"))

    (remark,) = result.remarks
    assert (result.slos, remark.missing) == ([], missing)
    assert says in remark.line()


def test_imported_counters_of_another_product_are_converted_to_the_own_product():
    good, total = 'sum(increase(a_total{product="other"}[5m]))', "sum(increase(b_total[5m]))"

    result = import_openslo(
        located_documents(FOREIGN % ("answers", ratio(good=good, total=total)), "a.yaml")
    )

    (remark,) = result.remarks
    assert result.slos[0]["indicator"] == {"counters": {"good": "a_total", "total": "b_total"}}
    assert (
        'product="other": the series of the product that has this SLO are counted' in remark.line()
    )
    assert not remark.missing
