"""The pages of the portfolio's pods: what BentoML and the library expose, growing with time."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.portfolio import members
from demo.portfolio_pods import FAILED, GOOD, KNOWN, PRODUCT_LABEL, SHIFTED, Pods
from demo.portfolio_run import fitted
from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.slo import metric_names
from tests.support.processes.running import free_port

PRICE = next(member for member in members() if member.name == "price")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def pod(name, *, ready=True, product="price", version="v1"):
    labels = {names.LABEL_PRODUCT: product, names.LABEL_VERSION: version, names.LABEL_REVISION: "ab"}  # fmt: skip
    ready = {"type": "Ready", "status": str(ready)}
    return {
        "metadata": {"namespace": "market-pricing", "name": name, "labels": labels},
        "status": {"conditions": [ready]},
    }


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pods(clock):
    return Pods(members(), clock)


def samples(pods, name="price-1"):
    """Return values by metric name and the labels that distinguish them."""
    page = pods.page("market-pricing", name)
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def total(found, name, **labels):
    return sum(value for key, value in found[name].items() if labels.items() <= dict(key).items())


def test_a_simulated_ready_pod_is_a_scrape_target_with_the_labels_of_a_real_pod(pods):
    (target,) = pods.update(
        [pod("price-1"), pod("price-2", ready=False), pod("other", product="x")]
    )
    labels = target["labels"]
    assert set(metric_names.TARGET) <= labels.keys() | {"job"}
    assert labels["product"] == "price"
    assert labels["__metrics_path__"] == "/market-pricing/price-1"
    assert PRODUCT_LABEL == names.LABEL_PRODUCT


def test_simulated_counts_grow_by_the_rate_and_are_split_over_pods(pods, clock):
    pods.update([pod("price-1")])
    clock.now += 100
    first = total(samples(pods), metric_names.REQUESTS)
    assert first == pytest.approx(PRICE.rate * 100, abs=3)
    pods.update([pod("price-1"), pod("price-2", version="v2")])
    clock.now += 100
    second = samples(pods)
    assert total(second, metric_names.REQUESTS) - first == pytest.approx(PRICE.rate * 50, abs=3)
    (labels,) = {dict(key)[metric_names.SERVICE] for key in second[metric_names.REQUESTS]}
    assert labels == PRICE.service
    failed = total(second, metric_names.REQUESTS, http_response_code="500")
    assert failed == pytest.approx(FAILED * total(second, metric_names.REQUESTS), abs=1)


def test_a_simulated_shift_worsens_one_market_and_the_totals(pods, clock):
    pods.update([pod("price-1")])
    pods.page("market-pricing", "price-1")
    pods.shift("price", "AT")
    clock.now += 1000
    found = samples(pods)

    def wrong(market):
        bad, good = (total(found, metric_names.MARKET_EVENTS, market=market, outcome=one) for one in ("bad", "good"))  # fmt: skip
        return bad / (bad + good)

    assert wrong("AT") == pytest.approx(SHIFTED, abs=0.01)
    assert wrong("FR") == pytest.approx(GOOD, abs=0.01)
    labelled = total(found, metric_names.LABELLED_PREDICTIONS)
    assert labelled == pytest.approx(PRICE.rate * 1000 * KNOWN, rel=0.01)
    share = total(found, metric_names.LABELLED_PREDICTIONS, outcome="wrong") / labelled
    assert share == pytest.approx((SHIFTED + 5 * GOOD) / 6, abs=0.01)


def test_metrics_pages_are_served_while_the_simulated_pod_exists(pods, clock):
    port = free_port()
    pods.update([pod("price-1")])
    server = pods.serve(port)
    url = f"http://127.0.0.1:{port}/market-pricing/price-1"
    with urllib.request.urlopen(url) as answer:
        assert metric_names.REQUESTS in answer.read().decode()
    pods.update([])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url)
    server.shutdown()
    server.server_close()


def test_a_demo_product_is_adapted_to_a_cluster_without_gateway_and_trainings():
    from demo.portfolio import documents

    for document in documents():
        product = DataProduct.parse(fitted(document))
        assert product.spec.route is None
        assert product.spec.analysis.block_seconds == 20
