"""An API server in memory, with the features that the operator uses.

tests/apiserver/test_api_contract.py compares it with the real one: versions and uids, server-side
apply with field ownership, merge patches, preconditions, the status subresource, generations,
admission by the CRD's own schema (its CEL rules by their Python equivalents), deletion and
ownership, lists in pages, watches.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from benchmarks.virtual import fields
from benchmarks.virtual.admission import Refused, admitted, conflict, merge_patch, merges_of
from benchmarks.virtual.store import NO_STATUS, SERVERS, Store, Stored, plain
from sluicegate.kube import resources
from sluicegate.kube.requests import APPLY_CONTENT_TYPE
from sluicegate.kube.resources import Key, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluicegate.kube.requests import ApiRequest

Body = dict[str, Any]

KINDS: Final = {
    (one.api_version, one.plural): one
    for one in vars(resources).values()
    if isinstance(one, Resource)
}


@dataclass(frozen=True, slots=True)
class Target:
    """Object or collection of a path."""

    resource: Resource
    key: Key
    subresource: str = ""


@cache
def target_of(path: str) -> Target | None:
    """Parse a path; None for the list of a group's kinds."""
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


class ApiServer(Store):
    """The store, as clients see it."""

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__(wall)
        self._pages: dict[str, tuple[list[Body], int]] = {}
        self._tokens = itertools.count()

    # ---- what a client's request does ---------------------------------------------------------
    def answer(self, request: ApiRequest) -> Body:
        """Return the object that answers a request; raise Refused otherwise."""
        target, query = target_of(request.path), dict(request.query)
        if target is None:
            return self._discover(request.path)
        if target.resource in self.unserved:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        body = plain(request.body) if request.body is not None else {}
        manager = query.get("fieldManager", "unknown")
        if request.method == "GET":
            return self._read(target, query)
        if request.method == "DELETE":
            return self._delete(target, body)
        if request.method == "PATCH" and request.content_type == APPLY_CONTENT_TYPE:
            return self._apply(target, body, manager, dry="dryRun" in query)
        writes = {"POST": self._post, "PUT": self._replace, "PATCH": self._patch}
        return writes[request.method](target, body, manager)

    def _post(self, target: Target, body: Body, manager: str) -> Body:
        key = Key(target.key.namespace, body["metadata"]["name"])
        return self._create(target.resource, key, body, (manager, "Update", ""))

    def _discover(self, path: str) -> Body:
        version = path.strip("/").partition("/")[2]
        kinds = [kind for kind in KINDS.values() if kind.api_version == version]
        served = [kind for kind in kinds if kind not in self.unserved]
        if not served:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIResourceList", "resources": [{"name": one.plural} for one in served]}

    def _read(self, target: Target, query: dict[str, str]) -> Body:
        if target.key.name:
            return self._need(target.resource, target.key).body
        if token := query.get("continue"):
            if token not in self._pages:
                raise Refused(410, "Expired", "the provided continue parameter is too old")
            objects, version = self._pages.pop(token)
        else:
            labels = query.get("labelSelector", "")
            objects = list(self.all(target.resource, target.key.namespace, labels))
            version = self.version
        limit = int(query.get("limit", 0)) or len(objects)
        meta = {"resourceVersion": str(version)}
        if len(objects) > limit:
            meta["continue"] = f"page-{next(self._tokens)}"
            self._pages[meta["continue"]] = objects[limit:], version
        return {"kind": f"{target.resource.kind}List", "items": objects[:limit], "metadata": meta}

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
        observed = {"metadata": options.get("preconditions") or {}}
        _check(target.key, stored.body, observed, deletes=True)
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
        body = admitted(resource, body)
        scope, merges = _scope(target), merges_of(resource)
        applied = {name: part for name, part in body.items() if name in scope}
        owner = (manager, "Apply", target.subresource)
        leaves = dict(fields.leaves_of(applied, merges))
        new = set(leaves)
        owners = {other: set(paths) for other, paths in stored.owners.items()}
        live = fields.merged(stored.body, applied, merges)
        earlier = dict(fields.leaves_of(stored.body, merges))
        changed = {path for path, value in leaves.items() if earlier.get(path, ...) != value}
        for other in owners:
            if other != owner:
                owners[other] -= changed
        others = fields.with_parents(
            path for other, paths in owners.items() if other != owner for path in paths
        )
        old = fields.with_parents(owners.get(owner, ()))
        removed = old - fields.with_parents(new) - others
        live = fields.without(live, removed, merges)
        owners[owner] = new
        if not stored.body:
            live = {"apiVersion": resource.api_version, "kind": resource.kind} | live
        return self._store(resource, key, Stored(stored.body, owners), live, dry=dry)


def _kept(body: Body) -> Body:
    return {name: body["metadata"][name] for name in SERVERS}


def _without_none(body: Body) -> Body:
    return {name: part for name, part in body.items() if part is not None}


def _scope(target: Target) -> set[str]:
    """Return the top-level fields that a request may change."""
    if target.subresource == "status":
        return {"status"}
    return _Everything() if target.resource in NO_STATUS else _Everything({"status"})


class _Everything(set[str]):
    """All names but those in it."""

    def __contains__(self, name: object) -> bool:
        return not super().__contains__(name)


def _check(key: Key, live: Body, sent: Body, *, deletes: bool = False) -> None:
    """Refuse a write for another version of an object, or for another object."""
    meta = sent.get("metadata") or {}
    if (
        meta.get("resourceVersion", live["metadata"]["resourceVersion"])
        != (live["metadata"]["resourceVersion"])
    ):
        raise conflict(key)
    if meta.get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
        if deletes:
            raise conflict(key, "Precondition failed: UID in precondition")
        text = f'"{key.name}" is invalid: metadata.uid: field is immutable'
        raise Refused(422, "Invalid", text)
