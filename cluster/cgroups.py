"""The cgroup above a cluster's pods, on either version of the kernel's interface.

Ending containerd and its shims leaves the containers' own processes behind; what lies in this
cgroup is the pods and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
END_SECONDS = 5.0
SHARES = {"cpu.shares": 8192, "cpu.weight": 800}
"""Of the CPU, for all pods together: eight times what the kernel gives one process (version 1) or one
cgroup (version 2) beside them. With the kernel's own figure, a dozen pods get as much as one
process of the host, and on a busy host their probes fail."""


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Mount points of the hierarchies that hold pods: one in version 2, one a controller in 1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    mounted = [path for path in root.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(path for path in mounted if (path / "cgroup.procs").exists())


def make(name: str) -> None:
    """Make the cgroup; the kubelet refuses to start under one that isn't there."""
    for hierarchy in hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for setting, value in SHARES.items():
            if (folder / setting).exists():
                (folder / setting).write_text(f"{value}")
        # In version 1 a new cpuset is empty, and nothing can be put into it or below it.
        for setting in ("cpuset.mems", "cpuset.cpus"):
            if (folder / setting).exists() and (hierarchy / setting).exists():
                (folder / setting).write_text((hierarchy / setting).read_text())


def processes(name: str) -> set[int]:
    """Return the ids of all processes in the cgroup and below it."""
    pids: set[int] = set()
    for hierarchy in hierarchies():
        for path in (hierarchy / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                pids |= {int(line) for line in path.read_text().split()}
    return pids


def remove(name: str) -> None:
    """End everything in the cgroup and remove it."""
    deadline = time.monotonic() + END_SECONDS
    while (remaining := processes(name)) and time.monotonic() < deadline:
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
