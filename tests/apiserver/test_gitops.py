"""The examples of gitops/, admitted by the definitions of Flux and Argo CD.

What their controllers make of them is in tests/gitops.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cluster.builds import module_folder
from cluster.definitions import wait_until_established

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = {
    "github.com/fluxcd/helm-controller": "config/crd/bases/*.yaml",
    "github.com/fluxcd/kustomize-controller": "config/crd/bases/*.yaml",
    "github.com/fluxcd/source-controller": "config/crd/bases/*_gitrepositories.yaml",
    "github.com/argoproj/argo-cd/v3": "manifests/crds/application-crd.yaml",
}
NAMES = (
    "helmreleases.helm.toolkit.fluxcd.io",
    "kustomizations.kustomize.toolkit.fluxcd.io",
    "gitrepositories.source.toolkit.fluxcd.io",
    "applications.argoproj.io",
)
EXAMPLES = (
    "flux/operator.yaml",
    "flux/products.yaml",
    "argocd/operator.yaml",
    "argocd/application.yaml",
)


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    for module, files in DEFINITIONS.items():
        for file in module_folder(module).glob(files):
            control_plane.kubectl("apply", "--server-side", "-f", str(file))
    wait_until_established(control_plane.kubectl, *(f"crd/{name}" for name in NAMES))
    for namespace in ("flux-system", "argocd"):
        control_plane.kubectl("create", "namespace", namespace)
    return control_plane


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_gitops_example_is_admitted_with_each_of_its_fields(plane: ControlPlane, example: str):
    path = ROOT / "gitops" / example

    said = plane.kubectl("apply", "--server-side", "--validate=strict", "-f", str(path))

    assert said.count("serverside-applied") == len(list(yaml.safe_load_all(path.read_text())))


def test_the_argo_cd_configmap_accepts_our_health_checks_and_actions(plane: ControlPlane):
    patch = ROOT / "gitops/argocd/argocd-cm.yaml"
    plane.kubectl("create", "configmap", "argocd-cm", "-n", "argocd")

    plane.kubectl("-n", "argocd", "patch", "configmap", "argocd-cm", "--patch-file", str(patch))

    found = json.loads(plane.kubectl("get", "configmap", "argocd-cm", "-n", "argocd", "-o", "json"))
    assert found["data"] == yaml.safe_load(patch.read_text())["data"]


@pytest.mark.parametrize("file", sorted((ROOT / "crds").iterdir()), ids=lambda file: file.stem)
def test_our_crd_is_stored_as_written(plane: ControlPlane, file: Path):
    """Argo CD would apply another one indefinitely: what isn't stored is a difference."""
    plane.kubectl("apply", "--server-side", "-f", str(file))

    stored = json.loads(plane.kubectl("get", "-f", str(file), "-o", "json"))["spec"]

    assert stored == yaml.safe_load(file.read_text())["spec"] | {"conversion": {"strategy": "None"}}


def test_an_unknown_field_in_a_gitops_example_is_refused(plane: ControlPlane):
    _, products = yaml.safe_load_all((ROOT / "gitops/flux/products.yaml").read_text())
    products["spec"]["healthCheckExpressions"] = products["spec"].pop("healthCheckExprs")

    with pytest.raises(Exception, match="healthCheckExpressions"):
        plane.kubectl(
            "apply", "--server-side", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(products)
        )
