"""A namespace whose platform assigns the user and group of pods, as OpenShift's restricted-v2 does."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cluster.errors import ClusterError
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.backend import Backend

API: Final = "admissionregistration.k8s.io/v1"
USER: Final = 1_000_770_000
"""The first user of a namespace's range; its group is 0."""


@contextmanager
def assigned_ids(cluster: Backend, namespace: str) -> Iterator[None]:
    """Assign the ids of pods without any, and refuse pods with others, for the length of a block."""
    name = f"ids-{namespace}"
    policies = list(_policies(name, namespace))
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": policies})
    cluster.run_kubectl("apply", "-f", "-", stdin=listed)
    try:
        eventually(lambda: _are_in_force(cluster, namespace), what="policies of ids in force")
        yield
    finally:
        kinds = ",".join(policy["kind"].lower() for policy in policies)
        cluster.run_kubectl("delete", kinds, name, "--wait=false")


def _policies(name: str, namespace: str) -> Iterator[dict[str, Any]]:
    constraints = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ],
    }
    ids = f"runAsUser: {USER}, runAsGroup: 0, fsGroup: {USER}"
    part = f"Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{{ids}}}}}}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": part}}
    without = "object.spec.?securityContext.?runAsUser.orValue(0) == 0"
    assigned = f"object.spec.?securityContext.?runAsUser.orValue(0) == {USER}"
    specs = {
        "MutatingAdmissionPolicy": {
            "matchConstraints": constraints,
            "matchConditions": [{"name": "without-ids", "expression": without}],
            "reinvocationPolicy": "Never",
            "mutations": [mutation],
        },
        "ValidatingAdmissionPolicy": {
            "matchConstraints": constraints,
            "validations": [
                {"expression": assigned, "message": "the user isn't of the namespace's range"}
            ],
        },
    }
    actions = {"ValidatingAdmissionPolicy": {"validationActions": ["Deny"]}}
    meta = {"name": name}
    for kind, spec in specs.items():
        yield {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}
        binding = {"policyName": name, **actions.get(kind, {})}
        yield {"apiVersion": API, "kind": f"{kind}Binding", "metadata": meta, "spec": binding}


def _are_in_force(cluster: Backend, namespace: str) -> bool:
    """Return whether a pod without ids gets one, and a pod with another user is refused."""
    arguments = ("create", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-")
    try:
        created = json.loads(cluster.run_kubectl(*arguments, stdin=_pod()))
    except ClusterError:
        return False
    if created["spec"]["securityContext"].get("runAsUser") != USER:
        return False
    try:
        cluster.run_kubectl(*arguments, stdin=_pod(runAsUser=1034))
    except ClusterError:
        return True
    return False


def _pod(**security: int) -> str:
    container = {"name": "main", "image": "registry.example/none"}
    spec = {"containers": [container], "securityContext": security}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}
    )
