"""`sluicegate doctor` beside a real Prometheus, configured well and badly."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from sluicegate.cli.doctor_prometheus import PrometheusReader, prometheus_findings
from sluicegate.settings import parse_settings
from tests.support.processes.running import free_port, running
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


class Pod(BaseHTTPRequestHandler):
    """Answers as a product's pod and its node's cAdvisor do."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pod() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pod)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@contextmanager
def prometheus(
    program: Path,
    folder: Path,
    pod: int,
    labels: dict[str, str],
    *,
    retention: str = "15d",
    every: str = "1s",
) -> Iterator[str]:
    job = {
        "job_name": "products",
        "scrape_interval": every,
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{pod}"], "labels": labels}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(program), f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}", f"--storage.tsdb.retention.time={retention}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]  # fmt: skip
    with running(command, log=folder / "log"):
        eventually(lambda: counted(url), seconds=60, what="the first scrape")
        yield url


def counted(url: str) -> bool:
    query = {"query": "bentoml_service_request_total"}
    try:
        return bool(requests.get(f"{url}/api/v1/query", query, timeout=5).json()["data"]["result"])
    except requests.RequestException:
        return False


def told(url: str, **settings: str) -> list[str]:
    parsed = parse_settings({f"SLUICEGATE_{name}": value for name, value in settings.items()})
    with PrometheusReader(url, parsed) as reader:
        return [finding.line() for finding in prometheus_findings(reader, parsed)]


@pytest.fixture(scope="module")
def good(prometheus_program: Path, pod: int, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("good")
    with prometheus(prometheus_program, folder, pod, LABELS) as url:
        yield url


def test_nothing_is_missing_where_all_is_there(good: str):
    assert told(good, SCRAPE_INTERVAL_SECONDS="1") == []


def test_settings_are_held_against_what_is_scraped(good: str):
    (line,) = told(good, GATEWAY_METRICS="Traefik")
    assert line.startswith("error: Traefik: no traefik_service_requests_total")


def test_what_is_missing_is_named_with_the_way_out(prometheus_program, pod, tmp_path):
    labels = {"product": "pricing", "version": "v1", "namespace": "shop", "endpoint": "metrics"}
    with prometheus(prometheus_program, tmp_path, pod, labels, retention="7d", every="2s") as url:
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


def test_nobody_who_answers_is_told_with_a_way_in():
    (line,) = told("http://127.0.0.1:1")

    assert line.startswith("error: http://127.0.0.1:1: does not answer")
    assert "port-forward" in line
