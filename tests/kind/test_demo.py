"""`make demo` for a person with Docker and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.kind.laptop import HOME_VARIABLE, Laptop

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(HOME_VARIABLE not in os.environ, reason="`make kind` runs these"),
]


@pytest.fixture(scope="module")
def laptop() -> Laptop:
    return Laptop(Path(os.environ[HOME_VARIABLE]))


def test_the_demo_tells_its_story_without_go_mmdebstrap_and_root(laptop):
    told = laptop.run("make", "demo")
    print(told.stdout)

    assert told.returncode == 0
    report = json.loads((laptop.clone / "demo-report.json").read_text())
    assert report["passed"]
    assert not (laptop.cache / "layers").exists()
    assert [path.name for path in (laptop.cache / "programs").iterdir()] == ["kind"]


def test_demo_down_leaves_nothing(laptop):
    gone = laptop.run("make", "demo-down")
    print(gone.stdout)

    assert gone.returncode == 0
    assert not any((laptop.cache / "clusters").iterdir())
    nodes = ("--all", "--quiet", "--filter=label=io.x-k8s.kind.cluster")
    assert laptop.run("docker", "ps", *nodes).stdout == ""
