"""The launcher with a real bento, on loopback, beside BentoML's own server."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sluicegate_service.api_summary import summarise
from sluicegate_service.bentos import extract
from tests.support.processes.running import free_port
from tests.support.samples.bentos import bento_environment, build_churn
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(400)]  # five servers are started
SERIES = re.compile(r"^(?P<name>[a-z_]+)\{(?P<labels>.*)\} ", re.MULTILINE)


@dataclass(frozen=True)
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    api: str
    metrics: str

    def series(self) -> list[tuple[str, dict[str, str]]]:
        text = requests.get(f"{self.metrics}/metrics", timeout=10).text
        return [
            (found["name"], dict(re.findall(r'([a-z_]+)="([^"]*)"', found["labels"])))
            for found in SERIES.finditer(text)
        ]

    def unknown_paths(self) -> float:
        """Return requests to paths that the service doesn't have, of its entry service."""
        text = requests.get(f"{self.metrics}/metrics", timeout=10).text
        line = next(line for line in text.splitlines() if 'endpoint="<unknown>"' in line)
        assert line.startswith("bentoml_service_request_total{")
        assert 'http_response_code="404"' in line
        assert 'service_version="v7"' in line
        assert 'runner_name="Churn"' in line
        return float(line.rpartition(" ")[2])

    def peak_mebibytes(self) -> int:
        (line,) = re.findall(
            r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text()
        )
        return int(line) // 1024

    def predict(self) -> requests.Response:
        return requests.post(f"{self.api}/predict", json={"features": [1, 2, 3]}, timeout=30)


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bento")
    extract(build_churn(folder, "v7"), folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def served(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with launched(bento, tmp_path_factory.mktemp("home")) as running:
        yield running


@contextlib.contextmanager
def launched(bento: Path, home: Path, **environment: str) -> Iterator[Served]:
    api, metrics = free_port(), free_port()
    command = ["-m", "sluicegate_service.launcher", str(bento), "--host=127.0.0.1"]
    command += [f"--api-port={api}", f"--metrics-port={metrics}"]
    with running(command, home, **environment) as process:
        server = Served(process, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{metrics}")
        wait_until_ready(server)
        yield server


@contextlib.contextmanager
def running(
    command: list[str], home: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env=bento_environment(home, **environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_until_ready(server: Served) -> None:
    def ready() -> bool:
        assert server.process.poll() is None, "the server ended"
        try:
            return requests.get(f"{server.metrics}/readyz", timeout=5).status_code == 200
        except requests.RequestException:  # accepted, but not yet answered, counts as not yet
            return False

    eventually(ready, seconds=180, what="/readyz")


def test_the_openapi_document_of_bentoml_is_summarised(bento: Path):
    operations = json.loads(summarise(bento))["api"]["fields"]
    assert operations.keys() == {"POST /predict", "POST /fail"}
    accepts, returns = operations["POST /predict"]
    assert accepts == {"": "object", "features": "array!", "features[]": "number"}
    assert returns == {"": "integer"}


def test_the_api_port_answers_the_services_routes(served: Served):
    assert served.predict().json() == 1
    assert requests.get(f"{served.api}/docs.json", timeout=10).json()["info"]["version"] == "v7"


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/livez", "/healthz", "/", "/static_content/x"]
)
def test_metrics_probes_and_pages_are_not_on_the_api_port(served: Served, path: str):
    assert requests.get(served.api + path, timeout=10).status_code == 404


@pytest.mark.parametrize("path", ["/predict", "/docs.json", "/nothing"])
def test_the_metrics_port_serves_only_metrics_and_probes(served: Served, path: str):
    assert requests.post(served.metrics + path, json={}, timeout=10).status_code == 404


def test_unknown_paths_are_counted_under_one_path(served: Served):
    """A renamed route's requests weren't counted at all; a series for each path would be too many."""
    for number in range(50):
        requests.get(f"{served.api}/wp-admin/{number}", timeout=10)
        requests.get(f"{served.api}/static_content/{number}", timeout=10)
        requests.get(f"{served.api}/", timeout=10)
    served.predict()
    endpoints = {labels.get("endpoint", "") for _, labels in served.series()}
    assert "/predict" in endpoints
    assert not any("wp-admin" in endpoint or "static" in endpoint for endpoint in endpoints)
    unknown = served.unknown_paths()
    served.predict()
    for path in ("/classify", "/predict/", "/static_content/x", "/livez", "/"):
        requests.post(f"{served.api}{path}", json={}, timeout=10)
    assert served.unknown_paths() == unknown + 2
    assert unknown >= 50


def test_large_feedback_bodies_without_a_bearer_token_do_not_affect_memory_or_probes(
    served: Served,
):
    idle = served.peak_mebibytes()
    large = requests.post(f"{served.api}/predict", data=b"1" * 64 * 2**20, timeout=60)
    assert large.status_code == 413
    wrong = b'{"features":[' + b"{}," * 700_000 + b"{}]}"
    assert requests.post(f"{served.api}/predict", data=wrong, timeout=60).status_code == 400
    assert served.peak_mebibytes() < idle + 100, "64 MiB, and 2 MiB of wrong items"
    assert requests.get(f"{served.metrics}/livez", timeout=3).status_code == 200


def test_a_wrong_method_on_a_known_path_is_counted_like_in_bentoml(served: Served):
    assert requests.get(f"{served.api}/predict", timeout=10).status_code == 405
    codes = {
        labels["http_response_code"]
        for name, labels in served.series()
        if name == "bentoml_service_request_total" and labels["endpoint"] == "/predict"
    }
    assert "405" in codes


def test_metric_names_and_labels_equal_those_of_the_bentoml_server(
    served: Served, bento: Path, tmp_path: Path
):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["-m", "bentoml", "serve", str(bento), "--host=127.0.0.1", f"--port={port}"]
    with running(command, tmp_path) as process:
        reference = Served(process, address, address)
        wait_until_ready(reference)
        for server in (served, reference):
            server.predict()
        theirs = {known_by(series) for series in reference.series()}
    assert theirs <= {known_by(series) for series in served.series()}
    assert any(name == "bentoml_service_request_total" for name, _ in theirs)


def known_by(series: tuple[str, dict[str, str]]) -> tuple[str, str]:
    name, labels = series
    return name, json.dumps({key: value for key, value in labels.items() if key != "pid"})


def test_the_histogram_bounds_are_read_from_the_environment(bento: Path, tmp_path: Path):
    bounds = {"services": {"Churn": {"metrics": {"duration": {"buckets": [0.05, 0.25, 1.0]}}}}}
    with launched(bento, tmp_path, BENTOML_CONFIG_OVERRIDES=json.dumps(bounds)) as server:
        server.predict()
        edges = {
            labels["le"]
            for name, labels in server.series()
            if name == "bentoml_service_request_duration_seconds_bucket"
        }
    assert edges == {"0.05", "0.25", "1.0", "+Inf"}


def test_on_sigterm_requests_in_flight_complete_and_the_launcher_exits_with_0(
    bento: Path, tmp_path: Path
):
    absent = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}  # delays no end
    with launched(bento, tmp_path, **absent) as server:
        assert server.predict().status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) == 0


def test_a_folder_without_a_bento_fails_with_one_sentence(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "sluicegate_service.launcher", str(tmp_path)],
        env=bento_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.strip() == (
        f"can't serve {tmp_path}: {tmp_path} is not a bento: bento.yaml can't be read"
        " (No such file or directory); give the folder or file that `bentoml export` writes"
    )


def test_a_service_with_a_server_of_its_own_is_refused_with_the_way_out(tmp_path: Path):
    (tmp_path / "service.py").write_text(
        "import bentoml\n"
        "image = bentoml.images.Image(lock_python_packages=False).python_packages('numpy')\n"
        "@bentoml.service(image=image)\n"
        "class Llm:\n"
        "    def __command__(self): return ['vllm']\n"
    )
    bento = tmp_path / "home/bentos/llm/v1"

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path,
            env=bento_environment(tmp_path / "home"),
            capture_output=True,
            text=True,
            check=False,
        )

    assert ran("bentoml", "build", "--version", "v1").returncode == 0
    ended = ran("sluicegate_service.launcher", str(bento))
    assert ended.returncode == 1
    assert f"can't serve {bento}: Llm starts a server of its own" in ended.stderr
