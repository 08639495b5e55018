"""Whether something takes connections, which is less than that it answers."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from cluster.commands import succeeds
from cluster.kind import KindCluster
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.backend import Backend

SECONDS = 5


def connected_service(backend: Backend, namespace: str, name: str, *, port: int) -> str:
    """Return the address of a Service whose pods are Ready, once it takes connections.

    kube-proxy hears of a Ready pod a moment after others do. Until it has written its rules the
    Service's address has no route at all, in the node as little as on the host. On kind only the
    node has one.
    """
    read = backend.run_kubectl("get", "service", name, "-n", namespace, "-o", "json")
    address = str(json.loads(read)["spec"]["clusterIP"])
    eventually(
        lambda: _is_connected(backend, address, port),
        what=f"a connection to {address}, {name}'s address",
    )
    return address


def _is_connected(backend: Backend, address: str, port: int) -> bool:
    if not isinstance(backend, KindCluster):
        return takes_connections(address, port)
    connect = ("timeout", str(SECONDS), "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}")
    return succeeds("docker", "exec", backend.node, *connect)


def takes_connections(address: str, port: int) -> bool:
    """Return whether a connection to the port is made within five seconds."""
    try:
        with socket.create_connection((address, port), timeout=SECONDS):
            return True
    except OSError:
        return False
