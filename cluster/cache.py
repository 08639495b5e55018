"""The folder outside the work tree that keeps what takes long to make.

Builds are looked up by version and by a hash of everything that goes in, written beside their
final place and renamed: an interrupted build leaves nothing that could be taken for a result.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHE_VARIABLE = "SLUICEGATE_CACHE"


def cache_folder() -> Path:
    """Return `SLUICEGATE_CACHE`, else `sluicegate` in the XDG cache folder; made if absent."""
    configured = os.environ.get(CACHE_VARIABLE)
    xdg = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(configured).absolute() if configured else Path(xdg) / "sluicegate"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lock_folder() -> Path:
    """Return the folder of locks, which is the same for every cache folder of this machine."""
    folder = Path(tempfile.gettempdir()) / f"sluicegate-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(name: str, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the machine-wide lock `name`; `on_wait` is called once if another process has it.

    The kernel frees the lock when its holder ends, so a killed build blocks no other.
    """
    with (lock_folder() / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes `target` if the block succeeds, and is deleted otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    scratch.chmod(0o755)
    try:
        yield scratch
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        Path(scratch).chmod(mode)
        Path(scratch).rename(path)
    finally:
        Path(scratch).unlink(missing_ok=True)
