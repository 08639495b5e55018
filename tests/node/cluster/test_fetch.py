"""The fetch container in a pod: https with a real server, and what it refuses there."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.node.served_bento import container, pod_spec, server
from tests.support.processes.certificates import self_signed
from tests.support.processes.connections import connected_service
from tests.support.samples.bentos import build_churn
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.backend import Backend

pytestmark = pytest.mark.timeout(240)
SERVER = Path(__file__).parents[2] / "data" / "tls_file_server.py"
FILES = {"name": "files", "mountPath": "/files", "readOnly": True}


class FileServer:
    """A pod that serves one bento by TLS, and pods that fetch from it."""

    def __init__(self, backend: Backend, namespace: str, runtime: str, bento: Path) -> None:
        self.backend, self.namespace, self.runtime = backend, namespace, runtime
        self.host = f"files.{namespace}.svc.cluster.local"
        self.sha256 = hashlib.sha256(bento.read_bytes()).hexdigest()
        certificate, key = self_signed(self.host)
        serving = container("files", runtime, "python", "/files/server.py")
        serving["readinessProbe"] = {"tcpSocket": {"port": 8443}, "periodSeconds": 1}
        self.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "files"},
                "data": {"tls.crt": certificate, "tls.key": key, "server.py": SERVER.read_text()},
                "binaryData": {"churn.bento": base64.b64encode(bento.read_bytes()).decode()},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "files"},
                "spec": {
                    "selector": {"app": "files"},
                    "ports": [{"port": 443, "targetPort": 8443}],
                },
            },
            self.pod("files", serving, labels={"app": "files"}),
        )
        self.wait("files", "--for=condition=Ready")
        connected_service(backend, namespace, "files", port=443)  # who fetches tries once

    def create(self, *objects: dict[str, Any]) -> None:
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.backend.run_kubectl("apply", "-n", self.namespace, "-f", "-", stdin=listed)

    def wait(self, pod: str, condition: str) -> None:
        arguments = ("wait", f"pod/{pod}", condition, "-n", self.namespace, "--timeout=230s")
        self.backend.run_kubectl(*arguments, timeout=240)

    def pod(
        self,
        name: str,
        main: dict[str, Any],
        *,
        init: tuple[dict[str, Any], ...] = (),
        labels: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        spec = pod_spec({"emptyDir": {}}, main, init=init)
        spec["volumes"].append({"name": "files", "configMap": {"name": "files"}})
        spec["restartPolicy"] = "Never"
        for each in (main, *init):
            each["volumeMounts"] = [*each["volumeMounts"], FILES]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": spec,
        }

    def fetching(self, url: str, sha256: str) -> dict[str, Any]:
        """Return the init container that fetches into /bento, which it may write."""
        command = ("python", "-m", "sluicegate_service.fetch", url, sha256, "/bento")
        made = container("fetch", self.runtime, *command)
        made["env"] = [*made["env"], {"name": "SSL_CERT_FILE", "value": "/files/tls.crt"}]
        made["volumeMounts"] = [
            {key: value for key, value in mount.items() if key != "readOnly"}
            for mount in made["volumeMounts"]
        ]
        return made

    def message(self, pod: str) -> str:
        """Return the termination message of the pod's fetch container, once it has failed."""
        eventually(lambda: self._ended(pod), seconds=90, what=f"the end of {pod}")
        return str(self._ended(pod)["message"])

    def _ended(self, pod: str) -> dict[str, Any]:
        read = self.backend.run_kubectl("get", "pod", pod, "-n", self.namespace, "-o", "json")
        statuses = json.loads(read)["status"].get("initContainerStatuses", [{}])
        return dict(statuses[0].get("state", {}).get("terminated", {}))


@pytest.fixture
def files(cluster: Backend, namespace: str, runtime_image: str, tmp_path: Path) -> FileServer:
    return FileServer(cluster, namespace, runtime_image, build_churn(tmp_path, "v1"))


def test_a_bento_fetched_by_https_is_served(files: FileServer):
    fetch = files.fetching(f"https://{files.host}/churn.bento", files.sha256)
    files.create(files.pod("served", server(files.runtime), init=(fetch,)))

    files.wait("served", "--for=condition=Ready")


def test_a_forbidden_fetch_is_refused_with_its_reason(files: FileServer):
    cases = {
        "checksum": (f"https://{files.host}/churn.bento", "a" * 64),
        "redirect": (f"https://{files.host}/away", files.sha256),
        "loopback": ("https://localhost/churn.bento", files.sha256),
        "absent": (f"https://{files.host}/none.bento", files.sha256),
    }
    for name, (url, sha256) in cases.items():
        files.create(files.pod(name, server(files.runtime), init=(files.fetching(url, sha256),)))
    messages = {name: files.message(name) for name in cases}

    assert f"hasn't the sha256 {'a' * 64}" in messages["checksum"]
    assert (
        "redirects to http://example.org/churn.bento: only https is followed"
        in messages["redirect"]
    )
    assert "an address of the node itself: refused" in messages["loopback"]
    assert "none.bento" in messages["absent"]
    assert all(message.startswith("FetchFailed: ") for message in messages.values())
