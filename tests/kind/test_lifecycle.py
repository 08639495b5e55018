"""Clusters that real kind makes on a real engine: started, interrupted, stopped, and removed.

One cluster goes through all of it, test by test, beside the one that the checkout has.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster.addons.addresses import REGISTRY_PORT
from cluster.backend_choice import choose_backend
from cluster.commands import run, succeeds
from cluster.identity import CLUSTER_VARIABLE, Identity
from cluster.kind import KindCluster
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.backend import Backend

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.heavy,
    # On a busy machine a cluster takes minutes, and one test makes it twice.
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("SLUICEGATE_BACKEND") != "kind", reason="`make kind` runs these"
    ),
]


class Shell:
    """Runs `python -m cluster` for one cluster as a person would."""

    def __init__(self, name: str) -> None:
        self.cluster = KindCluster(Identity(name))
        self.volumes = self._volumes()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        # Tests that are started in the background ignore Ctrl-C.
        heeds = ("env", "--default-signal=INT")
        return subprocess.Popen(
            [*heeds, sys.executable, "-m", "cluster", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, CLUSTER_VARIABLE: self.cluster.identity.name, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(stdin)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def birth(self) -> str:
        """Return the cluster's UID; a cluster that is created again has another one."""
        uid = ("get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")
        return self.cluster.run_kubectl(*uid)

    def leftovers(self) -> list[str]:
        """Return the cluster's node, its state, and the engine's volumes created since its start."""
        node = [self.cluster.node] if succeeds("docker", "inspect", self.cluster.node) else []
        state = [str(self.cluster.state)] if self.cluster.state.exists() else []
        return [*node, *state, *sorted(self._volumes() - self.volumes)]

    def _volumes(self) -> set[str]:
        return set(run("docker", "volume", "ls", "--quiet").split())


@pytest.fixture(scope="module")
def other_cluster() -> Iterator[Backend]:
    """Yield the checkout's own cluster."""
    backend = choose_backend()
    made = backend.up()
    yield backend
    if made:
        backend.down()


@pytest.fixture(scope="module")
def shell(other_cluster: Backend) -> Iterator[Shell]:
    shell = Shell(f"kind-{secrets.token_hex(2)}")
    yield shell
    shell.cluster.down()


def test_an_interrupted_start_is_repaired_beside_another_cluster(shell, other_cluster):
    first = shell.start("up", "--bare")
    log = shell.cluster.state / "create.log"
    eventually(
        lambda: log.exists() and "Starting control-plane" in log.read_text(),
        seconds=300,
        what="a control plane that starts",
    )
    first.send_signal(signal.SIGINT)
    _, told = first.communicate()
    assert first.returncode == 130
    assert "`python -m cluster up` goes on from here" in told

    again = shell.run("up", "--bare")

    assert again.returncode == 0, again.stderr
    assert "is ready after" in again.stdout
    assert "runs already" in shell.run("up", "--bare").stdout
    assert other_cluster.is_ready()


def test_a_stopped_node_is_started_with_its_previous_state(shell):
    birth, port = shell.birth(), shell.cluster.reached_at(REGISTRY_PORT)
    run("docker", "stop", shell.cluster.node)
    assert shell.run("status").returncode == 1

    again = shell.run("up", "--bare")

    assert again.returncode == 0, again.stderr
    assert (shell.birth(), shell.cluster.reached_at(REGISTRY_PORT)) == (birth, port)
    assert shell.run("status").returncode == 0


def test_unit_logs_and_a_shell_without_a_terminal_are_available(shell):
    assert "kubelet" in shell.run("logs", "kubelet").stdout
    assert "systemd" in shell.run("logs", shell.cluster.node).stdout

    said = shell.run("shell", stdin="kubectl get nodes --output=name\n")

    assert said.stdout == f"node/{shell.cluster.node}\n"


def test_another_node_image_does_not_replace_a_cluster(shell):
    birth = shell.birth()

    refused = shell.run("up", "--bare", SLUICEGATE_NODE_IMAGE="sluicegate.local/kind-node:other")

    assert refused.returncode == 1
    assert "kind-node:other is wanted now: `python -m cluster down`" in refused.stderr
    assert shell.birth() == birth


def test_an_image_that_cannot_be_pulled_is_reported_in_one_sentence(other_cluster):
    other = Shell(f"kind-{secrets.token_hex(2)}")

    failed = other.run("up", "--bare", SLUICEGATE_NODE_IMAGE="registry.invalid/node:1")

    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        "error: the node image registry.invalid/node:1 can't be pulled"
    )
    other.cluster.down()
    assert other.leftovers() == []


def test_stopping_a_cluster_removes_it_and_does_not_affect_another_cluster(shell, other_cluster):
    gone = shell.run("down")

    assert gone.returncode == 0, gone.stderr
    assert shell.leftovers() == []
    assert other_cluster.is_ready()
