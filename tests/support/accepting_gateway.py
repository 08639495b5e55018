"""The part of a gateway that an API server's test needs: it takes every route that is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cluster import builds
from cluster.addons.gateway import MODULE
from tests.support.replicas import read, succeeds
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane


def install_gateway_api(plane: ControlPlane) -> None:
    """The CRDs of the standard channel, from the module that defines them."""
    folder = builds.module_folder(MODULE) / "config" / "crd" / "standard"
    plane.kubectl("apply", "--server-side", "-f", str(folder))
    eventually(succeeds(lambda: plane.kubectl("get", "httproutes", "-A"), Exception), what="routes")


def take_routes(plane: ControlPlane, namespace: str) -> None:
    """Accept the routes of a namespace for the generation that they have now."""
    for route in read(plane, "httproutes", "-n", namespace):
        parents = [_accepted(route, parent) for parent in route["spec"]["parentRefs"]]
        if route.get("status", {}).get("parents") == parents:
            continue
        plane.kubectl(
            "patch", "httproute", route["metadata"]["name"], "-n", namespace,
            "--subresource=status", "--type=merge", "-p",
            json.dumps({"status": {"parents": parents}}),
        )  # fmt: skip


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
