"""Mirrored requests between two real services: BentoML, its metrics, and the launcher around it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sluicegate.__main__ import main
from sluicegate.slo.queries import NO_PRODUCT_ENDPOINT
from sluicegate_service.bentos import extract
from tests.support.processes.running import free_port
from tests.support.samples.bentos import bento_environment
from tests.support.samples.products import (
    BEARER,
    ONE_THREAD,
    ServedProduct,
    identity,
    launched,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.heavy
SOURCE = Path(__file__).resolve().parents[1] / "data" / "multiplied"
BUILD = """
import sys, bentoml
source, target = sys.argv[1:]
bento = bentoml.bentos.build(
    "service:Multiplied", name="multiplied", version="v1", build_ctx=source,
    include=["service.py"], python={"packages": ["bentoml"], "lock_packages": False},
)
bentoml.bentos.export_bento(bento.tag, target)
"""
PAIRED = "sluicegate_predictions_paired_total"


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multiplied")
    target = folder / "multiplied.bento"
    subprocess.run(
        [sys.executable, "-c", BUILD, str(SOURCE), str(target)],
        check=True,
        env=bento_environment(folder / "store"),
        cwd=folder,
    )
    extract(target, folder / "unpacked")
    return folder / "unpacked"


@contextmanager
def mirroring(
    bento: Path, name: str, secret: Path, folder: Path
) -> Iterator[tuple[ServedProduct, ServedProduct]]:
    """Yield a pod of the stable version, and one of the candidate that it mirrors to."""
    nowhere = f"http://127.0.0.1:{free_port()}"

    def pod_of(version: str, factor: int, url: str) -> dict[str, str]:
        mirror = {"url": url, "percent": 100, "timeoutMilliseconds": 60_000, "maxConcurrency": 4}
        more = {"SLUICEGATE_REVISION": version * 5, "FACTOR": str(factor)}
        more["SLUICEGATE_MIRROR"] = json.dumps(mirror)
        more["SLUICEGATE_PREVIEW"] = "true"
        return identity(name, version, secret) | more

    with launched(bento, folder / "v2", **pod_of("v2", 3, nowhere)) as candidate:
        settings = pod_of("v1", 2, candidate.url)
        with launched(bento, folder / "v1", **settings) as stable:
            yield stable, candidate


@pytest.fixture(scope="module")
def pods(
    bento: Path, secret: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ServedProduct, ServedProduct]]:
    with mirroring(bento, "multiplied", secret, tmp_path_factory.mktemp("pods")) as both:
        yield both


def feedback(product: ServedProduct, *labels: dict[str, object]) -> dict[str, object]:
    """Return a pod's response to posted labels."""
    answer = product.post("/feedback", {"labels": labels}, Authorization=f"Bearer {BEARER}")
    found: dict[str, object] = answer.json()
    return found


def endpoints(product: ServedProduct) -> dict[str, float]:
    """Return requests that BentoML counted, by path."""
    text = requests.get(f"{product.metrics_url}/metrics", timeout=10).text
    found = re.findall(r'bentoml_service_request_total\{endpoint="([^"]*)".*\} (.*)', text)
    return {path: float(count) for path, count in found if float(count)}


def test_a_label_of_a_mirrored_request_counts_for_both_versions(pods):
    stable, candidate = pods
    answer = stable.post("/multiply", {"numbers": [1, 1, 1, 0]}).json()
    assert answer["values"] == [2, 2, 2, 0], "a user gets stable's answer alone"
    labels = [
        {"token": token, "truth": truth}
        for token, truth in zip(answer["tokens"], (2, 3, 7, 0), strict=True)
    ]
    assert feedback(candidate, *labels) == {"counted": 4, "refused": []}
    # Labels' values in alphabetical order: outcome, prediction's revision and version, the shadow's.
    both = ("v1" * 5, "v1")
    assert candidate.counters(PAIRED) == {
        ("correct", *both, "wrong", "v2" * 5, "v2"): 1,
        ("wrong", *both, "correct", "v2" * 5, "v2"): 1,
        ("wrong", *both, "wrong", "v2" * 5, "v2"): 1,
        ("correct", *both, "correct", "v2" * 5, "v2"): 1,
    }
    assert stable.counters("sluicegate_mirrored_requests_total")[("answered",)] == 1


def test_mirrored_requests_are_excluded_from_the_indicators_of_the_candidate(pods):
    stable, candidate = pods
    before = endpoints(candidate)
    stable.post("/multiply", {"numbers": [1]}).raise_for_status()
    after = endpoints(candidate)
    (path,) = {path for path in after if after[path] != before.get(path)}
    assert path == "/-/mirrored/multiply"
    assert re.fullmatch(NO_PRODUCT_ENDPOINT, path)
    assert not re.fullmatch(NO_PRODUCT_ENDPOINT, "/multiply")
    counted = candidate.counters("sluicegate_indicator_events_total")
    assert set(counted.values()) == {0}, "the service's own events neither"


def test_a_preview_is_answered_without_tokens_and_counts_for_no_indicator(pods):
    _, candidate = pods
    before = endpoints(candidate)
    header = {"sluicegate-preview": "catalog/multiplied"}
    answer = candidate.post("/multiply", {"numbers": [1, 2]}, **header)
    assert answer.json() == {"values": [3, 6], "tokens": [None, None]}
    assert answer.headers["sluicegate-version"].split()[1:] == ["v2", "v2" * 5]
    after = endpoints(candidate)
    assert {path for path in after if after[path] != before.get(path)} == {"/-/mirrored/multiply"}
    assert set(candidate.counters("sluicegate_indicator_events_total").values()) == {0}


def test_a_user_request_cannot_trigger_a_mirrored_request(pods):
    _, candidate = pods
    mine = candidate.post("/multiply", {"numbers": [1]}, **{"sluicegate-mirrored": "a"})
    assert mine.status_code == 403
    assert candidate.post("/-/mirrored/multiply", {"numbers": [1]}).status_code == 404


def test_answers_of_the_outcomes_template_have_both_predictions(secret: Path, tmp_path: Path):
    source = tmp_path / "digits"
    assert main(["init", "digits", "--template", "outcomes", "--directory", str(source)]) == 0
    subprocess.run(
        [sys.executable, "train.py", "build", "v1", "bento", "--lighter"],
        cwd=source,
        env=bento_environment(tmp_path / "home", **ONE_THREAD),
        check=True,
    )
    with mirroring(source / "bento", "digits", secret, tmp_path) as (stable, _):
        (row,) = stable.post("/predict", {"rows": [[0.0] * 64]}).json()
        label = {"token": row["token"], "truth": row["label"]}
        assert feedback(stable, label) == {"counted": 1, "refused": []}
        (pair,) = stable.counters(PAIRED)
        assert pair == ("correct", "v1" * 5, "v1", "correct", "v2" * 5, "v2")
