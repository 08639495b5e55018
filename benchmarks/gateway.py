"""The harness's own gateway controller: it accepts each HTTPRoute, and proxies nothing.

A real one would take CPU of the measured contender. Contenders that write routes wait for this
acceptance, and the simulated measurements follow the accepted weights.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.kube import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contender import Body
    from benchmarks.kube import Client, Key

ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"
CONTROLLER = "bench.example/gateway"


@dataclass
class Gateway:
    """Controller that accepts routes while `run` runs; `accepted` is called with the weights of each."""

    client: Client
    accepted: Callable[[Key, dict[str, int]], None]
    _accepted: dict[Key, int] = field(default_factory=dict)
    _work: asyncio.Queue[Body] = field(default_factory=asyncio.Queue)

    async def run(self) -> None:
        """Accept until cancelled, eight at a time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(self._accept())
            group.create_task(self.client.watch(ROUTES, self._take_in))

    def _take_in(self, event: str, body: Body) -> None:
        key, generation = key_of(body), body["metadata"]["generation"]
        if event == "DELETED":
            self._accepted.pop(key, None)
        elif self._accepted.get(key) != generation:
            self._accepted[key] = generation
            self._work.put_nowait(body)

    async def _accept(self) -> None:
        while True:
            body = await self._work.get()
            namespace, name = key_of(body)
            path = f"/apis/{body['apiVersion']}/namespaces/{namespace}/httproutes/{name}/status"
            status = {"status": {"parents": parents(body)}}
            await self.client.send("PATCH", path, status, "application/merge-patch+json")
            self.accepted((namespace, name), weights(body))


def weights(body: Body) -> dict[str, int]:
    """Return the weight by backend of a route's first rule."""
    rules = body["spec"].get("rules") or [{}]
    return {one["name"]: one.get("weight", 1) for one in rules[0].get("backendRefs") or ()}


def parents(body: Body) -> list[Body]:
    """Return the status of a route that all its parents accept."""
    meta = body["metadata"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": meta["generation"],
            "lastTransitionTime": meta["creationTimestamp"],
        }
        for kind in ("Accepted", "ResolvedRefs")
    ]
    return [
        {"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}
        for parent in body["spec"]["parentRefs"]
    ]
