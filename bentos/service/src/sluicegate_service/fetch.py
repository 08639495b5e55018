"""Fetches a bento into an emptyDir, where a cluster can't mount it as an image volume.

`python -m sluicegate_service.fetch URL SHA256 /bento` runs as an init container. The URL comes from
a spec that anyone with edit rights on a DataProduct writes, so only these are allowed: https, s3,
gs, or a file on a claim of the pod's own namespace (pvc://CLAIM/PATH; the claim is mounted at
/claim). The archive is used only if it has the given sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from sluicegate_service.archives import BOUNDS
from sluicegate_service.bentos import BentoInvalid, extract, read_bento, require_models
from sluicegate_service.guarded_https import AddressRefused, open_https, refuse_local_literal
from sluicegate_service.termination import write_termination_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CLAIM = Path("/claim")
CHUNK = 1 << 20
IPV6_HOST = re.compile(r"\[[0-9a-fA-F:.]*\]")
HEX_DIGITS = 64


class FetchError(Exception):
    """The bento can't be fetched; the message names the URL and the way out."""


@dataclass(frozen=True, slots=True)
class Source:
    """Address of a bento's archive, and its checksum."""

    url: str
    sha256: str
    claim: Path = CLAIM

    def __post_init__(self) -> None:
        """Refuse an address that isn't a plain URL of a known scheme with a complete checksum."""
        if len(self.sha256) != HEX_DIGITS or set(self.sha256) - set("0123456789abcdef"):
            raise FetchError(f"sha256 {self.sha256!r} is not {HEX_DIGITS} lower-case hex digits")
        if "::" in IPV6_HOST.sub("", self.url) or any(map(str.isspace, self.url)):
            raise FetchError(f"{self.url}: a chained URL is refused: name the archive itself")
        if self.scheme not in OPENERS:
            raise FetchError(f"{self.url}: {self.scheme!r} is refused: use {', '.join(OPENERS)}")
        try:
            refuse_local_literal(urlsplit(self.url).hostname or "")
        except AddressRefused as refusal:
            raise FetchError(str(refusal)) from refusal

    @property
    def scheme(self) -> str:
        """One of https, s3, gs and pvc."""
        return urlsplit(self.url).scheme


def fetch(source: Source, into: Path) -> None:
    """Download, check and unpack the archive, and check that `into` is a complete bento.

    Raises FetchError or BentoInvalid; `into` is empty then.
    """
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=_scratch(into)) as scratch:
        archive, unpacked = Path(scratch) / "archive", Path(scratch) / "bento"
        _download(source, archive)
        extract(archive, unpacked)
        require_models(read_bento(unpacked))
        for path in unpacked.iterdir():
            shutil.move(path, into / path.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch by the command line's arguments; a failure is written to the termination message."""
    parser = argparse.ArgumentParser(prog="sluicegate_service.fetch")
    parser.add_argument("url", help="https, s3, gs, or pvc://CLAIM/PATH")
    parser.add_argument("sha256", help="of the archive")
    parser.add_argument("into", type=Path, help="an empty, writable folder")
    parser.add_argument("--claim", type=Path, default=CLAIM, help="where the claim is mounted")
    options = parser.parse_args(arguments)
    try:
        fetch(Source(options.url, options.sha256, options.claim), options.into)
    except (FetchError, BentoInvalid) as error:
        write_termination_message(f"FetchFailed: {error}")
        print(error, file=sys.stderr)  # noqa: T201 - the container's log
        return 1
    return 0


def _scratch(into: Path) -> Path:
    """Return a folder on the same volume, so that moving files out of it needs no copy."""
    if not os.access(into, os.W_OK):
        raise FetchError(f"{into} can't be written: mount an emptyDir there")
    return into


def _download(source: Source, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with OPENERS[source.scheme](source) as stream, target.open("wb") as file:
            for chunk in _chunks(source, stream):
                digest.update(chunk)
                file.write(chunk)
    except (FetchError, AddressRefused) as refusal:
        raise FetchError(str(refusal)) from refusal
    except Exception as error:  # each file system has its own errors
        raise FetchError(f"{source.url}: {type(error).__name__} {error}") from error
    # The message doesn't have the other checksum: it would show what an internal server answers.
    if digest.hexdigest() != source.sha256:
        raise FetchError(
            f"{source.url} hasn't the sha256 {source.sha256}: either the archive was replaced or the"
            " checksum is of another file"
        )


def _chunks(source: Source, stream: IO[bytes]) -> Iterator[bytes]:
    size = 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > BOUNDS.size:
            raise FetchError(f"{source.url} has more than {BOUNDS.size:,} bytes: refused")
        yield chunk


def _open_https(source: Source) -> IO[bytes]:
    return open_https(source.url)


def _open_s3(source: Source) -> IO[bytes]:
    from pyarrow.fs import S3FileSystem  # noqa: PLC0415 - 100 MB, for this scheme only

    return _open_arrow(S3FileSystem(), source)


def _open_gs(source: Source) -> IO[bytes]:
    from pyarrow.fs import GcsFileSystem  # noqa: PLC0415 - the same

    return _open_arrow(GcsFileSystem(), source)


def _open_arrow(filesystem: Any, source: Source) -> IO[bytes]:
    """Open a file with Arrow's own S3 or GCS, as fsspec; credentials are from the usual variables."""
    from fsspec.implementations.arrow import ArrowFSWrapper  # noqa: PLC0415 - the same

    parts = urlsplit(source.url)
    return cast("IO[bytes]", ArrowFSWrapper(filesystem).open(parts.netloc + parts.path, "rb"))


def _open_claim(source: Source) -> IO[bytes]:
    parts = urlsplit(source.url)
    inside = PurePosixPath(parts.path.lstrip("/"))
    root = source.claim.resolve()
    path = (root / inside).resolve()
    if not path.is_relative_to(root) or not parts.netloc:
        raise FetchError(f"{source.url} leads out of the claim: give a path below its root")
    if not path.is_file():
        raise FetchError(f"{source.url}: there is no file {inside} on the claim {parts.netloc}")
    return path.open("rb")


OPENERS: dict[str, Callable[[Source], IO[bytes]]] = {
    "https": _open_https,
    "s3": _open_s3,
    "gs": _open_gs,
    "pvc": _open_claim,
}

if __name__ == "__main__":
    sys.exit(main())
