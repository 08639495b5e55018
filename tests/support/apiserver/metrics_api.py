"""The API external.metrics.k8s.io of an API server, whose values a Prometheus has, as an adapter serves it."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from tests.support.failures.replicas import apply
from tests.support.processes.certificates import self_signed
from tests.support.prometheus.server import rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

GROUP: Final = "external.metrics.k8s.io"
API: Final = f"/apis/{GROUP}/v1beta1"
NAME: Final = "metrics-adapter"
NAMESPACE: Final = "default"


@contextmanager
def external_metrics(plane: ControlPlane, prometheus: str, folder: Path) -> Iterator[None]:
    """Serve each metric of a Prometheus as an external one, by its name and labels."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = _answer(url.path, parse_qs(url.query).get("labelSelector", [""])[0], prometheus)
            text = json.dumps(body).encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        @override
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    certificate, key = self_signed("localhost")
    for name, pem in (("tls.crt", certificate), ("tls.key", key)):
        (folder / name).write_text(pem, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        objects = _registered(server.server_port)
        apply(plane, *objects)
        try:
            eventually(lambda: _is_available(plane), seconds=60, what=f"{GROUP} available")
            yield
        finally:
            for body in objects:
                plane.kubectl("delete", body["kind"], body["metadata"]["name"], "-n", NAMESPACE)
            server.shutdown()


def _answer(path: str, selector: str, prometheus: str) -> dict[str, Any]:
    """Return the response to a path; empty for one that the API doesn't have."""
    if path == API:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{GROUP}/v1beta1",
            "resources": [],
        }
    if not path.startswith(f"{API}/namespaces/"):
        return {}
    metric = path.rsplit("/", 1)[-1]
    labels = ",".join(
        '{}="{}"'.format(*label.split("=", 1)) for label in selector.split(",") if label
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = [
        {"metricName": metric, "metricLabels": {}, "timestamp": now, "value": row["value"][1]}
        for row in rows(prometheus, f"sum({metric}{{{labels}}})")
    ]
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": f"{GROUP}/v1beta1",
        "metadata": {},
        "items": items,
    }


def _registered(port: int) -> list[dict[str, Any]]:
    """Return the API and its Service, which names this machine: no Service of a plane without a node has a route."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {"name": NAME, "namespace": NAMESPACE, "port": port},
            },
        },
    ]


def _is_available(plane: ControlPlane) -> bool:
    body = json.loads(plane.kubectl("get", "apiservice", f"v1beta1.{GROUP}", "-o", "json"))
    conditions = body.get("status", {}).get("conditions", ())
    return any(
        condition["type"] == "Available" and condition["status"] == "True"
        for condition in conditions
    )
