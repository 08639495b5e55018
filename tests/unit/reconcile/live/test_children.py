"""Which changes of a product and its Deployments requeue it, and with which priority."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, Key
from sluicegate.reconcile.live.children import (
    DeploymentRecord,
    deployment_record,
    route_record,
    watched,
)
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.live.request_annotations import REQUESTS
from sluicegate.runtime.cache import Cache, Caches
from sluicegate.runtime.interfaces import QueuePriority, Watched
from tests.support.decisions.rollout_world import serving_world

if TYPE_CHECKING:
    from collections.abc import Callable


def deployment(
    version: int = 7, *, desired: int = 2, generation: int = 1, **status: int
) -> dict[str, Any]:
    """Return a product's Deployment at a resourceVersion."""
    return {
        "metadata": {
            "namespace": "shop",
            "name": "cars",
            "uid": "u",
            "resourceVersion": str(version),
            "generation": generation,
            "labels": {names.LABEL_PRODUCT: "cars"},
        },
        "spec": {"replicas": desired},
        "status": {"observedGeneration": 1} | status,
    }


def refused(why: str) -> DeploymentRecord:
    """Return a Deployment of which the API server takes no pod."""
    body = deployment()
    body["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": why}]
    found = deployment_record(body)
    assert found.refusal == why
    return found


def record(**changes: int) -> DeploymentRecord:
    found = deployment_record(deployment(**changes))
    assert found is not None
    return found


MADE = {"replicas": 2, "unavailableReplicas": 2}
READY = {"replicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (record(observedGeneration=0), record(), False),
        (record(), record(**MADE), False),
        (refused("exceeded quota: a"), refused("exceeded quota: b"), False),
        (record(**MADE), record(**READY | {"readyReplicas": 1}), True),
        (record(**READY), record(**MADE), True),
        (record(**READY), record(**READY, generation=2), True),
        (record(desired=0, **MADE), record(desired=0), True),
        (record(**READY), record(desired=3, **READY), True),
    ],
    ids=[
        "it was seen",
        "pods were made",
        "it is refused in other words",
        "the first is ready",
        "none is ready any more",
        "its newest form isn't seen yet",
        "the last has gone",
        "more are wanted",
    ],
)
def test_a_change_of_a_field_that_a_pass_reads_requeues_the_product(before, after, matters):
    assert (before != after) is matters


def test_a_backend_without_a_weight_has_weight_1_as_in_the_gateway_api():
    route = deployment() | {
        "spec": {"rules": [{"backendRefs": [{"name": "a"}, {"name": "b", "weight": 0}]}]}
    }
    found = route_record(route)
    assert found.weights == (("a", 1), ("b", 0))


@pytest.mark.parametrize(("accepted", "resolved"), [("True", "False"), ("False", "True")])
def test_an_accepted_route_may_have_unresolved_backends(accepted, resolved):
    conditions = [
        {"type": kind, "status": said, "reason": f"{kind}{said}", "message": "", "observedGeneration": 1}
        for kind, said in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]  # fmt: skip
    gateway = {"parentRef": {"name": "web"}, "conditions": conditions}
    found = route_record(deployment() | {"spec": {}, "status": {"parents": [gateway]}})
    (parent,) = found.parents
    assert (parent.accepted, parent.resolved) == (accepted == "True", resolved == "True")
    assert "False" in parent.message


