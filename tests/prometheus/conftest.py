"""A real Prometheus that scrapes a real BentoML service each second."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
import yaml

from cluster.builds import program
from tests.support.processes.running import free_port, running, start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Iterator

SERVICE = Path(__file__).parent / "service"
TARGET_LABELS = {"namespace": "catalog", "product": "search-ranking", "version": "v1", "pod": "p-0"}


@pytest.fixture(scope="session")
def prometheus_program() -> Path:
    return program("prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return program("promtool")


@dataclass
class BentoServer:
    """`bentoml serve` of the service next to this file; its process can be replaced."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "bentoml", "serve", "service:Traffic"]
        self.process = start(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            log=self.folder / "bentoml.log",
            env={"BENTOML_HOME": str(self.folder / "home"), "BENTOML_DO_NOT_TRACK": "True"},
            cwd=SERVICE,
        )
        eventually(self._ready, seconds=90, what="the service to be ready")

    def stop(self, how: signal.Signals) -> None:
        assert self.process
        stop(self.process, how)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BentoServer]:
    server = BentoServer(tmp_path_factory.mktemp("service"))
    try:
        server.start()
        yield server
    finally:
        if server.process:
            stop(server.process)


@pytest.fixture(scope="module")
def prometheus_url(
    prometheus_program: Path, service: BentoServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    tmp_path = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {
                "job_name": "products",
                "static_configs": [
                    {"targets": [f"127.0.0.1:{service.port}"], "labels": TARGET_LABELS}
                ],
            }
        ],
    }
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    command = [
        str(prometheus_program),
        f"--config.file={file}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, log=tmp_path / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _scraped(url), seconds=60, what="Prometheus to scrape the service")
        yield url


def _scraped(url: str) -> bool:
    try:
        answer = requests.get(f"{url}/api/v1/query", {"query": "up == 1"}, timeout=5)
    except requests.RequestException:
        return False
    return answer.ok and bool(answer.json()["data"]["result"])
