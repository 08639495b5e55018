"""Places of the log of predictions: a folder (a volume of the pods), or a bucket of S3.

A file is `NAMESPACE/PRODUCT/date=2026-11-30/TIME-POD-NUMBER.jsonl`. Each process has files of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sluicegate_service.log_settings import LogSettings

SUFFIX: Final = ".jsonl"
LARGEST_FILE: Final = 16 * 2**20
"""Bytes after which the next file of a folder begins."""
CONNECT_SECONDS: Final = 1.0
REQUEST_SECONDS: Final = 3.0
"""Seconds of a request to a bucket. Arrow ends only after its requests, so a terminating pod waits as long."""
READ_ATTEMPTS: Final = 4
"""Attempts of a reader; the writer repeats failed writes by itself."""
_DATE: Final = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


class LogStoreError(Exception):
    """The place can't be read or written; the message has the reason."""


class LogStore(Protocol):
    """A place of the log.

    Attributes
    ----------
    flush_seconds : how long rows may be kept in memory.
    """

    flush_seconds: float

    def add(self, date: str, name: str, lines: bytes) -> None:
        """Write lines to a file of a date; raises LogStoreError, and may be repeated then."""

    def require(self) -> None:
        """Raise LogStoreError if the place isn't there; it may still have no file of the product."""

    def dates(self) -> list[str]:
        """Return the dates with files, in order."""

    def names(self, date: str) -> list[str]:
        """Return the names of the files of a date."""

    def read(self, date: str, name: str) -> bytes:
        """Return the content of a file; empty if it was deleted."""

    def rewrite(self, date: str, name: str, change: Callable[[bytes], bytes]) -> None:
        """Replace the content of a file by what `change` returns; delete it if that is empty."""

    def remove(self, date: str) -> None:
        """Delete all files of a date."""


@dataclass(slots=True)
class FolderStore:
    """Files that grow until they are large enough. Several processes may write, on several nodes.

    Attributes
    ----------
    root : folder of the product's files, which the first write makes.
    volume : the folder around it that must exist to be read; None for any.
    """

    root: Path
    flush_seconds: float = 1.0
    volume: Path | None = None

    def add(self, date: str, name: str, lines: bytes) -> None:
        """Append to the newest file of this name."""
        with _converted(self.root), self._locked(self._growing(date, name)) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                _write_all(file, lines if _ends_a_line(file, end) else b"\n" + lines)
                os.fsync(file.fileno())
            except OSError:  # a full volume: the rows are written once, after it has room
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise

    def require(self) -> None:
        """Raise LogStoreError if the volume isn't there."""
        if self.volume is not None and not self.volume.is_dir():
            raise LogStoreError(f"{self.volume}: there is no such folder")

    def dates(self) -> list[str]:
        """Return the dates with files, in order."""
        with _converted(self.root):
            paths = self.root.glob("date=*") if self.root.is_dir() else ()
            return sorted(match[1] for path in paths if (match := _DATE.fullmatch(path.name)))

    def names(self, date: str) -> list[str]:
        """Return the names of the files of a date."""
        with _converted(self.root):
            return sorted(path.name for path in self._folder(date).glob(f"*{SUFFIX}"))

    def read(self, date: str, name: str) -> bytes:
        """Return the content of a file; empty if it was deleted."""
        with _converted(self.root):
            try:
                return (self._folder(date) / name).read_bytes()
            except FileNotFoundError:
                return b""

    def rewrite(self, date: str, name: str, change: Callable[[bytes], bytes]) -> None:
        """Replace a file at once; lines that are appended meanwhile wait for it."""
        path = self._folder(date) / name
        with _converted(self.root), self._locked(path) as file:
            temporary = path.with_suffix(".part")
            try:
                content = file.read()
                changed = change(content)
                if changed != content:
                    temporary.write_bytes(changed)
                    temporary.replace(path)
            finally:  # also that of a process that ended before
                temporary.unlink(missing_ok=True)

    def remove(self, date: str) -> None:
        """Delete all files of a date."""
        with _converted(self.root):
            shutil.rmtree(self._folder(date), ignore_errors=True)

    def _folder(self, date: str) -> Path:
        return self.root / f"date={date}"

    def _growing(self, date: str, name: str) -> Path:
        """Return the file to append to: the first one of this name that isn't large yet."""
        folder = self._folder(date)
        folder.mkdir(parents=True, exist_ok=True)
        number = 0
        while True:
            path = folder / f"{name}-{number}{SUFFIX}"
            if not path.exists() or path.stat().st_size < LARGEST_FILE:
                return path
            number += 1

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[IO[bytes]]:
        """Open a file that no other process writes; one that was replaced meanwhile is opened again.

        It has no buffer, which would write the rows of a failed write again.
        """
        while True:
            with path.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                        file.seek(0)
                        yield file
                        return


