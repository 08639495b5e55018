"""A route of a product as the API server returns it, and what its Gateways say of it."""

from __future__ import annotations

from typing import Any

from sluicegate.api import names

Body = dict[str, Any]
NOON = "2026-09-01T12:00:00Z"


def meta(**fields: Any) -> Body:
    owner = {"kind": names.KIND, "name": "search", "uid": "o", "controller": True}
    return {
        "namespace": "shop",
        "name": "search-1",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "ownerReferences": [owner],
    } | fields


def route(*parents: Body, **spec: Any) -> Body:
    backends = [
        {"name": "search-1", "weight": 95},
        {"name": "search-2", "weight": 5},
        {"name": "search-3"},
    ]
    known = {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": backends}]}
    return {
        "metadata": meta(creationTimestamp=NOON),
        "spec": known | spec,
        "status": {"parents": list(parents)},
    }


def parent(*each: Body, **ref: Any) -> Body:
    return {"parentRef": {"name": "web"} | ref, "conditions": list(each)}


def accepted(status: str = "True", **fields: Any) -> Body:
    return {"type": "Accepted", "status": status, "observedGeneration": 3, "reason": "A"} | fields


def resolved(status: str = "True", **fields: Any) -> Body:
    return {
        "type": "ResolvedRefs",
        "status": status,
        "observedGeneration": 3,
        "reason": "R",
    } | fields
