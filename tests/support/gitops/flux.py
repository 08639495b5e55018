"""Flux: its source-controller and kustomize-controller, as programs of this machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

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

NAMESPACE = "flux-system"
CONTROLLERS = ("source-controller", "kustomize-controller")
SOURCES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
VERDICTS = {"True": Verdict.GREEN, "False": Verdict.RED, "Unknown": Verdict.WAITS}
_tokens = count(1)


@dataclass(frozen=True)
class Flux:
    """Flux on a cluster, with a Kustomization like gitops/flux/products.yaml."""

    cluster: Cluster

    def follow(self, name: str, url: str) -> None:
        """Request a read of the repository like `flux reconcile source git`."""
        documents = list(yaml.safe_load_all((EXAMPLES / "flux/products.yaml").read_text()))
        source, kustomization = documents
        source["metadata"]["name"] = kustomization["metadata"]["name"] = name
        source["spec"]["url"] = url
        kustomization["spec"]["sourceRef"]["name"] = name
        self.cluster.kubectl(
            "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents)
        )
        self._ask(SOURCES, name)

    def forget(self, name: str) -> None:
        """Delete both objects; the products of the folder are pruned."""
        for resource in (KUSTOMIZATIONS, SOURCES):
            self.cluster.kubectl(
                "delete", resource.qualified, name, "-n", NAMESPACE, "--ignore-not-found"
            )

    def reconcile(self, name: str) -> None:
        """Request a reconcile like `flux reconcile kustomization`.

        It ends with the health checks.
        """
        self._ask(KUSTOMIZATIONS, name)

    def health(self, name: str) -> ObservedHealth:
        """Return the condition Ready of the Kustomization."""
        kustomization = self._read(KUSTOMIZATIONS, name)
        status = kustomization.get("status", {})
        conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
        ready = conditions.get("Ready")
        commit = status.get("lastAttemptedRevision", "").rpartition(":")[2]
        if ready is None or ready["observedGeneration"] != kustomization["metadata"]["generation"]:
            return ObservedHealth(commit, Verdict.WAITS, "", "")
        verdict = VERDICTS[ready["status"]]
        return ObservedHealth(commit, verdict, ready["lastTransitionTime"], ready["message"])

    def _ask(self, resource: Resource, name: str) -> None:
        token = f"test-{next(_tokens)}"
        body = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        merge_patch(self.cluster.kubeconfig, resource.path(NAMESPACE, name), body)

        def handled() -> bool:
            status = self._read(resource, name).get("status", {})
            return bool(status.get("lastHandledReconcileAt") == token)

        eventually(handled, seconds=60, what=f"{resource.kind} {name} reconciled")

    def _read(self, resource: Resource, name: str) -> dict[str, Any]:
        return get(self.cluster.kubeconfig, resource.path(NAMESPACE, name))


@contextmanager
def flux(cluster: Cluster, folder: Path) -> Iterator[Flux]:
    """Yield Flux for the length of a block; nothing of it is left on the cluster."""
    definitions = [
        f"--filename={module_folder(f'github.com/fluxcd/{name}') / 'config/crd/bases'}"
        for name in CONTROLLERS
    ]
    cluster.kubectl("apply", "--server-side", *definitions)
    wait_until_established(cluster.kubectl, *definitions)
    cluster.kubectl("create", "namespace", NAMESPACE)
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "RUNTIME_NAMESPACE": NAMESPACE}
    try:
        with programs(folder, _programs(folder), environment):
            yield Flux(cluster)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE)
        cluster.kubectl("delete", *definitions)


def _programs(folder: Path) -> Sequence[Program]:
    storage = f"127.0.0.1:{free_port()}"
    stored = (
        f"--storage-path={folder}",
        f"--storage-addr={storage}",
        f"--storage-adv-addr={storage}",
    )
    programs = []
    for name in CONTROLLERS:
        health = f"127.0.0.1:{free_port()}"
        command = (
            str(program(name)),
            *(stored if name == "source-controller" else ()),
            f"--health-addr={health}",
            f"--metrics-addr=127.0.0.1:{free_port()}",
        )
        programs.append(Program(command, f"http://{health}/readyz"))
    return programs
