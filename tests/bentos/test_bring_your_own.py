"""A model of one's own: templates that are served and retrained, an image with its packages."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from sluicegate.__main__ import main
from sluicegate_service.bentos import read_bento
from sluicegate_service.building import built_bento
from sluicegate_service.oci import digest_of
from sluicegate_service.runtime_image import PLACE
from tests.support.samples.bentos import bento_environment, write_bento, write_wheel
from tests.support.samples.images import archive_of_a_base, blob, read
from tests.support.samples.products import ONE_THREAD

if TYPE_CHECKING:
    from pathlib import Path


def python(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=bento_environment(folder / "home", **ONE_THREAD),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_service_that_does_not_start_reports_the_reason(tmp_path: Path, capfd):
    bento = write_bento(tmp_path / "b")
    (bento / "bento.yaml").write_text(
        (bento / "bento.yaml").read_text().replace('"services"', '"service": "gone:X", "services"')
    )

    assert main(["check", str(bento), "--serve"]) == 1
    assert "it does not become ready; its output:" in capfd.readouterr().out


@pytest.mark.parametrize("locked", [True, False])
def test_a_built_image_has_the_packages_that_the_runtime_lacks(
    registry: str, tmp_path: Path, capsys, monkeypatch, *, locked: bool
):
    write_wheel(tmp_path / "index", "tabular", "1.0", requires="lesser>=2")
    write_wheel(tmp_path / "index", "lesser", "2.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    pins = "tabular==1.0\nlesser==2.5\nnumpy==2.4.6\n" if locked else "tabular\n"
    bento = write_bento(tmp_path / "b", requirements=pins)
    base = tmp_path / "base.tar"
    below = archive_of_a_base(base)
    repository = f"runtimes/{'locked' if locked else 'resolved'}"
    name = f"{registry}/{repository}"

    command = ["runtime-image", str(bento), f"{name}:v1", "--base", str(base), "--plain-http"]
    assert main(command) == 0
    image = capsys.readouterr().out.strip()
    assert image.startswith(f"{name}@sha256:")

    manifest = read(registry, repository, "manifests", image.partition("@")[2])
    config = read(registry, repository, "blobs", manifest["config"]["digest"])
    lower, upper = manifest["layers"]
    assert lower["digest"] == f"sha256:{hashlib.sha256(below).hexdigest()}"
    assert "PYTHONPATH=/opt/sluicegate:/opt/bento:/opt/python" in config["config"]["Env"]
    assert config["config"]["User"] == "1034"
    data = blob(registry, repository, "blobs", upper["digest"])
    assert config["rootfs"]["diff_ids"][1] == digest_of(gzip.decompress(data))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(tmp_path / "root", filter="data")
    told = subprocess.run(
        [sys.executable, "-c", "import tabular, lesser; print(tabular.VERSION, lesser.VERSION)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "root" / PLACE)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "1.0 2.5\n"

    again = ["runtime-image", str(bento), f"{name}:v2", "--base", image, "--plain-http"]
    assert main(again) == 0  # a base in a registry, whose layers are taken over


def test_with_docker_the_image_is_built_by_a_dockerfile_from_the_same_packages(
    tmp_path: Path, capsys
):
    bento = write_bento(tmp_path / "b", requirements="tabular==1.0\nnumpy==2.4.6\n")
    folder = tmp_path / "image"

    command = ["runtime-image", str(bento), "--base", "r.example/run@sha256:0", "--docker"]
    assert main([*command, str(folder)]) == 0
    assert (folder / "requirements.txt").read_text() == "tabular==1.0\n"
    assert (folder / "Dockerfile").read_text().startswith("FROM r.example/run@sha256:0\n")


def test_a_bento_that_the_runtime_satisfies_needs_no_image(tmp_path: Path, capsys):
    bento = write_bento(tmp_path / "b", requirements="numpy==2.4.6\n")

    assert main(["runtime-image", str(bento), "r.example/x:1", "--base", "r.example/run:1"]) == 0
    assert "has all that pricing:v1 asks for" in capsys.readouterr().out


def test_a_bento_for_another_python_version_is_refused(tmp_path: Path, capsys):
    bento = write_bento(tmp_path / "b", python="3.10")

    assert main(["runtime-image", str(bento), "r.example/x:1", "--base", "r.example/run:1"]) == 1
    assert 'set python_version to "3.11"' in capsys.readouterr().err


def test_a_bento_with_a_package_as_a_wheel_serves(tmp_path: Path, capfd, monkeypatch):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    assert main(["init", "iris", "--directory", str(tmp_path)]) == 0
    write_wheel(tmp_path / "wheels", "tabular", "1.0")
    service = tmp_path / "service.py"
    service.write_text("import tabular\n" + service.read_text())
    options = tmp_path / "bentofile.yaml"
    options.write_text(options.read_text().replace('"*.py"', '"*.py", "wheels/*.whl"'))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "wheels/tabular-1.0-py3-none-any.whl"))
    python(tmp_path, "train.py")
    python(tmp_path, "-m", "bentoml", "build", "--version", "v1")
    monkeypatch.delenv("PYTHONPATH")

    assert main(["check", "iris:v1", "--serve"]) == 0


def test_constraints_of_the_runtime_limit_the_packages_that_bentoml_locks(
    tmp_path: Path, capsys, monkeypatch
):
    """The first way out of docs/own-model.md for a lock file, with an index that has a newer release."""
    for name, version in (("tabular", "1.0"), ("tabular", "2.0")):
        write_wheel(tmp_path / "index", name, version)
    write_wheel(tmp_path / "index", "bentoml", metadata.version("bentoml"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "service.py").write_text(
        "import bentoml\n"
        "image = bentoml.images.Image().python_packages('tabular')\n"
        "@bentoml.service(image=image)\n"
        "class Sorter:\n"
        "    @bentoml.api\n"
        "    def sort(self, text: str) -> str:\n"
        "        return text\n"
    )
    (project / ".bentoignore").write_text("home/\n")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(f"tabular==1.0\nbentoml=={metadata.version('bentoml')}\n")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    build = ["-m", "bentoml", "build", "--name", "sorter", "--version"]
    python(project, *build, "newest")
    monkeypatch.setenv("UV_CONSTRAINT", str(constraints))
    python(project, *build, "constrained")

    def checked(version: str) -> tuple[int, str]:
        bento = project / "home/bentos/sorter" / version
        code = main(["check", str(bento), "--constraints", str(constraints)])
        return code, capsys.readouterr().out

    code, told = checked("newest")
    assert code == 1
    assert "requirements: tabular: is ==2.0, and the runtime has 1.0" in told
    assert "UV_CONSTRAINT=$PWD/constraints.txt bentoml build" in told
    assert checked("constrained") == (0, "it fits\n")


def test_the_successor_of_a_bento_without_a_lock_is_built_without_an_index(
    tmp_path: Path, monkeypatch
):
    """BentoML writes `lock_packages: true` into the source, whatever the Image of its code says."""
    (tmp_path / "service.py").write_text(
        "import bentoml\n"
        "image = bentoml.images.Image(lock_python_packages=False).python_packages('iniconfig')\n"
        "@bentoml.service(image=image)\n"
        "class Sorter:\n"
        "    @bentoml.api\n"
        "    def sort(self, text: str) -> str:\n"
        "        return text\n"
    )
    python(tmp_path, "-m", "bentoml", "build", "--name", "sorter", "--version", "v1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")

    source = tmp_path / "home/bentos/sorter/v1/src"
    with built_bento(source, name="sorter", version="v2", save_model=lambda _: None) as bento:
        requirements = read_bento(bento).requirements.read_text()

    assert "iniconfig" in requirements


def test_an_isolated_training_has_the_packages_of_the_image_and_the_bento_and_no_others(
    tmp_path: Path, capfd
):
    """Not those of the Python that runs the command, in which the operator is installed."""
    bento = write_bento(tmp_path / "b", requirements="iniconfig==2.1.0\n")
    report = {
        "image": "file:///x@sha256:" + "b" * 64,
        "version": "v2",
        "evaluation": {"accuracy": {"bad": 300, "total": 10_000}},
        "stableEvaluation": {"accuracy": {"bad": 900, "total": 10_000}},
    }
    (bento / "src/train.py").write_text(
        "import importlib.util, os, pathlib\n"
        "import bentoml, iniconfig, sluicegate_service\n"
        "others = ('sluicegate', 'kopf', 'pytest')\n"
        "print('others:', [name for name in others if importlib.util.find_spec(name)])\n"
        "result = pathlib.Path(os.environ['SLUICEGATE_TERMINATION_LOG'])\n"
        f"result.write_text({json.dumps(report)!r})\n"
    )

    assert main(["train", "--local", "--isolated", str(bento)]) == 0
    assert "others: []" in capfd.readouterr().out
