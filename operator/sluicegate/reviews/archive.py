"""Copies sealed reviews out of the cluster, before the operator drops those beyond `keep`.

A review's annotation says which state of it the archive has. It is copied again once somebody has
signed it, and the operator drops no review whose newest state isn't archived.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sluicegate.api.review import DataProductReview
from sluicegate.reviews.archive_file import (
    NotArchived,
    file_digest,
    file_name,
    file_text,
    is_archived,
    require_same_seal,
    require_sealed,
)
from sluicegate.reviews.store import CLOSED, SEALED, ReviewStore

BUCKETS = ("s3", "gs", "az")
"""Schemes of buckets that can be written to."""


class ArchivePlace(Protocol):
    """Where files are kept."""

    def read(self, name: str) -> str | None:
        """Return the file of this name; None when there is none."""

    def write(self, name: str, text: str) -> None:
        """Write the file of this name, all of it or nothing."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, say of a claim that is mounted."""

    root: Path

    def read(self, name: str) -> str | None:
        """Return the file of this name; None when there is none."""
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write beside the file, and put it in its place once it is on the disk."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, below a prefix; credentials come from the usual variables of its provider.

    Attributes
    ----------
    retries : how often a request is sent again that wasn't answered.
    """

    url: str
    retries: int = 5

    def read(self, name: str) -> str | None:
        """Return the object of this name; None when there is none."""
        with self._told(name) as store:
            try:
                return bytes(store.get(name).bytes()).decode()
            except FileNotFoundError:
                return None

    def write(self, name: str, text: str) -> None:
        """Write the object of this name."""
        with self._told(name) as store:
            store.put(name, text.encode())

    @contextmanager
    def _told(self, name: str) -> Iterator[Any]:
        """The bucket; what goes wrong with it becomes NotArchived."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
        from obstore.store import from_url  # noqa: PLC0415 - the same

        try:
            yield from_url(self.url, retry_config={"max_retries": self.retries})
        except BaseError as error:
            said = str(error).partition("\n")[0].strip()
            raise NotArchived(
                f"{name} isn't archived in {self.url}: {said}. Its provider's variables name the"
                " endpoint, the region and the credentials"
            ) from error


@dataclass(slots=True)
class Archived:
    """What became of the sealed reviews: how many were written, were there already, and weren't."""

    written: int = 0
    there: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Archive:
    """Copies sealed reviews to a place; `say` is given a sentence of each that can't be copied."""

    store: ReviewStore
    place: ArchivePlace
    say: Callable[[str], None]

    async def copy(self, namespaces: tuple[str, ...] = ()) -> Archived:
        """Copy all sealed reviews that changed since they were copied; one that fails stops no other.

        Raises
        ------
        KubeError
            They can't be read.
        """
        done = Archived()
        for label in (SEALED, CLOSED):
            async for review in self.store.labelled(label, namespaces):
                if is_archived(review):
                    done.there += 1
                    continue
                try:
                    self._copy(review)
                except (NotArchived, OSError) as error:
                    self.say(str(error))
                    done.refused += 1
                    continue
                await self.store.mark_archived(review, file_digest(review))
                done.written += 1
        return done

    def _copy(self, review: DataProductReview) -> None:
        require_sealed(review)
        name = file_name(review)
        stored = self.place.read(name)
        if stored is not None:
            require_same_seal(review, stored)
        self.place.write(name, file_text(review))
