"""Machine and commit of the measurements, and which figures are comparable."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cluster.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
KUBERNETES: Final = "k8s.io/kubernetes"
ETCD: Final = "go.etcd.io/etcd/server/v3"
KIB_PER_GIB: Final = 1024 * 1024

Machine = dict[str, str | int | float]
"""Description by `describe_machine`."""


def describe_machine() -> Machine:
    """Return cores, memory and versions, without the name of the machine."""
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
    """Return the measured commit, with "+" if the work tree differs; empty outside Git."""
    command = ("git", "describe", "--always", "--exclude=*", "--dirty=+")
    try:
        result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()


def is_same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Return whether figures of two runs are comparable: all but the day is the same."""
    return _identity(first) == _identity(second)


def sizes_by_machine(machines: Mapping[str, Machine]) -> list[list[int]]:
    """Return numbers of products by machine; the machine with most of them first.

    `machines` is that of the JSON, by number of products: `{"50": {"cores": 2, …}}`.
    """
    groups: dict[frozenset[tuple[str, object]], list[int]] = {}
    for size in sorted(map(int, machines)):
        groups.setdefault(_identity(machines[str(size)]), []).append(size)
    return sorted(groups.values(), key=len, reverse=True)


def render_machines(machines: Mapping[str, Machine]) -> Iterator[str]:
    """Yield a line of Markdown for each machine: its sizes, days, and description."""
    for sizes in sizes_by_machine(machines):
        days = sorted({str(machines[str(size)]["date"]) for size in sizes})
        machine = machines[str(sizes[0])]
        yield (
            f"- N = {', '.join(f'{size:,}' for size in sizes)}, on {' and '.join(days)}:"
            f" {machine['cores']} cores ({machine['processor']}), {machine['memoryGiB']} GiB, Python"
            f" {machine['python']}, Kubernetes {machine['kubernetes']}, etcd {machine['etcd']}"
        )


def _identity(machine: Mapping[str, Any]) -> frozenset[tuple[str, object]]:
    return frozenset((key, value) for key, value in machine.items() if key != "date")


def _field(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
