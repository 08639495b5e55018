"""Bentos of BentoML's own examples, without a line for Sluicegate, served as in a pod.

The first test has small equivalents of `inference-graph`, `io-descriptors` and `task_classification`.
The second has originals, from a clone of BentoML's repository at ORIGIN that BENTOML_EXAMPLES
names, and an index for their packages: the workflow `test` has both.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sluicegate.__main__ import main
from sluicegate_service.runtime_image import PLACE
from tests.support.samples.bentos import bento_environment
from tests.support.samples.images import archive_of_a_base, blob, read
from tests.support.samples.products import ONE_THREAD, launched, pull

if TYPE_CHECKING:
    from tests.support.samples.products import ServedProduct

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "examples"
ORIGIN = "d518de6d088da05f29f1dd857f19a285b95c9ec3"
"""The last commit of BentoML's repository with examples that train a model themselves."""
ORIGINALS = os.environ.get("BENTOML_EXAMPLES", "")


@dataclass(frozen=True)
class Original:
    """An example of BentoML: how its reader builds it, and a question with its answer."""

    folder: str
    bento: str
    train: str
    packages: tuple[str, ...]
    path: str
    question: dict[str, object]
    answer: object


CANCER = [
    17.99, 10.38, 122.8, 1001.0, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.07871, 1.095, 0.9053, 8.589,
    153.4, 0.006399, 0.04904, 0.05373, 0.01587, 0.03003, 0.006193, 25.38, 17.33, 184.6, 2019.0, 0.1622,
    0.6656, 0.7119, 0.2654, 0.4601, 0.1189,
]  # fmt: skip
"""The first row of scikit-learn's `load_breast_cancer`: malignant, which is its class 0."""
OF_BENTOML = [
    Original(
        "examples/sk-learn", "iris_classifier", "prepare_model.py", ("scikit-learn", "pandas"),
        "/classify", {"input_series": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}, [0, 2],
    ),
    Original(
        "examples/xgboost", "cancer_classifier", "save_model.py", ("scikit-learn", "xgboost"),
        "/predict", {"data": [CANCER]}, [[pytest.approx(1, abs=0.2), pytest.approx(0, abs=0.2)]],
    ),
    Original(
        "tests/monitoring/task_classification", "task_classification", "train.py",
        ("scikit-learn", "pandas", "bentoml[monitor-otlp]"),
        "/classify", {"features": [6.3, 3.3, 6.0, 2.5]}, "virginica",
    ),
]  # fmt: skip


def of_graph(product: ServedProduct) -> None:
    answer = product.post("/compare", {"sentence": "so"})
    assert answer.json() == [{"text": "SO", "score": 0.02}, {"text": "so so so", "score": 0.08}]


def of_tables(product: ServedProduct) -> None:
    table = [{"price": 1.0, "age": 3.0}, {"price": 3.0, "age": 5.0}]
    assert product.post("/mean", {"table": table}).json() == [2.0, 4.0]
    sent = {"file": ("a.txt", "one\n", "text/plain")}
    answer = requests.post(f"{product.url}/append", data={"line": "two"}, files=sent, timeout=30)
    assert answer.text == "one\ntwo"


def of_flowers(product: ServedProduct) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
    assert product.post("/classify", {"rows": rows}).json() == [0, 2]
    assert product.post("/classify", {"rows": [[1.0]]}).status_code == 400


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        pytest.param("graph", of_graph, marks=pytest.mark.nightly),
        pytest.param("tables", of_tables, marks=pytest.mark.nightly),
        ("flowers", of_flowers),
    ],
)
def test_a_bento_of_bentomls_examples_is_packed_and_served(
    name: str, asked, registry: str, tmp_path: Path, capsys, monkeypatch
):
    project = shutil.copytree(EXAMPLES / name, tmp_path / name)
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    train = ["train.py"] if (project / "train.py").exists() else []
    for arguments in ([train] if train else []) + [["-m", "bentoml", "build", "--version", "v1"]]:
        subprocess.run(
            [sys.executable, *arguments], cwd=project, check=True, capture_output=True,
            env=bento_environment(home, **ONE_THREAD),
        )  # fmt: skip

    reference = f"{registry}/examples/{name}"
    assert main(["pack", f"{name}:v1", reference, "--plain-http", "--quiet"]) == 0
    bento = pull(capsys.readouterr().out.strip(), tmp_path / "mounted")

    with launched(
        bento, tmp_path / "served", SLUICEGATE_NAMESPACE="shop", SLUICEGATE_PRODUCT=name,
        SLUICEGATE_VERSION="v1",
    ) as product:  # fmt: skip
        asked(product)
        assert any(product.counters("bentoml_service_request_total").values())


