"""Programs of the host that people often have: taken from PATH if they are new enough, else built."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

from cluster.builds import program
from cluster.versions import versions


def tool(name: str) -> str:
    """Return path of `kind`, `helm` or `kubectl`.

    Raises
    ------
    BuildError
        It isn't on PATH, or too old, and the build failed.
    MissingPrerequisiteError
        The same, and there is nothing to build it with.
    """
    return on_path(name) or str(program(name))


def on_path(name: str) -> str | None:
    """Return the path of a tool on PATH that is new enough; None otherwise."""
    path = shutil.which(name)
    if path is None:
        return None
    question = [path, *QUESTION.get(name, ("version",))]
    output = subprocess.run(question, capture_output=True, text=True, check=False).stdout
    return path if _number(output) >= LEAST[name] else None


def _number(text: str) -> tuple[int, int]:
    """Return `kind v0.33.0 go1.26.8 linux/amd64` as (0, 33); without a version, (0, 0)."""
    matched = re.search(r"\bv(\d+)\.(\d+)", text)
    return (int(matched[1]), int(matched[2])) if matched else (0, 0)


_major, _minor = _number(versions().kubernetes)
LEAST: Final = {
    # An earlier kind doesn't know the node image's containerd configuration.
    "kind": _number(versions().modules["sigs.k8s.io/kind"]),
    # Helm 3 has no server-side apply.
    "helm": (4, 0),
    # Kubernetes supports a client that is one minor version older than the API server.
    "kubectl": (_major, _minor - 1),
}
"""What must be on PATH at least: major and minor version."""
QUESTION: Final = {"kubectl": ("version", "--client")}
"""The arguments that ask a program for its version, where `version` alone asks a server, too."""
