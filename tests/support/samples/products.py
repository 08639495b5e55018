"""The sample products for tests: built, served on loopback, and pulled from a registry."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from prometheus_client.parser import text_string_to_metric_families

from sluicegate_service.bentos import read_bento
from tests.support.processes.running import free_port, start, stop
from tests.support.waiting import eventually
from used_car_market import Market

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BENTOS = Path(__file__).resolve().parents[3] / "bentos"
FAULTY = Path(__file__).resolve().parents[2] / "data" / "faulty"
SOURCES = {"pricing": BENTOS / "pricing", "search-ranking": BENTOS / "search-ranking"}
BEARER = "the-label-jobs-own-token"
# Two threads of OpenMP on busy cores spin longer than one works.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def build(source: Path, into: Path, *, version: str = "v1", market: Market | None = None) -> Path:
    """Return a product's first bento, trained on a market, by the command that a person uses."""
    finished = run_training(source, ["train", "build", version, str(into)], market=market)
    assert finished.returncode == 0, finished.stderr
    return into


def run_training(
    source: Path,
    module: list[str],
    *,
    market: Market | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Return `python -m MODULE` in a source folder, as the Job does it in the bento's `src`."""
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=source,
        env={
            **os.environ,
            **ONE_THREAD,
            "USED_CAR_MARKET": (market or Market()).dump(),
            **(env or {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def retrain(
    bento: Path, registry: str, log: Path, *, module: str = "train", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Return the retraining of a bento, with the variables of a Job.

    `log` takes the termination message.
    """
    stable = read_bento(bento)
    environment = {
        "SLUICEGATE_NAMESPACE": "catalog",
        "SLUICEGATE_PRODUCT": stable.name,
        "SLUICEGATE_VERSION": stable.version,
        "SLUICEGATE_OUTPUT": f"{registry}/bentos/{stable.name}",
        "SLUICEGATE_PLAIN_HTTP_REGISTRIES": registry,
        "SLUICEGATE_BENTO": str(bento),
        "SLUICEGATE_TERMINATION_LOG": str(log),
        **variables,
    }
    return run_training(bento / "src", [module], env=environment)


def faulty_source(into: Path) -> Path:
    """Return the pricing product's source with the trainings that go wrong laid beside it."""
    shutil.copytree(SOURCES["pricing"], into, ignore=shutil.ignore_patterns("__pycache__"))
    for path in FAULTY.glob("*.py"):
        shutil.copy(path, into)
    return into


def pull(image: str, into: Path) -> Path:
    """Return the bento in an image, as a node mounts it."""
    host, _, rest = image.partition("/")
    repository, _, digest = rest.partition("@")
    url = f"http://{host}/v2/{repository}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = requests.get(f"{url}/manifests/{digest}", headers=accept, timeout=30)
    manifest.raise_for_status()
    (layer,) = manifest.json()["layers"]
    blob = requests.get(f"{url}/blobs/{layer['digest']}", timeout=60)
    with tarfile.open(fileobj=io.BytesIO(blob.content)) as tree:
        tree.extractall(into, filter="data")
    return into


@dataclass(frozen=True)
class ServedProduct:
    """A product that answers on loopback."""

    url: str
    metrics_url: str
    log: Path

    def counters(self, name: str) -> dict[tuple[str, ...], float]:
        """Return samples of a counter family, by their labels' values in the labels' alphabetical order."""
        text = requests.get(f"{self.metrics_url}/metrics", timeout=10).text
        return {
            tuple(sample.labels[key] for key in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        """Send JSON."""
        return requests.post(self.url + path, json=body, headers=headers, timeout=30)


@contextmanager
def served(bento: Path, folder: Path, **environment: str) -> Iterator[ServedProduct]:
    """Yield a sample product's bento behind the launcher."""
    document = json.loads((bento / "src" / "model.json").read_text())
    assert document["effort"], "a bento of these products carries a model card"
    with launched(bento, folder, **environment) as product:
        yield product


@contextmanager
def launched(bento: Path, folder: Path, **environment: str) -> Iterator[ServedProduct]:
    """Yield any bento behind the launcher, as in a pod of the operator's."""
    folder.mkdir(parents=True, exist_ok=True)
    api, metrics = free_port(), free_port()
    process = start(
        [
            *(sys.executable, "-m", "sluicegate_service.launcher", str(bento)),
            *("--host", "127.0.0.1", "--api-port", str(api), "--metrics-port", str(metrics)),
        ],
        log=folder / "server.log",
        env={**ONE_THREAD, "BENTOML_HOME": str(folder / "home"), **environment},
    )
    product = ServedProduct(
        f"http://127.0.0.1:{api}", f"http://127.0.0.1:{metrics}", folder / "server.log"
    )
    try:
        eventually(lambda: ready(product), seconds=180, what="/readyz of the product")
        yield product
    except AssertionError:
        print(product.log.read_text()[-4000:])
        raise
    finally:
        stop(process)


def ready(product: ServedProduct) -> bool:
    """Return whether the product accepts requests."""
    try:
        return requests.get(f"{product.metrics_url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def feedback_secret(folder: Path) -> Path:
    """Return the files of the Secret that serving.feedback.secretRef names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hmac").write_bytes(b"signing-key-of-the-tests-32-bytes")
    (folder / "bearer").write_text(BEARER)
    return folder


def identity(product: str, version: str, secret: Path) -> dict[str, str]:
    """Return the variables with a pod's version and product."""
    return {
        "SLUICEGATE_NAMESPACE": "catalog",
        "SLUICEGATE_PRODUCT": product,
        "SLUICEGATE_VERSION": version,
        "SLUICEGATE_FEEDBACK_DIRECTORY": str(secret),
    }
