"""What differs from kubeadm's and kind's defaults: less CPU is requested, autoscalers are quicker.

The defaults reserve 950m. On a machine with two CPUs that leaves no room for the add-ons, the
operator, two products, a training and a canary at the same time, and a pod would stay Pending.
The local node's components request nothing.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final

from cluster.components import AUTOSCALING, CONTROLLER_MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATCHES_FOLDER: Final = "kubeadm-patches"
"""Mounted into the node by kind-config.yaml; kubeadm reads it as `patches.directory`."""
CONTROL_PLANE: Final = {
    "etcd": "50m",
    "kube-apiserver": "100m",
    "kube-controller-manager": "50m",
    "kube-scheduler": "20m",
}
"""Static pods, by name of their container."""
SYSTEM: Final = {"deployment/coredns": "10m", "daemonset/kindnet": "10m"}
"""Workloads in kube-system that kubeadm and kind make; a node image may lack one."""
NAMESPACE: Final = "kube-system"


def write_patches(state: Path) -> None:
    """Write kubeadm's patches of the static pods into the folder that the node mounts."""
    folder = state / PATCHES_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, cpu in CONTROL_PLANE.items():
        container = {"name": name, "resources": {"requests": {"cpu": cpu}}}
        patch = {"spec": {"containers": [container]}}
        (folder / f"{name}+strategic.json").write_text(json.dumps(patch))
    flags = [
        {"op": "add", "path": "/spec/containers/0/command/-", "value": flag} for flag in AUTOSCALING
    ]
    (folder / f"{CONTROLLER_MANAGER}1+json.json").write_text(json.dumps(flags))


def lower_system_requests(kubectl: Callable[..., str]) -> None:
    """Reduce CoreDNS to one replica, and the requests of pods in kube-system."""
    namespace = f"--namespace={NAMESPACE}"
    for workload, cpu in SYSTEM.items():
        if not kubectl("get", workload, namespace, "--ignore-not-found", "--output=name"):
            continue
        kubectl("set", "resources", workload, namespace, f"--requests=cpu={cpu}")
        if workload.startswith("deployment/"):
            kubectl("scale", workload, namespace, "--replicas=1")
