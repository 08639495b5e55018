"""Removal of what a cluster leaves on a machine beside its programs.

Containers and their shims outlive containerd, mounts outlive them all. Everything here finds its
own by the cluster's name in a path, so nothing of another cluster is touched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import cgroups, network
from cluster.commands import run
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from cluster.identity import Identity

CONTAINER_LOGS = Path("/var/log/containers")
END_SECONDS = 5.0
ROUNDS = 5


def end_pods(identity: Identity) -> None:
    """End the pods' shims and then the pods' processes."""
    deadline = time.monotonic() + END_SECONDS
    while (remaining := shims(identity)) and time.monotonic() < deadline:
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    cgroups.remove(identity.cgroup)


def shims(identity: Identity) -> list[int]:
    """Return the process ids of the shims of this cluster's containerd."""
    socket = str(identity.run / "containerd.sock").encode()
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim-runc-v2" in arguments[0] and socket in arguments:
                pids.append(int(folder.name))
    return pids


def mounts_below(*folders: Path) -> list[Path]:
    """Mount points below the folders, the deepest first."""
    with Path("/proc/self/mounts").open() as file:
        points = [Path(_unescape(line.split()[1])) for line in file]
    below = [p for p in points if any(p.is_relative_to(folder) for folder in folders)]
    return sorted(below, key=lambda path: len(path.parts), reverse=True)


def unmount_below(*folders: Path) -> None:
    """Unmount everything below the folders; what is busy is detached."""
    for _ in range(ROUNDS):  # a path can be mounted over several times
        points = mounts_below(*folders)
        if not points:
            return
        for point in points:
            with contextlib.suppress(ClusterError):
                run("umount", "--lazy", str(point))


def remove_log_links(state: Path) -> None:
    """Remove the kubelet's links to container logs of this cluster; it makes them in one place."""
    with contextlib.suppress(FileNotFoundError):
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(state):
                link.unlink(missing_ok=True)


def remains_of(identity: Identity) -> list[str]:
    """Return what a cluster left on the machine, a text each; empty if nothing."""
    leftovers = [f"mount {point}" for point in mounts_below(identity.state, identity.run)]
    leftovers += [f"process {pid}" for pid in sorted(cgroups.processes(identity.cgroup))]
    leftovers += [f"shim {pid}" for pid in shims(identity)]
    if network.namespace_exists(identity):
        leftovers.append(f"network namespace {identity.namespace}")
    leftovers += [f"folder {path}" for path in (identity.state, identity.run) if path.exists()]
    return leftovers


def _unescape(field: str) -> str:
    """Return a field of /proc/mounts, where blanks and backslashes are octal."""
    return field.encode().decode("unicode_escape") if "\\" in field else field
