"""The part of a gateway that an API server's test needs: it takes every route that is written."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from cluster import builds
from cluster.addons.gateway import MODULE
from cluster.errors import ClusterError
from sluicegate.kube.resources import HTTP_ROUTES
from tests.support.live_product import get, merge_patch
from tests.support.replicas import succeeds
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane


def install_gateway_api(plane: ControlPlane) -> None:
    """The CRDs of the standard channel, from the module that defines them, and one Gateway."""
    folder = builds.module_folder(MODULE) / "config" / "crd" / "standard"
    plane.kubectl("apply", "--server-side", "-f", str(folder))
    eventually(succeeds(lambda: plane.kubectl("get", "gateways", "-A"), Exception), what="gateways")
    eventually(succeeds(lambda: plane.kubectl("get", "httproutes", "-A"), Exception), what="routes")
    install_gateway(plane)


def install_gateway(plane: ControlPlane, name: str = "web", *, programmed: bool = True) -> None:
    """A Gateway of this name in the namespace `gateway`, in service or not."""
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gateway"}},
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": "gateway"},
            "spec": {
                "gatewayClassName": "test",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        },
    ]
    for one in objects:
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(one))
    condition = {
        "type": "Programmed", "status": str(programmed), "reason": "Programmed" if programmed else "Pending",
        "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    plane.kubectl(
        "patch", "gateway", name, "-n", "gateway", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"conditions": [condition]}}),
    )  # fmt: skip


@contextmanager
def accepting(plane: ControlPlane, *, every: float = 0.3) -> Iterator[None]:
    """Accept every route of the cluster as it is written, for the length of a block."""
    over = threading.Event()

    def accept() -> None:
        while not over.wait(every):
            with suppress(ClusterError, HTTPError):  # the API server is away
                for route in get(plane.kubeconfig, HTTP_ROUTES.path())["items"]:
                    _take(plane, route)

    thread = threading.Thread(target=accept, name="gateway")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _take(plane: ControlPlane, route: dict[str, Any]) -> None:
    parents = [_accepted(route, parent) for parent in route["spec"]["parentRefs"]]
    if route.get("status", {}).get("parents") == parents:
        return
    meta = route["metadata"]
    path = f"{HTTP_ROUTES.path(meta['namespace'], meta['name'])}/status"
    merge_patch(plane.kubeconfig, path, {"status": {"parents": parents}})


def _accepted(route: dict[str, Any], parent: dict[str, Any]) -> dict[str, Any]:
    meta = route["metadata"]
    return {
        "parentRef": parent,
        "controllerName": "test.example/gateway",
        "conditions": [
            {
                "type": kind, "status": "True", "reason": kind, "message": "",
                "observedGeneration": meta["generation"],
                "lastTransitionTime": meta["creationTimestamp"],
            }
            for kind in ("Accepted", "ResolvedRefs")
        ],
    }  # fmt: skip
