"""What a real API server makes of the operator's own process: a table, and a policy's refusal.

Controllers and scheduler are real; pods are played by kwok.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from cluster.errors import ClusterError
from cluster.kinds import install_crds, install_gateway_api
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.failures.replicas import apply, product, replicas
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
USER = "products-operator"


@pytest.fixture(autouse=True)
def operator(control_plane, namespace, tmp_path):
    """Yield the operator of the test's namespace."""
    install_crds(control_plane)
    install_gateway_api(control_plane)
    settings = {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_WATCH_NAMESPACES": namespace,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": RUNTIME,
    }
    with replicas(control_plane, tmp_path, USER, extra=settings):
        yield


def live(plane: ControlPlane, namespace: str, name: str) -> dict[str, Any]:
    return get(plane.kubeconfig, DATA_PRODUCTS.path(namespace, name))


def condition(plane: ControlPlane, namespace: str, name: str, kind: str) -> dict[str, Any]:
    found = live(plane, namespace, name).get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def is_ready(plane: ControlPlane, namespace: str, name: str) -> Callable[[], bool]:
    return lambda: condition(plane, namespace, name, "Ready").get("status") == "True"


def table(plane: ControlPlane, namespace: str) -> dict[str, dict[str, str]]:
    """Return the printer columns of `kubectl get dataproducts`, by product."""
    header, *lines = plane.kubectl("get", "dataproducts", "-n", namespace).splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    rows = [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]
    return {row[0].rpartition("/")[2]: dict(zip(header.split(), row, strict=True)) for row in rows}


def test_the_table_names_which_product_needs_a_person_and_why(control_plane, namespace):
    suspended = product(namespace, "suspended")
    suspended["spec"]["suspend"] = True
    for body in (product(namespace, "serves"), suspended):
        apply(control_plane, body)
    eventually(is_ready(control_plane, namespace, "serves"), seconds=60, what="it serves")
    shown = eventually(
        lambda: (
            found
            if (found := table(control_plane, namespace))["suspended"]["REASON"] == "Suspended"
            else {}
        ),
        what="the reason",
    )
    assert shown["serves"]["REASON"] == ""
    assert (
        shown["serves"]["MODEL"]
        == live(control_plane, namespace, "serves")["status"]["stable"]["version"]
    )


POLICY: dict[str, Any] = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["deployments"],
                }
            ]
        },
        "validations": [
            {
                "expression": "!has(object.spec.template.metadata.labels.big)",
                "message": "nobody may be big here",
            }
        ],
    },
}


def forbid(plane: ControlPlane, namespace: str) -> None:
    """Let a policy of the cluster refuse Deployments with big pods in a namespace."""
    binding = {
        "apiVersion": POLICY["apiVersion"],
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }
    apply(plane, POLICY | {"metadata": {"name": namespace}}, binding)


def in_force(plane: ControlPlane, namespace: str) -> bool:
    """Return whether the policy refuses what it should."""
    labels = {"app": "try", "big": "yes"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "try", "namespace": namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "try"}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }
    try:
        apply(plane, body)
    except ClusterError as error:
        return "nobody may be big" in str(error)
    plane.kubectl("delete", "deployment", "try", "-n", namespace)
    return False


def test_a_change_refused_by_an_admission_policy_is_reported_as_stalled_until_it_is_reverted(
    control_plane, namespace
):
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    forbid(control_plane, namespace)
    eventually(lambda: in_force(control_plane, namespace), seconds=60, what="the policy in force")
    changed = product(namespace, "cars")
    changed["spec"].setdefault("serving", {})["podLabels"] = {"big": "yes"}
    apply(control_plane, changed)

    def refused() -> str:
        stalled = condition(control_plane, namespace, "cars", "Stalled")
        return str(stalled["message"]) if stalled.get("reason") == "ApplyRefused" else ""

    assert "nobody may be big here" in eventually(refused, what="told")
    assert condition(control_plane, namespace, "cars", "Ready")["status"] == "False"
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready again")
