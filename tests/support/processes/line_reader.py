"""What a file has so far that a process is writing, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def whole_lines(path: Path) -> list[bytes]:
    """Return the file's complete lines; text after the last line end isn't all of it yet.

    As bytes, since even a character may be written by half.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return whole.splitlines()
