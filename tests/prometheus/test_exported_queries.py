"""Queries of exported SLOs, evaluated by Prometheus itself, count the events of a block."""

from __future__ import annotations

from sluicegate.api.product import DataProduct
from sluicegate.standards.openslo import openslo_documents
from tests.support.prometheus.promtool import check_values
from tests.support.samples.product_examples import changed

POD = 'namespace="catalog", product="search-ranking", version="v1", pod="p-0"'
ROUTE = f'{POD}, runner_name="SearchRanking", endpoint="/rank"'
SLOS = [
    {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"},
    {
        "name": "latency",
        "indicator": {"latency": {"thresholdMilliseconds": 250}},
        "objective": "0.9",
    },
    {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.9"},
    {"name": "clicks", "indicator": {"events": {}}, "objective": "0.9"},
    {
        "name": "carts",
        "indicator": {"counters": {"good": "cart_total", "total": "seen_total"}},
        "objective": "0.1",
    },
    {
        "name": "offers",
        "indicator": {
            "promql": {
                "good": "sum by (version) (increase(cart_total[$block]))",
                "total": "sum by (version) (increase(seen_total[$block]))",
            }
        },
        "objective": "0.1",
    },
    {"name": "basket", "indicator": {"gauge": {"metric": "basket_value"}}},
]


def growing(metric: str, labels: str, step: int) -> dict[str, str]:
    """Return a counter that grows by `step` each half minute: ten steps in a block."""
    return {"series": f"{metric}{{{labels}}}", "values": f"0+{step}x40"}


REQUESTS, BUCKET = "bentoml_service_request_total", "bentoml_service_request_duration_seconds_bucket"  # fmt: skip
SERIES = [
    growing(REQUESTS, f'{ROUTE}, http_response_code="200"', 30),
    growing(REQUESTS, f'{ROUTE}, http_response_code="422"', 5),
    growing(REQUESTS, f'{ROUTE}, http_response_code="503"', 1),
    growing(REQUESTS, f'{ROUTE}, http_response_code="404"', 50),
    growing(
        REQUESTS,
        f'{POD}, runner_name="SearchRanking", endpoint="/metrics", http_response_code="200"',
        50,
    ),
    growing(REQUESTS, f'{ROUTE}, http_response_code="200"'.replace("catalog", "other"), 50),
    growing(BUCKET, f'{ROUTE}, http_response_code="200", le="0.25"', 20),
    growing(BUCKET, f'{ROUTE}, http_response_code="200", le="+Inf"', 30),
    growing(
        "sluicegate_predictions_labelled_total", f'{POD}, outcome="correct", age="60"', 8
    ),
    growing("sluicegate_predictions_labelled_total", f'{POD}, outcome="wrong", age="60"', 2),
    growing("sluicegate_indicator_events_total", f'{POD}, indicator="clicks", outcome="good"', 3),
    growing("sluicegate_indicator_events_total", f'{POD}, indicator="clicks", outcome="bad"', 4),
    growing("sluicegate_indicator_events_total", f'{POD}, indicator="views", outcome="bad"', 9),
    growing("cart_total", POD, 1),
    growing("seen_total", POD, 6),
    {"series": f"basket_value{{{POD}}}", "values": "7x40"},
]  # fmt: skip
EXPECTED = {
    "availability": (350, 360),
    "latency": (200, 300),
    "accuracy": (80, 100),
    "clicks": (30, 70),
    "carts": (10, 60),
    "offers": (10, 60),
}


def test_an_exported_slo_counts_good_and_all_events_of_a_block(promtool, tmp_path):
    change = {"spec.slos": SLOS, "spec.businessGoals": [], "spec.model.evaluation": {}}
    documents = list(openslo_documents(DataProduct.parse(changed(change))))

    expected = {}
    for document in documents[1:7]:
        metric = document["spec"]["indicator"]["spec"]["ratioMetric"]
        name = document["metadata"]["name"].removeprefix("search-ranking-")
        for kind, value in zip(("good", "total"), EXPECTED[name], strict=True):
            query = metric[kind]["metricSource"]["spec"]["query"]
            expected[query] = [{"labels": "{}", "value": value}]
    threshold = documents[7]["spec"]["thresholdMetric"]["metricSource"]["spec"]["query"]
    expected[threshold] = [{"labels": "{}", "value": 7}]

    assert len(expected) == 13
    check_values(promtool, tmp_path, SERIES, expected)
