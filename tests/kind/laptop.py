"""The machine of a person with Docker and nothing else: no Go, no mmdebstrap, no rights of root.

It is a container with Debian's `docker.io`, `make` and `python3-venv`, in which a user of the group
of the engine's socket has a fresh copy of the checkout. The home has the same path inside and
outside, since the engine mounts folders of it into the containers that the user starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.builds import program
from cluster.commands import run
from tests.kind.stand_ins import DEBIAN_IMAGE

if TYPE_CHECKING:
    from tests.kind.engine import Engine

REPOSITORY = Path(__file__).resolve().parents[2]
HOME_VARIABLE = "LAPTOP_HOME"
IMAGE = "sluicegate.local/laptop:test"
USER, DOCKER_GROUP = 61034, 61035
DOCKERFILE = f"""\
FROM {DEBIAN_IMAGE}
RUN apt-get update \
    && apt-get install --yes --no-install-recommends docker.io make python3-venv \
    && useradd --uid {USER} laptop
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER {USER}:{USER}
"""
PASSED = ("DOCKER_BUILDKIT", "DOCKER_HOST", "SLUICEGATE_NODE_IMAGE")
TOOLS = ("helm",)
"""People may have it. A container's Go builds kind, of few modules; Helm's build takes minutes."""


@dataclass(frozen=True)
class Laptop:
    """A home that commands run in as its owner; the engine's client is in our environment."""

    home: Path

    @property
    def clone(self) -> Path:
        """The fresh checkout."""
        return self.home / "sluicegate"

    @property
    def cache(self) -> Path:
        """What the cluster tool keeps there."""
        return self.home / ".cache" / "sluicegate"

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; both outputs are one."""
        known = {name: os.environ[name] for name in PASSED if name in os.environ} | environment
        socket = known["DOCKER_HOST"].removeprefix("unix://")
        own = {"HOME": str(self.home), "PATH": f"{self.home}/bin:/usr/bin:/bin"}
        return subprocess.run(
            [
                *("docker", "run", "--rm", "--init", "--network=host"),
                *(f"--user={USER}:{USER}", f"--group-add={DOCKER_GROUP}"),
                *(f"--env={name}={value}" for name, value in (known | own).items()),
                *(f"--volume={path}:{path}" for path in (self.home, Path(socket).parent)),
                *(f"--workdir={self.clone}", IMAGE, *command),
            ],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def make_laptop(home: Path, own: Engine) -> Laptop:
    """Build the image, in an engine that reaches Debian's packages, and lay out the home."""
    made = Laptop(home)
    with tempfile.TemporaryDirectory(prefix="laptop-image-") as context:
        (Path(context) / "Dockerfile").write_text(DOCKERFILE)
        own.run("docker", "build", "--network=host", f"--tag={IMAGE}", context, timeout=1800)
    _copy_checkout(made.clone)
    (home / "bin").mkdir()
    for name in TOOLS:
        shutil.copy(program(name), home / "bin" / name)
    run("chown", "--recursive", "--no-dereference", f"{USER}:{USER}", str(home))
    return made


def _copy_checkout(clone: Path) -> None:
    """Copy the checkout like `git clone`, with uncommitted changes."""
    clone.mkdir()
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = [name for name in run(*listing, folder=REPOSITORY).split("\0") if name]
    there = [name for name in names if (REPOSITORY / name).is_file()]
    with tempfile.NamedTemporaryFile() as archive:
        pack = ("tar", "--create", "--mode=u=rwX,go=rX", f"--file={archive.name}", "--null")
        run(*pack, "--files-from=-", stdin="\0".join(there), folder=REPOSITORY)
        # Modes as with umask 022: the images' layers depend on them.
        run("tar", "--extract", f"--file={archive.name}", folder=clone)
