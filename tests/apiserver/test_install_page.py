"""The commands of docs/install.md for a cluster, typed one after the other, on a real API server.

The operator's pods hold nothing here; that it runs in its image is shown on the node.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from benchmarks.prometheus_stand_in import PrometheusStandIn
from cluster.builds import program
from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_gateway, install_gateway_api
from tests.support.meanwhile import meanwhile
from tests.support.node.live_product import get, merge_patch
from tests.support.pages.shell import Shell
from tests.support.pages.steps import ROOT, Command, File, steps
from tests.support.pages.tiers import CLUSTER, tier
from tests.support.prometheus.scripted_prometheus import Truth, hosted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)

PAGE = ROOT / "docs/install.md"
MONITORS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")
"""Kinds of the Prometheus Operator that the values of the page enable."""
HELM = (
    "helm install sluicegate charts/sluicegate --namespace sluicegate-system --values values.yaml"
)
AGAIN = "helm uninstall sluicegate --namespace sluicegate-system"
FIRST = {
    "values.yaml --set crds.install=false": [AGAIN],
    "kubectl delete dataproducts": [f"{HELM} --set crds.install=false"],
    "sluicegate-finance": [
        "kubectl create namespace sluicegate-system", HELM, "kubectl create namespace finance",
        "cp values.yaml finance.yaml",
    ],
}  # fmt: skip
"""What a reader has done before who needs a command that has these words."""


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Yield a cluster of this page alone, with a gateway and the Prometheus Operator's kinds."""
    with ControlPlane(Options(fake_nodes=2)) as started:
        install_gateway_api(started)
        install_gateway(started, "web")
        for kind in MONITORS:
            started.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(_crd(kind)))
        started.kubectl(
            "wait", "--for=condition=Established", "--timeout=60s",
            *(f"crd/{kind.lower()}s.monitoring.coreos.com" for kind in MONITORS),
        )  # fmt: skip
        yield started


def _crd(kind: str) -> dict[str, object]:
    """Return a kind that takes any fields: those of the real one are the business of its operator."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


@pytest.fixture
def shell(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Shell]:
    """Yield a terminal in a clone, with a Prometheus behind the page's address."""
    for name in ("charts", "crds"):
        shutil.copytree(ROOT / name, tmp_path / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("kubectl", "helm"):
        (tools / name).symlink_to(program(name))
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"KUBECONFIG": str(control_plane.kubeconfig), "PATH": path, "HOME": str(tmp_path)}
    with hosted(PrometheusStandIn(Truth())) as server:
        spells = {"http://127.0.0.1:9090": server.url}
        with Shell(tmp_path, env=environment, spells=spells) as started:
            yield started


@pytest.fixture(autouse=True)
def kubelet_of_tests(control_plane: ControlPlane) -> Iterator[None]:
    """End the pod of `helm test`, which no node runs here, during the block."""
    path = "/api/v1/namespaces/sluicegate-system/pods"

    def end() -> None:
        for pod in get(control_plane.kubeconfig, path)["items"]:
            if "helm.sh/hook" in pod["metadata"].get("annotations", {}):
                status = {"status": {"phase": "Succeeded"}}
                name = pod["metadata"]["name"]
                merge_patch(control_plane.kubeconfig, f"{path}/{name}/status", status)

    with meanwhile(end, every=0.3):
        yield


def test_each_command_of_the_install_page_has_the_described_effect(
    control_plane: ControlPlane, shell: Shell
):
    for step in steps(PAGE):
        if isinstance(step, File):
            shell.write(step)
        elif tier(step) == CLUSTER:
            for words, before in FIRST.items():
                if words in step.text:
                    for line in before:
                        shell.run(Command(line))
            shell.run(step)

    releases = shell.run(Command("helm list --all-namespaces --short"))
    assert releases.split() == ["sluicegate", "sluicegate-finance"]
    shell.run(Command("kubectl get secret pricing-feedback --namespace shop"))
    roles = shell.run(Command("kubectl get roles --namespace finance -o name"))
    assert "sluicegate-finance" in roles


def test_another_helm_release_adopts_the_crds_only_with_take_ownership(shell: Shell):
    other = HELM.replace("install sluicegate ", "install other ").replace(
        "sluicegate-system", "elsewhere"
    )
    shell.run(Command("kubectl create namespace elsewhere"))
    (values,) = (step for step in steps(PAGE) if isinstance(step, File) and step.name == "values.yaml")  # fmt: skip
    shell.write(values)
    shell.run(Command("kubectl create namespace sluicegate-system || true"))
    shell.run(Command(f"{AGAIN} --ignore-not-found"))
    shell.run(Command(f"{HELM} --set replicas=1"))
    shell.run(Command(AGAIN))

    refused = shell.run(Command(other, refused=True))
    assert "exists and cannot be imported into the current release" in refused
    shell.run(Command(f"{other} --take-ownership"))
