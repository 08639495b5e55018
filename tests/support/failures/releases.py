"""The operator and the CRDs of an earlier commit, beside those of the working tree."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[3]
FROM = "SKEW_FROM"
"""The variable that names another commit than the last release."""


@dataclass(frozen=True, slots=True)
class ReleaseTree:
    """A release of the project: the folder with its code and its CRDs."""

    name: str
    folder: Path

    @property
    def crds(self) -> Path:
        """The folder of its CRDs."""
        return self.folder / "crds"

    def environment(self) -> Mapping[str, str]:
        """Return the environment in which Python imports this release's code."""
        sources = ("operator", "bentos/service/src", ".")
        return {"PYTHONPATH": os.pathsep.join(str(self.folder / source) for source in sources)}

    def run(self, code: str) -> str:
        """Return the output of a program that imports the code of this release."""
        return subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.environment()},
        ).stdout


def current() -> ReleaseTree:
    """Return the release of the working tree."""
    return ReleaseTree("current", ROOT)


def previous(folder: Path) -> ReleaseTree:
    """Return the last release, unpacked into `folder`: the commit of the last tag, or else that before the CRDs' last change.

    Raises
    ------
    ClusterError
        This checkout has no history.
    """
    commit = os.environ.get(FROM) or _last_release()
    archive = _git("archive", commit, "operator", "bentos", "crds", "tests", "cluster")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return ReleaseTree(commit, folder)


def _last_release() -> str:
    tags = _git("tag", "--merged", "HEAD", "--sort=-version:refname", "--list", "v*").split()
    if tags:
        return tags[0].decode()
    changes = _git("log", "-1", "--format=%H", "--", "crds").decode().strip()
    return f"{changes}^"


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise ClusterError(
            f"git {' '.join(arguments)}: {error.stderr.decode().strip()}: the history of the"
            f" repository is needed (git fetch --unshallow), or {FROM}=COMMIT"
        ) from error
