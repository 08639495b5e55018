"""The cluster with its add-ons, and the operator installed by its Helm chart."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster import addons
from cluster.cache import write_atomically
from cluster.commands import run
from cluster.errors import ClusterError
from cluster.identity import CHECKOUT
from cluster.tools import tool
from demo.errors import DemoError
from demo.products import BLOCK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster.addons import Addresses
    from cluster.backend import Backend

CHART = CHECKOUT / "charts" / "sluicegate"
RELEASE = "sluicegate"
NAMESPACE = "sluicegate-system"
MARK = "started-by-demo"
INSTALL_SECONDS = 180
PENDING = (
    f"owner=helm,name={RELEASE},status in (pending-install, pending-upgrade, pending-rollback)"
)
"""Labels of Helm's record of an installation that has not ended."""


@dataclass(frozen=True, slots=True)
class Images:
    """References by digest: of the operator, and of the runtime that serves and trains bentos."""

    operator: str
    runtime: str


def start_cluster(backend: Backend) -> bool:
    """Bring cluster and add-ons up; True if the cluster wasn't there before."""
    fresh = backend.up()
    if fresh:
        # Lies in the cluster's own folder and goes with it.
        write_atomically(_mark(backend), "")
    addons.up(backend)
    return fresh


def is_ours(backend: Backend) -> bool:
    """Return whether a demonstration started this cluster."""
    return _mark(backend).exists()


def _mark(backend: Backend) -> Path:
    return backend.state / MARK


def load_images(backend: Backend) -> Images:
    """Build what isn't there yet, and make both images known to the node."""
    with ThreadPoolExecutor(2) as pool:
        operator, runtime = pool.map(backend.provide_image, ("operator", "runtime"))
    return Images(operator, runtime)


def install_operator(backend: Backend, images: Images, where: Addresses) -> None:
    """Install or upgrade the chart, and wait until the operator is ready.

    Raises
    ------
    DemoError
        It wasn't ready in time; the message has the pods' state and the end of their logs.
    """
    forget_interrupted(backend)
    try:
        # A definition that tests have applied by themselves becomes the chart's.
        _helm(
            backend,
            *("upgrade", "--install", RELEASE, str(CHART), "--create-namespace"),
            *("--take-ownership", "--force-conflicts", "--server-side=true"),
            *("--values=-", "--wait", f"--timeout={INSTALL_SECONDS}s"),
            stdin=json.dumps(chart_values(images, where)),
        )
    except ClusterError as error:
        raise DemoError(f"the chart wasn't installed: {error}\n{operator_says(backend)}") from error


def forget_interrupted(backend: Backend) -> None:
    """Delete Helm's record of an installation that was interrupted; Helm would refuse each later one."""
    backend.run_kubectl("delete", "secrets", f"--namespace={NAMESPACE}", f"--selector={PENDING}")


def chart_values(images: Images, where: Addresses) -> dict[str, object]:
    """Return values of the chart: images of this cluster, and blocks of seconds instead of minutes."""
    repository, _, digest = images.operator.partition("@")
    return {
        "image": {"repository": repository, "digest": digest, "pullPolicy": "Never"},
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "768Mi"},
        },
        "settings": {
            "prometheusUrl": where.prometheus_in_pods,
            "defaultRuntimeImage": images.runtime,
            # Prometheus scrapes each second here, so that a block of 5 s holds enough scrapes.
            "scrapeIntervalSeconds": 1,
            "settleSeconds": 1,
            # Twelve blocks, as at blocks of 300 s: a day takes 24 minutes.
            "hourSeconds": 12 * BLOCK_SECONDS,
            "plainHttpRegistries": where.registry_in_pods,
        },
    }


def uninstall_operator(backend: Backend) -> None:
    """Remove the release and its namespace, if they are there."""
    _helm(backend, "uninstall", RELEASE, "--ignore-not-found", "--wait", "--timeout=60s")
    backend.run_kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")


def operator_says(backend: Backend, lines: int = 25) -> str:
    """Return the operator's pods and the end of their logs, for the analysis of a failure."""
    here = ("--namespace", NAMESPACE)
    selector = ("--selector", "app.kubernetes.io/component=operator", f"--tail={lines}")
    questions: dict[str, tuple[str, ...]] = {
        "operator's pods": ("get", "pods", "-o", "wide", *here),
        "end of the operator's log": ("logs", "--prefix", *selector, *here),
    }
    return "\n".join(
        f"{title}:\n{_asked(backend.run_kubectl, question)}"
        for title, question in questions.items()
    )


def _asked(ask: Callable[..., str], question: tuple[str, ...]) -> str:
    try:
        return ask(*question).rstrip() or "(nothing)"
    except ClusterError as error:
        return str(error)


def _helm(backend: Backend, *arguments: str, stdin: str | None = None) -> str:
    return run(
        *(tool("helm"), *arguments),
        *(f"--kubeconfig={backend.kubeconfig}", f"--namespace={NAMESPACE}"),
        stdin=stdin,
        timeout=INSTALL_SECONDS + 30,
    )
