"""Fetches a bento into an emptyDir, where a cluster can't mount it as an image volume.

`python -m sluicegate_service.fetch URL SHA256 /bento` runs as an init container. The URL comes from
a spec that anyone with edit rights on a DataProduct writes, so only these are allowed: https, s3,
gs, or a file on a claim of the pod's own namespace (pvc://CLAIM/PATH; the claim is mounted at
/claim). The archive is used only if it has the given sha256.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import ipaddress
import os
import re
import shutil
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from sluicegate_service.bentos import BentoInvalid, extract, read_bento, require_models
from sluicegate_service.termination import write_termination_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLAIM = Path("/claim")
CHUNK = 1 << 20
IPV6_HOST = re.compile(r"\[[0-9a-fA-F:.]*\]")
HEX_DIGITS = 64
CONNECT_SECONDS = 20
READ_SECONDS = 120


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
        refuse_local_literal(urlsplit(self.url).hostname or "")

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
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except Exception as error:  # each file system has its own errors
        refusal = _refusal_behind(error)
        raise refusal or FetchError(f"{source.url}: {type(error).__name__} {error}") from error
    if digest.hexdigest() != source.sha256:
        raise FetchError(
            f"{source.url} has the sha256 {digest.hexdigest()}, not {source.sha256}: either the"
            " archive was replaced or the checksum is of another file"
        )


def _refusal_behind(error: BaseException | None) -> FetchError | None:
    """Return the FetchError that a file system may have wrapped in another error."""
    while error is not None and not isinstance(error, FetchError):
        error = error.__cause__ or error.__context__
    return error


def _open_https(source: Source) -> IO[bytes]:
    import fsspec  # noqa: PLC0415 - aiohttp is needed for this scheme only

    filesystem = fsspec.filesystem(
        "https", get_client=_guarded_client, client_kwargs={}, skip_instance_cache=True
    )
    return cast("IO[bytes]", filesystem.open(source.url, "rb", block_size=0))


async def _guarded_client(**options: Any) -> Any:
    """Return an aiohttp session that checks each address before it connects, also after redirects."""
    import aiohttp  # noqa: PLC0415 - the same

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_other_scheme)
    options.pop("loop", None)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=_guarded_resolver()),
        trace_configs=[trace],
        timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        **options,
    )


async def _refuse_other_scheme(_session: Any, _context: Any, redirect: Any) -> None:
    target = urlsplit(redirect.response.headers.get("Location", ""))
    if target.scheme not in ("", "https"):
        raise FetchError(f"{redirect.url} redirects to {target.geturl()}: only https is followed")
    refuse_local_literal(target.hostname or "")


def _guarded_resolver() -> Any:
    from aiohttp.resolver import ThreadedResolver  # noqa: PLC0415 - the same

    class Guarded(ThreadedResolver):
        """Resolves names, and refuses addresses of the machine itself and its neighbours."""

        async def resolve(  # type: ignore[explicit-override]
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> Any:
            addresses = await super().resolve(host, port, family)
            for entry in addresses:
                refuse_local(host, entry["host"])
            return addresses

    return Guarded()


def refuse_local_literal(host: str) -> None:
    """Check a host that is an address with `refuse_local`: it isn't resolved."""
    with contextlib.suppress(ValueError):
        refuse_local(host, str(ipaddress.ip_address(host)))


def refuse_local(host: str, address: str) -> None:
    """Raise FetchError if `address` is loopback, link-local (cloud metadata) or no address."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    for candidate in (parsed, *([mapped] if mapped else [])):
        if candidate.is_loopback or candidate.is_link_local or candidate.is_unspecified:
            raise FetchError(f"{host} is {address}, an address of the node itself: refused")


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
