"""Unpacks tar archives of unknown origin within bounds of entries, bytes, depth and memory.

An archive of kilobytes can claim any number of bytes: sparse files, headers that a reader takes into
memory as a whole, and compressions of a thousand to one. Each of these is refused before it costs
more than the bounds, so that neither a node's disk nor a laptop's is filled.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_GIB = 1 << 30
_CHUNK = 1 << 16
_FORBIDDEN = ("GNU.sparse.", "SCHILY.realsize")
"""Beginnings of pax headers of files whose size isn't that of their content."""


class ArchiveRefused(Exception):  # noqa: N818  # says what is the case
    """The archive can't be unpacked, or exceeds a bound; the message says which."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of an archive's content; sizes are in bytes.

    Attributes
    ----------
    entries : files and folders, those that are only in names included.
    size : of all files together. ratio : the same as a multiple of the archive's size.
    least : size that is allowed whatever the ratio.
    depth : folders above a file.
    header : of one entry. headers : of all entries. memory : of the decompressor.
    """

    entries: int = 10_000
    size: int = 16 * _GIB
    ratio: int = 20
    least: int = 64 << 20
    depth: int = 32
    header: int = 1 << 20
    headers: int = 32 << 20
    memory: int = 256 << 20


BOUNDS = Bounds()


def unpack(archive: Path, into: Path, bounds: Bounds = BOUNDS) -> None:
    """Unpack a tar, however compressed, below `into`, readable by every user.

    Only folders and files are unpacked: links, devices and names that lead out of `into` are
    refused. (tarfile's own filters are newer than the Python of some runtime images.)

    Raises
    ------
    ArchiveRefused
        Whatever is wrong with the archive; `into` may then have a part of it.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open("rb") as file:
            size = min(bounds.size, max(bounds.least, bounds.ratio * archive.stat().st_size))
            stream = _Bounded(_decompressed(file, bounds.memory), size, bounds)
            with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as tar:
                _Unpacking(tar, stream, into, bounds).run()
    except (
        tarfile.TarError,
        EOFError,
        OSError,
        lzma.LZMAError,
        zlib.error,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = "its headers are nested" if isinstance(error, RecursionError) else str(error)
        raise ArchiveRefused(f"{archive} can't be unpacked: {reason}") from error


class _Unpacking:
    """One archive that is being unpacked."""

    def __init__(self, tar: tarfile.TarFile, stream: _Bounded, into: Path, bounds: Bounds) -> None:
        self._tar, self._stream, self._into, self._bounds = tar, stream, into, bounds
        self._made_paths: set[PurePosixPath] = set()

    def run(self) -> None:
        for member in self._tar:
            name = PurePosixPath(member.name)
            self._check(member, name)
            if member.isdir():
                self._make_folder(name)
            else:
                self._make_folder(name.parent)
                self._count(name)
                self._write(member, self._into / name)

    def _check(self, member: tarfile.TarInfo, name: PurePosixPath) -> None:
        outside = name.is_absolute() or ".." in name.parts or "\0" in member.name
        if outside or not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
            raise ArchiveRefused(
                f"the archive holds {member.name!r}, which no bento needs: refused"
            )
        if member.issparse() or any(
            pax_header.startswith(_FORBIDDEN) for pax_header in member.pax_headers
        ):
            raise ArchiveRefused(f"the archive holds {member.name!r}, a sparse file: refused")
        if len(name.parts) > self._bounds.depth:
            raise ArchiveRefused(
                f"the archive holds a file below more than {self._bounds.depth} folders: refused"
            )
        self._stream.require(member.size)

    def _make_folder(self, name: PurePosixPath) -> None:
        for folder in (*reversed(name.parents), name):
            if folder.parts and folder not in self._made_paths:
                self._count(folder)
                (self._into / folder).mkdir(exist_ok=True, mode=0o755)

    def _count(self, name: PurePosixPath) -> None:
        self._made_paths.add(name)
        if len(self._made_paths) > self._bounds.entries:
            raise ArchiveRefused(
                f"the archive holds more than {self._bounds.entries:,} files and folders: refused"
            )

    def _write(self, member: tarfile.TarInfo, path: Path) -> None:
        content = self._tar.extractfile(member)
        assert content is not None  # a regular file has content
        self._stream.in_content = True
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
        self._stream.in_content = False
        path.chmod(0o644)


class _Bounded(io.RawIOBase):
    """A decompressed stream as tarfile reads it: forward only, and within bounds."""

    def __init__(self, stream: IO[bytes], size: int, bounds: Bounds) -> None:
        super().__init__()
        self._stream, self._size, self._bounds = stream, size, bounds
        self._position = 0
        self._headers = 0
        self.in_content = False

    def require(self, size: int) -> None:
        """Refuse a file that doesn't fit any more."""
        if self._position + size > self._size + self._bounds.headers:
            raise ArchiveRefused(
                f"the archive unpacks to more than {self._size:,} bytes, {self._bounds.ratio} times"
                f" its own size or {self._bounds.size:,} at most: refused"
            )

    def read(self, size: int = -1) -> bytes:  # type: ignore[explicit-override]
        if not self.in_content and not 0 <= size <= self._bounds.header:
            raise ArchiveRefused(
                f"the archive has a header of more than {self._bounds.header:,} bytes: refused"
            )
        self.require(size)
        data = self._stream.read(size)
        self._position += len(data)
        if not self.in_content:
            self._headers += len(data)
            if self._headers > self._bounds.headers:
                raise ArchiveRefused(
                    f"the archive has headers of more than {self._bounds.headers:,} bytes: refused"
                )
        return data

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:  # type: ignore[explicit-override]
        if whence == io.SEEK_CUR:
            position += self._position
        if whence == io.SEEK_END or position < self._position:
            raise ArchiveRefused("the archive refers to what lies before: refused")
        self.require(position - self._position)
        while self._position < position:
            data = self._stream.read(min(_CHUNK, position - self._position))
            if not data:
                break
            self._position += len(data)
        return self._position


def _decompressed(file: IO[bytes], memory: int) -> IO[bytes]:
    """Return the content of a file that may be compressed; `memory` bounds the decompressor."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", _Streams(file, bz2.BZ2Decompressor))
    if magic == b"\xfd7zXZ\0" or magic.startswith(b"\x5d\0\0"):
        return cast("IO[bytes]", _Streams(file, lambda: lzma.LZMADecompressor(memlimit=memory)))
    return file


class _Streams:
    """The content of compressed streams, one behind the other."""

    def __init__(self, file: IO[bytes], make: Callable[[], Any]) -> None:
        self._file, self._make = file, make
        self._decompressor = make()

    def read(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            if self._decompressor.eof:
                remainder = self._decompressor.unused_data or self._file.read(_CHUNK)
                if not remainder.strip(b"\0"):
                    break
                self._decompressor = self._make()
            elif self._decompressor.needs_input:
                remainder = self._file.read(_CHUNK)
                if not remainder:
                    raise EOFError("the archive is cut")
            else:
                remainder = b""
            content += self._decompressor.decompress(remainder, size - len(content))
        return content
