"""Whatever happens to the local node, it ends in a working cluster or one clear sentence.

These clusters are the tests' own, beside the one that other tests use.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster import leftovers
from cluster.builds import recipes
from cluster.cache import cache_folder
from cluster.identity import CLAIMS, CLUSTER_VARIABLE, Identity
from cluster.local import COMPONENTS, LocalNode
from cluster.processes import Processes
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
PAUSE = "sluicegate.local/pause:1"
MIB = 1024 * 1024

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.usefixtures("cluster"),
    # Up to two clusters are started, each with a pod, and three commands stop them.
    pytest.mark.timeout(400),
]


class Shell:
    """Runs `python -m cluster` for one cluster as a person would."""

    def __init__(self, name: str, **environment: str) -> None:
        self.identity = Identity(name)
        self.environment = {**os.environ, CLUSTER_VARIABLE: name, **environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster", "--backend", "local", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def up(self) -> str:
        done = self.run("up", "--bare")
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def cluster_named(name: str) -> Iterator[Shell]:
    shell = Shell(name)
    try:
        yield shell
    finally:
        done = shell.run("down")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def running() -> Iterator[Shell]:
    """Yield a bare cluster that several tests break and repair."""
    with cluster_named("robust") as shell:
        shell.up()
        yield shell


def processes(shell: Shell) -> dict[str, int]:
    table = Processes(shell.identity.state)
    return {name: table.find(name).pid for name in table.names()}


def start_pod(node: LocalNode) -> None:
    spec = {"containers": [{"name": "main", "image": PAUSE, "imagePullPolicy": "Never"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "still"}, "spec": spec}
    eventually(lambda: "default" in node.run_kubectl("get", "serviceaccounts", "-o", "name"))
    node.run_kubectl("create", "-f", "-", stdin=json.dumps(pod))
    node.run_kubectl("wait", "--for=condition=Ready", "pod/still", "--timeout=110s")


def programs_of(shell: Shell) -> list[str]:
    """Return command lines on this machine that mention one of the cluster's folders."""
    folders = (str(shell.identity.state), f"{shell.identity.run}/")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if any(folder in line for folder in folders):
                found.append(line)
    return found


def assert_nothing_is_left(shell: Shell) -> None:
    identity = shell.identity
    assert leftovers.remains_of(identity) == []
    assert programs_of(shell) == []
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert identity.host_link not in links
    assert not any(identity.name == claim.read_text().split()[0] for claim in CLAIMS.iterdir())


def test_a_second_start_changes_nothing(running):
    before = processes(running)

    assert "runs already" in running.up()
    assert processes(running) == before


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_component_is_reported_by_status_and_restarted_by_up(running, name):
    os.kill(processes(running)[name], signal.SIGKILL)
    status = running.run("status")
    assert status.returncode == 1
    assert "not ready" in status.stdout

    assert "is ready" in running.up()
    assert running.run("status").returncode == 0


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver", "containerd", "kubelet"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_an_interrupted_start_is_followed_by_a_working_one(name, number):
    with cluster_named("interrupted") as shell:
        process = shell.start("up", "--bare")
        record = shell.identity.state / "processes" / f"{name}.json"
        eventually(record.exists, seconds=60)
        process.send_signal(number)
        _, err = process.communicate()
        if number == signal.SIGINT and process.returncode:
            assert err.splitlines()[-1].startswith("interrupted:")

        shell.up()
        assert shell.run("status").returncode == 0


def test_a_partly_killed_cluster_is_stopped_completely():
    with cluster_named("half-dead") as shell:
        shell.up()
        start_pod(LocalNode(shell.identity))
        alive = processes(shell)
        for name in ("etcd", "kube-apiserver", "containerd"):
            os.kill(alive[name], signal.SIGKILL)

        assert shell.run("down").returncode == 0
        assert_nothing_is_left(shell)


def test_a_cluster_whose_network_link_was_deleted_is_started_again():
    with cluster_named("no-namespace") as shell:
        shell.up()
        subprocess.run(["ip", "link", "delete", shell.identity.host_link], check=True)

        assert "is ready" in shell.up()