@pytest.mark.parametrize("label", [None, "trucks"])
def test_a_child_belongs_to_its_controller_reference_whatever_its_product_label(label):
    """A Deployment of a former version isn't applied again: nothing else shows that it exists."""
    caches = Caches(watched())
    body = deployment()
    owner = {"kind": names.KIND, "name": "cars", "uid": "of-cars", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    caches.written(DEPLOYMENTS, body)
    body["metadata"] |= {
        "labels": {names.LABEL_PRODUCT: label} if label else {},
        "resourceVersion": "8",
    }
    change = caches[DEPLOYMENTS].observe(body)
    assert change.product == Key("shop", "cars")
    (child,) = caches[DEPLOYMENTS].children(change.product)
    assert isinstance(child, DeploymentRecord)
    assert (child.version, child.owner) == (8, "of-cars")


def product(version: int, **meta: Any) -> dict[str, Any]:
    """Return a DataProduct at a resourceVersion."""
    known = {"namespace": "shop", "name": "cars", "uid": "u", "generation": 1}
    spec, status = meta.pop("spec", {}), meta.pop("status", {})
    metadata = {**known, "resourceVersion": str(version), **meta}
    return {"metadata": metadata, "spec": spec, "status": status}


NOW = "2026-11-25T12:00:00Z"


@pytest.mark.parametrize(
    ("changed", "priority"),
    [
        ({"generation": 2, "spec": {"owner": "other"}}, QueuePriority.URGENT),
        *(({"annotations": {request: "1"}}, QueuePriority.URGENT) for request in REQUESTS),
        ({"deletionTimestamp": NOW}, QueuePriority.URGENT),
        ({"status": {"state": "Healthy"}}, QueuePriority.NORMAL),
        ({"labels": {"team": "search"}, "annotations": {"kubectl": "last-applied"}}, None),
    ],
    ids=[
        "spec",
        *(request.partition("/")[2] for request in REQUESTS),
        "deletion",
        "status",
        "labels",
    ],
)
def test_a_spec_change_has_a_higher_queue_priority_than_a_status_change(changed, priority):
    cache = Cache(Watched(DATA_PRODUCTS, product_record))
    first = cache.observe(product(7))
    assert first.priority is QueuePriority.URGENT, "someone created it"
    change = cache.observe(product(8, **changed))
    assert (change and change.priority) == priority


def test_a_change_of_a_child_has_normal_queue_priority():
    cache = Cache(Watched(DEPLOYMENTS, deployment_record))
    for version, ready in enumerate((0, 1), start=7):
        change = cache.observe(deployment(version, readyReplicas=ready))
        assert change.priority is QueuePriority.NORMAL


# ---- memory -----------------------------------------------------------------------------------
PRODUCTS = 500


def bytes_of_each(make: Callable[[dict[str, Any]], object], text: str) -> float:
    """Return the mean bytes of PRODUCTS objects of this JSON with distinct names."""
    tracemalloc.start()
    kept = []
    for number in range(PRODUCTS):
        body = json.loads(text)
        body["metadata"] |= {
            "name": f"cars-{number}",
            "uid": f"uid-{number}",
            "resourceVersion": str(number),
        }
        kept.append(make(body))
    del body
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / len(kept)


@pytest.mark.slow
def test_cached_records_take_at_most_a_fifth_of_the_memory_of_the_api_objects():
    world = serving_world(30)
    product = json.dumps({**world.spec, "status": world.status})
    child = json.dumps(deployment())
    whole = bytes_of_each(lambda body: body, product) + bytes_of_each(lambda body: body, child)
    slim = bytes_of_each(product_record, product) + bytes_of_each(deployment_record, child)
    assert slim <= whole / 5, (slim, whole)


def test_a_deployment_is_scaled_when_its_replicas_were_set_last():
    def entry(manager: str, operation: str, hour: int, **fields: Any) -> dict[str, Any]:
        owned = {"f:spec": {"f:replicas": {}}}
        time = f"2026-11-29T{hour:02}:00:00Z"
        return {
            "manager": manager,
            "operation": operation,
            "time": time,
            "fieldsV1": owned,
        } | fields

    applied = entry(names.FIELD_MANAGER, "Apply", 8)
    scaled = entry("kube-controller-manager", "Update", 9, subresource="scale")
    reported = entry("kube-controller-manager", "Update", 10, subresource="status")
    eight = int(datetime(2026, 11, 29, 8, tzinfo=UTC).timestamp())
    body = deployment()
    for entries, is_scaled, scaled_at in (
        ([], False, 0),
        ([applied, reported], False, eight),
        ([applied, scaled, reported], True, eight + 3600),
    ):
        body["metadata"]["managedFields"] = entries
        found = deployment_record(body)
        assert (found.scaled, found.scaled_at) == (is_scaled, scaled_at)
