"""A real service that calls another one through a real split: whose version its outcomes count for."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, NamedTuple

import pytest
import requests

from sluicegate_service.bentos import extract
from tests.support.processes.splitting_proxy import (
    RouteRule,
    SplittingProxy,
    canary_rules,
    splitting,
)
from tests.support.processes.trace_receiver import TraceReceiver
from tests.support.samples.bentos import build_sample
from tests.support.samples.products import BEARER, ServedProduct, identity, launched
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes.trace_receiver import Received

pytestmark = pytest.mark.heavy
FACTORS = {"v1": 2, "v2": 3}
CONSUMER, UPSTREAM = "catalog/consuming", "catalog/multiplied"
OUTCOMES = "sluicegate_upstream_outcomes_total"


def build(name: str, folder: Path) -> Path:
    extract(build_sample(name, folder), folder / f"{name}-unpacked")
    return folder / f"{name}-unpacked"


class Pair(NamedTuple):
    """Both versions of the upstream, the proxy before them, the consumer, and the receiver of their traces."""

    versions: dict[str, ServedProduct]
    proxy: SplittingProxy
    consumer: ServedProduct
    receiver: TraceReceiver

    def split(self, percent: int) -> None:
        """Give the candidate a share, by draws of consumers too."""
        stable, candidate = (self.versions[version].url for version in ("v1", "v2"))
        self.proxy.rules = canary_rules(UPSTREAM, stable, candidate, percent)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, secret: Path) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("upstreams")
    upstream = build("multiplied", folder)
    receiver = TraceReceiver()

    def sent() -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def pod(version: str) -> dict[str, str]:
        return (
            identity("multiplied", version, secret)
            | sent()
            | {
                "SLUICEGATE_REVISION": version * 5,
                "FACTOR": str(FACTORS[version]),
                "SLUICEGATE_CONSUMERS": json.dumps([CONSUMER]),
            }
        )

    with (
        receiver,
        launched(upstream, folder / "v1", **pod("v1")) as stable,
        launched(upstream, folder / "v2", **pod("v2")) as candidate,
        splitting(canary_rules(UPSTREAM, stable.url, candidate.url, 50)) as proxy,
    ):
        variables = (
            identity("consuming", "v7", secret)
            | sent()
            | {
                "MULTIPLIED_URL": proxy.url,
                "SLUICEGATE_UPSTREAMS": json.dumps([UPSTREAM]),
            }
        )
        with launched(build("consuming", folder), folder / "consumer", **variables) as consumer:
            yield Pair({"v1": stable, "v2": candidate}, proxy, consumer, receiver)


def metrics(product: ServedProduct) -> str:
    return requests.get(f"{product.metrics_url}/metrics", timeout=10).text


def counted(pair: Pair, outcome: str) -> dict[str, float]:
    """Return outcomes of the consumer by the version of the upstream."""
    found = dict.fromkeys(FACTORS, 0.0)
    for labels, value in pair.consumer.counters(OUTCOMES).items():
        _, result, upstream, _, version = labels
        assert upstream == UPSTREAM
        found[version] += value * (result == outcome)
    return found


def label(pair: Pair, *labels: dict[str, object]) -> None:
    answer = pair.consumer.post("/feedback", {"labels": labels}, Authorization=f"Bearer {BEARER}")
    assert answer.json() == {"counted": len(labels), "refused": []}


def test_a_product_has_no_series_of_an_upstream_without_a_canary(pair):
    pair.split(50)
    pair.proxy.rules = [RouteRule({}, {pair.versions["v1"].url: 1})]
    for _ in range(3):
        assert pair.consumer.post("/in-turn", {"calls": 2}).json()["values"] == [2, 2]
    assert "sluicegate_upstream" not in metrics(pair.consumer)


@pytest.mark.parametrize("path", ["/in-turn", "/parallel", "/with-bentoml"])
def test_all_calls_of_a_request_get_one_version_and_its_outcome_counts_for_it(pair, path):
    pair.split(50)
    for _ in range(30):  # until both versions are known to run
        pair.consumer.post("/in-turn", {"calls": 1}).raise_for_status()
    before = counted(pair, "correct")
    labels, made = [], dict.fromkeys(FACTORS, 0)
    for _ in range(24):
        answer = pair.consumer.post(path, {"calls": 4}).json()
        (factor,) = set(answer["values"])
        made["v1" if factor == FACTORS["v1"] else "v2"] += 1
        labels.append({"token": answer["token"], "truth": sum(answer["values"])})
    assert min(made.values()) > 0
    label(pair, *labels)
    after = counted(pair, "correct")
    assert {version: after[version] - before[version] for version in FACTORS} == made
    requests_of = pair.consumer.counters("sluicegate_upstream_requests_total")
    assert requests_of["mixed", "catalog/multiplied"] == 0


def test_events_of_a_request_count_for_its_upstream_version(pair):
    pair.split(50)
    for _ in range(20):
        pair.consumer.post("/in-turn", {"calls": 1}).raise_for_status()
    events = pair.consumer.counters("sluicegate_upstream_events_total")
    good = {labels[-1]: value for labels, value in events.items() if labels[1] == "good"}
    assert set(good) == set(FACTORS)
    assert min(good.values()) > 0


def test_requests_split_over_both_upstream_versions_count_for_none(pair):
    pair.split(50)
    urls = [product.url for product in pair.versions.values()]
    pair.proxy.rules = [RouteRule({}, dict.fromkeys(urls, 1))]
    before = counted(pair, "correct")
    answers = [pair.consumer.post("/in-turn", {"calls": 6}).json() for _ in range(8)]
    mixed = [answer for answer in answers if len(set(answer["values"])) > 1]
    label(pair, *({"token": a["token"], "truth": sum(a["values"])} for a in mixed))
    assert len(mixed) > 0
    assert counted(pair, "correct") == before
    assert pair.consumer.counters("sluicegate_upstream_requests_total")[
        "mixed", "catalog/multiplied"
    ] == len(mixed)


def test_only_declared_consumers_receive_the_version_header(pair):
    upstream = pair.versions["v2"]
    marks = [
        upstream.post("/multiply", {"numbers": numbers}, **headers).headers.get(
            "sluicegate-version"
        )
        for numbers, headers in (
            ([1], {"sluicegate-consumer": CONSUMER}),
            ("no list", {"sluicegate-consumer": CONSUMER}),
            ([1], {"sluicegate-consumer": "catalog/other"}),
            ([1], {}),
        )
    ]
    mark = f"{UPSTREAM} v2 " + "v2" * 5
    assert marks == [mark, mark, None, None], "an error is an answer, too"


def test_the_upstream_counts_requests_and_failures_by_the_name_that_callers_send(pair):
    pair.proxy.rules = [RouteRule({}, {pair.versions["v1"].url: 1})]
    upstream = pair.versions["v1"]

    def counted() -> dict[tuple[str, ...], float]:
        return upstream.counters("sluicegate_consumer_requests_total")

    before = counted()
    pair.consumer.post("/in-turn", {"calls": 3}).raise_for_status()
    upstream.post("/multiply", {"numbers": [1]}, **{"sluicegate-consumer": "catalog/unlisted"})
    upstream.post("/multiply", {"numbers": "no list"})
    added = {labels: value - before[labels] for labels, value in counted().items()}
    assert {labels: value for labels, value in added.items() if value} == {
        (CONSUMER, "good"): 3,
        ("other", "good"): 2,
    }
    assert "sluicegate_consumer_requests" not in metrics(pair.consumer)


def test_a_client_of_the_consumer_cannot_choose_the_version(pair):
    pair.split(50)
    draw = {"sluicegate-draw": UPSTREAM, "sluicegate-draw-1": "0", "sluicegate-version": "a b c"}
    answers = [pair.consumer.post("/in-turn", {"calls": 1}, **draw).json() for _ in range(24)]
    assert {answer["values"][0] for answer in answers} == set(FACTORS.values())


@pytest.mark.parametrize("path", ["/in-turn", "/parallel", "/with-bentoml"])
def test_a_request_the_spans_of_its_service_and_its_calls_are_one_trace_of_the_caller(pair, path):
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace}-{caller}-01"}
    pair.consumer.post(path, {"calls": 2}, **headers).raise_for_status()

    def of(product: str) -> list[Received]:
        return [
            span
            for span in pair.receiver.spans
            if span.trace == trace and span.resource["service.name"] == product
        ]

    calls = 3 if path == "/parallel" else 2
    eventually(
        lambda: (
            sum(span.name == "POST /multiply" for span in of("multiplied")) == calls
            and any(span.parent == caller for span in of("consuming"))
        ),
        seconds=30,
        what="the spans of both products",
    )
    (request,) = (span for span in of("consuming") if span.parent == caller)
    assert request.name == f"POST {path}"
    assert request.resource["service.namespace"] == "catalog"
    assert request.resource["service.version"] == "v7"
    if path == "/in-turn":
        (request,) = (span for span in pair.receiver.children(request) if span.name == "sum")
    called = [span for span in pair.receiver.children(request) if span.name == "POST /multiply"]
    assert len(called) == calls
    assert {span.resource["service.version"] for span in called} <= FACTORS.keys()
    assert not any("readyz" in span.name or "metrics" in span.name for span in pair.receiver.spans)