def test_stopping_a_stopped_cluster_is_no_error():
    shell = Shell("never-was")

    assert shell.run("down").returncode == 0
    assert_nothing_is_left(shell)


def test_after_a_reboot_of_the_machine_the_cluster_starts_again():
    with cluster_named("rebooted") as shell:
        shell.up()
        node = LocalNode(shell.identity)
        node.run_kubectl("create", "configmap", "old")
        # What a restart leaves: files of another boot, and no process.
        node.processes.stop_all(grace=0.0)
        (shell.identity.state / "boot-id").write_text("another boot")

        assert "is ready" in shell.up()
        assert "old" not in LocalNode(shell.identity).run_kubectl("get", "configmaps", "-o", "name")


def test_stopping_one_of_two_clusters_does_not_affect_the_other():
    with cluster_named("first") as first, cluster_named("second") as second:
        starts = [shell.start("up", "--bare") for shell in (first, second)]
        for process in starts:
            _, err = process.communicate()
            assert process.returncode == 0, err
        node = LocalNode(first.identity)
        start_pod(node)
        start_pod(LocalNode(second.identity))

        assert second.run("down").returncode == 0
        assert_nothing_is_left(second)
        assert first.run("status").returncode == 0
        pod = json.loads(node.run_kubectl("get", "pod", "still", "-o", "json"))
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_two_concurrent_starts_create_one_cluster():
    with cluster_named("twice") as shell:
        starts = [shell.start("up", "--bare") for _ in range(2)]
        said = [process.communicate() for process in starts]

        assert [process.returncode for process in starts] == [0, 0], said
        assert sum("runs already" in out for out, _ in said) == 1
        assert len(processes(shell)) == len(COMPONENTS)


def test_the_same_name_from_another_cache_folder_is_refused_with_the_way_out(running, tmp_path):
    (tmp_path / "programs").symlink_to(cache_folder() / "programs")
    other = Shell(running.identity.name, SLUICEGATE_CACHE=str(tmp_path))

    for command in (("up", "--bare"), ("down",)):
        assert f"SLUICEGATE_CACHE={cache_folder()}" in sentence(other.run(*command))
    assert running.run("status").returncode == 0


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Yield a disk of 400 MiB that serves as the cache folder, with the programs of the real one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk], check=True)
    try:
        (disk / "programs").symlink_to(cache_folder() / "programs")
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error, which is one line."""
    assert done.returncode == 1, done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == done.stderr.splitlines()[-1:], done.stderr
    return errors[0]


def fill(disk: Path, keep: int = 0) -> None:
    status = os.statvfs(disk)
    free = status.f_bavail * status.f_frsize - keep * MIB
    with contextlib.suppress(OSError), (disk / "filler").open("wb") as file:
        for _ in range(free // MIB):
            file.write(bytes(MIB))


def test_a_start_on_a_full_disk_fails_with_one_sentence(small_disk):
    fill(small_disk, keep=50)
    shell = Shell("full", SLUICEGATE_CACHE=str(small_disk))

    said = sentence(shell.run("up", "--bare"))

    assert "MiB free" in said
    assert "SLUICEGATE_CACHE" in said


def test_a_build_on_a_full_disk_fails_with_one_sentence(small_disk):
    (small_disk / "programs").unlink()
    shell = Shell("full", SLUICEGATE_CACHE=str(small_disk))

    said = sentence(shell.run("build", next(iter(recipes()))))

    assert "too little to build" in said


def test_a_full_disk_is_reported_in_one_sentence_and_the_cluster_recovers_with_space(
    small_disk, tmp_path
):
    shell = Shell("filling", SLUICEGATE_CACHE=str(small_disk))
    try:
        shell.up()
        archive = tmp_path / "image.tar"
        archive.write_bytes(bytes(MIB))
        fill(small_disk)

        assert "too little to load" in sentence(shell.run("load", str(archive)))

        (small_disk / "filler").unlink()
        assert shell.run("up", "--bare").returncode == 0
        assert shell.run("status").returncode == 0
    finally:
        assert shell.run("down").returncode == 0
