"""BentoML's own examples, without a line for Sluicegate, served as in a pod.

BENTOML_EXAMPLES names a clone of BentoML's repository, at the last commit with examples that train a
model themselves; an index has their packages. The workflow `test` has both; elsewhere these tests
are not collected.
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

import pytest

from sluicegate.__main__ import main
from sluicegate_service.runtime_image import PLACE
from tests.support.samples.bentos import bento_environment
from tests.support.samples.images import archive_of_a_base, blob, read
from tests.support.samples.products import ONE_THREAD, launched, pull

ORIGINALS = Path(os.environ["BENTOML_EXAMPLES"])


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


@pytest.mark.parametrize("original", OF_BENTOML, ids=lambda one: one.folder)
def test_an_original_bentoml_example_runs_by_the_steps_of_the_page(
    original: Original, registry: str, tmp_path: Path, capsys, monkeypatch
):
    """Built as BentoML does it, locked; docs/own-model.md then has a runtime image for its packages."""
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    project = shutil.copytree(ORIGINALS / original.folder, tmp_path / "project")
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
    frozen = [
        f"{distribution.name}=={distribution.version}"
        for distribution in metadata.distributions(path=[str(added)])
    ]
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
