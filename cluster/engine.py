"""The Docker engine that kind runs its node in: whether it fits, and the image that it needs."""

from __future__ import annotations

import subprocess
import sys

from cluster.backend import BACKEND_VARIABLE, LOCAL
from cluster.commands import run, succeeds, system_environment
from cluster.errors import ClusterError, MissingPrerequisiteError

INFORMATION = "{{.OperatingSystem}} {{.SecurityOptions}}"
ENDPOINT = "{{.Endpoints.docker.Host}}"
OTHERWISE = f"use the local node with {BACKEND_VARIABLE}={LOCAL}"


def require_engine() -> None:
    """Raise `MissingPrerequisiteError` unless an engine answers whose containers we can reach.

    The registry, the gateway and Prometheus are reached at the node's own address, to which only
    an engine that runs on this machine as root gives a route.
    """
    if not succeeds("docker", "version"):
        raise MissingPrerequisiteError(f"no Docker engine answers: start it, or {OTHERWISE}")
    if why := _unreachable():
        raise MissingPrerequisiteError(
            f"{why}, and this machine has no route to its containers, where the registry, the "
            f"gateway and Prometheus answer: use an engine that runs on Linux itself as root, or "
            f"{OTHERWISE}"
        )


def _unreachable() -> str:
    """What keeps this machine from the engine's containers; nothing if it reaches them."""
    if sys.platform != "linux":
        return "the Docker engine runs in a virtual machine"
    endpoint = run("docker", "context", "inspect", "--format", ENDPOINT).strip()
    if endpoint and not endpoint.startswith("unix://"):
        return f"the Docker engine runs on another machine ({endpoint})"
    about = run("docker", "info", "--format", INFORMATION)
    if "Docker Desktop" in about:
        return "Docker Desktop runs its engine in a virtual machine"
    return "the Docker engine runs rootless" if "name=rootless" in about else ""


def pull(image: str, *, another: str) -> None:
    """Have the engine pull an image that it lacks, however long that takes, and show how it goes.

    `another` is the environment variable that names another image.

    Raises
    ------
    ClusterError
        It can't be pulled.
    """
    if succeeds("docker", "image", "inspect", image):
        return
    print(f"pulling the node image {image}", file=sys.stderr, flush=True)
    done = subprocess.run(
        ["docker", "pull", image], stdout=sys.stderr, env=system_environment(), check=False
    )
    if done.returncode:
        raise ClusterError(
            f"the node image {image} can't be pulled: see above, name another with {another}, "
            f"or {OTHERWISE}"
        )
