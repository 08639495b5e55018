"""Each write is for the object that was observed, at its version: a late one changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api import names
from sluicegate.kube.errors import Conflict, Invalid
from sluicegate.kube.requests import ABSENT_VERSION
from sluicegate.kube.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    Key,
)
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import RUNTIME, World, serving_world

KINDS = (DEPLOYMENTS, SERVICES, POD_DISRUPTION_BUDGETS, HORIZONTAL_POD_AUTOSCALERS, HTTP_ROUTES)
ONE_OF_EACH = {
    "serving": {
        "runtimeImage": RUNTIME,
        "resources": {"requests": {"cpu": "100m"}},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
    },
}


@pytest.fixture(scope="module")
def world() -> World:
    """Return a product that serves and has a child of each kind."""
    return serving_world(2, **ONE_OF_EACH)


@pytest.fixture
def children(world):
    allocation = allocation_of(world.product, world.current, stable_pods=2)
    found = build_children(world.product, allocation, {}, service_kind=ServiceKind.HEADLESS)
    assert {one.resource for one in found} == set(KINDS)
    return found


@pytest.fixture
async def live(server, reconciler, record, children):
    """Return the children as they were created and observed; what was sent for it is forgotten."""
    await reconciler.effects.keeper.applier.apply(record, children)
    server.sent.clear()
    return children


def changed(child: Child, **fields: object) -> Child:
    manifest = {**child.manifest, "spec": {**child.manifest["spec"], **fields}}
    return replace(child, manifest=manifest, fingerprint=f"{child.fingerprint} changed")


@pytest.fixture
async def fewer(server, reconciler, record, children) -> list[Child]:
    """Return the children, of which the Deployment lives with two pods and is to have one."""

    def with_pods(count: int, **of_services: object) -> list[Child]:
        per_kind = {DEPLOYMENTS: {"replicas": count}, SERVICES: of_services}
        return [changed(child, **per_kind.get(child.resource, {})) for child in children]

    await reconciler.effects.keeper.applier.apply(record, with_pods(2))
    return [
        replace(one, fingerprint=f"{one.fingerprint} again")
        for one in with_pods(1, selector={"sluicegate.dev/revision": "another"})
    ]


def pods(server) -> int:
    (deployment,) = (one for path, one in server.objects.items() if "deployments" in path)
    return deployment["spec"]["replicas"]


def observed(reconciler, resource, key) -> tuple[str, str]:
    found = reconciler.reader.observer.caches[resource].get(key)
    return found.uid, str(found.version)


# ---- children -------------------------------------------------------------------------------
async def test_a_create_requires_that_the_object_is_absent(server, reconciler, record, children):
    await reconciler.effects.keeper.applier.apply(record, children)
    assert [write.observed for write in server.writes] == [(None, ABSENT_VERSION)] * len(children)


async def test_each_update_has_the_observed_uid_and_resource_version_for_any_kind(
    server, reconciler, record, live
):
    expected = [observed(reconciler, one.resource, one.key) for one in live]
    await reconciler.effects.keeper.applier.apply(record, live)
    assert [write.observed for write in server.writes] == expected


async def test_each_deletion_has_the_observed_uid_and_resource_version_for_any_kind(
    server, reconciler, record, live
):
    leftovers = list(reconciler.effects.keeper.applier.leftovers(record, ()))
    assert {resource for resource, _ in leftovers} == set(KINDS)
    for resource, one in leftovers:
        await reconciler.effects.keeper.applier.delete(resource, one)
    assert [write.method for write in server.writes] == ["DELETE"] * len(live)
    assert [write.observed for write in server.writes] == [
        (one.uid, str(one.version)) for _, one in leftovers
    ]


@pytest.mark.parametrize("resource", KINDS, ids=lambda one: one.kind)
async def test_a_late_update_is_refused_and_the_next_one_has_the_live_version(
    server, reconciler, record, live, resource
):
    child = next(one for one in live if one.resource == resource)
    moved = server.move(resource, child.key)
    with pytest.raises(Conflict):
        await reconciler.effects.keeper.applier.apply(record, [child])
    assert server.objects[resource.path(*child.key)] is moved
    await reconciler.effects.keeper.applier.apply(record, [child])
    meta = moved["metadata"]
    assert server.writes[-1].observed == (meta["uid"], meta["resourceVersion"])


@pytest.mark.parametrize("resource", KINDS, ids=lambda one: one.kind)
async def test_a_late_deletion_is_refused_and_the_next_one_has_the_live_version(
    server, reconciler, record, live, resource
):
    key = next(one.key for one in live if one.resource == resource)
    cache = reconciler.reader.observer.caches[resource]
    server.move(resource, key)
    with pytest.raises(Conflict):
        await reconciler.effects.keeper.applier.delete(resource, cache.get(key))
    await reconciler.effects.keeper.applier.delete(resource, cache.get(key))
    assert resource.path(*key) not in server.objects


async def test_a_late_update_does_not_create_a_deleted_object_again(
    server, reconciler, record, live
):
    server.objects = {path: one for path, one in server.objects.items() if "httproutes" not in path}
    route = next(one for one in live if one.resource == HTTP_ROUTES)
    with pytest.raises(Conflict):
        await reconciler.effects.keeper.applier.apply(record, [route])
    assert HTTP_ROUTES.path(*route.key) not in server.objects


async def test_a_deployment_is_scaled_down_after_the_route_and_service_are_applied(
    server, reconciler, record, fewer
):
    server.invalid.add("services")
    routed = [one for one in fewer if one.resource != HTTP_ROUTES]
    leftovers = list(reconciler.effects.keeper.applier.leftovers(record, routed))

    with pytest.raises(Invalid):
        await reconciler.effects.keeper.applier.apply(record, routed, leftovers)
    assert pods(server) == 2
    assert not [obj for obj in server.objects if "httproutes" in obj]

    server.invalid.clear()
    await reconciler.effects.keeper.applier.apply(record, routed)
    assert pods(server) == 1


async def test_a_refused_deletion_of_one_leftover_does_not_prevent_the_deletion_of_a_route(
    server, reconciler, record, live
):
    server.invalid.add("services")
    leftovers = list(reconciler.effects.keeper.applier.leftovers(record, ()))
    leftovers.sort(key=lambda leftover: leftover[0] != SERVICES)

    with pytest.raises(Invalid):
        await reconciler.effects.keeper.applier.apply(record, (), leftovers)

    assert not [obj for obj in server.objects if "httproutes" in obj]
    assert [obj for obj in server.objects if "deployments" in obj]


async def test_a_refused_limit_of_an_autoscaler_holds_back_the_pods_that_it_makes_room_for(
    server, reconciler, record, fewer
):
    """They came beside all those of the autoscaler, whose status moves each 15 s: Conflicts are usual."""
    limited = [
        changed(one, **({"replicas": 3} if one.resource == DEPLOYMENTS else {})) for one in fewer
    ]
    limited.sort(key=lambda child: child.resource != HORIZONTAL_POD_AUTOSCALERS)
    server.invalid.add("horizontalpodautoscalers")
    with pytest.raises(Invalid):
        await reconciler.effects.keeper.applier.apply(record, limited)
    assert pods(server) == 2
    server.invalid.clear()
    await reconciler.effects.keeper.applier.apply(record, limited)
    assert pods(server) == 3


async def test_the_deletion_of_an_absent_object_is_no_error(server, reconciler, record, live):
    server.objects.clear()
    for resource, one in list(reconciler.effects.keeper.applier.leftovers(record, ())):
        await reconciler.effects.keeper.applier.delete(resource, one)


async def test_an_object_that_an_earlier_leader_created_is_read_after_a_conflict(
    server, reconciler, record, children
):
    deployment = children[0]
    server.keep(deployment.resource, deployment.manifest)
    with pytest.raises(Conflict):
        await reconciler.effects.keeper.applier.apply(record, [deployment])
    await reconciler.effects.keeper.applier.apply(record, [deployment])
    assert [one.method for one in server.sent] == ["PATCH", "GET", "PATCH"]


# ---- trainings ------------------------------------------------------------------------------
def training(record, *, finished: bool) -> dict:
    owner = {"kind": names.KIND, "uid": record.uid, "controller": True}
    ended = [{"type": "Complete", "status": "True"}] if finished else []
    return {
        "metadata": {
            "name": "search-train-0a1b2c3d-1",
            "namespace": record.key.namespace,
            "labels": {names.LABEL_PRODUCT: record.key.name},
            "ownerReferences": [owner],
        },
        "spec": {},
        "status": {"conditions": ended},
    }


@pytest.mark.parametrize(
    ("finished", "method"), [(False, "DELETE"), (True, "PATCH")], ids=["running", "finished"]
)
async def test_an_unneeded_training_job_is_ended_only_at_its_observed_version(
    server, reconciler, record, world, finished, method
):
    key = Key(record.key.namespace, "search-train-0a1b2c3d-1")
    job = server.keep(JOBS, training(record, finished=finished))
    reconciler.reader.observer.caches.written(JOBS, job)
    _, version = observed(reconciler, JOBS, key)
    server.move(JOBS, key)
    with pytest.raises(Conflict):
        await reconciler.effects.trainer.keep(record, world.observation(), world.current)
    (late,) = server.writes
    assert (late.method, late.observed[1]) == (method, version)
    _, version = observed(reconciler, JOBS, key)
    await reconciler.effects.trainer.keep(record, world.observation(), world.current)
    assert (server.writes[-1].method, server.writes[-1].observed[1]) == (method, version)
    assert len(server.writes) == 2


# ---- status ---------------------------------------------------------------------------------
async def test_the_status_write_has_the_uid_of_the_observed_product(
    server, reconciler, record, world
):
    written = await reconciler.reporter.writer.store.write(record, world.current)
    assert server.writes[-1].path.endswith("/status")
    assert server.writes[-1].observed[1] == str(record.version)
    assert written.version > record.version
    with pytest.raises(Conflict):
        await reconciler.reporter.writer.store.write(record, world.current)
