"""Images of an archive are loaded into a node once, by the first caller."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from cluster.cache import locked, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.identity import Identity


@contextlib.contextmanager
def first_load(archive: Path, identity: Identity) -> Iterator[bool]:
    """Yield whether this caller must load `archive`; a later caller need not.

    A failed load leaves no mark. An archive that was written again counts as another one.
    """
    stat = archive.stat()
    mark = _marks(identity) / f"{archive.name}-{stat.st_size}-{stat.st_mtime_ns}"
    with locked(f"load-{identity.name}-{archive.name}"):
        is_first = not mark.exists()
        yield is_first
        if is_first:
            write_atomically(mark, "")


def forget_loads(identity: Identity) -> None:
    """Delete the marks of loaded archives, as a new node has no image."""
    shutil.rmtree(_marks(identity), ignore_errors=True)


def _marks(identity: Identity) -> Path:
    return identity.state / "loaded"
