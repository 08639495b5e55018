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
from sluicegate.runtime.metrics import CACHED_OBJECTS, VANISHED_OBJECTS

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
        self._size = CACHED_OBJECTS.labels(watched.resource.qualified)

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
        previous_record = self._records.get(key)
        if uid in self._buried or (previous_record and previous_record.version >= version):
            return None
        new_record = self._project(body)
        if new_record is None:
            return self._drop(key) if previous_record else None
        self._store(new_record, previous_record)
        if new_record == previous_record:
            return None
        has_urgent_change = new_record.urgent is not None and (
            previous_record is None or previous_record.urgent != new_record.urgent
        )
        return Change(
            new_record.parent, QueuePriority.URGENT if has_urgent_change else QueuePriority.NORMAL
        )

    def forget(self, body: Mapping[str, Any]) -> Change | None:
        """Drop a deleted object, unless a newer object of its name is stored."""
        key, uid, _ = identity_of(body)
        if self._listings:
            self._buried.add(uid)
        dropped_record = self._records.get(key)
        return self._drop(key) if dropped_record and dropped_record.uid == uid else None

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
            VANISHED_OBJECTS.labels(self.watched.resource.qualified).inc()
            yield self._drop(key)

    def newest(self, namespace: str) -> int:
        """Return the newest version of a namespace's objects, or of all; 0 without any."""
        versions = (
            cached_record.version
            for key, cached_record in self._records.items()
            if namespace in ("", key.namespace)
        )
        return max(versions, default=0)

    def outdate(self, namespace: str) -> None:
        """Mark the records of a namespace, or of all, as replaceable by any following object."""
        self._buried.clear()
        for key, cached_record in self._records.items():
            if namespace in ("", key.namespace):
                self._store(replace(cached_record, version=0), cached_record)

    def _project(self, body: Mapping[str, Any]) -> Record | None:
        try:
            return self.watched.project(body)
        except Exception:
            # An object that the projection can't handle must not prevent the others.
            kind = self.watched.resource.qualified
            logger.exception("a bug: no record of %s %s", kind, identity_of(body)[0])
            return None

    def _store(self, cached_record: Record, previous_record: Record | None) -> None:
        if previous_record is not None and previous_record.parent != cached_record.parent:
            self._unlink(previous_record)
        self._records[cached_record.key] = cached_record
        self._by_parent.setdefault(cached_record.parent, {})[cached_record.key] = cached_record
        self._size.set(len(self._records))

    def _drop(self, key: Key) -> Change:
        cached_record = self._records.pop(key)
        self._unlink(cached_record)
        self._size.set(len(self._records))
        return Change(cached_record.parent, QueuePriority.NORMAL)

    def _unlink(self, cached_record: Record) -> None:
        sibling_keys = self._by_parent[cached_record.parent]
        del sibling_keys[cached_record.key]
        if not sibling_keys:
            del self._by_parent[cached_record.parent]


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

    def is_outdated(self, version: int) -> bool:
        """Return whether a list at `version` is older than the cache was when it was requested."""
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
        self._caches = {watched_kind.resource: Cache(watched_kind) for watched_kind in watched}
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
