"""Ownership of fields: field sets, server-side apply, and updates that take over fields.

A field set is a set of paths; a path is a tuple of names in the form of FieldsV1: `f:image`,
`k:{"name":"server"}`, `v:"x"`, and `.` for an item of a list itself.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Body = dict[str, Any]
Path = tuple[str, ...]
Fields = set[Path]
Merges = "Callable[[Path], tuple[str, ...] | None | str]"
"""How a field merges: keys of a list-map, None for a set, "atomic", or "" for its value's kind."""

UNOWNED = frozenset(
    {
        "apiVersion", "kind", "name", "namespace", "uid", "resourceVersion", "generation",
        "creationTimestamp", "managedFields", "selfLink", "deletionTimestamp",
        "deletionGracePeriodSeconds",
    }
)  # fmt: skip

_ATOMIC = (
    "selector", "nodeSelector", "fieldRef", "secretKeyRef", "configMapKeyRef", "labelSelector",
    "secretRef", "resourceFieldRef", "target", "scaleTargetRef", "podFailurePolicy",
)  # fmt: skip
_BY_NAME = ("containers", "initContainers", "volumes", "env", "imagePullSecrets")
_BUILTIN: dict[str, Any] = {
    **dict.fromkeys(_ATOMIC, "atomic"),
    **dict.fromkeys(_BY_NAME, ("name",)),
    "ownerReferences": ("uid",),
    "volumeMounts": ("mountPath",),
    "finalizers": None,
}
"""By the field's name."""


def merges_of_builtin(path: Path) -> Any:
    """Return how fields of the built-in kinds merge; routes' lists are atomic."""
    name = path[-1] if path else ""
    if name == "ports":
        return ("containerPort", "protocol") if "containers" in path else ("port", "protocol")
    return _BUILTIN.get(name, "")


def item_name(item: Any, keys: tuple[str, ...] | None) -> str:
    """Return the name of a list's item in FieldsV1."""
    if keys is None:
        return "v:" + json.dumps(item)
    return "k:" + json.dumps({key: item.get(key) for key in keys}, separators=(",", ":"))


def leaves_of(value: Any, merges: Any) -> list[tuple[Path, Any]]:
    """Return the field set of a value, with the value of each leaf."""
    leaves: list[tuple[Path, Any]] = []
    _collect(leaves, value, merges, (), ())
    return leaves


def _collect(
    leaves: list[tuple[Path, Any]], value: Any, merges: Any, path: Path, plain: Path
) -> None:
    """Append the leaves of a value at a path; `plain` is that path without the items of lists."""
    kind = merges(plain)
    if isinstance(value, dict) and value and kind != "atomic":
        unowned = UNOWNED if len(plain) == 0 or plain == ("metadata",) else ()
        for name, part in value.items():
            if name not in unowned:
                _collect(leaves, part, merges, (*path, f"f:{name}"), (*plain, name))
    elif isinstance(value, list) and value and not isinstance(kind, str):
        for item in value:
            item_path = (*path, item_name(item, kind))
            leaves.append(((*item_path, "."), True))
            if isinstance(item, dict) and kind is not None and plain[-1] != "ownerReferences":
                _collect(leaves, item, merges, item_path, plain)
    elif path:
        leaves.append((path, value))


def merged(live: Any, applied: Any, merges: Any, plain: Path = ()) -> Any:
    """Return the live value with the applied parts replaced."""
    kind = merges(plain)
    if isinstance(live, dict) and isinstance(applied, dict) and kind != "atomic":
        result = dict(live)
        for name, part in applied.items():
            path = (*plain, name)
            result[name] = merged(live[name], part, merges, path) if name in live else part
        return result
    if isinstance(live, list) and isinstance(applied, list) and not isinstance(kind, str):
        before = {item_name(item, kind): item for item in live}
        by_name = {item_name(item, kind): item for item in applied}
        both = {
            name: merged(before[name], item, merges, plain) if name in before else item
            for name, item in by_name.items()
        }
        return [*both.values(), *(item for name, item in before.items() if name not in both)]
    return applied


def with_parents(paths: Iterable[Path]) -> Fields:
    """Return the paths and all their parents."""
    fields: Fields = set()
    for path in paths:
        whole = path[:-1] if path[-1] == "." else path
        while whole and whole not in fields:
            fields.add(whole)
            whole = whole[:-1]
    return fields


def without(value: Any, removed: Iterable[Path], merges: Any) -> Any:
    """Return the value without the fields at these paths, shortest first."""
    for path in sorted(removed, key=len):
        value = _without(value, path, merges, ())
    return value


def _without(value: Any, path: Path, merges: Any, plain: Path) -> Any:
    head, rest = path[0], path[1:]
    if head.startswith("f:") and isinstance(value, dict):
        name = head[2:]
        if name not in value:
            return value
        if not rest:
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: _without(value[name], rest, merges, (*plain, name))}
    if isinstance(value, list):
        kind = merges(plain)
        if isinstance(kind, str):
            return value
        return [
            item if item_name(item, kind) != head else _without(item, rest, merges, plain)
            for item in value
            if rest or item_name(item, kind) != head
        ]
    return value


@lru_cache(maxsize=512)
def nested(paths: frozenset[Path]) -> Body:
    """Convert paths to FieldsV1; most writes change none of them."""
    tree: Body = {}
    for path in sorted(paths):
        place = tree
        for name in path:
            place = place.setdefault(name, {})
    return tree


def flat(tree: Body, parent: Path = ()) -> Iterator[Path]:
    """Convert FieldsV1 to paths."""
    for name, subtree in tree.items():
        path = (*parent, name)
        if subtree:
            yield from flat(subtree, path)
        else:
            yield path
