"""What the machine must have, checked before anything is started.

All that is missing is named at once, with the one command that installs it; where the machine is
Debian and we are root, it is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cluster.cache import locked
from cluster.engine import refusal
from cluster.errors import MissingPrerequisiteError

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")

# Program → Debian package.
NODE_PROGRAMS = {
    "conntrack": "conntrack",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "nsenter": "util-linux",
    "runc": "runc",
    "sysctl": "procps",
}
CNI_PACKAGE = "containernetworking-plugins"
IMAGE_PROGRAMS = {"mmdebstrap": "mmdebstrap"}


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return Debian packages of those `programs` that aren't on PATH, sorted."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted(
        {package for name, package in programs.items() if not shutil.which(name, path=path)}
    )


def cni_folder() -> Path | None:
    """Return the folder that holds all network plugins, or None."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    return None


def require_node_prerequisites() -> None:
    """Check what the local node needs; install it on Debian as root.

    Raises
    ------
    MissingPrerequisiteError
        Something is missing and was not or could not be installed.
    """
    require_linux_root()
    missing = missing_packages(NODE_PROGRAMS) + ([] if cni_folder() else [CNI_PACKAGE])
    if missing:
        require_packages(missing)


def require_image_prerequisites() -> None:
    """Check what an image of Debian is made with; install it on Debian as root.

    Raises
    ------
    MissingPrerequisiteError
        It is missing and was not or could not be installed.
    """
    if missing := missing_packages(IMAGE_PROGRAMS):
        require_packages(missing)


def require_linux_root(system: str = sys.platform) -> None:
    """Raise PrerequisiteError without Linux and root, which namespaces, mounts and cgroups need.

    `system` is this machine's, as `sys.platform` has it.
    """
    if system != "linux":
        raise MissingPrerequisiteError(
            f"the local node needs Linux, this is {system}: {refusal() or 'start a Docker engine'}, "
            "then the cluster runs in kind"
        )
    if os.geteuid() != 0:
        otherwise = refusal() or "start a Docker engine"
        raise MissingPrerequisiteError(
            "the local node needs root for namespaces, mounts and cgroups: run the command with "
            f"sudo, or {otherwise}, then the cluster runs in kind"
        )


def require_packages(packages: list[str], system: str = sys.platform) -> None:
    """Install Debian packages on Debian as root; otherwise raise an error with the command."""
    if system != "linux":
        raise MissingPrerequisiteError(
            f"missing: {', '.join(packages)}. That takes Debian, this is {system}: where a Docker "
            "engine answers, the cluster runs in kind, and `docker build` makes the images "
            "(docs/install.md)"
        )
    command = f"apt-get update && apt-get install -y {' '.join(packages)}"
    if not (is_debian() and os.geteuid() == 0):
        raise MissingPrerequisiteError(f"missing: {', '.join(packages)}. Install with: {command}")
    print(f"installing {', '.join(packages)}", file=sys.stderr, flush=True)
    # Of apt-get itself, one that finds another at work gives up.
    with locked("packages"):
        for arguments in (["update", "-qq"], ["install", "-y", "-qq", *packages]):
            _apt_get(arguments, packages, command)


def _apt_get(arguments: list[str], packages: list[str], command: str) -> None:
    with_defaults = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments], env=with_defaults, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise MissingPrerequisiteError(
            f"missing: {', '.join(packages)}, and installing failed ({' '.join(last)}). "
            f"Run it yourself: {command}"
        )


def is_debian() -> bool:
    """Return whether apt-get is this system's own package manager."""
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None
