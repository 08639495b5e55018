"""`sluicegate doctor` beside a real Prometheus, configured well and badly."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sluicegate.cli.operations.doctor_prometheus import PrometheusReader, prometheus_findings
from sluicegate.settings import parse_settings
from sluicegate.wiring import endpoint_of
from tests.support.processes.http_server import answering
from tests.support.prometheus.server import prometheus, rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = """\
bentoml_service_request_total{endpoint="/price",http_response_code="200"} 7
container_memory_working_set_bytes{container="bento",pod="p-0",namespace="shop"} 1
"""
LABELS = {
    "namespace": "shop",
    "product": "pricing",
    "version": "v1",
    "revision": "a1",
    "pod": "p-0",
}


@pytest.fixture(scope="module")
def pod() -> Iterator[str]:
    """Yield host and port of what answers as a product's pod and its node's cAdvisor do."""
    with answering(lambda _: PAGE) as address:
        yield address


@contextmanager
def scraping(
    program: Path, folder: Path, pod: str, labels: dict[str, str], *, days: int, every: int
) -> Iterator[str]:
    """Yield the URL of a Prometheus that keeps so many days, and reads the pod each so many seconds."""
    job = {
        "job_name": "products",
        "scrape_interval": f"{every}s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [pod], "labels": labels}],
    }
    retention = f"--storage.tsdb.retention.time={days}d"
    with prometheus(program, folder, {"scrape_configs": [job]}, retention) as url:
        counted = "bentoml_service_request_total"
        eventually(lambda: rows(url, counted), seconds=60, what="the first scrape")
        yield url


def told(url: str, **settings: str) -> list[str]:
    parsed = parse_settings({f"SLUICEGATE_{name}": value for name, value in settings.items()})
    with PrometheusReader(endpoint_of(parsed, url)) as reader:
        return [finding.line() for finding in prometheus_findings(reader, parsed)]


@pytest.fixture(scope="module")
def good(prometheus_program: Path, pod: str, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("good")
    with scraping(prometheus_program, folder, pod, LABELS, days=15, every=1) as url:
        yield url


def test_doctor_reports_no_problem_with_a_complete_prometheus(good: str):
    assert told(good, SCRAPE_INTERVAL_SECONDS="1") == []


def test_doctor_compares_the_gateway_setting_with_the_scraped_series(good: str):
    (line,) = told(good, GATEWAY_METRICS="Traefik")
    assert line.startswith("error: Traefik: no traefik_service_requests_total")


@pytest.mark.parametrize(
    ("counted", "beginning"),
    [
        ("", "note: Traefik: is scraped, and has had no request yet"),
        (
            'traefik_entrypoint_requests_total{entrypoint="web"} 7\n',
            "error: Traefik: no traefik_service_requests_total",
        ),
    ],
    ids=["no request", "services are not counted"],
)
def test_doctor_notes_a_scraped_gateway_without_requests_alone(
    prometheus_program, tmp_path, counted, beginning
):
    page = f"{PAGE}traefik_config_last_reload_success 1.7e9\n{counted}"
    with (
        answering(lambda _: page) as address,
        scraping(prometheus_program, tmp_path, address, LABELS, days=15, every=1) as url,
    ):
        (line,) = told(url, GATEWAY_METRICS="Traefik", SCRAPE_INTERVAL_SECONDS="1")
    assert line.startswith(beginning)


def test_doctor_names_missing_labels_and_retention_with_the_way_out(
    prometheus_program, pod, tmp_path
):
    labels = {"product": "pricing", "version": "v1", "namespace": "shop", "endpoint": "metrics"}
    with scraping(prometheus_program, tmp_path, pod, labels, days=7, every=2) as url:
        lines = told(url, SCRAPE_INTERVAL_SECONDS="1")

    (slow,) = (line for line in lines if "interval" in line)
    assert slow.startswith("error: scrape interval: of products' pods is 2 s, and the operator")
    lines = [line for line in lines if "interval" not in line]
    assert [line.partition(", so")[0].partition(": the scrape")[0] for line in lines] == [
        "error: products' pods: 1 series have no label revision",
        "error: products' pods: 1 series have no label pod",
        "error: products' pods: the target has a label endpoint",
        "warning: retention: is 7.0 days",
    ]


def test_doctor_reports_an_unreachable_prometheus_and_suggests_a_port_forward():
    (line,) = told("http://127.0.0.1:1")

    assert line.startswith("error: http://127.0.0.1:1: does not answer")
    assert "port-forward" in line
