"""Flux: its source-controller and kustomize-controller, as programs of this machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml

from cluster.builds import module_folder, program
from cluster.definitions import wait_until_established
from sluicegate.kube.resources import Resource
from tests.support.node.live_product import get, merge_patch
from tests.support.processes.running import free_port, start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cluster.controlplane import ControlPlane
    from tests.support.gitops.git_server import Repository

EXAMPLE = Path(__file__).resolve().parents[3] / "gitops" / "flux" / "products.yaml"
OPERATOR, FLUX = "gitops-operator", "gitops-flux"
"""Accounts of the operator and of Flux, by which the audit log tells who wrote."""
NAMESPACE = "flux-system"
CONTROLLERS = ("source-controller", "kustomize-controller")
SOURCES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")
_tokens = count(1)


class Verdict(Enum):
    """What the condition Ready of a Kustomization says, by its status."""

    GREEN = "True"
    RED = "False"
    WAITS = "Unknown"


@dataclass(frozen=True)
class Seen:
    """A verdict, the commit that it is about, since when it holds, and the text beside it."""

    commit: str
    verdict: Verdict
    since: str
    said: str


@dataclass(frozen=True)
class Folder:
    """The folder `products` of a repository, which Flux applies as gitops/flux/products.yaml says."""

    plane: ControlPlane
    name: str
    repository: Repository

    def commit(self, *products: dict[str, Any]) -> str:
        """Commit these products, and have Flux look at the repository; the hash of the commit."""
        commit = self.repository.commit_products(*products)
        source, kustomization = documents = list(yaml.safe_load_all(EXAMPLE.read_text()))
        source["metadata"]["name"] = kustomization["metadata"]["name"] = self.name
        source["spec"]["url"] = self.repository.url
        kustomization["spec"]["sourceRef"]["name"] = self.name
        self.plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
        self._ask(SOURCES)  # as `flux reconcile source git` does
        return commit

    def reconcile(self) -> Seen:
        """What Flux says after another comparison of the cluster with Git.

        It is asked for as `flux reconcile kustomization` does, and ends with the health checks.
        """
        self._ask(KUSTOMIZATIONS)
        return self.seen()

    def seen(self) -> Seen:
        """What Flux says now."""
        found = self._read(KUSTOMIZATIONS)
        status = found.get("status", {})
        conditions = {one["type"]: one for one in status.get("conditions", ())}
        ready = conditions.get("Ready")
        commit = status.get("lastAttemptedRevision", "").rpartition(":")[2]
        if ready is None or ready["observedGeneration"] != found["metadata"]["generation"]:
            return Seen(commit, Verdict.WAITS, "", "")
        return Seen(commit, Verdict(ready["status"]), ready["lastTransitionTime"], ready["message"])

    def until(self, verdict: Verdict, commit: str) -> Seen:
        """What Flux says of this commit, once that is its verdict."""
        last: list[Seen] = []

        def holds() -> Seen | None:
            last[:] = [self.seen()]
            right = last[0].verdict is verdict and last[0].commit == commit
            return last[0] if right else None

        try:
            seen = eventually(holds, seconds=90, every=0.3, what=f"{verdict} at {commit}")
        except AssertionError:
            print(f"{self.name}: {last}")
            raise
        assert seen
        return seen

    def _ask(self, resource: Resource) -> None:
        token = f"test-{next(_tokens)}"
        body = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        merge_patch(self.plane.kubeconfig, resource.path(NAMESPACE, self.name), body)

        def handled() -> bool:
            status = self._read(resource).get("status", {})
            return bool(status.get("lastHandledReconcileAt") == token)

        eventually(handled, seconds=60, what=f"{resource.kind} {self.name} reconciled")

    def _read(self, resource: Resource) -> dict[str, Any]:
        return get(self.plane.kubeconfig, resource.path(NAMESPACE, self.name))


@contextmanager
def followed(plane: ControlPlane, name: str, repository: Repository) -> Iterator[Folder]:
    """A repository that Flux follows from the first commit to the end of a block, which prunes it."""
    try:
        yield Folder(plane, name, repository)
    finally:
        for resource in (KUSTOMIZATIONS, SOURCES):
            plane.kubectl("delete", resource.qualified, name, "-n", NAMESPACE, "--ignore-not-found")


@contextmanager
def flux(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Flux for the length of a block; the last lines of its controllers are printed when it fails."""
    definitions = [
        f"--filename={module_folder(f'github.com/fluxcd/{name}') / 'config/crd/bases'}"
        for name in CONTROLLERS
    ]
    plane.kubectl("apply", "--server-side", *definitions)
    wait_until_established(plane.kubectl, *definitions)
    plane.kubectl("create", "namespace", NAMESPACE)
    environment = {
        "KUBECONFIG": str(plane.kubeconfig_for(FLUX, ("system:masters",))),
        "RUNTIME_NAMESPACE": NAMESPACE,
    }
    storage = f"127.0.0.1:{free_port()}"
    processes = []
    try:
        for name in CONTROLLERS:
            health = f"127.0.0.1:{free_port()}"
            command = [
                str(program(name)),
                *(_stored(folder, storage) if name == "source-controller" else ()),
                f"--health-addr={health}",
                f"--metrics-addr=127.0.0.1:{free_port()}",
            ]
            processes.append(start(command, log=folder / f"{name}.log", env=environment))
            answers = partial(_answers, f"http://{health}/readyz")
            eventually(answers, seconds=90, what=f"{name} ready")
        yield
    except BaseException:
        for log in folder.glob("*.log"):
            print(f"{log.stem}, last lines:", *log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        for process in processes:
            stop(process)


def _stored(folder: Path, address: str) -> Sequence[str]:
    return (
        f"--storage-path={folder}",
        f"--storage-addr={address}",
        f"--storage-adv-addr={address}",
    )


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
