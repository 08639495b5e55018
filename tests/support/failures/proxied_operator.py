"""An operator's own process behind a fault proxy, the products of its namespace, and how they do.

A test reads and writes the API server directly; only the operator goes through the proxy.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.apiclient import Api
from cluster.errors import ClusterError
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, SERVICES
from tests.support.apiserver.service_account import ServiceAccount
from tests.support.failures.fault_proxy import FaultProxy
from tests.support.failures.faults import EVERYTHING
from tests.support.failures.replicas import Replica, apply, product, read, replicas
from tests.support.node.live_product import conditions
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cluster.controlplane import ControlPlane
    from sluicegate.kube.resources import Resource
    from tests.support.failures.faults import Fault, Requests

Object = dict[str, Any]

RECOVERY_SECONDS = 30.0
"""The bar: so long after a fault everything is as if there had been none."""

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
KINDS = "deployments,services,httproutes,jobs,poddisruptionbudgets,horizontalpodautoscalers"
OURS = ("-l", "app.kubernetes.io/managed-by=sluicegate")


@dataclass(frozen=True, slots=True)
class ProxiedOperator:
    """An operator behind a proxy that injects faults, with queries for tests."""

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
        """Return a product with a route at a path of its own."""
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
        eventually(lambda: self.ready(*names), seconds=60, what=f"{names} ready")
        eventually(self.has_reconciled_all, what="nothing more to do")

    def ready(self, *names: str) -> bool:
        """Return whether products are Ready at their newest generation."""
        products = self._there(DATA_PRODUCTS)
        return all(name in products and is_ready(products[name]) for name in names)

    def children(self) -> dict[str, Object]:
        """Return the operator's objects, by `Kind/name`."""
        objects = read(self.plane, KINDS, "-n", self.namespace, *OURS)
        return {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in objects}

    def has_service(self, name: str) -> bool:
        """Return whether there is a Service of this name."""
        services = Api(self.plane.kubeconfig).get(SERVICES.path(self.namespace))["items"]
        return name in {service["metadata"]["name"] for service in services}

    # ---- the process --------------------------------------------------------------------
    def has_reconciled_all(self) -> bool:
        """Return whether each product that changed has been reconciled since."""
        return self.replica.metric('workqueue_depth{name="dataproduct"}') == 0

    def alive(self) -> bool:
        """Return whether the process runs and calls itself healthy."""
        return self.replica.process.poll() is None and self.replica.get("/healthz")[0] == 200

    def well(self, **pods: int) -> bool:
        """Return whether the operator leads, and products have this many pods each."""
        if not (self.replica.leads() and self.alive()):
            return False
        products, deployments = self._there(DATA_PRODUCTS), self._there(DEPLOYMENTS)

        def ready_pods(name: str) -> int:
            stable = products[name]["status"]["stable"]
            deployment = deployments.get(f"{name}-{stable['revision']}", {})
            return int((deployment.get("status") or {}).get("readyReplicas", 0))

        return all(
            name in products and is_ready(products[name]) and ready_pods(name) == number
            for name, number in pods.items()
        )

    def _there(self, kind: Resource) -> dict[str, Object]:
        """Return objects of a kind by name, one list for all.

        None while the API server doesn't answer.
        """
        try:
            listed = Api(self.plane.kubeconfig).get(kind.path(self.namespace))["items"]
        except ClusterError:
            return {}
        return {one["metadata"]["name"]: one for one in listed}

    def recovers(self, *, what: str, **pods: int) -> float:
        """Return the seconds from now, the end of a fault, until the product has recovered.

        Raises
        ------
        AssertionError
            It took longer than RECOVERY_SECONDS.
        """
        start_time = time.monotonic()
        eventually(
            lambda: self.well(**pods), seconds=RECOVERY_SECONDS, what=f"recovery after {what}"
        )
        seconds = time.monotonic() - start_time
        print(f"recovered {seconds:.1f} s after {what}")
        return seconds


def is_ready(body: Object) -> bool:
    """Return whether a product is Ready at its newest generation, and no change is under way."""
    status = body.get("status") or {}
    by_type = conditions(status)
    return (
        status.get("observedGeneration") == body["metadata"]["generation"]
        and by_type.get("Ready") == "True"
        and by_type.get("Reconciling", "False") == "False"
    )


@contextmanager
def proxied_operator(
    plane: ControlPlane,
    namespace: str,
    folder: Path,
    *,
    name: str = "operator",
    extra: Mapping[str, str] | None = None,
    born_into: Fault | None = None,
    among: Requests = EVERYTHING,
) -> Iterator[ProxiedOperator]:
    """Yield `sluicegate run` for one namespace, in which its Lease lies too, for the length of a block.

    One that is born into a fault, which may be for some requests only, isn't waited for; the test
    repairs the proxy.
    """
    with FaultProxy(plane) as proxy:
        account = ServiceAccount(plane, namespace, name, folder=folder, server=proxy.url)
        settings = {
            "KUBECONFIG": str(account.kubeconfig),
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": namespace,
            "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
            **(extra or {}),
        }
        if born_into is not None:
            proxy.start(born_into, among)
        waited_for = born_into is None
        starting = replicas(plane, folder, name, extra=settings, ready=waited_for)
        with starting as (replica,):
            yield ProxiedOperator(plane, namespace, proxy, account, replica)
