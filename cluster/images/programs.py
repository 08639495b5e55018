"""Runs the programs that do the work, and turns their failures into one clear sentence."""

from __future__ import annotations

import os
import subprocess

from cluster.images.errors import ImageError

WAY_OUT = {
    "uv": "see https://docs.astral.sh/uv/",
}


def run(command: list[str], *, env: dict[str, str] | None = None, may_fail: bool = False) -> str:
    """Return the standard output of `command`; ImageError with its last words if it fails."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, **(env or {})}
        )
    except FileNotFoundError as error:
        way_out = WAY_OUT.get(command[0], f"install {command[0]}")
        raise ImageError(f"{command[0]} isn't installed: {way_out}") from error
    if done.returncode and not may_fail:
        words = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ImageError(f"{' '.join(command[:3])} … ended with {done.returncode}: {words}")
    return done.stdout
