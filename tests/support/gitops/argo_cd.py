"""Argo CD: its controller, its two servers and Redis, as programs of this machine."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
import yaml

from cluster.builds import module_folder, program
from cluster.definitions import wait_until_established
from sluicegate.kube.resources import Resource
from tests.support.gitops.reconciling import (
    EXAMPLES,
    Cluster,
    ObservedHealth,
    Program,
    Verdict,
    programs,
)
from tests.support.node.live_product import get, merge_patch
from tests.support.processes.running import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MODULE = "github.com/argoproj/argo-cd/v3"
NAMESPACE = "argocd"
KINDS = ("application", "appproject")
APPLICATIONS = Resource("argoproj.io", "v1alpha1", "applications", "Application")
REFRESH = "argocd.argoproj.io/refresh"
VERDICTS = {"Healthy": Verdict.GREEN, "Degraded": Verdict.RED}
"""The others wait: Progressing, Suspended, Missing, and Unknown."""
PACKAGES = {"redis-server": "redis-server"}
"""Programs that aren't built, by the Debian package that has them."""


@dataclass(frozen=True)
class ArgoCD:
    """Argo CD on a cluster, with an Application like gitops/argocd/application.yaml."""

    cluster: Cluster
    server: str

    def follow(self, name: str, url: str) -> None:
        """Refresh the Application, which reads the repository and compares."""
        self._follow("application.yaml", name, url)

    def install_operator(self, name: str, url: str, namespace: str) -> None:
        """Apply the chart of a repository like gitops/argocd/operator.yaml."""
        self._follow("operator.yaml", name, url, namespace=namespace)

    def _follow(self, example: str, name: str, url: str, **destination: str) -> None:
        application = yaml.safe_load((EXAMPLES / "argocd" / example).read_text())
        application["metadata"]["name"] = name
        application["spec"]["source"]["repoURL"] = url
        application["spec"]["destination"].update(destination)
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(application))
        self.reconcile(name)

    def forget(self, name: str) -> None:
        """Delete the Application; its products stay, because it has no finalizer."""
        self.cluster.kubectl(
            "delete", APPLICATIONS.qualified, name, "-n", NAMESPACE, "--ignore-not-found"
        )

    def reconcile(self, name: str) -> None:
        """Request a hard refresh like `argocd app get --hard-refresh`."""
        path = APPLICATIONS.path(NAMESPACE, name)
        merge_patch(self.cluster.kubeconfig, path, {"metadata": {"annotations": {REFRESH: "hard"}}})

        def refreshed() -> bool:
            return REFRESH not in self._read(name)["metadata"].get("annotations", {})

        eventually(refreshed, seconds=60, what=f"{name} refreshed")

    def health(self, name: str) -> ObservedHealth:
        """Return the health of the Application, once the commit is applied; until then it waits."""
        status = self._read(name).get("status", {})
        sync, health = status.get("sync", {}), status.get("health", {})
        applied = sync.get("status") == "Synced"
        return ObservedHealth(
            commit=sync.get("revision", ""),
            verdict=VERDICTS.get(health.get("status"), Verdict.WAITS) if applied else Verdict.WAITS,
            since=health.get("lastTransitionTime", ""),
            said="; ".join([sync.get("status", ""), *_messages(status)]),
        )

    def actions(self, name: str, product: str) -> set[str]:
        """Return the actions that a person may choose on a product of the Application."""
        parameters = {
            key: value for key, value in _resource(name, product).items() if key != "name"
        }
        response = requests.get(
            f"{self._url(name)}/resource/actions", params=parameters, timeout=30
        )
        assert response.ok, response.text
        return {
            action["name"] for action in response.json()["actions"] if not action.get("disabled")
        }

    def act(self, name: str, product: str, action: str) -> None:
        """Choose one, as a person does on the page."""
        body = {**_resource(name, product), "action": action}
        answer = requests.post(f"{self._url(name)}/resource/actions/v2", json=body, timeout=30)
        assert answer.ok, answer.text

    def _url(self, name: str) -> str:
        return f"{self.server}/api/v1/applications/{name}"

    def _read(self, name: str) -> dict[str, Any]:
        return get(self.cluster.kubeconfig, APPLICATIONS.path(NAMESPACE, name))


