"""The port against a real API server: what each call gives, and how each failure is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cluster.kinds import install_crds
from sluicegate.kube import errors, requests
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login
from sluicegate.kube.leases import LeaseRecord, LeaseStore
from sluicegate.kube.managed_fields import fingerprint, owned_part
from sluicegate.kube.requests import ABSENT
from sluicegate.kube.resources import (
    CONFIG_MAPS,
    DATA_PRODUCTS,
    DEPLOYMENTS,
    NAMESPACES,
    Key,
    Resource,
)
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate
from tests.support.failures.replicas import product

MANAGER = "sluicegate"


@pytest.fixture(scope="module", autouse=True)
def crds(control_plane):
    install_crds(control_plane)


@pytest.fixture
async def transport(control_plane, monkeypatch):
    # How long a write may take isn't what is tested here, and the machine may be busy.
    monkeypatch.setattr(requests, "WRITE_SECONDS", 60.0)
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    opened = Transport(Connections(login))
    yield opened
    await opened.close()


@pytest.fixture
def api(transport) -> KubeApi:
    return KubeApi(transport, OpenGate(), field_manager=MANAGER)


def config_map(namespace: str, name: str = "a", **data: str) -> dict:
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {"of": "test"}},
        "data": data,
    }


def deployment(namespace: str, *, memory: str = "512Mi") -> dict:
    container = {
        "name": "main",
        "image": "registry.example/a:1",
        "ports": [{"name": "http", "containerPort": 3000}],
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": ""}],
        "resources": {"requests": {"cpu": "0.5", "memory": memory}},
    }
    return {
        "metadata": {"namespace": namespace, "name": "web", "labels": {"a": "b"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [container], "tolerations": []},
            },
        },
    }


async def test_the_time_is_the_api_servers(api):
    assert api.server_time() is None
    before = datetime.now(UTC).timestamp()
    await api.get(NAMESPACES, Key("", "default"))
    told = api.server_time()
    assert told is not None
    second = 1.0  # what a Date leaves out
    assert before - second <= told <= datetime.now(UTC).timestamp()


@pytest.mark.parametrize(
    ("resource", "build"),
    [
        (CONFIG_MAPS, config_map),
        (DEPLOYMENTS, deployment),
        (DATA_PRODUCTS, lambda namespace: product(namespace, "a")),
    ],
)
async def test_an_object_that_must_be_absent_is_created_once_and_never_overwritten(
    api, namespace, resource: Resource, build
):
    body = build(namespace)
    await api.apply(resource, body, resource_version=ABSENT)
    with pytest.raises(errors.Conflict):
        await api.apply(resource, body, resource_version=ABSENT)


@pytest.mark.parametrize(
    ("resource", "build"),
    [(CONFIG_MAPS, config_map), (DATA_PRODUCTS, lambda namespace: product(namespace, "a"))],
    ids=["ConfigMap", "DataProduct"],
)
async def test_applying_with_the_uid_of_what_was_deleted_creates_nothing(
    api, namespace, resource: Resource, build
):
    body = build(namespace)
    meta = (await api.apply(resource, body))["metadata"]
    observed = {**body, "metadata": {**body["metadata"], "uid": meta["uid"]}}
    live = await api.apply(resource, observed, resource_version=meta["resourceVersion"])
    assert fingerprint(owned_part(live, MANAGER)) == fingerprint(body)
    version = live["metadata"]["resourceVersion"]
    await api.delete(resource, Key(namespace, "a"))
    with pytest.raises(errors.Conflict):
        await api.apply(resource, observed, resource_version=version)
    with pytest.raises(errors.NotFound):
        await api.get(resource, Key(namespace, "a"))


async def test_annotations_are_merged_and_removed(api, namespace):
    await api.apply(CONFIG_MAPS, config_map(namespace))
    key = Key(namespace, "a")
    await api.patch(CONFIG_MAPS, key, {"metadata": {"annotations": {"x": "1", "y": "2"}}})
    await api.patch(CONFIG_MAPS, key, {"metadata": {"annotations": {"x": None}}})
    assert (await api.get(CONFIG_MAPS, key))["metadata"]["annotations"] == {"y": "2"}


async def test_a_refusal_by_the_schema_names_the_field(api, namespace):
    wrong = deployment(namespace)
    wrong["spec"]["replicas"] = -1
    with pytest.raises(errors.Invalid, match=r"spec\.replicas"):
        await api.apply(DEPLOYMENTS, wrong)


async def test_a_user_without_rights_is_told_so(control_plane, monkeypatch, namespace):
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig_for("nobody")))
    transport = Transport(Connections(login))
    api = KubeApi(transport, OpenGate(), field_manager=MANAGER)
    with pytest.raises(errors.Forbidden, match="nobody"):
        await api.apply(CONFIG_MAPS, config_map(namespace))
    await transport.close()


async def test_an_api_server_that_does_not_listen_is_transient(
    control_plane, monkeypatch, tmp_path
):
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(
        control_plane.kubeconfig.read_text().replace(control_plane.url, "https://127.0.0.1:1")
    )
    monkeypatch.setenv("KUBECONFIG", str(elsewhere))
    transport = Transport(Connections(login))
    api = KubeApi(transport, OpenGate(), field_manager=MANAGER)
    with pytest.raises(errors.Transient):
        await api.get(NAMESPACES, Key("", "default"))
    await transport.close()


async def test_of_two_that_take_a_lease_at_the_same_version_one_gets_a_conflict(
    transport, namespace
):
    store = LeaseStore(transport, Key(namespace, "lease"))
    assert await store.read() is None
    first = await store.write(LeaseRecord(holder="a"))
    second = await store.write(replace(first, holder="b"))
    assert second.holder == "b"
    with pytest.raises(errors.Conflict):
        await store.write(replace(first, holder="c"))
    with pytest.raises(errors.AlreadyExists):
        await store.write(LeaseRecord(holder="b"))


async def test_what_others_add_does_not_count_as_a_difference(api, namespace):
    body = deployment(namespace)
    await api.apply(DEPLOYMENTS, body)
    other = api_of_another(api)
    live = await other.patch(
        DEPLOYMENTS, Key(namespace, "web"), {"metadata": {"annotations": {"by": "somebody"}}}
    )
    assert fingerprint(owned_part(live, MANAGER)) == fingerprint(body)


async def test_amounts_are_compared_and_not_their_spelling(api, namespace):
    live = await api.apply(DEPLOYMENTS, deployment(namespace, memory="1Gi"))
    other = deployment(namespace, memory="1024Mi")
    assert fingerprint(owned_part(live, MANAGER)) == fingerprint(other)


def api_of_another(api: KubeApi) -> KubeApi:
    return KubeApi(api._transport, OpenGate(), field_manager="somebody")
