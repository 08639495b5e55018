"""The part of a gateway that an API server's test needs: it takes every route that is written."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from cluster.errors import ClusterError
from sluicegate.kube.resources import HTTP_ROUTES
from tests.support.meanwhile import meanwhile
from tests.support.node.live_product import get, merge_patch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane


@contextmanager
def accepting(plane: ControlPlane, *, every: float = 0.3) -> Iterator[None]:
    """Accept every route of the cluster as it is written, for the length of a block."""

    def accept() -> None:
        with suppress(ClusterError, HTTPError):  # the API server is away
            for route in get(plane.kubeconfig, HTTP_ROUTES.path())["items"]:
                _take(plane, route)

    with meanwhile(accept, every=every):
        yield


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
