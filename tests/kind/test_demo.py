"""`make demo` and the install page's images for a person with Docker and nothing else.

The page's other commands are run on an API server: tests/support/pages/tiers.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import requests

from sluicegate_service.oci import MANIFEST_TYPE
from sluicegate_service.registry import PLAIN_HTTP_ENV
from tests.kind.laptop import HOME_VARIABLE, REPOSITORY, Laptop
from tests.support.pages.steps import commands

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(HOME_VARIABLE not in os.environ, reason="`make kind` runs these"),
]
PAGE = commands(REPOSITORY / "docs" / "install.md")
THEIRS = "registry.example"
RUNS = {
    "operator": "-- --help",
    "runtime": "--command -- python -c 'import bentoml, sluicegate_service'",
}
"""How `kubectl run` sees that an image has what it is for."""


@pytest.fixture(scope="module")
def laptop() -> Laptop:
    return Laptop(Path(os.environ[HOME_VARIABLE]))


@pytest.fixture(scope="module")
def registry(laptop: Laptop) -> str:
    """Return host and port of the demonstration's registry, as `make cluster` prints it."""
    told = laptop.run("make", "cluster")
    assert "runs already" in told.stdout
    found = re.search(r"^ *registry +(\S+)", told.stdout, re.MULTILINE)
    assert found, told.stdout
    return found[1]


def lines(*beginnings: str) -> list[str]:
    """Return commands of the page."""
    found = [command.text for command in PAGE if command.text.startswith(beginnings)]
    assert len(found) >= len(beginnings)
    return found


def in_cluster(laptop: Laptop, *lines: str) -> str:
    """Return the output of a shell with kubectl and this cluster's kubeconfig."""
    paths = '"$PWD/.venv/bin:$(dirname "$(make -s kubectl)"):$PATH"'
    known = f'export KUBECONFIG="$(make -s kubeconfig)" PATH={paths}'
    done = laptop.run("bash", "-c", "\n".join(("set -e", known, *lines)))
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_demo_passes_without_go_mmdebstrap_and_root(laptop):
    told = laptop.run("make", "demo")
    print(told.stdout)

    assert told.returncode == 0
    report = json.loads((laptop.clone / "demo-report.json").read_text())
    assert report["passed"]
    assert not (laptop.cache / "layers").exists()
    assert [path.name for path in (laptop.cache / "programs").iterdir()] == ["kind"]


def test_docker_builds_and_pushes_the_install_page_s_images_and_the_cluster_runs_them(
    laptop, registry
):
    for line in lines("docker build", "docker push"):
        done = laptop.run(*shlex.split(line.replace(THEIRS, registry)))
        assert done.returncode == 0, done.stdout

    pushed = {
        name: line.split()[-1].replace(THEIRS, registry)
        for name in RUNS
        for line in lines("docker push")
        if f"/{name}:" in line
    }
    for name, image in pushed.items():
        run = f"kubectl run {name} --image={image} --restart=Never {RUNS[name]}"
        ended = f"kubectl wait pod/{name} --for=jsonpath='{{.status.phase}}'=Succeeded --timeout=5m"
        in_cluster(laptop, run, ended, f"kubectl delete pod {name}")
    assert set(pushed) == set(RUNS)


def test_make_images_pushes_the_images_of_the_install_page_and_prints_their_digests(registry):
    """On Debian as root, so in the checkout and not on the laptop."""
    (line,) = lines("make images")

    done = subprocess.run(
        shlex.split(line.replace(THEIRS, registry)),
        cwd=REPOSITORY,
        env=os.environ | {PLAIN_HTTP_ENV: registry},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    printed = done.stdout.split()
    assert [image.partition("@")[0] for image in printed] == [
        f"{registry}/sluicegate/{name}" for name in RUNS
    ]
    for image in printed:
        name, _, digest = image.removeprefix(f"{registry}/").partition("@")
        found = requests.get(
            f"http://{registry}/v2/{name}/manifests/{digest}",
            headers={"Accept": MANIFEST_TYPE},
            timeout=10,
        )
        assert found.json()["layers"]


def test_doctor_reaches_prometheus_through_the_port_forward_of_the_install_page(laptop):
    (forward,) = lines("kubectl -n monitoring port-forward")
    doctor, *_ = lines("sluicegate doctor")
    listens = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 9090))'"

    told = in_cluster(
        laptop,
        forward.replace("&", ">/dev/null &"),
        f"until {listens} 2>/dev/null; do sleep 0.2; done",
        doctor,
    )

    assert "error:" not in told


def test_demo_down_removes_all_clusters_and_files(laptop):
    gone = laptop.run("make", "demo-down")
    print(gone.stdout)

    assert gone.returncode == 0
    assert not any((laptop.cache / "clusters").iterdir())
    nodes = ("--all", "--quiet", "--filter=label=io.x-k8s.kind.cluster")
    assert laptop.run("docker", "ps", *nodes).stdout == ""
