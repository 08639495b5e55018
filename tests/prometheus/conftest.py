"""A real Prometheus that scrapes a real BentoML service each second."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from cluster.builds import program
from tests.support.processes.running import free_port, start, stop
from tests.support.prometheus.server import prometheus, rows
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
    job = {
        "job_name": "products",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{service.port}"], "labels": TARGET_LABELS}],
    }
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(prometheus_program, folder, {"scrape_configs": [job]}) as url:
        eventually(lambda: rows(url, "up == 1"), seconds=60, what="a scrape of the service")
        yield url
