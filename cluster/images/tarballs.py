"""Reproducible tar files.

Order, times, owners and modes are fixed here, so that an image's digest says something
about its content and about nothing else.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EPOCH = 1767225600  # 2026-01-01: later than the files of the Debian release, earlier than any build


def write_tree(tree: Path, prefix: str, sink: IO[bytes]) -> None:
    """Write the directory `tree` to `sink` as a tar with its root at `prefix`."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, dereference=False) as tar:
        for parent in _parents(prefix):
            tar.addfile(_entry(parent, tarfile.DIRTYPE, 0o755))
        for path in sorted(tree.rglob("*")):
            _add(tar, path, PurePosixPath(prefix.strip("/")) / path.relative_to(tree).as_posix())


def copy_members(
    source: IO[bytes], sink: IO[bytes], *, only: Iterable[str] = (), without: Iterable[str] = ()
) -> None:
    """Copy a tar with owners and times, without device nodes and excluded members.

    `only` and `without` are absolute path prefixes; an empty `only` keeps everything.
    """
    kept, dropped = tuple(only), tuple(without)
    with (
        tarfile.open(fileobj=source, mode="r|") as tar,
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as out,
    ):
        for member in tar:
            name = "/" + member.name.removeprefix("./").lstrip("/")
            if member.isdev() or _under(name, dropped) or (kept and not _under(name, kept)):
                continue
            member.uname = member.gname = ""
            out.addfile(member, tar.extractfile(member) if member.isreg() else None)


def add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file with `data` to `tar`."""
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    """Add the content of `path` to `tar` under `name`."""
    entry = _entry(name, tarfile.REGTYPE, 0o644)
    entry.size = path.stat().st_size
    with path.open("rb") as stream:
        tar.addfile(entry, stream)


def _under(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}/") for prefix in prefixes)


def _parents(prefix: str) -> list[str]:
    parts = PurePosixPath(prefix.strip("/")).parts
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def _add(tar: tarfile.TarFile, path: Path, name: PurePosixPath) -> None:
    if path.is_symlink():
        entry = _entry(str(name), tarfile.SYMTYPE, 0o777)
        entry.linkname = os.readlink(path)  # noqa: PTH115 - Path.readlink normalises what is written
        tar.addfile(entry)
    elif path.is_dir():
        tar.addfile(_entry(str(name), tarfile.DIRTYPE, 0o755))
    else:
        status = path.stat()
        entry = _entry(str(name), tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644)
        entry.size = status.st_size
        with path.open("rb") as stream:
            tar.addfile(entry, stream)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, EPOCH
    return entry
