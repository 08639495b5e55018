"""The objects of the in-memory API server: ownership of fields, versions, and observers."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual import fields
from benchmarks.virtual.admission import (
    Refused,
    admitted,
    check_builtin,
    check_product,
    merge_patch,
    merges_of,
)
from benchmarks.virtual.watching import Change, Stream, Watchable, selects
from sluicegate.kube import resources
from sluicegate.kube.resources import DATA_PRODUCTS, Key, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


Body = dict[str, Any]
Owner = tuple[str, str, str]
"""Manager, operation and subresource."""

NO_STATUS: Final = {resources.CONFIG_MAPS, resources.LEASES, resources.EVENTS}
"""Kinds without a status; ownership of their fields isn't recorded, as it isn't read."""
FIRST_VERSION: Final = 1000
"""First version of the store; earlier ones count as dropped."""
MAX_EVENTS: Final = 500
"""Events that are kept; the real server drops them after an hour."""


@dataclass(slots=True)
class Stored:
    """An object, which is never changed in place, with the owners of its fields."""

    body: Body
    owners: dict[Owner, fields.Fields] = field(default_factory=dict)


class Store:
    """The objects; `wall` is their clock. `on_change` is called with every write."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._objects: dict[Resource, dict[Key, Stored]] = defaultdict(dict)
        self._watched: dict[Resource, Watchable] = defaultdict(
            lambda: Watchable(forgotten=FIRST_VERSION)
        )
        self.version = FIRST_VERSION
        self.namespaces: set[str] = {"default"}
        self.unserved: set[Resource] = set()
        self.on_change: list[Callable[[Resource, Body | None, Body | None], None]] = []

    # ---- what people, controllers and tests do ------------------------------------------------
    def get(self, resource: Resource, key: Key) -> Body:
        """Return an object; KeyError if there is none."""
        return self._objects[resource][key].body

    def find(self, resource: Resource, key: Key) -> Body | None:
        """Return an object; None if there is none."""
        stored = self._objects[resource].get(key)
        return None if stored is None else stored.body

    def all(self, resource: Resource, namespace: str = "", labels: str = "") -> Iterator[Body]:
        """Yield the objects of a kind, by name."""
        for key, stored in sorted(self._objects[resource].items()):
            if namespace in ("", key.namespace) and selects(labels, stored.body):
                yield stored.body

    def write(
        self,
        resource: Resource,
        key: Key,
        change: Mapping[str, Any],
        *,
        manager: str = "kubectl",
        subresource: str = "",
    ) -> Body:
        """Merge a change into an object, as a patch by another client."""
        stored = self._need(resource, key)
        body = merge_patch(stored.body, plain(change))
        return self._update(resource, key, stored, body, (manager, "Update", subresource))

    def set_status(self, resource: Resource, key: Key, status: Mapping[str, Any]) -> Body | None:
        """Write a status without an owner; return None if the object is deleted, or has it already."""
        stored = self._objects[resource].get(key)
        if stored is None or stored.body.get("status") == status:
            return None
        return self._store(resource, key, stored, stored.body | {"status": plain(status)})

    def create(
        self, resource: Resource, body: Mapping[str, Any], *, manager: str = "kubectl"
    ) -> Body:
        """Create an object."""
        meta = body["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        return self._create(resource, key, plain(body), (manager, "Update", ""))

    def delete(self, resource: Resource, key: Key) -> None:
        """Delete an object, if it exists."""
        stored = self._objects[resource].pop(key, None)
        if stored is not None:
            self._notify(resource, stored.body, None)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and all in it."""
        self.namespaces.discard(name)
        for resource, objects in list(self._objects.items()):
            for key in [key for key in objects if key.namespace == name]:
                self.delete(resource, key)

    def watch(self, resource: Resource, namespace: str, labels: str, since: int) -> Stream:
        """Watch a kind after a version; 410 if that is too old."""
        if resource in self.unserved:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        watched = self._watched[resource]
        if since < watched.forgotten:
            raise Refused(410, "Expired", f"too old resource version: {since}")
        stream = Stream(namespace, labels)
        for change in watched.since(since):
            stream.feed(change)
        watched.streams.append(stream)
        return stream

    def streams(self) -> list[Stream]:
        """Return all open watches."""
        return [one for each in self._watched.values() for one in each.streams if not one.closed]

    def compact(self) -> None:
        """Drop the history: watches that begin earlier are too old."""
        for each in self._watched.values():
            each.compact()

    # ---- the store ----------------------------------------------------------------------------
    def _need(self, resource: Resource, key: Key) -> Stored:
        stored = self._objects[resource].get(key)
        if stored is None:
            raise Refused(404, "NotFound", f'{resource.plural} "{key.name}" not found')
        return stored

    def _create(self, resource: Resource, key: Key, body: Body, owner: Owner) -> Body:
        if key in self._objects[resource]:
            raise Refused(409, "AlreadyExists", f'{resource.plural} "{key.name}" already exists')
        if resource in NO_STATUS:
            return self._store(resource, key, Stored({}), body)
        merges = merges_of(resource)
        body = {name: part for name, part in body.items() if name != "status"}
        return self._store(
            resource,
            key,
            Stored({}, {owner: {path for path, _ in fields.leaves_of(body, merges)}}),
            body,
        )

    def _update(
        self, resource: Resource, key: Key, stored: Stored, body: Body, owner: Owner
    ) -> Body:
        """Store the result of an update: its sender becomes the only owner of each changed field."""
        if resource in NO_STATUS:
            return self._store(resource, key, stored, body)
        merges = merges_of(resource)
        before = dict(fields.leaves_of(stored.body, merges))
        after = dict(fields.leaves_of(body, merges))
        changed = {path for path, value in after.items() if before.get(path, ...) != value}
        claimed = changed | (before.keys() - after.keys())
        owners = {one: paths - claimed for one, paths in stored.owners.items()}
        owners[owner] = owners.get(owner, set()) | changed
        return self._store(resource, key, Stored(stored.body, owners), body)

    def _store(
        self, resource: Resource, key: Key, stored: Stored, body: Body, *, dry: bool = False
    ) -> Body:
        before = stored.body
        if key.namespace and key.namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{key.namespace}" not found')
        body = admitted(resource, body, before)
        meta = {name: part for name, part in body["metadata"].items() if name in _KEPT_BY_USERS}
        meta |= {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
        meta |= {name: before["metadata"][name] for name in SERVERS if before}
        if not before:
            moment = datetime.fromtimestamp(self._wall(), UTC)
            number = self.version + 1
            meta |= {
                "uid": f"00000000-0000-4000-8000-{number:012d}",
                "creationTimestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "generation": 1,
            }
        elif _desired(before) != _desired(body):
            meta["generation"] = before["metadata"]["generation"] + 1
        owners = {owner: paths for owner, paths in stored.owners.items() if paths}
        times = _times(before)
        meta["managedFields"] = [
            _entry(resource, owner, owners[owner], times.get(owner)) for owner in owners
        ]
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        body["metadata"] = meta
        if before and _same(before, body):
            return before
        if resource is DATA_PRODUCTS:
            check_product(key, body, before)
        check_builtin(resource, key, body, before)
        if dry:
            return body
        if resource in DATED:
            self._date(resource, before, body, owners)
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._objects[resource][key] = Stored(body, owners)
        if resource is resources.EVENTS and len(self._objects[resource]) > MAX_EVENTS:
            self._objects[resource].pop(next(iter(self._objects[resource])))
        self._notify(resource, before or None, body, versioned=True)
        return body

    def _date(
        self, resource: Resource, before: Body, body: Body, owners: dict[Owner, fields.Fields]
    ) -> None:
        """Record when each owner last changed its fields."""
        merges = merges_of(resource)
        was, now = (dict(fields.leaves_of(one, merges)) for one in (before, body))
        changed = {path for path in was.keys() | now.keys() if was.get(path) != now.get(path)}
        moment = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for entry, paths in zip(body["metadata"]["managedFields"], owners.values(), strict=True):
            if "time" not in entry or paths & changed:
                entry["time"] = moment

    def _notify(
        self,
        resource: Resource,
        before: Body | None,
        after: Body | None,
        *,
        versioned: bool = False,
    ) -> None:
        if not versioned:
            self.version += 1
        self._watched[resource].record(Change(self.version, before, after))
        for observer in self.on_change:
            observer(resource, before, after)


DATED: Final = (resources.HTTP_ROUTES, resources.DEPLOYMENTS)
"""Resources whose managedFields have times: those of which the operator reads them."""
SERVERS: Final = ("uid", "creationTimestamp", "generation")
_KEPT_BY_USERS: Final = frozenset(
    {"labels", "annotations", "ownerReferences", "finalizers", "deletionTimestamp"}
)


def plain(value: Any) -> Any:
    """Return a copy of JSON data."""
    return json.loads(json.dumps(value))


def _desired(body: Body) -> Body:
    return {name: part for name, part in body.items() if name not in ("metadata", "status")}


def _same(before: Body, after: Body) -> bool:
    was = {name: part for name, part in before["metadata"].items() if name != "resourceVersion"}
    return was == after["metadata"] and all(
        before.get(name) == after.get(name)
        for name in before.keys() | after.keys()
        if name != "metadata"
    )


def _times(body: Body) -> dict[Owner, str]:
    entries = body["metadata"].get("managedFields") or () if body else ()
    return {
        (one["manager"], one["operation"], one.get("subresource", "")): one["time"]
        for one in entries
        if "time" in one
    }


def _entry(resource: Resource, owner: Owner, paths: fields.Fields, time: str | None) -> Body:
    manager, operation, subresource = owner
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": resource.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.nested(frozenset(paths)),
        **({"time": time} if time else {}),
    }
    return entry | ({"subresource": subresource} if subresource else {})
