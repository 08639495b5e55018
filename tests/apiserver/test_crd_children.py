"""The children as a real API server has them: accepted, stored as meant, and then left alone."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client, dynamic
from kubernetes.config import new_client_from_config

from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import Trigger
from sluicegate.kube.managed_fields import fingerprint, owned_part
from sluicegate.manifests.plan import initial_children, spec_version
from sluicegate.manifests.training import Attempt, build_training_job
from sluicegate.settings import ServiceKind, Settings
from tests.support.samples.product_examples import BENTO_URL, HEX, changed
from tests.support.waiting import eventually

RUNTIME = "registry.example/runtime@sha256:" + "d" * 64
SCALED = {
    "spec.serving.replicas": None,
    "spec.serving.autoscaling": {"minReplicas": 2, "maxReplicas": 4, "metrics": [
        {"pods": {"name": "in_progress", "averageValue": "4"}},
        {"external": {"name": "p99_seconds", "matchLabels": {"app": "a"}, "value": "0.2"}},
    ]},
    "spec.serving.resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}},
}  # fmt: skip
FETCHED = BENTO_URL | {"spec.model.bento.sha256": HEX, "spec.model.bento.url": "pvc://models/a.tar"}
PASSED_ON = {
    "spec.serving.runtimeClassName": "sandbox",
    "spec.serving.resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
    "spec.serving.volumes": [
        {"name": "weights", "emptyDir": {"sizeLimit": "1024Mi"}},
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "shared", "persistentVolumeClaim": {"claimName": "shared", "readOnly": False}},
        {"name": "pod", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpus", "resourceFieldRef": {"containerName": "server", "resource": "limits.cpu"}},
        ]}},
        {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0.5Gi"}},
        }}}},
    ],
    "spec.serving.volumeMounts": [
        {"name": "weights", "mountPath": "/weights", "readOnly": True},
        {"name": "shared", "mountPath": "/shared", "readOnly": False},
    ],
    "spec.serving.initContainers": [{
        "name": "fetch-weights", "image": "registry.example/fetch:1", "command": ["fetch"],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [{"name": "weights", "mountPath": "/weights"}],
    }, {"name": "cache", "image": "registry.example/cache:1", "restartPolicy": "Always"}],
}  # fmt: skip
"""A product that gives parts of its pods."""
PRODUCTS = {"mounted": {}, "scaled": SCALED, "fetched": FETCHED, "with parts of its own": PASSED_ON}


@pytest.fixture(scope="module")
def api(control_plane) -> client.ApiClient:
    return new_client_from_config(str(control_plane.kubeconfig))


@pytest.fixture(scope="module")
def cluster(api) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(api)


def product_in(namespace: str, **changes: Any) -> DataProduct:
    """Return the example in a namespace.

    Owned by an object that needn't exist for the schema's sake.
    """
    here = {"metadata.namespace": namespace, "metadata.uid": "5b1c0f0e-0000-4000-8000-000000000001"}
    return DataProduct.parse(changed(here | {"spec.route": None} | changes))


def children_of(product: DataProduct, kind: ServiceKind) -> list[dict[str, Any]]:
    version = spec_version(product, RUNTIME)
    return initial_children(product, version, Settings(service_kind=kind))


def apply(cluster: dynamic.DynamicClient, child: dict[str, Any]) -> dict[str, Any]:
    resource = cluster.resources.get(api_version=child["apiVersion"], kind=child["kind"])
    applied = resource.server_side_apply(
        body=child, namespace=child["metadata"]["namespace"], field_manager=names.FIELD_MANAGER
    )
    return applied.to_dict()


def is_as_applied(child: dict[str, Any], live: dict[str, Any]) -> bool:
    """Return whether the operator would leave it as it lives."""
    return fingerprint(owned_part(live, names.FIELD_MANAGER)) == fingerprint(child)


@pytest.mark.parametrize("kind", ServiceKind)
@pytest.mark.parametrize("changes", PRODUCTS.values(), ids=PRODUCTS)
def test_an_applied_child_is_stored_as_in_its_manifest(cluster, namespace, changes, kind):
    product = product_in(namespace, **changes)
    for child in children_of(product, kind):
        live = apply(cluster, child)
        assert is_as_applied(child, live), child["kind"]


def test_a_second_apply_of_a_child_changes_nothing(cluster, namespace):
    for child in children_of(product_in(namespace, **SCALED), ServiceKind.HEADLESS):
        # The garbage collector deletes what an absent owner owns, at times between the two.
        del child["metadata"]["ownerReferences"]
        first, again = apply(cluster, child), apply(cluster, child)
        assert first["spec"] == again["spec"]
        assert first["metadata"].get("generation") == again["metadata"].get("generation")


@pytest.mark.parametrize("changes", PRODUCTS.values(), ids=PRODUCTS)
def test_pods_are_admitted_where_the_restricted_profile_is_enforced(api, namespace, changes):
    core = client.CoreV1Api(api)
    core.patch_namespace(
        namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    )
    eventually(
        lambda: core.list_namespaced_service_account(namespace).items,
        what="the namespace's service account",
    )
    product = product_in(namespace, **changes)
    deployment, *_ = children_of(product, ServiceKind.HEADLESS)
    for owner in (deployment, training_job(product)):
        template = owner["spec"]["template"]
        pod = {
            "metadata": template["metadata"] | {"name": "a"},
            "spec": template["spec"]
            | {"priorityClassName": None, "runtimeClassName": None, "serviceAccountName": None},
        }
        assert core.create_namespaced_pod(namespace, pod, dry_run="All")


def test_a_training_job_is_accepted_and_stored_unchanged(cluster, namespace):
    job = training_job(product_in(namespace))
    assert is_as_applied(job, apply(cluster, job))


def test_a_training_by_template_is_accepted(cluster, namespace):
    template = {
        "spec": {
            "containers": [{"name": "train", "image": "registry.example/train:1",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        }
    }  # fmt: skip
    product = product_in(
        namespace, **{"spec.retraining.command": [], "spec.retraining.podTemplate": template}
    )
    assert is_as_applied(training_job(product), apply(cluster, training_job(product)))


def training_job(product: DataProduct) -> dict[str, Any]:
    trigger = Trigger(id="0a1b2c3d", cause="Requested", version="v1", trigger_time=0)
    attempt = Attempt(trigger=trigger, number=1, stable=spec_version(product, RUNTIME))
    return build_training_job(product, product.spec.retraining, attempt)
