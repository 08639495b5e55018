"""A Docker engine of its own, in a network namespace that reaches nothing but itself.

Its bridges, its firewall rules and the ports that it publishes are in there only, so that nothing
else on the machine is touched, and nothing that is built or run inside asks a registry. Before
that, an engine outside, without a network of its own, may fill the same store with images whose
builds ask for packages.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.apiclient import wait_until
from cluster.cache import cache_folder
from cluster.commands import run, succeeds
from cluster.errors import StartError
from cluster.prerequisites import missing_packages, require_linux_root, require_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

CAP_SYS_RESOURCE = 24
# Debian's; its client and its daemon are one package.
PROGRAMS = {"docker": "docker.io", "dockerd": "docker.io", "nsenter": "util-linux"}
START_SECONDS = 60.0
STOP_SECONDS = 60.0
# CPU shares of all containers together, beside 1024 of whatever else runs in the root group.
SHARES = 4096
# runc under Docker: `--privileged` asks for all capabilities, also for one that isn't there.
WITHOUT_CAPABILITY = """\
#!{python}
import json, os, sys
arguments = sys.argv[1:]
def lower(path, process):
    with open(path) as file:
        written = json.load(file)
    for names in (process(written).get("capabilities") or {{}}).values():
        if "CAP_SYS_RESOURCE" in names:
            names.remove("CAP_SYS_RESOURCE")
    with open(path, "w") as file:
        json.dump(written, file)
def after(option):
    return arguments[arguments.index(option) + 1]
if "create" in arguments:
    lower(os.path.join(after("--bundle"), "config.json"), lambda written: written["process"])
elif "exec" in arguments:
    lower(after("--process"), lambda written: written)
os.execv("{runc}", ["runc", *arguments])
"""


@dataclass(frozen=True)
class Engine:
    """A running engine: how to run something beside it, and where its client finds it.

    `namespace` is that of its network; without one it shares the machine's.
    """

    name: str
    socket: Path
    namespace: str = ""

    @property
    def prefix(self) -> tuple[str, ...]:
        """Goes before a command to run it in the engine's network.

        Not `ip netns exec`: that mounts a new /sys, in which there are no cgroups.
        """
        inside = ("nsenter", f"--net=/run/netns/{self.namespace}", "--")
        return inside if self.namespace else ()

    @property
    def environment(self) -> dict[str, str]:
        """For a client inside; the builder that Docker has by itself needs no plugin."""
        return {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0"}

    def run(self, *command: str, timeout: float = 600.0) -> str:
        """Return output of a command in the engine's network; ClusterError if it fails."""
        return run(*self.prefix, *command, environment=self.environment, timeout=timeout)


def may_raise_limits() -> bool:
    """Return whether we have CAP_SYS_RESOURCE, without which no container can have it."""
    status = Path("/proc/self/status").read_text()
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


@contextlib.contextmanager
def empty_store() -> Iterator[Path]:
    """Yield an empty image store of each engine in turn; delete it at the end of the block.

    Raises
    ------
    ClusterError
        This isn't Linux, we aren't root, or Docker is missing and can't be installed.
    """
    require_linux_root()
    if missing := missing_packages(PROGRAMS):
        require_packages(missing)
    parent = cache_folder() / "engines"
    parent.mkdir(exist_ok=True)
    with _folder(Path(tempfile.mkdtemp(dir=parent))) as store:
        yield store


@contextlib.contextmanager
def engine(store: Path, *, group: int, reaches_registries: bool = False) -> Iterator[Engine]:
    """Yield an engine that the members of `group` may use; its containers end with the block.

    With `reaches_registries`, builds with `--network=host` have the machine's network, and there is
    no other.
    """
    name = f"sluicegate-engine-{os.getpid()}"
    # A socket's path has at most 107 characters, so it is not in the cache folder.
    with (
        _folder(Path(tempfile.mkdtemp(prefix="sluicegate-engine-"))) as short,
        contextlib.nullcontext() if reaches_registries else _network(name),
    ):
        short.chmod(0o711)
        namespace = "" if reaches_registries else name
        made = Engine(name, short / "docker.sock", namespace)
        with _daemon(made, short, store, group):
            yield made


@contextlib.contextmanager
def _network(name: str) -> Iterator[None]:
    run("ip", "netns", "add", name)
    try:
        run("ip", "-netns", name, "link", "set", "lo", "up")
        yield
    finally:
        run("ip", "netns", "delete", name)


@contextlib.contextmanager
def _folder(store: Path) -> Iterator[Path]:
    """Yield a folder that is removed with all that the engine has left mounted in it."""
    try:
        yield store
    finally:
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            mounted = line.split()[1]
            if mounted.startswith(f"{store}/"):
                succeeds("umount", "--lazy", mounted)
        shutil.rmtree(store, ignore_errors=True)


@contextlib.contextmanager
def _daemon(made: Engine, short: Path, store: Path, group: int) -> Iterator[None]:
    log = cache_folder() / "logs" / "engine.log"
    log.parent.mkdir(exist_ok=True)
    command = [
        *made.prefix,
        "dockerd",
        f"--host=unix://{made.socket}",
        f"--group={group}",
        f"--data-root={store / 'data'}",
        f"--exec-root={short / 'exec'}",
        f"--pidfile={short / 'pid'}",
        f"--config-file={_configuration(short)}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent=/{made.name}",
        *(() if made.namespace else ("--bridge=none", "--iptables=false", "--ip-forward=false")),
        *_runtime(short),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until(
            lambda: succeeds("docker", f"--host=unix://{made.socket}", "version"),
            seconds=START_SECONDS,
            failed=lambda: StartError(f"dockerd ended; see {log}") if process.poll() else None,
            problem=f"dockerd didn't answer (see {log})",
        )
        _prefer(made.name)
        yield
    finally:
        try:
            if process.poll() is None:
                _remove_containers(made)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            _forget_cgroups(made.name)


def _remove_containers(made: Engine) -> None:
    left = made.run("docker", "ps", "--all", "--quiet").split()
    if left:
        made.run("docker", "rm", "--force", "--volumes", *left)


def _configuration(short: Path) -> Path:
    """Return empty, so that the machine's own engine's settings don't count."""
    path = short / "daemon.json"
    path.write_text("{}")
    return path


def _runtime(short: Path) -> tuple[str, ...]:
    if may_raise_limits():
        return ()
    wrapper = short / "runc"
    runc = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    wrapper.write_text(WITHOUT_CAPABILITY.format(python=sys.executable, runc=runc))
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    return (f"--add-runtime=wrapped={wrapper}", "--default-runtime=wrapped")


def _prefer(group: str) -> None:
    """Raise the weight of the containers' group, which on cgroup v1 is that of one process outside."""
    shares = Path("/sys/fs/cgroup/cpu") / group / "cpu.shares"
    if Path("/sys/fs/cgroup/cpu").is_dir():
        shares.parent.mkdir(exist_ok=True)
        shares.write_text(str(SHARES))


def _forget_cgroups(group: str) -> None:
    root = Path("/sys/fs/cgroup")
    for top in (root / group, *root.glob(f"*/{group}")):
        folders = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in (*folders, top):
            with contextlib.suppress(OSError):
                folder.rmdir()
