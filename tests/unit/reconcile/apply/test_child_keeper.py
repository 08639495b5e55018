"""What the API server refuses is on the product at once, and keeps nothing else from being done."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from sluicegate.api.names import ConditionReason
from sluicegate.kube.errors import Conflict, Invalid, from_response
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, SERVICES, Key
from sluicegate.reconcile.apply.child_keeper import obstacle_of
from sluicegate.reconcile.observe.write_obstacle import WriteObstacle, with_obstacle
from tests.support.apiserver.observed_cluster import Cluster, EventNote
from tests.support.decisions.rollout_world import World, serving_world

SEARCH = Key("catalog", "search")
CREATED = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def serving() -> World:
    """Return a product that serves, without a route."""
    return serving_world(2, route=None)


@pytest.fixture
async def cluster(server, serving):
    found = Cluster(server)
    found.add(serving, SEARCH, created=CREATED, route=None, routed=False)
    return found


def change_spec(cluster: Cluster) -> None:
    """Let a person raise the memory that the product asks for."""
    body = deepcopy(cluster.live(DATA_PRODUCTS, SEARCH))
    body["spec"]["serving"]["resources"] = {"requests": {"cpu": "2", "memory": "2Gi"}}
    body["metadata"]["generation"] += 1
    cluster.observe(DATA_PRODUCTS, body)


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    found = cluster.live(DATA_PRODUCTS, SEARCH)["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def listen(cluster: Cluster) -> list[tuple[str, str, str]]:
    told: list[tuple[str, str, str]] = []
    object.__setattr__(cluster.reconciler.reporter.writer, "recorder", EventNote(told))
    return told


async def test_a_spec_change_that_the_api_server_refuses_is_not_reported_as_applied(cluster):
    """Status said Ready, and Reconciling of nothing, at the new generation, before it was tried."""
    await cluster.reconcile(SEARCH)
    change_spec(cluster)
    cluster.server.invalid.add("deployments")
    cluster.server.sent.clear()
    with pytest.raises(Invalid):
        await cluster.reconcile(SEARCH)
    written = [
        write.body["status"] for write in cluster.server.writes if write.path.endswith("/status")
    ]
    assert written, "status says nothing of the new generation"
    for status in written:
        ready = next(
            condition for condition in status["conditions"] if condition["type"] == "Ready"
        )
        assert (ready["status"], ready["reason"]) == ("False", "ApplyRefused")
        assert "deployments" in ready["message"]
    assert conditions(cluster)["Stalled"] == ("True", "ApplyRefused")


async def test_a_refused_child_emits_one_event_and_the_condition_ends_when_it_is_accepted(cluster):
    await cluster.reconcile(SEARCH)
    told = listen(cluster)
    change_spec(cluster)
    cluster.server.invalid.add("deployments")
    for _ in range(3):
        with pytest.raises(Invalid):
            await cluster.reconcile(SEARCH)
    assert told == [("search", "Warning", "ApplyRefused")]
    cluster.server.invalid.clear()
    await cluster.reconcile(SEARCH, SEARCH)
    assert "Stalled" not in conditions(cluster)
    assert conditions(cluster)["Ready"][1] != "ApplyRefused"


async def test_a_refusal_that_passed_the_dry_run_is_reported_at_the_write(cluster):
    """A policy that comes later refuses what is written again, say after a hand edit."""
    await cluster.reconcile(SEARCH)
    cluster.server.invalid.add("deployments")
    with pytest.raises(Invalid):
        await cluster.reconcile(SEARCH)
    assert conditions(cluster)["Ready"] == ("False", "ApplyRefused")


async def test_a_refused_child_of_the_first_version_is_reported_at_once(cluster):
    for key in ("deployments", "services", "poddisruptionbudgets"):
        for path in [obj for obj in cluster.server.objects if f"/{key}/" in obj]:
            del cluster.server.objects[path]
    body = deepcopy(cluster.live(DATA_PRODUCTS, SEARCH)) | {"status": {}}
    fresh = Cluster(cluster.server)
    fresh.observe(DATA_PRODUCTS, body)
    cluster.server.invalid.add("deployments")
    with pytest.raises(Invalid):
        await fresh.reconcile(SEARCH)
    assert conditions(fresh)["Stalled"] == ("True", "ApplyRefused")


@pytest.mark.parametrize("resource", [DEPLOYMENTS, SERVICES], ids=lambda one: one.kind)
async def test_a_removed_label_of_a_child_is_restored(cluster, resource):
    """Its watch no longer reported it: each creation met a conflict, indefinitely."""
    await cluster.reconcile(SEARCH)
    path = next(obj for obj in cluster.server.objects if f"/{resource.plural}/search" in obj)
    body = deepcopy(cluster.server.objects[path])
    del body["metadata"]["labels"]["sluicegate.dev/product"]
    cluster.observe(resource, body)
    await cluster.reconcile(SEARCH)
    assert cluster.server.objects[path]["metadata"]["labels"]["sluicegate.dev/product"] == "search"
    await cluster.reconcile(SEARCH)


@pytest.mark.parametrize("kind", ["None", "10.0.0.7"], ids=["headless", "with an address"])
async def test_an_existing_service_keeps_its_type(server, kind):
    """The setting's other kind was refused for each of them, and nothing more was applied."""
    world = serving_world(2)
    cluster = Cluster(server)
    cluster.add(world, SEARCH, created=CREATED)
    path = next(obj for obj in server.objects if "/services/search-" in obj)
    body = deepcopy(server.objects[path])
    body["spec"]["clusterIP"] = kind
    cluster.observe(SERVICES, body)
    server.sent.clear()
    await cluster.reconcile(SEARCH)
    (sent,) = [write.body["spec"] for write in server.writes if write.path == path]
    assert sent.get("clusterIP", sent.get("type")) == ("None" if kind == "None" else "ClusterIP")


