"""A disk of a test's own that is small enough to be full."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cluster.commands import run
from cluster.prerequisites import require_linux_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    """Yield a file system of one MiB in memory, for the length of a block."""
    require_linux_root()
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        # A process that still has a file open there keeps it, but no path leads to it any more.
        run("umount", "--lazy", str(folder))


def fill(folder: Path) -> None:
    """Write until nothing fits any more."""
    with (folder / "filler").open("ab", buffering=0) as filler:
        for size in (4096, 1):
            while fits(filler, size):
                pass


def fits(file: Any, size: int) -> bool:
    """Return whether this many bytes could be written."""
    try:
        file.write(b"x" * size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True
