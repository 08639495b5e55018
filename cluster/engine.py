"""The Docker engine that kind runs its node in: whether it fits, what it pulls and builds."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from cluster.backend import BACKEND_VARIABLE, LOCAL
from cluster.cache import locked
from cluster.commands import follow, run, succeeds, system_environment
from cluster.errors import ClusterError, MissingPrerequisiteError
from cluster.identity import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "sluicegate.local"  # no registry has it
ENDPOINT = "{{.Endpoints.docker.Host}}"
BUILD_SECONDS = 3600.0  # packages come over a slow line, too
OTHERWISE = f"use the local node with {BACKEND_VARIABLE}={LOCAL} (Debian with Go, as root)"


def refusal() -> str:
    """Return the fix where this user may not use the engine; empty otherwise."""
    try:
        run("docker", "version")
    except ClusterError as error:
        if "permission denied" in str(error):
            return (
                "let your user use the Docker engine that is here (`sudo usermod --append "
                "--groups docker $USER`, and log in again)"
            )
    return ""


def require_engine() -> None:
    """Raise `MissingPrerequisiteError` unless an engine of this machine answers.

    It may run in a virtual machine or rootless: all that is needed are ports that it forwards, and
    folders of this machine that it mounts.
    """
    if not succeeds("docker", "version"):
        raise MissingPrerequisiteError(
            f"no Docker engine answers: {refusal() or 'start it'}, or {OTHERWISE}"
        )
    endpoint = run("docker", "context", "inspect", "--format", ENDPOINT).strip()
    if endpoint and not endpoint.startswith("unix://"):
        raise MissingPrerequisiteError(
            f"the Docker engine runs on another machine ({endpoint}), which neither forwards ports "
            f"to this one nor mounts its folders: use an engine of this machine, or {OTHERWISE}"
        )


def pull(image: str, *, what: str, otherwise: str = OTHERWISE) -> None:
    """Pull an image that the engine lacks, without a timeout, and show the progress.

    Raises
    ------
    ClusterError
        It can't be pulled; the message ends with `otherwise`.
    """
    if has_image(image):
        return
    print(f"pulling the {what} {image}", file=sys.stderr, flush=True)
    done = subprocess.run(
        ["docker", "pull", image], stdout=sys.stderr, env=system_environment(), check=False
    )
    if done.returncode:
        raise ClusterError(f"the {what} {image} can't be pulled: see above, {otherwise}")


def build_image(target: str, *, log: Path) -> str:
    """Build a target of the Dockerfile and show the progress; return a reference by its content.

    What was built before is taken from the engine's cache. One is built after the other, so that
    they share their first stages.

    Raises
    ------
    ClusterError
        It can't be built; the message has the last lines.
    """
    newest = f"{PREFIX}/{target}:newest"
    build = ("docker", "build", f"--target={target}", f"--tag={newest}", str(CHECKOUT))
    with locked("docker-build"):
        # An attestation has the time in it, so that each build would be another image.
        plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        follow(*build, log=log, timeout=BUILD_SECONDS, folder=CHECKOUT, environment=plain)
        content = run("docker", "image", "inspect", "--format={{.Id}}", newest)
        reference = f"{PREFIX}/{target}:{content.removeprefix('sha256:')[:12]}"
        run("docker", "tag", newest, reference)
    return reference


def was_built(target: str) -> bool:
    """Return whether the engine has an image of the Dockerfile's target, current or not."""
    return has_image(f"{PREFIX}/{target}:newest")


def has_image(reference: str) -> bool:
    """Return whether the engine has an image of this name."""
    return succeeds("docker", "image", "inspect", reference)
