"""The control plane that the API tests stand on does what it promises."""

from __future__ import annotations

import json

import pytest

from cluster.controlplane import ControlPlane, Options
from cluster.definitions import ESTABLISHED, HAS_CONDITIONS, wait_until_established
from cluster.errors import ClusterError
from tests.support.apiserver.audit import audited
from tests.support.waiting import eventually

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "model"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "model"}},
        "template": {
            "metadata": {"labels": {"app": "model"}},
            "spec": {"containers": [{"name": "model", "image": "any"}]},
        },
    },
}

PENDING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "pendings.test.example"},
    "spec": {
        "group": "test.example",
        "names": {"kind": "Pending", "plural": "pendings"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": PENDING},
            }
        ],
    },
}


def pending(conditions: list[dict[str, str]] | None) -> str:
    return json.dumps(
        {
            "apiVersion": "test.example/v1",
            "kind": "Pending",
            "metadata": {"name": "one"},
            "status": {"conditions": conditions},
        }
    )


def ready_replicas(control_plane: ControlPlane, namespace: str) -> str:
    return control_plane.kubectl(
        "get", "deployment", "model", "-o", "jsonpath={.status.readyReplicas}", "-n", namespace
    )


def may_read(control_plane: ControlPlane, read: tuple[str, ...]) -> bool:
    try:
        control_plane.kubectl(*read)
    except ClusterError:
        return False
    return True


def test_pods_become_ready_on_fake_nodes(control_plane, namespace):
    control_plane.kubectl("create", "-f", "-", "-n", namespace, stdin=json.dumps(DEPLOYMENT))

    eventually(lambda: ready_replicas(control_plane, namespace) == "3")


def test_a_new_namespace_has_its_default_service_account(control_plane, namespace):
    eventually(
        lambda: "default" in control_plane.kubectl("get", "serviceaccounts", "-n", namespace)
    )


def test_a_new_crd_with_null_conditions_is_awaited(control_plane, namespace):
    control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    wait_until_established(control_plane.kubectl, "crd/pendings.test.example")
    control_plane.kubectl("create", "-f", "-", "-n", namespace, stdin=pending(None))
    one = ("pendings.test.example/one", f"--namespace={namespace}")

    with pytest.raises(ClusterError, match="accessor error"):
        control_plane.kubectl("wait", f"--for={ESTABLISHED}", "--timeout=30s", *one)
    with pytest.raises(ClusterError, match="timed out"):
        control_plane.kubectl("wait", f"--for={HAS_CONDITIONS}", "--timeout=1s", *one)

    established = [{"type": "Established", "status": "True"}]
    control_plane.kubectl("replace", "-f", "-", "-n", namespace, stdin=pending(established))
    wait_until_established(control_plane.kubectl, *one)


def test_an_answered_request_is_in_the_audit_log(control_plane, namespace):
    control_plane.kubectl("create", "configmap", "written", "-n", namespace)

    writes = [
        event
        for event in audited(control_plane.audit_log)
        if event["verb"] == "create"
        and event.get("objectRef", {}).get("namespace") == namespace
        and event["objectRef"]["name"] == "written"
    ]
    assert [(event["user"]["username"], event["responseStatus"]["code"]) for event in writes] == [
        ("sluicegate-admin", 201)
    ]


def test_data_and_address_survive_a_killed_api_server_and_etcd():
    with ControlPlane(Options(controller_manager=False, scheduler=False)) as control_plane:
        url = control_plane.url
        control_plane.kubectl("create", "configmap", "kept", "-n", "default")

        for name in ("kube-apiserver", "etcd"):
            control_plane.restart(name)

        assert control_plane.url == url
        assert "kept" in control_plane.kubectl("get", "configmap", "kept", "-n", "default")


def test_a_paused_api_server_answers_again_after_it_resumes():
    with ControlPlane(Options(controller_manager=False, scheduler=False)) as control_plane:
        control_plane.pause("kube-apiserver")
        control_plane.resume("kube-apiserver")

        assert "default" in control_plane.kubectl("get", "namespaces")


def test_two_control_planes_on_one_machine_are_isolated(control_plane, namespace):
    with ControlPlane(Options(controller_manager=False, scheduler=False)) as other:
        assert other.url != control_plane.url
        assert namespace not in other.kubectl("get", "namespaces")


def test_a_stopped_control_plane_leaves_no_process_and_no_file():
    with ControlPlane(Options(controller_manager=False, scheduler=False)) as control_plane:
        assert control_plane.is_alive("etcd")

    assert not control_plane.is_alive("etcd")
    assert not control_plane.is_alive("kube-apiserver")
    assert not control_plane.folder.exists()


def test_a_user_without_a_role_binding_has_no_rights(control_plane, namespace):
    kubeconfig = f"--kubeconfig={control_plane.kubeconfig_for('visitor')}"
    read = ("get", "pods", "-n", namespace, kubeconfig)
    with pytest.raises(ClusterError, match='User "visitor" cannot list'):
        control_plane.kubectl(*read)
    binding = ("rolebinding", "visitor", "--clusterrole=view", "--user=visitor")
    control_plane.kubectl("create", *binding, "-n", namespace)

    eventually(lambda: may_read(control_plane, read))
