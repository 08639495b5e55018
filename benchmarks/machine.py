"""What the figures were measured on, and of which commit."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Final

from cluster.versions import versions

ROOT: Final = Path(__file__).resolve().parents[1]
KUBERNETES: Final = "k8s.io/kubernetes"
ETCD: Final = "go.etcd.io/etcd/server/v3"
KIB_PER_GIB: Final = 1024 * 1024


def describe_machine() -> dict[str, str | int | float]:
    """Cores, memory and versions; no name of the machine."""
    modules = versions().modules
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "memoryGiB": round(int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / KIB_PER_GIB),
        "python": platform.python_version(),
        "kubernetes": modules.get(KUBERNETES, ""),
        "etcd": modules.get(ETCD, ""),
    }


def describe_commit() -> str:
    """The commit that is measured, with "+" where the work tree differs; empty outside Git."""
    command = ("git", "describe", "--always", "--exclude=*", "--dirty=+")
    try:
        told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip()


def _field(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
