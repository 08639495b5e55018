"""The kinds that the operator's objects need beside those of Kubernetes, on any cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cluster import builds
from cluster.addons.gateway import MODULE
from cluster.apiclient import wait_until
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

CRDS: Final = Path(__file__).resolve().parents[1] / "crds"
SERVED_SECONDS: Final = 60.0


def install_crds(plane: ControlPlane, folder: Path = CRDS) -> None:
    """Install the project's CRDs. Raises StartError if they aren't served within a minute."""
    # Another user of the control plane applies them under another field manager.
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
    for plural in ("dataproducts", "dataproductreviews"):
        _wait_until_served(plane, plural)


def install_gateway_api(plane: ControlPlane) -> None:
    """Install the standard channel, from the module that defines it, and one Gateway.

    Raises StartError.
    """
    folder = builds.module_folder(MODULE) / "config" / "crd" / "standard"
    plane.kubectl("apply", "--server-side", "-f", str(folder))
    for plural in ("gateways", "httproutes"):
        _wait_until_served(plane, plural)
    install_gateway(plane)


def install_gateway(plane: ControlPlane, name: str = "web", *, programmed: bool = True) -> None:
    """Install a Gateway of this name in the namespace `gateway`, programmed or not."""
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
    for document in objects:
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(document))
    condition = {
        "type": "Programmed", "status": str(programmed),
        "reason": "Programmed" if programmed else "Pending",
        "message": "", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    plane.kubectl(
        "patch", "gateway", name, "-n", "gateway", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": {"conditions": [condition]}}),
    )  # fmt: skip


def _wait_until_served(plane: ControlPlane, plural: str) -> None:
    def is_served() -> bool:
        try:
            plane.kubectl("get", plural, "--all-namespaces", "--chunk-size=1", "-o", "name")
        except ClusterError:
            return False
        return True

    wait_until(
        is_served, seconds=SERVED_SECONDS, failed=lambda: None, problem=f"{plural} aren't served"
    )
