"""Reads claims from a spec.route, an HTTPRoute and a Gateway as they are stored. Pure.

What can't be read claims nothing, and never raises: it may have been stored before a schema was.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from sluicegate.kube.resources import GATEWAYS, Key
from sluicegate.reconcile.routes.claims import (
    ALL_HOSTS,
    Claim,
    Condition,
    Listener,
    Match,
    MatchTable,
    Parent,
)


def claim_of(route: object, namespace: str) -> Claim | None:
    """Return the claim of a spec.route or an HTTPRoute's spec; None if it is unreadable.

    Parameters
    ----------
    namespace : of the product, so of parents that name none.
    """
    try:
        parts = _mapping(route)
        parents = tuple(
            parent_of(parent_ref, namespace) for parent_ref in _items(parts, "parentRefs")
        )
        hosts = tuple(_host(hostname) for hostname in _items(parts, "hostnames")) or (ALL_HOSTS,)
        matches = MatchTable(_matches(parts))
    except TypeError:
        return None
    return Claim(parents, hosts, matches) if parents else None


def listeners_of(gateway: Mapping[str, Any]) -> tuple[Listener, ...]:
    """Return the listeners of a Gateway; empty for an unreadable spec."""
    try:
        return tuple(
            Listener(
                _text(listener, "name"),
                _port(listener),
                _host(listener.get("hostname") or ALL_HOSTS),
            )
            for listener in map(_mapping, _items(_mapping(gateway.get("spec")), "listeners"))
        )
    except TypeError:
        return ()


def parent_of(reference: object, namespace: str) -> Parent:
    """Return the parent of a reference; TypeError if it is unreadable."""
    parts = _mapping(reference)
    group = _text(parts, "group", GATEWAYS.group)
    kind = _text(parts, "kind", GATEWAYS.kind)
    key = Key(_text(parts, "namespace", namespace), _text(parts, "name"))
    return Parent((group, kind, key), _text(parts, "sectionName", ""), _port(parts))


def _port(parts: Mapping[str, Any]) -> int:
    port = parts.get("port")
    if port is not None and not isinstance(port, int):
        raise TypeError(f"a port of {port!r}")
    return port or 0


def _matches(route: Mapping[str, Any]) -> Iterator[Match]:
    rules = _items(route, "rules")
    if not rules:
        yield _match({"path": {"value": route.get("path")}})
    for rule in rules:
        for match in _items(_mapping(rule), "matches") or [{}]:
            yield _match(_mapping(match))


def _match(parts: Mapping[str, Any]) -> Match:
    path = {} if parts.get("path") is None else _mapping(parts["path"])
    kind, value = _text(path, "type", "PathPrefix"), _text(path, "value", "/")
    method = _text(parts, "method", "")
    headers = list(_conditions(parts, "headers"))
    params = list(_conditions(parts, "queryParams"))
    text = [f"{kind} {value}"]
    text += [f"method {method}"] if method else []
    text += [f"header {name}" for name, _, _ in headers]
    text += [f"query parameter {name}" for name, _, _ in params]
    # A spec has no other type. What an HTTPRoute takes that was given one by hand isn't known.
    is_literal = kind in ("Exact", "PathPrefix")
    return Match(
        exact=kind == "Exact",
        path=_segments(value) if is_literal else (),
        method=method,
        headers=frozenset((name.lower(), match_type, value) for name, match_type, value in headers),
        params=frozenset(params),
        text=", ".join(text),
    )


def _segments(path: str) -> tuple[str, ...]:
    """Return the segments of a path, normalised as gateways do."""
    parts: list[str] = []
    for part in unquote(path).split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


def _conditions(parts: Mapping[str, Any], name: str) -> Iterator[Condition]:
    for item in _items(parts, name):
        condition = _mapping(item)
        yield (
            _text(condition, "name"),
            _text(condition, "type", "Exact"),
            _text(condition, "value", ""),
        )


def _host(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a host of {value!r}")
    host = value.lower().rstrip(".")
    return ALL_HOSTS if host == "*" else host


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} where an object belongs")
    return value


def _items(parts: Mapping[str, Any], name: str) -> list[Any]:
    value = parts.get(name)
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}, not a list")
    return value or []


def _text(parts: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = parts.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not text")
    return value
