"""An API server in memory, as far as the operator relies on one.

What it does is pinned against the real one by tests/apiserver/test_api_contract.py: versions and
uids, server-side apply with field ownership, merge patches, preconditions, the status subresource,
generations, admission by the CRD's own schema (its CEL rules by their Python twins), deletion and
ownership, lists in pages, watches.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.kube import resources
from sluicegate.kube.requests import APPLY, MERGE
from sluicegate.kube.resources import DATA_PRODUCTS, Key, Resource
from tests.support.virtual import fields, structural
from tests.support.virtual.watching import Change, Stream, Watchable, selects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sluicegate.kube.requests import Request

Body = dict[str, Any]
Owner = tuple[str, str, str]
"""Manager, operation and subresource."""

KINDS: Final = {
    (one.api_version, one.plural): one
    for one in vars(resources).values()
    if isinstance(one, Resource)
}
NO_STATUS: Final = {resources.CONFIG_MAPS, resources.LEASES, resources.EVENTS}
"""Kinds without a status; who owns their fields isn't recorded, as nobody asks."""
MOST_EVENTS: Final = 500
"""Events that are kept; the real server forgets them after an hour."""


class Refused(Exception):  # noqa: N818 - the answer's name
    """An answer that isn't 2xx."""

    def __init__(self, status: int, reason: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers

    def body(self) -> Body:
        """The Status object."""
        return {
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": self.reason, "message": str(self), "code": self.status,
        }  # fmt: skip


def conflict(key: Key, why: str = "the object has been modified") -> Refused:
    """409."""
    return Refused(409, "Conflict", f'Operation cannot be fulfilled on "{key.name}": {why}')


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    resource: Resource
    key: Key
    subresource: str = ""


@cache
def target_of(path: str) -> Target | None:
    """What a path names; None for the list of a group's kinds."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    version, rest = (
        (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
    )
    if not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = KINDS.get((version, rest[0]))
    if resource is None:
        raise Refused(404, "NotFound", f"the server could not find {path}")
    name, subresource = (*rest[1:], "", "")[:2]
    return Target(resource, Key(namespace, name), subresource)


@dataclass(slots=True)
class Stored:
    """An object, which nobody alters in place, and who owns which of its fields."""

    body: Body
    owners: dict[Owner, fields.Fields] = field(default_factory=dict)


class ApiServer:
    """The server; `wall` is its clock. Everything that is written is told to `on_change`."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._objects: dict[Resource, dict[Key, Stored]] = defaultdict(dict)
        self._watched: dict[Resource, Watchable] = defaultdict(Watchable)
        self._pages: dict[str, tuple[list[Body], int]] = {}
        self._tokens = itertools.count()
        self.version = 1000
        self.namespaces: set[str] = {"default"}
        self.unserved: set[Resource] = set()
        self.on_change: list[Callable[[Resource, Body | None, Body | None], None]] = []

    # ---- what people, controllers and tests do ------------------------------------------------
    def get(self, resource: Resource, key: Key) -> Body:
        """An object; KeyError when there is none."""
        return self._objects[resource][key].body

    def find(self, resource: Resource, key: Key) -> Body | None:
        """An object; None when there is none."""
        stored = self._objects[resource].get(key)
        return None if stored is None else stored.body

    def all(self, resource: Resource, namespace: str = "", labels: str = "") -> Iterator[Body]:
        """The objects of a kind, by name."""
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
        """Merge a change into an object, as a patch by somebody else."""
        stored = self._need(resource, key)
        body = merge_patch(stored.body, _plain(change))
        return self._update(resource, key, stored, body, (manager, "Update", subresource))

    def set_status(self, resource: Resource, key: Key, status: Mapping[str, Any]) -> Body | None:
        """Write a status that has no owner; None if the object is gone, or has it already."""
        stored = self._objects[resource].get(key)
        if stored is None or stored.body.get("status") == status:
            return None
        return self._store(resource, key, stored, stored.body | {"status": _plain(status)})

    def create(
        self, resource: Resource, body: Mapping[str, Any], *, manager: str = "kubectl"
    ) -> Body:
        """Create an object."""
        meta = body["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        return self._create(resource, key, _plain(body), (manager, "Update", ""))

    def delete(self, resource: Resource, key: Key) -> None:
        """Delete an object, if it is there."""
        stored = self._objects[resource].pop(key, None)
        if stored is not None:
            self._tell(resource, stored.body, None)

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace and all in it."""
        self.namespaces.discard(name)
        for resource, known in list(self._objects.items()):
            for key in [key for key in known if key.namespace == name]:
                self.delete(resource, key)

    def watch(self, resource: Resource, namespace: str, labels: str, since: int) -> Stream:
        """Watch a kind from after a version on; 410 when that is too old."""
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
        """All watches that are open."""
        return [one for each in self._watched.values() for one in each.streams if not one.closed]

    def compact(self) -> None:
        """Forget what was before now: watches that begin earlier are too old."""
        for each in self._watched.values():
            each.compact()

    # ---- what a client's request does ---------------------------------------------------------
    def answer(self, request: Request) -> Body:
        """Return the object that a request is answered with; Refused otherwise."""
        target, query = target_of(request.path), dict(request.query)
        if target is None:
            return self._discover(request.path)
        if target.resource in self.unserved:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        body = _plain(request.body) if request.body is not None else {}
        key, manager = target.key, query.get("fieldManager", "unknown")
        match request.method:
            case "GET":
                return self._read(target, query)
            case "DELETE":
                return self._delete(target, body)
            case "POST":
                name = Key(key.namespace, body["metadata"]["name"])
                return self._create(target.resource, name, body, (manager, "Update", ""))
            case "PUT":
                return self._replace(target, body, manager)
            case "PATCH" if request.content_type == APPLY:
                return self._apply(target, body, manager, dry="dryRun" in query)
            case "PATCH" if request.content_type == MERGE:
                return self._patch(target, body, manager)
        raise Refused(405, "MethodNotAllowed", request.method)

    def _discover(self, path: str) -> Body:
        version = path.strip("/").partition("/")[2]
        found = [one for one in KINDS.values() if one.api_version == version]
        served = [one for one in found if one not in self.unserved]
        if not served:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIResourceList", "resources": [{"name": one.plural} for one in served]}

    def _read(self, target: Target, query: dict[str, str]) -> Body:
        if target.key.name:
            return self._need(target.resource, target.key).body
        if token := query.get("continue"):
            if token not in self._pages:
                raise Refused(410, "Expired", "the provided continue parameter is too old")
            left, version = self._pages.pop(token)
        else:
            labels = query.get("labelSelector", "")
            left = list(self.all(target.resource, target.key.namespace, labels))
            version = self.version
        limit = int(query.get("limit", 0)) or len(left)
        meta = {"resourceVersion": str(version)}
        if len(left) > limit:
            meta["continue"] = f"page-{next(self._tokens)}"
            self._pages[meta["continue"]] = left[limit:], version
        return {"kind": f"{target.resource.kind}List", "items": left[:limit], "metadata": meta}

    def _create(self, resource: Resource, key: Key, body: Body, owner: Owner) -> Body:
        if key in self._objects[resource]:
            raise Refused(409, "AlreadyExists", f'{resource.plural} "{key.name}" already exists')
        if resource in NO_STATUS:
            return self._store(resource, key, Stored({}), body)
        merges = merges_of(resource)
        body = {name: part for name, part in body.items() if name != "status"}
        return self._store(
            resource, key, Stored({}, {owner: set(fields.paths_of(body, merges))}), body
        )

    def _replace(self, target: Target, body: Body, manager: str) -> Body:
        stored = self._need(target.resource, target.key)
        _check(target.key, stored.body, body)
        if target.resource not in NO_STATUS:
            body = body | {"status": stored.body.get("status")}
        body["metadata"] = _kept(stored.body) | body["metadata"]
        return self._update(
            target.resource, target.key, stored, _without_none(body), (manager, "Update", "")
        )

    def _patch(self, target: Target, change: Body, manager: str) -> Body:
        stored = self._need(target.resource, target.key)
        _check(target.key, stored.body, change)
        scope = _scope(target)
        change = {name: part for name, part in change.items() if name in scope}
        body = merge_patch(stored.body, change)
        owner = (manager, "Update", target.subresource)
        return self._update(target.resource, target.key, stored, body, owner)

    def _delete(self, target: Target, options: Body) -> Body:
        stored = self._need(target.resource, target.key)
        _check(target.key, stored.body, {"metadata": options.get("preconditions") or {}})
        self.delete(target.resource, target.key)
        return {"kind": "Status", "status": "Success"}

    def _apply(self, target: Target, body: Body, manager: str, *, dry: bool) -> Body:
        resource, key = target.resource, target.key
        stored = self._objects[resource].get(key)
        if stored is None:
            if target.subresource:
                raise Refused(404, "NotFound", f'{resource.plural} "{key.name}" not found')
            if body["metadata"].get("uid"):
                raise conflict(key, "Precondition failed: UID in precondition")
            stored = Stored({})
        else:
            _check(key, stored.body, body)
        body = _admitted(resource, body)
        scope, merges = _scope(target), merges_of(resource)
        applied = {name: part for name, part in body.items() if name in scope}
        owner = (manager, "Apply", target.subresource)
        new = set(fields.paths_of(applied, merges))
        owners = {one: set(paths) for one, paths in stored.owners.items()}
        live = fields.merged(stored.body, applied, merges)
        changed = {path for path in new if fields.at(stored.body, path) != fields.at(live, path)}
        for one in owners:
            if one != owner:
                owners[one] -= changed
        others = fields.with_parents(
            path for one, paths in owners.items() if one != owner for path in paths
        )
        old = fields.with_parents(owners.get(owner, ()))
        gone = old - fields.with_parents(new) - others
        live = fields.without(live, gone, merges)
        owners[owner] = new
        if not stored.body:
            live = {"apiVersion": resource.api_version, "kind": resource.kind} | live
        return self._store(resource, key, Stored(stored.body, owners), live, dry=dry)

    # ---- the store ----------------------------------------------------------------------------
    def _need(self, resource: Resource, key: Key) -> Stored:
        stored = self._objects[resource].get(key)
        if stored is None:
            raise Refused(404, "NotFound", f'{resource.plural} "{key.name}" not found')
        return stored

    def _update(
        self, resource: Resource, key: Key, stored: Stored, body: Body, owner: Owner
    ) -> Body:
        """Store what an update left: who updates a field owns it from then on, alone."""
        if resource in NO_STATUS:
            return self._store(resource, key, stored, body)
        merges = merges_of(resource)
        before = set(fields.paths_of(stored.body, merges))
        after = set(fields.paths_of(body, merges))
        changed = {
            path
            for path in after
            if path not in before or fields.at(stored.body, path) != fields.at(body, path)
        }
        taken = changed | (before - after)
        owners = {one: paths - taken for one, paths in stored.owners.items()}
        owners[owner] = owners.get(owner, set()) | changed
        return self._store(resource, key, Stored(stored.body, owners), body)

    def _store(
        self, resource: Resource, key: Key, stored: Stored, body: Body, *, dry: bool = False
    ) -> Body:
        before = stored.body
        if resource.namespaced and key.namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{key.namespace}" not found')
        body = _admitted(resource, body)
        meta = {name: part for name, part in body["metadata"].items() if name in _KEPT_BY_USERS}
        meta |= {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
        meta |= {name: before["metadata"][name] for name in _SERVERS if before}
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
        meta["managedFields"] = [_entry(resource, owner, owners[owner]) for owner in owners]
        body = {"apiVersion": resource.api_version, "kind": resource.kind} | body
        body["metadata"] = meta
        if before and _same(before, body):
            return before
        if resource is DATA_PRODUCTS:
            _check_product(key, body, before)
        _check_builtin(resource, key, body, before)
        if dry:
            return body
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._objects[resource][key] = Stored(body, owners)
        if resource is resources.EVENTS and len(self._objects[resource]) > MOST_EVENTS:
            self._objects[resource].pop(next(iter(self._objects[resource])))
        self._tell(resource, before or None, body, versioned=True)
        return body

    def _tell(
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
        for told in self.on_change:
            told(resource, before, after)


_SERVERS: Final = ("uid", "creationTimestamp", "generation")
_KEPT_BY_USERS: Final = frozenset(
    {"labels", "annotations", "ownerReferences", "finalizers", "deletionTimestamp"}
)


def _plain(value: Any) -> Any:
    """A copy of JSON data."""
    return json.loads(json.dumps(value))


def _kept(body: Body) -> Body:
    return {name: body["metadata"][name] for name in _SERVERS}


def _without_none(body: Body) -> Body:
    return {name: part for name, part in body.items() if part is not None}


def _desired(body: Body) -> Body:
    return {name: part for name, part in body.items() if name not in ("metadata", "status")}


def _same(before: Body, after: Body) -> bool:
    was = {name: part for name, part in before["metadata"].items() if name != "resourceVersion"}
    return was == after["metadata"] and all(
        before.get(name) == after.get(name)
        for name in before.keys() | after.keys()
        if name != "metadata"
    )


def _entry(resource: Resource, owner: Owner, paths: fields.Fields) -> Body:
    manager, operation, subresource = owner
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": resource.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields.nested(paths),
    }
    return entry | ({"subresource": subresource} if subresource else {})


def _scope(target: Target) -> set[str]:
    """The top-level fields that a request may change."""
    if target.subresource == "status":
        return {"status"}
    return _Everything() if target.resource in NO_STATUS else _Everything({"status"})


class _Everything(set[str]):
    """All names but those in it."""

    def __contains__(self, name: object) -> bool:
        return not super().__contains__(name)


def _check(key: Key, live: Body, sent: Body) -> None:
    """409 when what was sent is about another object, or another version of it."""
    meta = sent.get("metadata") or {}
    for name in ("uid", "resourceVersion"):
        if meta.get(name) and meta[name] != live["metadata"][name]:
            raise conflict(key)


def merges_of(resource: Resource) -> Any:
    """How the fields of a kind merge."""
    if resource is DATA_PRODUCTS:
        return _merges_of_products
    return fields.merges_of_builtin


def _merges_of_products(path: fields.Path) -> Any:
    if path == ("metadata", "ownerReferences"):
        return ("uid",)
    return structural.list_kinds().get(path, "")


def _admitted(resource: Resource, body: Body) -> Body:
    """The object as it is stored: pruned and defaulted."""
    if resource is not DATA_PRODUCTS:
        return _with_protocols(body)
    schema = structural.product_schema()
    rest = {name: part for name, part in body.items() if name in ("spec", "status")}
    known = structural.defaulted(structural.pruned(rest, schema), {"properties": {
        name: one for name, one in schema["properties"].items() if name in rest
    }})  # fmt: skip
    return {
        **{name: body[name] for name in body if name in ("apiVersion", "kind", "metadata")},
        **known,
    }


def _with_protocols(body: Body) -> Body:
    """Ports with their default protocol, which is part of their key."""
    spec = body.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("ports"), list):
        ports = [{"protocol": "TCP", **one} for one in spec["ports"]]
        return {**body, "spec": {**spec, "ports": ports}}
    return body


def _check_product(key: Key, body: Body, before: Body) -> None:
    found = list(structural.objections(body, structural.product_schema()))
    if not found and body.get("spec") != before.get("spec"):
        bare = {name: part for name, part in body.items() if name != "status"}
        try:
            DataProduct.parse(bare)
        except InvalidProduct as error:
            found = [str(one) for one in error.problems]
    if found:
        text = f'DataProduct.sluicegate.dev "{key.name}" is invalid: {"; ".join(found[:8])}'
        raise Refused(422, "Invalid", text)


_IMMUTABLE: Final = {
    resources.DEPLOYMENTS: ("selector",),
    resources.JOBS: ("template", "selector", "completions"),
    resources.SERVICES: ("clusterIP",),
}


def _check_builtin(resource: Resource, key: Key, body: Body, before: Body) -> None:
    for name in _IMMUTABLE.get(resource, ()):
        was, now = ((one.get("spec") or {}).get(name) for one in (before, body))
        if before and was != now:
            text = f'{resource.kind} "{key.name}" is invalid: spec.{name}: field is immutable'
            raise Refused(422, "Invalid", text)


def merge_patch(live: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    result = dict(live) if isinstance(live, dict) else {}
    for name, part in change.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), part)
    return result
