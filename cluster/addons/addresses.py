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
    """The add-ons of a cluster: where this machine reaches them, and by which Services pods do.

    They differ, because an engine in a virtual machine gives this machine ports, and no route to
    the node. The node pulls by both names of the registry.
    """

    registry: str
    """Host and port in references that are pushed from here."""
    gateway: str
    """URL of the gateway."""
    prometheus: str
    """URL of Prometheus."""
    registry_in_pods: str = "registry.registry.svc:5000"
    """Host and port in references that pods push."""
    prometheus_in_pods: str = "http://prometheus.monitoring.svc:9090"

    def local_name(self, repository: str) -> str:
        """Return the name on this machine of a repository that pods push to."""
        host, slash, path = repository.partition("/")
        return f"{self.registry}{slash}{path}" if host == self.registry_in_pods else repository


def addresses(backend: Backend) -> Addresses:
    """Return the addresses of the add-ons of `backend`."""
    return Addresses(
        registry=backend.reached_at(REGISTRY_PORT),
        gateway=f"http://{backend.reached_at(GATEWAY_PORT)}",
        prometheus=f"http://{backend.reached_at(PROMETHEUS_PORT)}",
    )
