"""A Prometheus of one test's own: it can be stopped while other tests go on measuring."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import requests

from cluster.addons.manifests import Server, server_objects
from cluster.addons.scraping import configuration
from cluster.images import build, describe
from tests.support.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.backend import Backend

NAME = "own-prometheus"
ANY_PORT = 0


@dataclass(frozen=True)
class OwnPrometheus:
    """Reads the products of one namespace, in which its pod lies too, as the cluster's does."""

    backend: Backend
    namespace: str

    def start(self) -> str:
        """Its URL, once it answers."""
        listed = {"apiVersion": "v1", "kind": "List", "items": [*self._objects()]}
        self.backend.run_kubectl("apply", "-n", self.namespace, "-f", "-", stdin=json.dumps(listed))
        (port,) = self._read(f"services/{NAME}")["spec"]["ports"]
        url = f"http://{self.backend.node_address}:{port['nodePort']}"
        eventually(lambda: is_ready(url), seconds=60, what=f"{url} to answer")
        return url

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It neither scrapes nor answers, and keeps what it has: its process is suspended."""
        server = self._process()
        server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            server.send_signal(signal.SIGCONT)

    def _objects(self) -> Iterator[dict[str, Any]]:
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}}
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": self.namespace}],
        }
        for each in server_objects(self._server()):
            yield dict(each)

    def _server(self) -> Server:
        return Server(
            name=NAME,
            namespace=self.namespace,
            image=build(describe("prometheus")).pinned_reference,
            user=65534,
            arguments=(
                "--config.file=/etc/prometheus/prometheus.json",
                "--storage.tsdb.path=/prometheus",
                "--log.level=warn",
            ),
            ports={"http": 9090},
            node_port=ANY_PORT,
            ready_path="/-/ready",
            ready_port="http",
            memory="128Mi",
            files={"prometheus.json": json.dumps(self._configuration())},
            files_path="/etc/prometheus",
            data_path="/prometheus",
            service_account=NAME,
        )

    def _configuration(self) -> dict[str, Any]:
        """What the cluster's Prometheus is told of products, for this namespace."""
        read = configuration(scrape_seconds=1)
        (products,) = [job for job in read["scrape_configs"] if job["job_name"] == "products"]
        here = [{"role": "pod", "namespaces": {"names": [self.namespace]}}]
        return {**read, "scrape_configs": [{**products, "kubernetes_sd_configs": here}]}

    def _process(self) -> psutil.Process:
        selector = f"?labelSelector=app.kubernetes.io%2Fname%3D{NAME}"
        (pod,) = self._read(f"pods{selector}")["items"]
        mine = [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] == "prometheus" and belongs_to(process, pod["metadata"]["uid"])
        ]
        (server,) = mine
        return server

    def _read(self, path: str) -> dict[str, Any]:
        return get(self.backend.kubeconfig, f"/api/v1/namespaces/{self.namespace}/{path}")


def is_ready(url: str) -> bool:
    """Whether Prometheus says that it is ready."""
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False


def belongs_to(process: psutil.Process, uid: str) -> bool:
    """Whether a process runs in a container of the pod with this uid."""
    try:
        groups = Path(f"/proc/{process.pid}/cgroup").read_text()
    except OSError:
        return False
    return uid in groups or uid.replace("-", "_") in groups
