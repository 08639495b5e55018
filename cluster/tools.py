"""Programs of the host that people often have: taken from PATH if they are new enough, else built."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

from cluster.builds import program
from cluster.versions import versions

LEAST: Final = {
    # An earlier kind doesn't know the node image's containerd configuration.
    "kind": versions().modules["sigs.k8s.io/kind"],
    # Helm 3 has no server-side apply.
    "helm": "v4.0",
}
"""What must be on PATH at least, as major and minor version."""


def tool(name: str) -> str:
    """Path of `kind` or `helm`.

    Raises
    ------
    BuildError
        It isn't on PATH, or too old, and the build failed.
    MissingPrerequisiteError
        The same, and there is nothing to build it with.
    """
    return on_path(name) or str(program(name))


def on_path(name: str) -> str | None:
    """Path of a tool that is there and new enough; None otherwise."""
    found = shutil.which(name)
    if found is None:
        return None
    said = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout
    return found if _number(said) >= _number(LEAST[name]) else None


def _number(text: str) -> tuple[int, int]:
    """`kind v0.33.0 go1.26.8 linux/amd64` as (0, 33); without a version, (0, 0)."""
    matched = re.search(r"\bv(\d+)\.(\d+)", text)
    return (int(matched[1]), int(matched[2])) if matched else (0, 0)
