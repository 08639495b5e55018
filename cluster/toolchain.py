"""Go, with which programs are built: the machine's own, or a container of an engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from cluster.cache import cache_folder
from cluster.commands import succeeds
from cluster.engine import pull
from cluster.errors import MissingPrerequisiteError
from cluster.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMAGE: Final = f"golang:{versions().go}"
"""Docker's own; what it builds is fixed by go.sum, so a tag is enough."""
ADVICE: Final = f"install Go ≥ {versions().go} (https://go.dev/dl) and put it on PATH"


def go_command(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the command line that `go`'s arguments are appended to, to be run in `folder`.

    A container sees the module below `folder` and the cache folder, under their own paths, and
    keeps modules and builds in the latter. It runs as this user, so that the files are theirs.

    Raises
    ------
    MissingPrerequisiteError
        Neither Go nor a Docker engine is here, or Go is too old and there is no engine.
    """
    objection = _objection()
    if not objection:
        return ["env", *_settings(environment), "go"]
    if not succeeds("docker", "version"):
        raise MissingPrerequisiteError(
            f"{objection}: {ADVICE}, or start a Docker engine, then Go runs in a container"
        )
    pull(IMAGE, what="image of Go", otherwise=f"or {ADVICE}")
    kept = cache_folder() / "go"
    own = {**environment, "GOPATH": str(kept), "GOCACHE": str(kept / "build"), "HOME": str(kept)}
    return [
        *("docker", "run", "--rm", f"--user={os.getuid()}:{os.getgid()}", f"--workdir={folder}"),
        *(f"--env={setting}" for setting in _settings(own)),
        f"--volume={folder}:{folder}:ro",
        f"--volume={cache_folder()}:{cache_folder()}",
        *(IMAGE, "go"),
    ]


def runs_in_container() -> bool:
    """Return whether Go has to be a container's here."""
    return bool(_objection())


def _settings(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def _objection() -> str:
    """Return why the machine's own Go won't do; nothing if it does."""
    if not shutil.which("go"):
        return "missing: go, to build the cluster's programs"
    answer = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True)
    if parse_go_version(answer.stdout) < parse_go_version(versions().go):
        return f"Go is {answer.stdout.strip()}, too old"
    return ""


def parse_go_version(text: str) -> tuple[int, int]:
    """Return `go1.26.8` or `1.26` as (1, 26)."""
    matched = re.search(r"(\d+)\.(\d+)", text)
    if not matched:
        raise MissingPrerequisiteError(f"go reports the version {text!r}, which has no number")
    return int(matched[1]), int(matched[2])
