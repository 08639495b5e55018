"""Caches of the cluster's objects: one slim record for each, by kind, and by the product that it belongs to.

Watches deliver changes, lists the whole state. A watch can miss a deletion, so each list replaces
its kind: objects that it doesn't hold are dropped. Both arrive interleaved and late; the
resourceVersion decides which is newer. A list that is older than the state at its request shows a
store that was restored from a backup: then the list replaces the records, whatever their version.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sluicegate.kube.resources import Key, Resource, key_of
from sluicegate.runtime.interfaces import QueuePriority, Record, Watched
from sluicegate.runtime.metrics import CACHED, GHOSTS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A relevant change of an object, so that its product is reconciled."""

    product: Key
    priority: QueuePriority


class Cache:
    """Records of one watched kind."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._records: dict[Key, Record] = {}
        self._by_parent: dict[Key, dict[Key, Record]] = {}
        self._listings = 0
        self._buried: set[str] = set()
        self._size = CACHED.labels(watched.resource.qualified)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        """Return whether an object is cached."""
        return key in self._records

    def get(self, key: Key) -> Record | None:
        """Return the record of an object."""
        return self._records.get(key)

    def children(self, parent: Key) -> tuple[Record, ...]:
        """Return the records of the children of a product."""
        return tuple(self._by_parent.get(parent, {}).values())

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the names of all objects of the kind."""
        return iter(tuple(self._records))

    def observe(self, body: Mapping[str, Any]) -> Change | None:
        """Store an object from a watch or list; return the change that it causes, if any."""
        key, uid, version = identity_of(body)
        old = self._records.get(key)
        if uid in self._buried or (old and old.version >= version):
            return None
        record = self._project(body)
        if record is None:
            return self._drop(key) if old else None
        self._store(record, old)
        if record == old:
            return None
        urgent = record.urgent is not None and (old is None or old.urgent != record.urgent)
        return Change(record.parent, QueuePriority.URGENT if urgent else QueuePriority.NORMAL)

    def forget(self, body: Mapping[str, Any]) -> Change | None:
        """Drop a deleted object, unless a later one of its name is stored."""
        key, uid, _ = identity_of(body)
        if self._listings:
            self._buried.add(uid)
        old = self._records.get(key)
        return self._drop(key) if old and old.uid == uid else None

    def listing(self, namespace: str = "") -> "Listing":
        """Begin to replace the records of a namespace, or of all, by a list."""
        self._listings += 1
        return Listing(self, namespace)

    def end_listing(self) -> None:
        """Drop the record of deletions during a list."""
        self._listings -= 1
        if not self._listings:
            self._buried.clear()

    def drop_missing(
        self, kept_keys: Collection[Key], namespace: str, version: int
    ) -> Iterator[Change]:
        """Drop the objects that a list at `version` should have held and didn't."""
        missing_records = [
            record.key
            for record in self._records.values()
            if record.key not in kept_keys
            and record.version <= version
            and namespace in ("", record.key.namespace)
        ]
        for key in missing_records:
            GHOSTS.labels(self.watched.resource.qualified).inc()
            yield self._drop(key)

    def newest(self, namespace: str) -> int:
        """Return the newest version of a namespace's objects, or of all; 0 without any."""
        versions = (
            record.version
            for key, record in self._records.items()
            if namespace in ("", key.namespace)
        )
        return max(versions, default=0)

    def outdate(self, namespace: str) -> None:
        """Mark the records of a namespace, or of all, so that any following object replaces them."""
        self._buried.clear()
        for key, record in self._records.items():
            if namespace in ("", key.namespace):
                self._store(replace(record, version=0), record)

    def _project(self, body: Mapping[str, Any]) -> Record | None:
        try:
            return self.watched.project(body)
        except Exception:
            # An object that the projection can't handle must not prevent the others.
            kind = self.watched.resource.qualified
            logger.exception("a bug: no record of %s %s", kind, identity_of(body)[0])
            return None

    def _store(self, record: Record, old: Record | None) -> None:
        if old is not None and old.parent != record.parent:
            self._unlink(old)
        self._records[record.key] = record
        self._by_parent.setdefault(record.parent, {})[record.key] = record
        self._size.set(len(self._records))

    def _drop(self, key: Key) -> Change:
        record = self._records.pop(key)
        self._unlink(record)
        self._size.set(len(self._records))
        return Change(record.parent, QueuePriority.NORMAL)

    def _unlink(self, record: Record) -> None:
        siblings = self._by_parent[record.parent]
        del siblings[record.key]
        if not siblings:
            del self._by_parent[record.parent]


class Listing:
    """A list of one kind while it replaces the cached records; use as a context manager."""

    def __init__(self, cache: Cache, namespace: str) -> None:
        self._cache = cache
        self._namespace = namespace
        self._kept: set[Key] = set()
        self._known = cache.newest(namespace)

    def __enter__(self) -> Self:
        """Begin; the cache records deletions from now on."""
        return self

    def __exit__(self, *_: object) -> None:
        """End, whether or not the list was complete."""
        self._cache.end_listing()

    def precedes_what_was_known(self, version: int) -> bool:
        """Return whether a list at `version` is older than the state at its request."""
        return version < self._known

    def add(self, body: Mapping[str, Any]) -> Iterator[Change]:
        """Store an object of a page."""
        key, _, _ = identity_of(body)
        self._kept.add(key)
        if (change := self._cache.observe(body)) is not None:
            yield change

    def finish(self, version: int) -> Iterator[Change]:
        """Drop the objects that the list at `version` did not hold."""
        return self._cache.drop_missing(self._kept, self._namespace, version)


class Caches:
    """Caches by kind; the first kind is the product's own."""

    def __init__(self, watched: Iterable[Watched]) -> None:
        self._caches = {one.resource: Cache(one) for one in watched}
        self.products = next(iter(self._caches.values()))

    def __getitem__(self, resource: Resource) -> Cache:
        """Return the cache of a kind; KeyError if it isn't watched."""
        return self._caches[resource]

    def __iter__(self) -> Iterator[Cache]:
        """Iterate over the caches, the products' first."""
        return iter(self._caches.values())

    def written(self, resource: Resource, body: Mapping[str, Any]) -> None:
        """Store the object that the server returned for a write, so that the next reconcile reads it."""
        self._caches[resource].observe(body)


def identity_of(body: Mapping[str, Any]) -> tuple[Key, str, int]:
    """Return key, uid and version of an object."""
    meta = body["metadata"]
    return key_of(body), meta["uid"], int(meta["resourceVersion"])