def _resource(name: str, product: str) -> dict[str, str]:
    """Return a product of an Application that has the name of its namespace."""
    kind = {"group": "sluicegate.dev", "version": "v1alpha1", "kind": "DataProduct"}
    return {"name": name, "namespace": name, "resourceName": product, **kind}


def _messages(status: dict[str, Any]) -> Iterator[str]:
    for resource in status.get("resources", ()):
        if resource.get("status") == "OutOfSync":
            yield f"{resource['kind']} {resource['name']} is OutOfSync"
        if message := resource.get("health", {}).get("message"):
            yield f"{resource['name']}: {message}"
    for condition in status.get("conditions", ()):
        yield f"{condition['type']}: {condition['message']}"
    if message := status.get("operationState", {}).get("message"):
        yield message


@contextmanager
def argo_cd(cluster: Cluster, folder: Path) -> Iterator[ArgoCD]:
    """Yield Argo CD for the length of a block; nothing of it is left on the cluster."""
    sources = module_folder(MODULE)
    manifests = sources / "manifests"
    definitions = [f"--filename={manifests / f'crds/{kind}-crd.yaml'}" for kind in KINDS]
    cluster.kubectl("apply", "--server-side", *definitions)
    wait_until_established(cluster.kubectl, *definitions)
    cluster.kubectl("create", "namespace", NAMESPACE)
    cache, port = free_port(), free_port()
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # https://kubernetes.default.svc is KUBECONFIG's cluster
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "PATH": f"{_scripts(sources, folder)}:{program('helm').parent}:{os.environ['PATH']}",
        "REDIS_SERVER": f"127.0.0.1:{cache}",
        "TMPDIR": str(folder),
    }
    try:
        _configure(cluster, manifests / "base" / "config")
        with programs(folder, _programs(folder, cache, port), environment):
            yield ArgoCD(cluster, f"http://127.0.0.1:{port}")
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE)
        cluster.kubectl("delete", *definitions)


def _scripts(sources: Path, folder: Path) -> Path:
    """Return a folder with the scripts on PATH of Argo CD's image, executable."""
    scripts = folder / "scripts"
    scripts.mkdir()
    for name in ("git-verify-wrapper.sh", "gpg-wrapper.sh"):
        script = scripts / name
        script.write_bytes((sources / "hack" / name).read_bytes())
        script.chmod(0o755)
    return scripts


def _configure(cluster: Cluster, configuration: Path) -> None:
    """Write Argo CD's configuration with the health checks and actions of gitops/argocd."""
    cluster.kubectl("apply", "--server-side", "-n", NAMESPACE, f"--kustomize={configuration}")
    patch = EXAMPLES / "argocd" / "argocd-cm.yaml"
    cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "argocd-cm", f"--patch-file={patch}")


def _programs(folder: Path, cache: int, port: int) -> Sequence[Program]:
    redis = (
        *("redis-server", "--port", str(cache), "--bind", "127.0.0.1"),
        *("--save", "", "--appendonly", "no", "--dir", str(folder)),
    )
    repositories, metrics = free_port(), free_port()
    repo_server = (
        "--address=127.0.0.1",
        f"--port={repositories}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={metrics}",
        "--disable-tls",
        "--client-ca-path=",
    )
    asks = (
        f"--namespace={NAMESPACE}",
        f"--repo-server=127.0.0.1:{repositories}",
        "--repo-server-plaintext",
    )
    server = (
        *asks,
        "--address=127.0.0.1",
        f"--port={port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={free_port()}",
        "--insecure",
        "--disable-auth",
    )
    own_metrics = free_port()
    controller = (*asks, f"--metrics-port={own_metrics}", "--persist-resource-health")
    # The server creates what the controller looks for at its start: a key and the default project.
    return (
        Program(redis),
        _program("repo-server", repo_server, f"{metrics}/healthz?full=true"),
        _program("server", server, f"{port}/healthz"),
        _program("application-controller", controller, f"{own_metrics}/healthz"),
    )


def _program(name: str, options: Sequence[str], ready: str) -> Program:
    binary = program("argo-cd").with_name(f"argocd-{name}")
    return Program((str(binary), *options), f"http://127.0.0.1:{ready}")
