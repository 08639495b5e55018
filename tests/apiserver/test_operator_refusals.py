"""What a real API server refuses of a product's children is on the product, and nothing is wedged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cluster.errors import ClusterError
from tests.apiserver.test_operator_products import (
    children,
    condition,
    control_plane,
    is_ready,
    namespace,
    operator,
    says,
    start,
)
from tests.support.replicas import apply, product, read
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

__all__ = ["control_plane", "namespace", "operator", "start"]
pytestmark = pytest.mark.timeout(300)

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
    """Whether the policy refuses what it should."""
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


def test_a_policy_that_refuses_a_change_is_told_and_ends(control_plane, namespace, operator):
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    forbid(control_plane, namespace)
    eventually(lambda: in_force(control_plane, namespace), seconds=60, what="the policy in force")
    changed = product(namespace, "cars")
    changed["spec"].setdefault("serving", {})["podLabels"] = {"big": "yes"}
    apply(control_plane, changed)
    message = eventually(
        says(control_plane, namespace, "cars", kind="Stalled", reason="ApplyRefused"), what="told"
    )
    assert "nobody may be big here" in message
    assert condition(control_plane, namespace, "cars", "Ready")["status"] == "False"
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready again")


def test_a_child_that_lost_its_label_gets_it_back(control_plane, namespace, operator):
    apply(control_plane, product(namespace, "cars"))
    eventually(is_ready(control_plane, namespace, "cars"), seconds=60, what="cars ready")
    deployment = next(name for name in children(control_plane, namespace) if "Deployment" in name)
    label = "sluicegate.dev/product"
    control_plane.kubectl("label", deployment, "-n", namespace, f"{label}-")

    def is_back() -> bool:
        (found,) = read(control_plane, "deployments", "-n", namespace)
        return bool(found["metadata"]["labels"].get(label) == "cars")

    eventually(is_back, what="the label is back")
