"""Two products that claim the same requests: Gateway API takes both routes and serves the older.

So the younger product is told, by name, and its route isn't written.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sluicegate.kube.resources import Key
from sluicegate.reconcile.product_record import ProductRecord

Claim = tuple[str, str, str, str]
"""Gateway, hostname, match kind and path."""


def claims_of(record: ProductRecord) -> frozenset[Claim]:
    """What a product's route claims."""
    return frozenset(_claims(record.route, record.key.namespace))


def _claims(route: Mapping[str, Any], namespace: str) -> Iterator[Claim]:
    for parent in route.get("parentRefs") or ():
        gateway = f"{parent.get('namespace', namespace)}/{parent['name']}"
        for host in route.get("hostnames") or ("*",):
            for match in _matches(route):
                yield (gateway, host, *match)


def _matches(route: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rules = route.get("rules")
    if not rules:
        yield "PathPrefix", route.get("path") or "/"
        return
    for rule in rules:
        matches: list[dict[str, Any]] = rule.get("matches") or [{}]
        for match in matches:
            path = match.get("path") or {}
            rest = {key: value for key, value in match.items() if key != "path"}
            kind = path.get("type", "PathPrefix")
            # Matches that differ in headers, parameters or method don't meet.
            yield kind + (json.dumps(rest, sort_keys=True) if rest else ""), path.get("value", "/")


class Claims:
    """Who claims what, of all products. Used from the event loop only."""

    def __init__(self) -> None:
        self._claims: dict[Key, frozenset[Claim]] = {}
        self._specs: dict[Key, tuple[str, int]] = {}
        """By uid and generation, as a claim changes with them alone."""
        self._claimants: dict[Claim, dict[Key, tuple[str, str, str]]] = {}

    def record(self, record: ProductRecord) -> None:
        """Take in what a product claims now."""
        spec = record.uid, record.generation
        if self._specs.get(record.key) == spec:
            return
        self.forget(record.key)
        claims = self._claims[record.key] = claims_of(record)
        for claim in claims:
            rank = (record.created, record.key.namespace, record.key.name)
            self._claimants.setdefault(claim, {})[record.key] = rank
        self._specs[record.key] = spec

    def forget(self, key: Key) -> None:
        """The product is gone."""
        self._specs.pop(key, None)
        for claim in self._claims.pop(key, ()):
            claimants = self._claimants[claim]
            del claimants[key]
            if not claimants:
                del self._claimants[claim]

    def elder(self, key: Key) -> tuple[Key, Claim] | None:
        """An older product that claims the same, and what; None when there is none."""
        for claim in sorted(self._claims.get(key, ())):
            claimants = self._claimants[claim]
            eldest = min(claimants, key=lambda one: claimants[one])
            if eldest != key:
                return eldest, claim
        return None

    def rivals(self, key: Key) -> frozenset[Key]:
        """Other products that claim something of what this one claims."""
        found = (one for claim in self._claims.get(key, ()) for one in self._claimants[claim])
        return frozenset(one for one in found if one != key)
