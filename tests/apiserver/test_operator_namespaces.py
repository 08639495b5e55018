"""Which namespaces an operator watches: one that is deleted and recreated, one that another watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cluster.kinds import install_crds
from tests.apiserver.test_chart import rendered
from tests.support.failures.replicas import (
    Replica,
    apply,
    audited_writes,
    product,
    read,
    ready_in_turn,
)
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(300)

USER = "confined-operator"


def grant(plane: ControlPlane, namespace: str, rules: list[dict[str, Any]]) -> None:
    """Give the operator's user these rights in a namespace, as a Role of the chart does."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "sluicegate", "namespace": namespace},
        "rules": rules,
    }
    plane.kubectl("apply", "-f", "-", stdin=json.dumps(role))
    plane.kubectl(
        *("create", "rolebinding", "sluicegate", "-n", namespace),
        *("--role=sluicegate", f"--user={USER}"),
    )


def revoke(plane: ControlPlane, namespace: str) -> None:
    """Take the operator's user these rights."""
    plane.kubectl("delete", "rolebinding", "sluicegate", "-n", namespace)


def edit(plane: ControlPlane, namespace: str, owner: str) -> None:
    """Change the spec of the product of a namespace."""
    change = json.dumps({"spec": {"owner": owner}})
    plane.kubectl("patch", "dataproduct/cars", "-n", namespace, "--type=merge", "-p", change)


def is_followed(plane: ControlPlane, namespace: str) -> bool:
    """Return whether the newest spec of the product of a namespace was reconciled."""
    (one,) = read(plane, "dataproducts", "-n", namespace)
    return bool(one["status"].get("observedGeneration") == one["metadata"]["generation"])


def is_reconciled(plane: ControlPlane, namespace: str) -> bool:
    return any("status" in one and "conditions" in one["status"]
               for one in read(plane, "dataproducts", "-n", namespace))  # fmt: skip


def test_a_namespace_without_its_role_does_not_stop_others_and_resumes_with_the_role(
    control_plane, namespace, tmp_path
):
    install_crds(control_plane)
    gone = f"{namespace}-gone"
    control_plane.kubectl("create", "namespace", gone)
    roles = [
        manifest
        for manifest in rendered("--set", f"watchNamespaces={{{gone},{namespace}}}")
        if manifest["kind"] == "Role"
    ]
    rules = {role["metadata"]["namespace"]: role["rules"] for role in roles}
    grant(control_plane, namespace, rules[namespace] + rules["sluicegate"])
    for where in (namespace, gone):
        apply(control_plane, product(where, "cars"))
    operator = Replica(
        control_plane,
        "confined",
        tmp_path,
        extra={
            "KUBECONFIG": str(control_plane.kubeconfig_for(USER, ())),
            "SLUICEGATE_NAMESPACE": namespace,
            "SLUICEGATE_WATCH_NAMESPACES": f"{gone},{namespace}",
        },
    )
    with ready_in_turn([operator]):
        eventually(
            lambda: is_reconciled(control_plane, namespace), seconds=60, what="the other is served"
        )
        refused = 'sluicegate_refused_lists{resource="dataproducts.sluicegate.dev"}'
        assert operator.metric(refused) == 1
        assert not is_reconciled(control_plane, gone)
        grant(control_plane, gone, rules[gone])
        eventually(
            lambda: is_reconciled(control_plane, gone), seconds=90, what="what is back is served"
        )
        assert operator.metric(refused) == 0
        # The same while it runs: first the Role alone, then the namespace with all that is in it.
        revoke(control_plane, gone)
        for where in (gone, namespace):
            edit(control_plane, where, "group:default/others")
        eventually(
            lambda: is_followed(control_plane, namespace), seconds=60, what="the other is served on"
        )
        assert not is_followed(control_plane, gone)
        grant(control_plane, gone, rules[gone])
        eventually(
            lambda: is_followed(control_plane, gone), seconds=90, what="what is back is served on"
        )
        control_plane.kubectl("delete", "namespace", gone, "--wait=true", "--timeout=110s")
        edit(control_plane, namespace, "group:default/catalog")
        eventually(
            lambda: is_followed(control_plane, namespace), seconds=60, what="the other is served on"
        )
        assert operator.leads()