class BucketStore:
    """Objects of a bucket, one for each write."""

    flush_seconds = 10.0

    def __init__(self, base: str, *, attempts: int = 1, **options: Any) -> None:
        """Connect to nothing yet; `base` is the bucket with the prefix, `options` are Arrow's."""
        from pyarrow import fs  # noqa: PLC0415 - only pods that use a bucket need it

        self._fs = fs
        self._base = base
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=attempts)
        self._bucket = fs.S3FileSystem(
            connect_timeout=CONNECT_SECONDS,
            request_timeout=REQUEST_SECONDS,
            retry_strategy=retries,
            **options,
        )
        self._number = 0

    def add(self, date: str, name: str, lines: bytes) -> None:
        """Write an object."""
        # The number grows only with a write that succeeded, so a repeated one replaces its object.
        self._put(f"{self._folder(date)}/{name}-{self._number}{SUFFIX}", lines)
        self._number += 1

    def require(self) -> None:
        """Raise LogStoreError if the bucket isn't there, or can't be reached."""
        bucket = self._base.partition("/")[0]
        with _converted(self._base):
            (info,) = self._bucket.get_file_info([bucket])
        if info.type == self._fs.FileType.NotFound:
            raise LogStoreError(f"{bucket}: there is no such bucket")

    def dates(self) -> list[str]:
        """Return the dates with objects, in order."""
        return sorted(
            match[1]
            for info in self._object_list(self._base)
            if (match := _DATE.fullmatch(info.base_name))
        )

    def names(self, date: str) -> list[str]:
        """Return the names of the objects of a date."""
        object_list = self._object_list(self._folder(date))
        return sorted(info.base_name for info in object_list if info.base_name.endswith(SUFFIX))

    def read(self, date: str, name: str) -> bytes:
        """Return the content of an object; empty if it was deleted."""
        with _converted(self._base):
            try:
                with self._bucket.open_input_stream(f"{self._folder(date)}/{name}") as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return b""

    def rewrite(self, date: str, name: str, change: Callable[[bytes], bytes]) -> None:
        """Replace an object, which nothing else writes."""
        content = self.read(date, name)
        changed = change(content)
        if changed == content:
            return
        path = f"{self._folder(date)}/{name}"
        if changed:
            self._put(path, changed)
            return
        with _converted(self._base):
            self._bucket.delete_file(path)

    def remove(self, date: str) -> None:
        """Delete all objects of a date."""
        with _converted(self._base), contextlib.suppress(FileNotFoundError):
            self._bucket.delete_dir(self._folder(date))

    def _folder(self, date: str) -> str:
        return f"{self._base}/date={date}"

    def _put(self, path: str, content: bytes) -> None:
        with _converted(self._base), self._bucket.open_output_stream(path) as stream:
            stream.write(content)

    def _object_list(self, folder: str) -> Sequence[Any]:
        with _converted(self._base):
            infos = self._bucket.get_file_info(self._fs.FileSelector(folder, allow_not_found=True))
        return list(infos)


def store_of(settings: LogSettings, *, attempts: int = 1) -> LogStore:
    """Return the place that the settings name; ValueError for another one.

    Parameters
    ----------
    attempts : of each request to a bucket.
    """
    folder = f"{settings.namespace}/{settings.product}"
    match settings.target:
        case {"file": {"path": str(path)}}:
            return FolderStore(Path(path) / folder, volume=Path(path))
        case {"s3": {"bucket": str(bucket), **given}}:
            options = {
                "endpoint_override": given.get("endpoint"),
                "region": given.get("region"),
            }
            prefix = str(given.get("prefix") or "").strip("/")
            base = "/".join(part for part in (bucket, prefix, folder) if part)
            return BucketStore(
                base, attempts=attempts, **{key: value for key, value in options.items() if value}
            )
        case _:
            raise ValueError(f"serving.log.to has neither file nor s3: {dict(settings.target)!r}")


def _write_all(file: IO[bytes], content: bytes) -> None:
    """Write to a file without a buffer, which may write a part at a time."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _ends_a_line(file: IO[bytes], end: int) -> bool:
    """Return whether a file is empty or ends with a line; else a process ended in the middle of one."""
    if end == 0:
        return True
    file.seek(end - 1)
    return file.read(1) == b"\n"


@contextlib.contextmanager
def _converted(place: object) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # Arrow's errors are either
        raise LogStoreError(f"{place}: {error}") from error
