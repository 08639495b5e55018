"""Where the add-ons are reached, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.backend import Backend

REGISTRY_PORT = 30500  # of the node, as are the next two
GATEWAY_PORT = 30080
PROMETHEUS_PORT = 30090


@dataclass(frozen=True, slots=True)
class Addresses:
    """The add-ons of a cluster whose node is at `node`."""

    node: str

    @property
    def registry(self) -> str:
        """Host and port of the registry, the same in every reference, wherever it is used."""
        return f"{self.node}:{REGISTRY_PORT}"

    @property
    def gateway(self) -> str:
        """URL of the gateway."""
        return f"http://{self.node}:{GATEWAY_PORT}"

    @property
    def prometheus(self) -> str:
        """URL of Prometheus."""
        return f"http://{self.node}:{PROMETHEUS_PORT}"

    @property
    def prometheus_in_pods(self) -> str:
        """The same by its Service, which stays when the node's address changes."""
        return "http://prometheus.monitoring.svc:9090"


def addresses(backend: Backend) -> Addresses:
    """Where the add-ons of `backend` are reached."""
    return Addresses(backend.node_address)