async def test_a_status_write_with_a_conflict_is_repeated_in_the_next_reconcile(cluster):
    """A watch that is late, or broken, kept it from being written until it came."""
    body = deepcopy(cluster.live(DATA_PRODUCTS, SEARCH))
    body["status"]["conditions"] = []
    cluster.observe(DATA_PRODUCTS, body)
    cluster.server.move(DATA_PRODUCTS, SEARCH)
    with pytest.raises(Conflict):
        await cluster.reconcile(SEARCH)
    await cluster.reconcile(SEARCH)
    assert conditions(cluster)["Ready"][0] == "True"


def test_a_name_conflict_is_reported_before_a_refused_route(serving):
    before = replace(serving.observation(), conflict="the route", shadowed=True, write_refusal="no")
    conflict = WriteObstacle(ConditionReason.NAME_CONFLICT, "the name")
    refusal = WriteObstacle(ConditionReason.APPLY_REFUSED, "invalid")
    assert with_obstacle(before, conflict) == replace(before, conflict="the name", shadowed=False)
    assert with_obstacle(before, refusal) == replace(before, write_refusal="invalid")
    assert with_obstacle(before, None) == replace(before, write_refusal="")


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (422, "spec.replicas: Invalid value", "correct what the message names in spec"),
        (403, 'exceeded quota: "few"', "a policy, a quota, the role of the account that writes it"),
        (404, "the server could not find the requested resource", "install its kind"),
        (500, 'failed calling webhook "policy.example"', "fix the webhook"),
        (403, 'namespace "shop" is forbidden because it is being terminated', ""),
        (503, "apiserver is starting", ""),
        (409, "the object has been modified", ""),
    ],
)
def test_a_refusal_that_a_person_can_fix_is_reported_with_the_way_out(status, message, told):
    body = json.dumps({"kind": "Status", "message": message}).encode()
    obstacle = obstacle_of(from_response("apply a", status, body, {}))
    assert told in (obstacle.text if obstacle else "")
    assert bool(obstacle) is bool(told)
    assert obstacle is None or message in obstacle.text