OVERLAPS = "sluicegate_overlapping_products"


def operator(
    plane: ControlPlane, name: str, folder: Path, namespace: str, **settings: str
) -> Replica:
    """Return an operator of its own, by its Lease, in the namespace of its products."""
    extra = {
        "SLUICEGATE_NAMESPACE": namespace,
        "SLUICEGATE_LEASE_NAME": name,
        **{f"SLUICEGATE_{setting}": value for setting, value in settings.items()},
    }
    return Replica(plane, name, folder, extra=extra)


def who_reported_overlap(plane: ControlPlane, namespace: str) -> set[str]:
    """Return the operators that have an event OperatorOverlap in a namespace."""
    events = read(plane, "events.events.k8s.io", "-n", namespace)
    told = [event for event in events if event["reason"] == "OperatorOverlap"]
    return {one["reportingInstance"].partition("_")[0] for one in told}


def test_a_product_is_skipped_by_one_of_two_operators_in_a_namespace_and_both_report_it(
    control_plane, namespace, tmp_path
):
    """Their settings differ, so each would write a status that the other replaces."""
    install_crds(control_plane)
    apply(control_plane, product(namespace, "cars"))
    narrow = operator(
        *(control_plane, "narrow", tmp_path, namespace),
        WATCH_NAMESPACES=namespace,
        DEFAULT_RUNTIME_IMAGE=f"registry.example/runtime@sha256:{'d' * 64}",
    )
    with ready_in_turn([narrow]):
        eventually(lambda: is_followed(control_plane, namespace), what="it is reconciled")
        wide = operator(control_plane, "wide", tmp_path, namespace)
        with ready_in_turn([wide]):
            eventually(
                lambda: who_reported_overlap(control_plane, namespace) == {"narrow", "wide"},
                what="both report it by an event",
            )
            eventually(
                lambda: narrow.metric(OVERLAPS) == wide.metric(OVERLAPS) == 1,
                what="the alert of both fires",
            )
            eventually(lambda: overlap_of(control_plane, namespace), what="status says it")
            said = overlap_of(control_plane, namespace)
            assert f"{namespace}/narrow reconciles the product" in said
            assert f"set SLUICEGATE_EXCLUDED_NAMESPACES={namespace}" in said
            assert writers_since_an_edit(control_plane, namespace) == {"narrow"}
        told = operator(
            *(control_plane, "excluded", tmp_path, namespace), EXCLUDED_NAMESPACES=namespace
        )
        with ready_in_turn([told]):
            assert writers_since_an_edit(control_plane, namespace) == {"narrow"}
            assert told.metric(OVERLAPS) == 0


def overlap_of(plane: ControlPlane, namespace: str) -> str:
    """Return the message of the condition OperatorOverlap of the product; empty without one."""
    (one,) = read(plane, "dataproducts", "-n", namespace)
    conditions = one["status"].get("conditions") or ()
    return next((each["message"] for each in conditions if each["type"] == "OperatorOverlap"), "")


def writers_since_an_edit(plane: ControlPlane, namespace: str) -> set[str]:
    """Return who writes the product's status for a new spec."""
    users = ("narrow", "wide", "excluded")
    target = f"dataproducts/{namespace}/cars"
    before = len(
        [
            audited_write
            for audited_write in audited_writes(plane, users)
            if audited_write.target == target
        ]
    )
    edit(plane, namespace, f"group:default/owners-{before}")
    eventually(lambda: is_followed(plane, namespace), what="the new spec is reconciled")
    writes = [
        audited_write
        for audited_write in audited_writes(plane, users)
        if audited_write.target == target
    ]
    return {write.user for write in writes[before:]}
