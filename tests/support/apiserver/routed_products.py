"""Products that claim routes on Gateways in memory, where reconciles write the live objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from sluicegate.api.base import rfc3339
from sluicegate.kube.resources import Key
from sluicegate.reconcile.live.children import route_record
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.routes.arbitration import Claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.reconcile.live.children import RouteRecord
    from sluicegate.reconcile.live.product import ProductRecord
    from sluicegate.reconcile.routes.arbitration import RouteRefusal

START = 1_767_225_600
WEB = {"name": "web", "namespace": "gateway"}


def routed(path: str = "/", **fields: Any) -> dict[str, Any]:
    """Return a spec.route; fields that are None are left out."""
    route = {"parentRefs": [WEB], "hostnames": ["shop.example"], "path": path} | fields
    return {name: value for name, value in route.items() if value is not None}


def ruled(*matches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a spec.route of one rule in full."""
    return routed(**{"path": None, "rules": [{"matches": list(matches)}], **fields})


def taken(path: str, **fields: Any) -> dict[str, Any]:
    """Return a match of a path prefix with these other fields."""
    return {"path": {"type": "PathPrefix", "value": path}, **fields}


STABLE: dict[str, Any] = {
    "version": "v1",
    "image": f"registry.example/bentos/search@sha256:{'a' * 64}",
    "runtimeImage": "registry.example/runtime:1",
    "revision": "a" * 10,
    "source": "Spec",
    "promotionTime": "2026-01-01T00:00:00Z",
}


@dataclass
class Entry:
    """One product: its spec.route, its live objects, and the Gateways' verdict."""

    key: Key
    route: Any
    created: int
    uid: str
    generation: int = 1
    stable: bool = True
    suspend: bool = False
    status: dict[str, Any] = field(default_factory=dict)
    live: dict[str, Any] | None = None
    written: int = 0
    words: dict[str, str] = field(default_factory=dict)
    """Status of Accepted by the number of the parentRef."""
    said: int = 0
    """When the Gateways began to say so."""

    def record(self) -> ProductRecord:
        stable = {"stable": STABLE} if self.stable else {}
        return product_record(
            {
                "metadata": {
                    "name": self.key.name,
                    "namespace": self.key.namespace,
                    "uid": self.uid,
                    "generation": self.generation,
                    "resourceVersion": "1",
                    "creationTimestamp": rfc3339(self.created),
                },
                "spec": {"route": self.route, "suspend": self.suspend},
                "status": stable | self.status,
            }
        )

    def desired(self) -> dict[str, Any]:
        """Return the spec of the product's desired HTTPRoute."""
        route = {name: part for name, part in self.route.items() if name != "path"}
        rules = self.route.get("rules") or [{"matches": [taken(self.route.get("path") or "/")]}]
        return route | {"rules": rules}

    def http_route(self) -> RouteRecord | None:
        if self.live is None:
            return None
        parents = [
            {
                "parentRef": reference,
                "conditions": [
                    {
                        "type": "Accepted",
                        "status": self.words[str(number)],
                        "lastTransitionTime": rfc3339(self.said),
                    }
                ],
            }
            for number, reference in enumerate(self.live["parentRefs"])
            if str(number) in self.words
        ]
        return route_record(
            {
                "metadata": {
                    "name": self.key.name,
                    "namespace": self.key.namespace,
                    "uid": f"route-{self.uid}",
                    "resourceVersion": "1",
                    "creationTimestamp": rfc3339(self.written),
                    "labels": {"sluicegate.dev/product": self.key.name},
                    "ownerReferences": [
                        {"kind": "DataProduct", "uid": self.uid, "controller": True}
                    ],
                },
                "spec": self.live,
                "status": {"parents": parents},
            }
        )


@dataclass
class Routed:
    """The products, and the operator's claims. Time passes by a second with each change."""

    products: dict[Key, Entry] = field(default_factory=dict)
    claims: Claims = field(init=False)
    now: int = START
    woken: list[Key] = field(default_factory=list)
    _uids: Iterator[int] = field(default_factory=lambda: count(1))
    _routes: dict[Key, tuple[str, RouteRecord | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.claims = Claims(wake=self.woken.append)

    def create(self, name: str, route: Any, **fields: Any) -> Key:
        """Return a product whose first version is ready to serve."""
        self.now += 1
        key = Key(*name.split("/"))
        self.products[key] = Entry(key, route, self.now, f"uid-{next(self._uids)}", **fields)
        return key

    def edit(self, key: Key, route: Any, **fields: Any) -> None:
        self.now += 1
        entry = self.products[key]
        entry.route, entry.generation = route, entry.generation + 1
        for name, value in fields.items():
            setattr(entry, name, value)

    def delete(self, key: Key) -> None:
        self.now += 1
        del self.products[key]
        self.claims.forget(key)

    def serve(self, name: str, route: Any, **fields: Any) -> Key:
        """Return a product that serves: its route is written, and accepted."""
        key = self.create(name, route, **fields)
        assert self.reconcile(key) is None
        self.set_verdict(key, "True")
        return key

    def set_verdict(self, key: Key, word: str) -> None:
        """Set each Gateway's verdict on a product's route; none for an empty word."""
        entry = self.products[key]
        assert entry.live is not None
        parents = range(len(entry.live["parentRefs"]))
        entry.words = {str(number): word for number in parents} if word else {}
        entry.said = self.now
        self.see(key)

    def see(self, key: Key) -> None:
        """Read the live objects of a product."""
        self.claims.record(self.products[key].record(), self.route(key))

    def route(self, key: Key) -> RouteRecord | None:
        """Return the product's HTTPRoute: the same record while it doesn't change, as in the cache."""
        entry = self.products[key]
        content = repr((entry.live, entry.words, entry.said, entry.written))
        if self._routes.get(key, ("", None))[0] != content:
            self._routes[key] = content, entry.http_route()
        return self._routes[key][1]

    def reconcile(self, key: Key) -> RouteRefusal | None:
        """Reconcile a product: its route is written, kept or deleted."""
        entry = self.products[key]
        self.see(key)
        contends = entry.stable and not entry.suspend
        refusal = self.claims.settle(key, contends_for_route=contends, now=self.now)
        if contends and refusal is None:
            self._write(entry)
        elif refusal is not None and not self.claims.serves(key, self.now):
            entry.live, entry.words = None, {}
        self.see(key)
        self.claims.release(key)
        return refusal

    def refused(self, key: Key) -> bool:
        """Return whether a reconcile refuses a product's route."""
        return self.reconcile(key) is not None

    def settle(self) -> None:
        """Reconcile requeued products until none is left."""
        for _ in range(100):
            if not self.woken:
                return
            keys = dict.fromkeys(self.woken)
            self.woken.clear()
            for key in keys:
                if key in self.products:
                    self.reconcile(key)
        raise AssertionError(f"they wake each other without end: {self.woken}")

    def restart(self) -> None:
        """Restart the operator with the live objects."""
        self.claims = Claims(wake=self.woken.append)
        for key in self.products:
            self.see(key)

    def _write(self, entry: Entry) -> None:
        if entry.route is None:
            entry.live, entry.words = None, {}
            return
        if entry.live is None:
            entry.written = self.now
        entry.live = entry.desired()
