"""Products on a stand-in for the API server, as the operator's caches hold them."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, HTTP_ROUTES, Key
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.runtime.clock import Clocks
from sluicegate.settings import ServiceKind, Settings
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.rollout_world import GATEWAY, World

if TYPE_CHECKING:
    from sluicegate.reconcile.reconciler import ProductReconciler
    from tests.support.apiserver.api_stand_in import ApiStandIn

ACCEPTED = [
    {"type": kind, "status": "True", "observedGeneration": 9}
    for kind in ("Accepted", "ResolvedRefs")
]


class Cluster:
    """Products and their children on a stand-in for the API server, all of them observed."""

    def __init__(self, server: ApiStandIn) -> None:
        self.server = server
        self.later = 0.0
        """Seconds by which its clock is ahead of the machine's."""
        clocks = Clocks(wall=lambda: time.time() + self.later)
        self.controller = build_controller(server.api, Settings(scrape_interval_seconds=15), clocks)
        self.reconciler: ProductReconciler = reconciler_of(self.controller)

    def observe(self, resource: Any, body: Any) -> None:
        body = self.server.keep(resource, json.loads(json.dumps(body)))
        self.reconciler.reader.observer.caches.written(resource, body)

    def live(self, resource: Any, key: Key) -> Any:
        return self.server.objects.get(resource.path(*key))

    def add(
        self, world: World, key: Key, *, created: str, route: Any = GATEWAY, **live: Any
    ) -> None:
        """Add the product of a world, with its children and their pods, all ready.

        Parameters
        ----------
        live : `routed`, whether its route lives and is accepted; `spec`, fields of its spec.
        """
        body = {**deepcopy(world.spec), "status": deepcopy(world.status)}
        body["metadata"] |= {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
        body["metadata"]["creationTimestamp"] = created
        body["metadata"]["annotations"] = live.get("annotations", {})
        product = world.product.model_copy(
            update={
                "metadata": world.product.metadata.model_copy(
                    update={"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}"}
                )
            }
        )
        allocation = allocation_of(product, world.current, stable_pods=4)
        children = build_children(product, allocation, {}, service_kind=ServiceKind.CLUSTER_IP)
        for child in children:
            status: dict[str, Any] = {}
            if child.resource == DEPLOYMENTS:
                replicas = child.manifest["spec"]["replicas"]
                status = {"observedGeneration": 9, "readyReplicas": replicas, "replicas": replicas}
            if child.resource == HTTP_ROUTES:
                if not live.get("routed", True):
                    continue
                (parent,) = child.manifest["spec"]["parentRefs"]
                status = {"parents": [{"parentRef": parent, "conditions": ACCEPTED}]}
            meta = child.manifest["metadata"] | {"creationTimestamp": created, "generation": 1}
            self.observe(child.resource, child.manifest | {"metadata": meta, "status": status})
        body["spec"] |= {"route": route}
        self.observe(DATA_PRODUCTS, body)

    async def reconcile(self, *keys: Key) -> None:
        """Reconcile products, as a replica that has begun to lead."""
        if not tuple(self.reconciler.reader.routes.claims):
            await self.controller.begin()
        for key in keys:
            await self.reconciler.reconcile(key)

    def restarted(self) -> Cluster:
        """Return the same objects with a new operator."""
        after = Cluster(self.server)
        for cache in after.reconciler.reader.observer.caches:
            for path, body in self.server.objects.items():
                if path.split("/")[-2] == cache.watched.resource.plural:
                    cache.observe(body)
        return after

    def ready(self, key: Key) -> tuple[str, str, str]:
        conditions = self.live(DATA_PRODUCTS, key)["status"]["conditions"]
        (ready,) = [condition for condition in conditions if condition["type"] == "Ready"]
        return ready["status"], ready["reason"], ready["message"]

    def weights(self, key: Key) -> list[int]:
        """Return the weights of the versions, which are those of each rule but that of labels."""
        rules = self.live(HTTP_ROUTES, key)["spec"]["rules"]
        backends_by_rule = {json.dumps(rule["backendRefs"]) for rule in rules}
        (backends,) = (
            backends
            for backends in backends_by_rule
            if {backend["name"] for backend in json.loads(backends)} != {key.name}
        )
        return [one["weight"] for one in json.loads(backends)]


class EventNote:
    """Record the events instead of writing them."""

    def __init__(self, notes: list[tuple[str, str, str]]) -> None:
        self._notes = notes

    def record(self, note: Any) -> None:
        self._notes.append((note.subject.key.name, note.severity, note.reason))
