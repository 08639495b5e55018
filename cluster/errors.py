"""Errors of the cluster tool: one clear sentence each, with the way out.

Everything that a person can fix is a `ClusterError`; the command line prints its message and
exits with 1. Anything else is a bug, and keeps its traceback.
"""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1024 * 1024
NO_SPACE = "no space left on device"


class ClusterError(Exception):
    """The cluster can't carry out a command; the message has the reason and the fix."""


class MissingPrerequisiteError(ClusterError):
    """The machine lacks programs or rights; the message names all of them at once."""


class BuildError(ClusterError):
    """A program could not be built."""


class StartError(ClusterError):
    """A component did not start or did not become ready."""


class DiskFullError(ClusterError):
    """The disk is too full to go on."""


def disk_full(folder: Path, purpose: str) -> DiskFullError:
    """Return the error message for a full disk with `folder`; `purpose` completes "to …"."""
    free = shutil.disk_usage(folder).free // MEBIBYTE
    return DiskFullError(
        f"the disk that holds {folder} has only {free} MiB free, too little to {purpose}: "
        "free some space there, or set SLUICEGATE_CACHE to a folder on another disk"
    )


def require_space(folder: Path, mebibytes: int, purpose: str) -> None:
    """Raise `DiskFullError` unless `mebibytes` are free on the disk of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < mebibytes * MEBIBYTE:
        raise disk_full(folder, f"{purpose} ({mebibytes} MiB)")


def is_full(error: OSError) -> bool:
    """Return whether the operating system refused because a disk or a quota is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}