@pytest.mark.skipif(not ORIGINALS, reason="BENTOML_EXAMPLES names no clone of BentoML")
@pytest.mark.parametrize("original", OF_BENTOML, ids=lambda one: one.folder)
def test_an_original_runs_by_the_steps_of_the_page(
    original: Original, registry: str, tmp_path: Path, capsys, monkeypatch
):
    """Built as BentoML does it, locked; docs/own-model.md then has a runtime image for its packages."""
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    project = shutil.copytree(Path(ORIGINALS) / original.folder, tmp_path / "project")
    environment = bento_environment(home, **ONE_THREAD)
    assert main(["runtime-constraints"]) == 0
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(capsys.readouterr().out)
    python = tmp_path / "env/bin/python"
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(tmp_path / "env")],
        ["uv", "pip", "install", "--quiet", "--python", str(python), "-c", str(constraints),
         "uv", "bentoml", *original.packages],
        [str(python), original.train],
        [str(python), "-m", "bentoml", "build", "--version", "v1"],
    ):  # fmt: skip
        done = subprocess.run(
            command, cwd=project, capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
    tag = f"{original.bento}:v1"

    base, name = tmp_path / "base.tar", f"runtimes/{original.bento}"
    archive_of_a_base(base)
    image = ["runtime-image", tag, f"{registry}/{name}:v1", "--base", str(base), "--plain-http"]
    assert main(image) == 0, capsys.readouterr().err
    manifest = read(registry, name, "manifests", capsys.readouterr().out.strip().partition("@")[2])
    layer = blob(registry, name, "blobs", manifest["layers"][-1]["digest"])
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        tar.extractall(tmp_path / "root", filter="data")
    added = tmp_path / "root" / PLACE
    frozen = [f"{one.name}=={one.version}" for one in metadata.distributions(path=[str(added)])]
    assert frozen
    mine = {line.partition("==")[0].lower().replace("_", "-") for line in frozen}
    frozen += [
        line for line in constraints.read_text().splitlines()
        if "==" in line and line.partition("==")[0].lower() not in mine
    ]  # fmt: skip
    (tmp_path / "frozen.txt").write_text("\n".join(frozen) + "\n")

    reference = f"{registry}/examples/{original.bento}"
    options = ["--constraints", str(tmp_path / "frozen.txt"), "--plain-http", "--quiet"]
    assert main(["pack", tag, reference, *options]) == 0, capsys.readouterr().err
    bento = pull(capsys.readouterr().out.strip(), tmp_path / "mounted")
    with launched(
        bento, tmp_path / "served", SLUICEGATE_NAMESPACE="shop", SLUICEGATE_PRODUCT="example",
        SLUICEGATE_VERSION="v1", PYTHONPATH=str(added),
    ) as product:  # fmt: skip
        answer = product.post(original.path, original.question)
        told = answer.json() if "json" in answer.headers["content-type"] else answer.text
        assert told == original.answer
        assert any(product.counters("bentoml_service_request_total").values())


def test_the_workflow_checks_out_the_commit_of_the_originals():
    workflow = (EXAMPLES.parents[2] / ".github/workflows/test.yml").read_text(encoding="utf-8")
    assert ORIGIN in workflow
    assert "BENTOML_EXAMPLES" in workflow
