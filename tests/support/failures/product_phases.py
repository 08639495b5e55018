"""Products in each phase of their life under an operator of a release, and what it writes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import REQUEST_RETRAIN
from tests.support.failures.replicas import apply, audited_writes, product, read, replicas
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane
    from tests.support.failures.releases import ReleaseTree
    from tests.support.failures.replicas import Replica

NAMESPACE = "products"
RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
CHILDREN = "deployments,services,jobs,poddisruptionbudgets,pods"
PRODUCTS = ("serves", "canary", "training")


@contextlib.contextmanager
def operator(
    plane: ControlPlane, release: ReleaseTree, user: str, folder: Path
) -> Iterator[Replica]:
    """Yield the operator of a release, under a user of its own in the audit log."""
    settings = {
        "SLUICEGATE_NAMESPACE": NAMESPACE,
        "SLUICEGATE_WATCH_NAMESPACES": NAMESPACE,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
        **release.environment(),
    }
    origin = release.run("import sluicegate; print(sluicegate.__file__)")
    assert str(release.folder) in origin
    with replicas(plane, folder, user, extra=settings) as (replica,):
        eventually(replica.leads, seconds=60, what=f"{user} leads")
        yield replica


def has_reconciled_all(replica: Replica) -> bool:
    """Return whether the operator reconciled each product since its start, and no key waits."""
    results = ("success", "requeue_after")
    passes = sum(
        replica.metric(
            f'controller_runtime_reconcile_total{{controller="dataproduct",result="{result}"}}'
        )
        for result in results
    )
    depth = replica.metric('workqueue_depth{name="dataproduct"}')
    return passes >= 2 * len(PRODUCTS) and depth == 0


def statuses(plane: ControlPlane) -> dict[str, Any]:
    """Return the status of each product by its name."""
    return {
        body["metadata"]["name"]: body.get("status", {})
        for body in read(plane, "dataproducts", "-n", NAMESPACE)
    }


def children(plane: ControlPlane) -> dict[tuple[str, str], tuple[str, int]]:
    """Return identity and generation of all that the products own, and their pods."""
    return {
        (body["kind"], body["metadata"]["name"]): (
            body["metadata"]["uid"],
            body["metadata"].get("generation", 0),
        )
        for body in read(plane, CHILDREN, "-n", NAMESPACE)
    }


def writes(plane: ControlPlane, user: str) -> list[tuple[str, str]]:
    """Return the writes of an operator, except those of its Lease."""
    return [
        (write.verb, write.target)
        for write in audited_writes(plane, [user])
        if write.resource != "leases"
    ]


def products() -> list[dict[str, Any]]:
    """Return a product that serves, one with a candidate later, one that trains, and a suspended one."""
    suspended, training = product(NAMESPACE, "suspended"), product(NAMESPACE, "training")
    suspended["spec"]["suspend"] = True
    training["spec"] |= {
        "slos": [{"name": "a", "indicator": {"availability": {}}, "objective": "0.999"}],
        "retraining": {
            "mode": "Manual",
            "command": ["python", "-m", "train"],
            "output": "registry.example/bentos/training",
        },
    }
    return [product(NAMESPACE, "serves"), product(NAMESPACE, "canary"), suspended, training]


def annotate(plane: ControlPlane, name: str, annotation: str) -> None:
    plane.kubectl("annotate", "dataproduct", name, "-n", NAMESPACE, f"{annotation}=1")


def wait_until_idle(plane: ControlPlane, user: str) -> None:
    """Wait until an operator has written nothing for five seconds."""
    counts: list[int] = []

    def is_idle() -> bool:
        counts.append(len(writes(plane, user)))
        return counts[-2:-1] == counts[-1:]

    eventually(is_idle, seconds=60, what=f"{user} writes nothing", every=5)


def begin(plane: ControlPlane) -> None:
    """Bring the products into their phases, with a running operator."""
    apply(plane, *products())
    eventually(
        lambda: all(statuses(plane)[name].get("stable") for name in PRODUCTS),
        seconds=90,
        what="each product serves",
    )
    newer = product(NAMESPACE, "canary", version="v2")
    newer["spec"]["model"]["bento"]["image"] = f"registry.example/b@sha256:{'b' * 64}"
    apply(plane, newer)
    annotate(plane, "training", REQUEST_RETRAIN)
    eventually(
        lambda: (
            statuses(plane)["canary"].get("candidate", {}).get("phase") == "Stepping"
            and "lastResult" in statuses(plane)["training"].get("retraining", {})
        ),
        seconds=90,
        what="a canary and the end of a training",
    )
