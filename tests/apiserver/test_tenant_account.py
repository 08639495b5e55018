"""The operator writes as an account of each namespace, on a real API server with the chart's roles.

Its own token then writes no object of a product: the account that it impersonates has the rights that the
platform bound to it in the namespace, and the admission policy judges both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cluster.kinds import install_crds, install_gateway_api
from sluicegate.api import names
from tests.support.apiserver.people import Person, chart
from tests.support.failures.replicas import Replica, apply, product, read, ready_in_turn
from tests.support.node.live_product import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

RELEASE = "tenant-sluicegate"
SYSTEM = "sluicegate-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}", "system:authenticated")
ACCOUNT = "sluicegate-tenant"
BOUND, UNBOUND = "tenant-bound", "tenant-unbound"
"""A namespace whose account has the role of the chart, and one whose account has none."""
GRANTS = ("ClusterRole", "Role", "ServiceAccount", "ValidatingAdmissionPolicy")
SERVICES = "/api/v1/namespaces/{}/services"


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Yield the chart's grants and policies for an account of each namespace."""
    install_crds(control_plane)
    install_gateway_api(control_plane)
    for name in (BOUND, UNBOUND):
        control_plane.kubectl("create", "namespace", name)
        control_plane.kubectl("label", "namespace", name, "sluicegate.dev/products=true")
        control_plane.kubectl("create", "serviceaccount", ACCOUNT, "-n", name)
    if not control_plane.kubectl("get", "namespace", SYSTEM, "--ignore-not-found", "-o", "name"):
        control_plane.kubectl("create", "namespace", SYSTEM)
    objects = chart(RELEASE, f"settings.tenantAccount={ACCOUNT}")
    apply(control_plane, *(one for one in objects if one["kind"].startswith(GRANTS)))
    bind(control_plane, BOUND)
    yield control_plane
    for one in objects:
        if one["kind"].startswith("ValidatingAdmissionPolicyBinding"):
            control_plane.kubectl(
                "delete", one["kind"], one["metadata"]["name"], "--ignore-not-found"
            )


def bind(plane: ControlPlane, namespace: str) -> None:
    """Give the account of a namespace the role, with the command of the docs."""
    plane.kubectl(
        "create", "rolebinding", ACCOUNT, "-n", namespace,
        f"--clusterrole={RELEASE}-tenant", f"--serviceaccount={namespace}:{ACCOUNT}",
    )  # fmt: skip


def service(namespace: str, name: str, *owners: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "ownerReferences": list(owners)},
        "spec": {"selector": {"sluicegate.dev/product": name}, "ports": [{"port": 80}]},
    }  # fmt: skip


def owner(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}/stock"
    uid = get(plane.kubeconfig, path)["metadata"]["uid"]
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "stock", "uid": uid, "controller": True}  # fmt: skip


def test_the_operators_token_writes_only_as_an_account_that_the_platform_bound(plane):
    token = plane.kubeconfig_for(OPERATOR, GROUPS)
    for namespace in (BOUND, UNBOUND):
        apply(plane, product(namespace, "stock"))

    def refusal(namespace: str, *owners: dict[str, Any], user: str) -> str:
        body = service(namespace, "stock", *owners)
        thief = Person(plane, user, kubeconfig=token)
        return thief.send("POST", SERVICES.format(namespace), body, dryRun="All").refusal

    def account(namespace: str) -> str:
        return f"system:serviceaccount:{namespace}:{ACCOUNT}"

    owned = owner(plane, BOUND)
    assert "cannot create resource" in refusal(BOUND, owned, user="")
    eventually(lambda: not refusal(BOUND, owned, user=account(BOUND)), what="the role in force")
    eventually(
        lambda: "controlled before" in refusal(BOUND, user=account(BOUND)),
        what="the policy in force",
    )
    assert "cannot create resource" in refusal(
        UNBOUND, owner(plane, UNBOUND), user=account(UNBOUND)
    )
    assert "cannot create resource" in refusal(BOUND, owned, user=account(UNBOUND))
    for user in (f"system:serviceaccount:{BOUND}:default", "system:admin"):
        assert "cannot impersonate" in refusal(BOUND, owned, user=user), user


def test_a_product_serves_by_the_account_of_its_namespace_and_names_a_missing_role(plane, tmp_path):
    settings = {
        "KUBECONFIG": str(plane.kubeconfig_for(OPERATOR, GROUPS)),
        "SLUICEGATE_NAMESPACE": SYSTEM,
        "SLUICEGATE_WATCH_NAMESPACES": f"{BOUND},{UNBOUND}",
        "SLUICEGATE_TENANT_ACCOUNT": ACCOUNT,
        "SLUICEGATE_DEFAULT_RUNTIME_IMAGE": f"registry.example/runtime@sha256:{'d' * 64}",
    }
    with ready_in_turn([Replica(plane, "tenant", tmp_path, extra=settings)]):
        for namespace in (BOUND, UNBOUND):
            apply(plane, product(namespace, "cars"))
        eventually(
            lambda: condition(plane, BOUND, "Ready")["status"] == "True", seconds=60, what="ready"
        )
        stalled = eventually(lambda: refused(plane, UNBOUND), seconds=60, what="the refusal")
        assert f'User "system:serviceaccount:{UNBOUND}:{ACCOUNT}" cannot' in stalled
        assert "the role of the account that writes it" in stalled
        bind(plane, UNBOUND)
        eventually(
            lambda: condition(plane, UNBOUND, "Ready")["status"] == "True", seconds=90,
            what="the product whose account has the role now",
        )  # fmt: skip
        plane.kubectl("delete", "dataproduct", "cars", "-n", BOUND)


def condition(plane: ControlPlane, namespace: str, kind: str) -> dict[str, str]:
    (cars,) = (
        each
        for each in read(plane, "dataproducts", "-n", namespace)
        if each["metadata"]["name"] == "cars"
    )
    conditions = cars.get("status", {}).get("conditions", ())
    return next(
        (each for each in conditions if each["type"] == kind), {"status": "", "message": ""}
    )


def refused(plane: ControlPlane, namespace: str) -> str:
    stalled = condition(plane, namespace, "Stalled")
    return stalled["message"] if stalled.get("reason") == "ApplyRefused" else ""
