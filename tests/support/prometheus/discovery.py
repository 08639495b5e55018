"""An API server for Prometheus' service discovery: a few objects, and watches in which nothing happens."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KINDS = {"pods": ("v1", "PodList"), "nodes": ("v1", "NodeList"), "services": ("v1", "ServiceList"),
         "endpoints": ("v1", "EndpointsList")}  # fmt: skip
Object = dict[str, Any]


@dataclass(frozen=True)
class DiscoveredPod:
    """A running pod whose metrics port is a port of this machine.

    `controller` is the kind and the name of its controller, `None` without one.
    """

    namespace: str
    name: str
    port: int
    labels: Mapping[str, str] = field(default_factory=dict)
    controller: tuple[str, str] | None = None

    def manifest(self) -> Object:
        owners = [
            {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": True}
            for kind, name in ([self.controller] if self.controller else [])
        ]
        port = {"name": "metrics", "containerPort": self.port, "protocol": "TCP"}
        return {
            "metadata": {"namespace": self.namespace, "name": self.name, "uid": self.name,
                         "labels": dict(self.labels), "ownerReferences": owners},
            "spec": {"containers": [{"name": "server", "image": "x", "ports": [port]}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1"},
        }  # fmt: skip


def service_of(pod: DiscoveredPod, labels: Mapping[str, str]) -> tuple[Object, Object]:
    """Return a Service with these labels, and its Endpoints, which are the pod's port `metrics`."""
    metadata = {"namespace": pod.namespace, "name": "metrics", "labels": dict(labels)}
    target = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name}
    subset = {
        "addresses": [{"ip": "127.0.0.1", "targetRef": target}],
        "ports": [{"name": "metrics", "port": pod.port, "protocol": "TCP"}],
    }
    return {"metadata": metadata, "spec": {}}, {"metadata": metadata, "subsets": [subset]}


def node(name: str, host: str, port: int) -> Object:
    """Return a node whose kubelet answers at this port."""
    return {
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "Hostname", "address": host}],
                   "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}},
    }  # fmt: skip


@contextmanager
def discovery(objects: Mapping[str, list[Object]]) -> Iterator[str]:
    """Yield the URL of the server; `objects` by resource, such as `pods`."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            match = re.fullmatch(r"/api/v1/(?:namespaces/([^/]+)/)?(\w+)", url.path)
            query = parse_qs(url.query)
            if match is None or match[2] not in KINDS or "sendInitialEvents" in query:
                self.send_error(400)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if "watch" in query:
                stopped.wait()
                return
            version, kind = KINDS[match[2]]
            items = [
                one for one in objects.get(match[2], ())
                if match[1] in (None, one["metadata"].get("namespace"))
            ]  # fmt: skip
            body = {"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "1"}}
            self.wfile.write(json.dumps(body | {"items": items}).encode())

        @override
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            stopped.set()
            server.shutdown()
