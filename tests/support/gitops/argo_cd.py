"""Argo CD: its application controller, repository server and cache, as programs of this machine."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cluster.builds import module_folder, program
from cluster.definitions import wait_until_established
from sluicegate.kube.resources import Resource
from tests.support.gitops.reconciling import EXAMPLES, Cluster, Program, Seen, Verdict, programs
from tests.support.node.live_product import get, merge_patch
from tests.support.processes.running import free_port
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = "github.com/argoproj/argo-cd/v3"
NAMESPACE = "argocd"
APPLICATIONS = Resource("argoproj.io", "v1alpha1", "applications", "Application")
REFRESH = "argocd.argoproj.io/refresh"
VERDICTS = {"Healthy": Verdict.GREEN, "Degraded": Verdict.RED}
"""The others wait: Progressing, Suspended, Missing, and what isn't known yet."""
PROJECT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "default", "namespace": NAMESPACE},
    "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}
"""What Argo CD's own server makes at its first start."""


@dataclass(frozen=True)
class ArgoCD:
    """Argo CD on a cluster."""

    cluster: Cluster

    def follow(self, name: str, url: str) -> None:
        """Apply gitops/argocd/application.yaml for another repository, under another name."""
        application = yaml.safe_load((EXAMPLES / "argocd/application.yaml").read_text())
        application["metadata"]["name"] = name
        application["spec"]["source"]["repoURL"] = url
        _apply(self.cluster, application)

    def forget(self, name: str) -> None:
        """Delete the Application; its products stay, as it has no finalizer."""
        self.cluster.kubectl(
            "delete", APPLICATIONS.qualified, name, "-n", NAMESPACE, "--ignore-not-found"
        )

    def fetch(self, name: str) -> None:
        """A refresh is both: it reads the repository and compares."""
        self.reconcile(name)

    def reconcile(self, name: str) -> None:
        """Ask for it as `argocd app get --hard-refresh` does."""
        path = APPLICATIONS.path(NAMESPACE, name)
        merge_patch(self.cluster.kubeconfig, path, {"metadata": {"annotations": {REFRESH: "hard"}}})

        def refreshed() -> bool:
            return REFRESH not in self._read(name)["metadata"].get("annotations", {})

        eventually(refreshed, seconds=60, what=f"{name} refreshed")

    def seen(self, name: str) -> Seen:
        """Health, once what is in Git is applied."""
        status = self._read(name).get("status", {})
        commit = status.get("sync", {}).get("revision", "")
        health = status.get("health", {})
        said = [*_messages(status), *(one["message"] for one in status.get("conditions", ()))]
        synced = status.get("sync", {}).get("status") == "Synced"
        verdict = VERDICTS.get(health.get("status"), Verdict.WAITS) if synced else Verdict.WAITS
        return Seen(commit, verdict, health.get("lastTransitionTime", ""), "; ".join(said))

    def _read(self, name: str) -> dict[str, Any]:
        return get(self.cluster.kubeconfig, APPLICATIONS.path(NAMESPACE, name))


def _messages(status: dict[str, Any]) -> Iterator[str]:
    for resource in status.get("resources", ()):
        if message := resource.get("health", {}).get("message"):
            yield message


@contextmanager
def argo_cd(cluster: Cluster, folder: Path) -> Iterator[ArgoCD]:
    """Argo CD for the length of a block; its definitions are gone afterwards."""
    manifests = module_folder(MODULE) / "manifests"
    definitions = f"--kustomize={manifests / 'crds'}"
    cluster.kubectl("apply", "--server-side", definitions)
    wait_until_established(cluster.kubectl, f"crd/{APPLICATIONS.qualified}")
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        _configure(cluster, manifests / "base" / "config")
        with programs(folder, *_programs(cluster, folder)):
            yield ArgoCD(cluster)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        cluster.kubectl("delete", definitions, "--wait=false")


def _configure(cluster: Cluster, folder: Path) -> None:
    """Argo CD's own configuration, with our health and actions, and what its server adds."""
    cluster.kubectl("apply", "--server-side", "-n", NAMESPACE, f"--kustomize={folder}")
    patch = EXAMPLES / "argocd" / "argocd-cm.yaml"
    cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "argocd-cm", f"--patch-file={patch}")
    key = {"stringData": {"server.secretkey": secrets.token_hex(16)}}
    cluster.kubectl("-n", NAMESPACE, "patch", "secret", "argocd-secret", "-p", json.dumps(key))
    _apply(cluster, PROJECT)


def _apply(cluster: Cluster, body: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))


def _programs(cluster: Cluster, folder: Path) -> Iterator[Program]:
    binary = program("argo-cd")
    cache, repositories = f"127.0.0.1:{free_port()}", free_port()
    metrics, own_metrics = free_port(), free_port()
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # https://kubernetes.default.svc is KUBECONFIG's
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "TMPDIR": str(folder),
    }
    redis = (str(binary.with_name("argocd-redis")), cache)
    yield Program(redis, "", environment)
    yield Program(
        (
            str(binary.with_name("argocd-repo-server")),
            f"--redis={cache}",
            "--address=127.0.0.1",
            f"--port={repositories}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={metrics}",
            "--disable-tls",
        ),
        f"http://127.0.0.1:{metrics}/healthz?full=true",
        environment,
    )
    yield Program(
        (
            str(binary.with_name("argocd-application-controller")),
            f"--namespace={NAMESPACE}",
            f"--redis={cache}",
            f"--repo-server=127.0.0.1:{repositories}",
            "--repo-server-plaintext",
            f"--metrics-port={own_metrics}",
            "--persist-resource-health",
        ),
        f"http://127.0.0.1:{own_metrics}/healthz",
        environment,
    )
