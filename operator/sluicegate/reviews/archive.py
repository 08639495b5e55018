"""Archive of sealed reviews outside the cluster, before the operator drops those beyond `keep`.

A review's annotation holds the digest of its archived state. It is copied again after a signature,
and the operator drops no review whose newest state isn't archived.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sluicegate.api.review import DataProductReview
from sluicegate.kube.errors import Forbidden
from sluicegate.reviews.archive_file import (
    NotArchived,
    file_digest,
    file_name,
    file_text,
    is_archived,
    require_same_seal,
    require_sealed,
)
from sluicegate.reviews.store import CLOSED_STATE, SEALED_STATE, ReviewStore

BUCKETS = ("s3", "gs", "az")
"""Supported schemes of buckets."""


class ArchivePlace(Protocol):
    """Storage of archived files."""

    def read(self, name: str) -> str | None:
        """Return the file of this name; None if there is none."""

    def write(self, name: str, text: str) -> None:
        """Write the file of this name atomically."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, for example of a mounted claim."""

    root: Path

    def read(self, name: str) -> str | None:
        """Return the file of this name; None if there is none."""
        try:
            return self._path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a temporary file, and rename it once it is on the disk."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        file_handle, unfinished_path = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(file_handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished_path).replace(path)
        except BaseException:
            Path(unfinished_path).unlink(missing_ok=True)
            raise

    def _path(self, name: str) -> Path:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise NotArchived(f"{name} isn't archived: it is outside of {self.root}")
        return path


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, below a prefix; credentials are those of the provider's usual variables.

    Attributes
    ----------
    retries : retries of a request without an answer.
    """

    url: str
    retries: int = 5

    def read(self, name: str) -> str | None:
        """Return the object of this name; None if there is none."""
        with self._with_converted_errors(name) as store:
            try:
                return bytes(store.get(name).bytes()).decode()
            except FileNotFoundError:
                return None

    def write(self, name: str, text: str) -> None:
        """Write the object of this name."""
        with self._with_converted_errors(name) as store:
            store.put(name, text.encode())

    @contextmanager
    def _with_converted_errors(self, name: str) -> Iterator[Any]:
        """Yield the bucket, and convert its errors to NotArchived."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
        from obstore.store import from_url  # noqa: PLC0415 - the same

        try:
            yield from_url(self.url, retry_config={"max_retries": self.retries})
        except BaseError as error:
            error_line = str(error).partition("\n")[0].strip()
            raise NotArchived(
                f"{name} isn't archived in {self.url}: {error_line}. Its provider's variables name the"
                " endpoint, the region and the credentials"
            ) from error


@dataclass(slots=True)
class Archived:
    """Numbers of sealed reviews that were written, existed already, or failed."""

    written: int = 0
    there: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Archive:
    """Copies of sealed reviews in a place; `say` is called with a sentence on each failure."""

    store: ReviewStore
    place: ArchivePlace
    say: Callable[[str], None]

    async def copy(self, namespaces: tuple[str, ...] = ()) -> Archived:
        """Copy all sealed reviews that changed since the last copy; a failure doesn't stop the others.

        Raises
        ------
        KubeError
            They can't be read.
        """
        archive_result = Archived()
        for label in (SEALED_STATE, CLOSED_STATE):
            async for review in self.store.labelled(label, namespaces):
                if is_archived(review):
                    archive_result.there += 1
                    continue
                try:
                    self._copy(review)
                except (NotArchived, OSError) as error:
                    self.say(str(error))
                    archive_result.refused += 1
                    continue
                try:
                    await self.store.mark_archived(review, file_digest(review))
                except Forbidden as error:
                    self.say(f"{review.metadata.namespace}/{review.metadata.name}: {error}")
                    archive_result.refused += 1
                    continue
                archive_result.written += 1
        return archive_result

    def _copy(self, review: DataProductReview) -> None:
        require_sealed(review)
        name = file_name(review)
        stored_text = self.place.read(name)
        if stored_text is not None:
            require_same_seal(review, stored_text)
        self.place.write(name, file_text(review))
