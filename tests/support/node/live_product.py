"""One DataProduct on a real cluster, with reads, edits and waits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from kubernetes.config import new_client_from_config

from cluster.errors import ClusterError
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster.backend import Backend

Object = dict[str, Any]
API = "/apis/sluicegate.dev/v1alpha1/namespaces/{namespace}/dataproducts/{name}"


@cache
def connection(kubeconfig: Path) -> Any:
    """Return a client of the API server that keeps its connections: waits ask it twice a second."""
    return new_client_from_config(str(kubeconfig))


def get(kubeconfig: Path, path: str) -> Object:
    """Return the JSON at a path of the API server.

    Raises
    ------
    ClusterError
        Its answer isn't a success.
    """
    client = connection(kubeconfig)
    answer = client.rest_client.pool_manager.request("GET", client.configuration.host + path)
    if answer.status != 200:
        raise ClusterError(f"{path}: {answer.status} {answer.data!r}")
    return dict(json.loads(answer.data))


def evict(kubeconfig: Path, namespace: str, pod: str) -> None:
    """Take a pod off its node, as a drain does; raises as `get` does."""
    client = connection(kubeconfig)
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    answer = client.rest_client.pool_manager.request(
        "POST",
        client.configuration.host + path,
        body=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    if answer.status != 201:
        raise ClusterError(f"{path}: {answer.status} {answer.data!r}")


def merge_patch(kubeconfig: Path, path: str, body: Object) -> None:
    """Patch what is at a path of the API server, if it is still there; raises as `get` does."""
    client = connection(kubeconfig)
    answer = client.rest_client.pool_manager.request(
        "PATCH",
        client.configuration.host + path,
        body=json.dumps(body),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    if answer.status not in {200, 404}:
        raise ClusterError(f"{path}: {answer.status} {answer.data!r}")


@dataclass(frozen=True)
class LiveProduct:
    """A DataProduct by its name."""

    backend: Backend
    namespace: str
    name: str

    def apply(self, product: Object) -> None:
        """Apply what a person wrote."""
        self.backend.run_kubectl(
            *("apply", "--server-side", "--field-manager=person", "-n", self.namespace, "-f", "-"),
            stdin=json.dumps(product),
        )

    def annotate(self, request: str, value: str) -> None:
        """Make a one-shot request; under a manager of its own, because Flux removes what is kubectl's."""
        annotation = f"sluicegate.dev/{request}={value}"
        self.backend.run_kubectl(
            *("annotate", "--overwrite", "--field-manager=person", "-n", self.namespace),
            *(f"dprod/{self.name}", annotation),
        )

    def read(self) -> Object:
        """Return the object as it is."""
        path = API.format(namespace=self.namespace, name=self.name)
        return get(self.backend.kubeconfig, path)

    def as_people_own_it(self) -> str:
        """Return the fields that people own, as text: spec, its generation, labels and annotations."""
        read = self.read()
        fields = ("generation", "labels", "annotations")
        metadata = {name: read["metadata"].get(name) for name in fields}
        return json.dumps([read["spec"], metadata])

    @property
    def status(self) -> Object:
        return dict(self.read().get("status") or {})

    def condition(self, kind: str) -> Object:
        """Return a condition; empty while it isn't there."""
        conditions = self.status.get("conditions") or ()
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def listed(self, path: str, selector: str = "") -> list[Object]:
        """Return objects of the namespace, e.g. of `apps/v1/deployments`; `v1/…` is the core group."""
        root = "/api" if path.startswith("v1/") else "/apis"
        group, _, plural = path.rpartition("/")
        query = f"?labelSelector={selector}" if selector else ""
        url = f"{root}/{group}/namespaces/{self.namespace}/{plural}{query}"
        return list(get(self.backend.kubeconfig, url)["items"])

    def traffic(self) -> str:
        """Return a line each for pods, endpoints and weights of the namespace."""
        lines = [_pod_line(pod) for pod in self.listed("v1/pods")]
        for endpoints in self.listed("discovery.k8s.io/v1/endpointslices"):
            for endpoint in endpoints.get("endpoints") or ():
                service = endpoints["metadata"]["labels"]["kubernetes.io/service-name"]
                lines.append(
                    f"endpoint of {service}: {endpoint['addresses']} {endpoint['conditions']}"
                )
        for route in self.listed("gateway.networking.k8s.io/v1/httproutes"):
            for rule in route["spec"]["rules"]:
                weights = {
                    backend_ref["name"]: backend_ref.get("weight", 1)
                    for backend_ref in rule["backendRefs"]
                }
                lines.append(f"route {route['metadata']['name']}: {weights}")
        return "\n".join(f"  {line}" for line in lines)

    def until(self, holds: Callable[[Object], Any], *, what: str, seconds: float = 120) -> Object:
        """Return the status, once `holds(status)`; it is read each half second."""
        status: Object = {}

        def look() -> bool:
            status.clear()
            status.update(self.status)
            return bool(holds(status))

        try:
            eventually(look, seconds=seconds, every=0.5, what=what)
        except AssertionError:
            print(json.dumps(status, indent=1))
            raise
        return dict(status)

    def until_reported(self, text: str) -> None:
        """Wait for an event with this text, which the operator records after the status."""

        def notes() -> list[str]:
            return [one["note"] for one in self.listed("events.k8s.io/v1/events")]

        eventually(
            lambda: any(text in note for note in notes()), what=f"{text!r}, said in an event"
        )

    def until_ready(self, *, seconds: float = 120) -> Object:
        return self.until(
            lambda status: conditions(status).get("Ready") == "True", what="Ready", seconds=seconds
        )

    def until_stable(self, version: str, *, seconds: float) -> Object:
        """Wait until a version is stable and nothing is under way."""
        return self.until(
            lambda status: (
                (status.get("stable") or {}).get("version") == version
                and not status.get("candidate")
            ),
            what=f"{version} to be stable",
            seconds=seconds,
        )


def _pod_line(pod: Object) -> str:
    status = pod.get("status", {})
    ready = [
        condition for condition in status.get("conditions", ()) if condition["type"] == "Ready"
    ]
    states = [f"{one['status']} since {one['lastTransitionTime']}" for one in ready]
    restarts = [
        container_status["restartCount"] for container_status in status.get("containerStatuses", ())
    ]
    ends = pod["metadata"].get("deletionTimestamp", "")
    return (
        f"pod {pod['metadata']['name']} {status.get('podIP', '')} {status.get('phase')}: ready "
        f"{states}, restarts {restarts}{f', ends by {ends}' if ends else ''}"
    )


def conditions(status: Object) -> dict[str, str]:
    """Return status by type; "False" for those that are there only while they are True."""
    absent = {"Reconciling": "False", "Stalled": "False"}
    return absent | {
        condition["type"]: condition["status"] for condition in status.get("conditions") or ()
    }


def says(status: Object, kind: str) -> tuple[str, str]:
    """Return reason and message of a condition; empty while it isn't there."""
    conditions = (
        condition for condition in status.get("conditions") or () if condition["type"] == kind
    )
    return next(
        ((condition["reason"], condition.get("message", "")) for condition in conditions), ("", "")
    )
