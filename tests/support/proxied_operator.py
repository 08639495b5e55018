"""An operator's own process behind a fault proxy, the products of its namespace, and how they do.

A test reads and writes the API server directly; only the operator goes through the proxy.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.accepting_gateway import take_routes
from tests.support.fault_proxy import FaultProxy
from tests.support.replicas import OPERATOR, Replica, apply, product, read, replicas
from tests.support.service_account import ServiceAccount
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cluster.controlplane import ControlPlane

Object = dict[str, Any]

RECOVERY_SECONDS = 30.0
"""The bar: so long after a fault everything is as if there had been none."""

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
KINDS = "deployments,services,httproutes,jobs,poddisruptionbudgets,horizontalpodautoscalers"
OURS = ("-l", "app.kubernetes.io/managed-by=sluicegate")


@dataclass(frozen=True, slots=True)
class ProxiedOperator:
    """The parts, and the questions that tests of faults ask of them."""

    plane: ControlPlane
    namespace: str
    proxy: FaultProxy
    account: ServiceAccount
    replica: Replica

    # ---- products -----------------------------------------------------------------------
    def apply(self, *products: Object) -> None:
        """Apply what a person wrote."""
        apply(self.plane, *products)

    def routed(self, name: str, **spec: Any) -> Object:
        """A product with a route at a path of its own."""
        body = product(self.namespace, name)
        route = {
            "parentRefs": [{"name": "web", "namespace": "gateway"}],
            "hostnames": ["cars.example"],
            "path": f"/{name}",
        }
        body["spec"] |= {"route": route, **spec}
        return body

    def serve(self, *names: str, **spec: Any) -> None:
        """Apply products, and wait until all are Ready and nothing is left to do."""
        self.apply(*(self.routed(name, **spec) for name in names))
        self.until_ready(*names)
        eventually(self.settled, what="nothing more to do")

    def until_ready(self, *names: str, seconds: float = 60) -> None:
        eventually(lambda: all(map(self.ready, names)), seconds=seconds, what=f"{names} ready")

    def live(self, name: str) -> Object:
        """A product as it is."""
        text = self.plane.kubectl("get", "dataproduct", name, "-n", self.namespace, "-o", "json")
        body: Object = json.loads(text)
        return body

    def condition(self, name: str, kind: str) -> Object:
        """A condition of a product; empty while it isn't there."""
        found = (self.live(name).get("status") or {}).get("conditions", [])
        return next((one for one in found if one["type"] == kind), {})

    def ready(self, name: str) -> bool:
        """Whether a product is Ready at its newest generation."""
        take_routes(self.plane, self.namespace)
        body = self.live(name)
        status = body.get("status") or {}
        conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
        return (
            status.get("observedGeneration") == body["metadata"]["generation"]
            and conditions.get("Ready") == "True"
            and conditions.get("Reconciling", "False") == "False"
        )

    def children(self) -> dict[str, Object]:
        """What the operator made, by `Kind/name`."""
        found = read(self.plane, KINDS, "-n", self.namespace, *OURS)
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}

    def deployment(self, name: str) -> Object:
        """The Deployment of a product's stable version."""
        revision = self.live(name)["status"]["stable"]["revision"]
        return self.children()[f"Deployment/{name}-{revision}"]

    # ---- the process --------------------------------------------------------------------
    def settled(self) -> bool:
        """Whether each product that changed has been looked at since."""
        return self.replica.metric('workqueue_depth{name="dataproduct"}') == 0

    def alive(self) -> bool:
        """Whether the process runs and calls itself healthy."""
        return self.replica.process.poll() is None and self.replica.get("/healthz")[0] == 200

    def scaled(self, name: str, pods: int) -> bool:
        """Whether a product's stable version runs with so many ready pods."""
        status = self.deployment(name).get("status") or {}
        return status.get("readyReplicas") == pods and self.ready(name)

    def recovers(self, *, what: str, since: float | None = None, **pods: int) -> float:
        """Seconds from the fault's end until the operator leads and products have so many pods.

        Raises
        ------
        AssertionError
            It took longer than RECOVERY_SECONDS.
        """
        began = time.monotonic() if since is None else since

        def well() -> bool:
            return (
                self.replica.leads()
                and self.alive()
                and all(self.scaled(name, number) for name, number in pods.items())
            )

        left = began + RECOVERY_SECONDS - time.monotonic()
        eventually(well, seconds=left, what=f"recovery within {RECOVERY_SECONDS:g} s after {what}")
        seconds = time.monotonic() - began
        print(f"recovered {seconds:.1f} s after {what}")
        return seconds


@contextmanager
def proxied_operator(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    *,
    name: str = "operator",
    extra: Mapping[str, str] | None = None,
) -> Iterator[ProxiedOperator]:
    """`sluicegate run` for one namespace, in which its Lease lies too, for the length of a block."""
    with FaultProxy(plane) as proxy:
        account = ServiceAccount(plane, namespace, name, folder=folder, server=proxy.url)
        settings = {
            "KUBECONFIG": str(account.kubeconfig),
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            **(extra or {}),
        }
        with replicas(plane, folder, name, extra=settings, module=OPERATOR) as (replica,):
            yield ProxiedOperator(plane, namespace, proxy, account, replica)
