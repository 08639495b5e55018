"""The whole operator on virtual time: hours in a second, with nothing of ours replaced."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.admission import Refused
from benchmarks.virtual.event_loop import run_in
from benchmarks.virtual.trainings import Training
from sluicegate.api import names
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    JOBS,
    SERVICES,
    Key,
    Resource,
)
from tests.support.decisions.rollout_world import image
from tests.support.lives.safety import Safety
from tests.support.virtual.stories import (
    BAD,
    BLOCK,
    HOUR,
    RARELY,
    TRAINED,
    Body,
    on_virtual_time,
    opened,
    product,
    pushed,
    served,
    serving,
    trainings,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest

RECOVERY = 30.0
"""The bar: so many seconds after a hand edit everything is as if there had been none."""


@pytest.mark.slow
@on_virtual_time
async def test_a_degraded_product_is_retrained_and_the_new_version_promoted(world):
    key = world.apply(product())
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    assert trainings(world, key) == 0
    world.cluster.set_quality(image("a"), BAD)
    took = await world.until(
        lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR, what="cured"
    )
    assert took > 600


@pytest.mark.slow
@run_in(lambda: opened(prometheus_url=""))
async def test_without_prometheus_a_pushed_model_waits_for_a_promote_request(world):
    """Its blocks were said to be backfilling without end, and the model wasn't mentioned."""
    key = await served(world, product())
    world.edit(key, model=pushed("b", "v2"))
    await world.until(
        lambda: "v2 waits" in world.status(key).get("decision", {}).get("message", ""),
        seconds=3 * BLOCK,
    )
    missing = world.condition(key, "MetricsAvailable")
    assert missing["reason"] == "PrometheusUnavailable"
    assert "SLUICEGATE_PROMETHEUS_URL" in missing["message"]
    world.annotate(key, **{"sluicegate.dev/promote": "v2/1"})
    await world.until(lambda: serving(world, key) == "v2", seconds=2 * HOUR)


@pytest.mark.slow
@on_virtual_time
async def test_without_a_route_a_good_version_is_promoted_at_the_share_of_its_pods(world):
    """One pod beside four gets a fifth of the requests, which no step of 5 % can be."""
    key = await served(world, product(route=None), **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=2 * HOUR)


@on_virtual_time
async def test_pods_stay_until_a_temporarily_refused_route_has_moved_its_traffic(world):
    """Traffic follows when the route is written, not when that was decided."""

    def no_routes(_: str, request: ApiRequest) -> Refused | None:
        writes = request.method != "GET" and "/httproutes/" in request.path
        return Refused(500, "InternalError", "no") if writes else None

    safety = Safety(world)
    key = await served(
        world, product(serving={"replicas": 1}, analysis={"blockSeconds": 60}), **RARELY
    )
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=60)
    await world.run(60)
    world.network.faults["route"] = no_routes
    world.cluster.workloads.quota[key.namespace] = 1
    world.cluster.workloads.evict(world.cluster.pods_of(key)[-1])
    await world.run(300)
    world.network.faults.clear()
    await world.until(lambda: world.status(key)["candidate"]["phase"] == "Parked", seconds=600)
    await world.run(30)
    assert not safety.found


@pytest.mark.parametrize("scaled", [False, True], ids=["fixed", "scaled"])
@pytest.mark.parametrize("back", [False, True], ids=["in a step", "while it goes back"])
@on_virtual_time
async def test_pods_stay_until_a_removed_route_gets_no_request(world, scaled, back):
    """The gateway refuses its newest weights, and follows its removal seconds later.

    A deadline had passed meanwhile, by which the pods of a rolled back version are deleted.
    """
    number: Body = {"replicas": 2}
    if scaled:
        number = {"autoscaling": {"minReplicas": 2, "maxReplicas": 8}}
    resources = {"requests": {"cpu": "100m"}}
    safety = Safety(world)
    spec = {
        "serving": number | {"resources": resources},
        "rollout": {"steps": [99]},
        "analysis": {"blockSeconds": 60},
    }
    key = await served(world, product(**spec), **RARELY)
    # By its pods alone the candidate would have too few of the scaled, stable of the fixed.
    world.cluster.set_accepts(accepts=scaled or back)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 99, seconds=120)
    await world.run(30)
    if back:
        world.cluster.set_accepts(accepts=False)
        world.cluster.set_rate(key, 0.0 if scaled else 20.0)  # then all blocks are quiet
        world.annotate(key, **{names.REQUEST_ABORT: "v2/1"})
        await world.run(HOUR / 4)
    safety.touch(key)
    world.edit(key, route=None)
    await world.run(60)
    assert not safety.found
    await world.until(lambda: _pods_of(world, key) <= 3, seconds=1200)
    assert not safety.found


def _pods_of(world: World, key: Key) -> int:
    return len(world.cluster.pods_of(key))


def _scaled(world: World, key: Key) -> tuple[Resource, Key]:
    (deployment,) = world.server.all(DEPLOYMENTS, key.namespace)
    return DEPLOYMENTS, Key(key.namespace, deployment["metadata"]["name"])


def _service(_: World, key: Key) -> tuple[Resource, Key]:
    return SERVICES, key


def _route(_: World, key: Key) -> tuple[Resource, Key]:
    return HTTP_ROUTES, key


def _with_image(body: Body) -> Body:
    (container,) = body["spec"]["template"]["spec"]["containers"]
    edited = [{**container, "image": "other"}]
    return {"spec": {"template": {"spec": {"containers": edited}}}}


EDITS: dict[str, tuple[Callable[[World, Key], tuple[Resource, Key]], Callable[[Body], Body]]] = {
    "more pods": (_scaled, lambda _: {"spec": {"replicas": 5}}),
    "another image": (_scaled, _with_image),
    "no label": (_scaled, lambda _: {"metadata": {"labels": {names.LABEL_PRODUCT: None}}}),
    "not watched": (_scaled, lambda _: {"metadata": {"labels": {names.LABEL_MANAGED_BY: None}}}),
    "another selector": (
        _service,
        lambda _: {"spec": {"selector": {names.LABEL_PRODUCT: "other"}}},
    ),
    "no backend": (_route, lambda _: {"spec": {"rules": [{"backendRefs": []}]}}),
}


@pytest.mark.parametrize("edit", EDITS)
@on_virtual_time
async def test_a_manual_edit_of_a_child_is_reverted(world, edit):
    find, change_of = EDITS[edit]
    key = await served(world, product())
    resource, child = find(world, key)
    desired = world.server.get(resource, child)
    parts = desired["spec"], desired["metadata"]["labels"]
    change = change_of(desired)
    edited = world.server.write(resource, child, change)
    assert (edited["spec"], edited["metadata"]["labels"]) != parts

    def undone() -> bool:
        body = world.server.get(resource, child)
        return (body["spec"], body["metadata"]["labels"]) == parts

    await world.until(undone, seconds=RECOVERY)
    await world.until(lambda: serving(world, key) == "v1", seconds=RECOVERY)


@on_virtual_time
async def test_a_manual_scale_is_reverted_with_one_event_that_names_the_field(world):
    key = await served(world, product())
    resource, child = _scaled(world, key)
    before = world.server.get(resource, child)["spec"]["replicas"]
    world.server.write(resource, child, {"spec": {"replicas": 5}}, subresource="scale")
    await world.until(
        lambda: world.server.get(resource, child)["spec"]["replicas"] == before, seconds=RECOVERY
    )
    await world.run(RECOVERY)
    (event,) = [event for event in world.server.all(EVENTS) if event["reason"] == "ScaleReverted"]
    assert event["note"] == (
        f"another client scaled v1 to 5 pods; it is scaled back to {before}, as the spec asks for:"
        " edit spec.serving.replicas to change it"
    )


@on_virtual_time
async def test_a_child_deleted_by_hand_is_recreated(world):
    key = await served(world, product())
    children = [find(world, key) for find in (_scaled, _service, _route)]
    for resource, child in children:
        world.server.delete(resource, child)
    await world.until(
        lambda: all(world.server.find(*child) for child in children), seconds=RECOVERY
    )
    await world.until(lambda: serving(world, key) == "v1", seconds=2 * RECOVERY)


@on_virtual_time
async def test_a_free_training_slot_is_used_at_once_and_not_a_block_later(world):
    keys = [world.apply(product(name)) for name in ("cars", "vans")]
    for key in keys:
        world.cluster.trainings[key] = Training(seconds=BLOCK / 3, report=TRAINED)
    world.start(**RARELY)
    await world.run(HOUR)
    for key in keys:
        world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: len(list(world.server.all(JOBS))) == 1, seconds=2 * BLOCK)
    first = world.loop.time()
    await world.until(lambda: len(list(world.server.all(JOBS))) == 2, seconds=BLOCK)
    assert BLOCK / 3 <= world.loop.time() - first < BLOCK / 2


@pytest.mark.slow
@on_virtual_time
async def test_a_namespace_deleted_during_a_canary_affects_no_other_and_can_be_recreated(world):
    body = product("cars")
    body["metadata"]["namespace"] = "gone"
    cars, neighbour = world.apply(body), world.apply(product("neighbour"))
    replica = world.start(**RARELY)
    await world.run(HOUR / 4)
    world.edit(cars, model=pushed("b", "v2"))
    await world.until(lambda: "candidate" in world.status(cars), seconds=60)
    before = [deployment["metadata"] for deployment in world.server.all(DEPLOYMENTS, "catalog")]

    def terminating(_: str, request: ApiRequest) -> Refused | None:
        """Refuse each create in a namespace that is being deleted, even with the product."""
        made = request.method != "GET" and "/dataproducts/" not in request.path
        if made and "/namespaces/gone/" in request.path:
            tried.append(request.path)
            text = "unable to create new content in namespace gone because it is being terminated"
            return Refused(403, "Forbidden", text)
        return None

    tried: list[str] = []
    world.network.faults["gone"] = terminating
    for resource in (DEPLOYMENTS, SERVICES, HTTP_ROUTES):
        for child in list(world.server.all(resource, "gone")):
            world.server.delete(resource, Key("gone", child["metadata"]["name"]))
    await world.run(60)
    assert any("/deployments/" in path for path in tried)
    world.server.delete_namespace("gone")
    await world.run(HOUR / 4)
    world.network.faults.clear()
    assert replica.leads
    after = [deployment["metadata"] for deployment in world.server.all(DEPLOYMENTS, "catalog")]
    assert [(one["uid"], one["generation"]) for one in after] == [
        (one["uid"], one["generation"]) for one in before
    ]
    assert serving(world, neighbour) == "v1"
    cars = world.apply(body)
    await world.until(lambda: serving(world, cars) == "v1", seconds=60)


@pytest.mark.slow
@on_virtual_time
async def test_a_promotion_causes_eighteen_writes_including_events(world):
    """Two Deployments follow: the new one keeps what it was promoted with, the old one has no pods."""
    serving_one = product()["spec"]["serving"] | {"replicas": 1}
    key = world.apply(product(serving=serving_one))
    world.start(**RARELY)
    await world.run(HOUR / 4)
    sent: list[str] = []
    afterwards: list[str] = []

    def count(_: str, request: ApiRequest) -> None:
        if request.method == "GET" or "/leases" in request.path:
            return
        told = serving(world, key) == "v2" and "/events" not in request.path
        (afterwards if told else sent).append(request.title)

    world.network.faults["count"] = count
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=6 * HOUR)
    await world.run(60)
    assert len(sent) <= 18, sent
    assert ["/deployments/" in one for one in afterwards] == [True, True], afterwards


@on_virtual_time
async def test_a_state_missing_in_status_and_deployments_emits_a_state_lost_event(world):
    key = world.apply(product(model={"bento": product()["spec"]["model"]["bento"]}))
    first = world.start()
    await world.run(HOUR / 4)
    await first.stop()
    for body in list(world.server.all(DEPLOYMENTS)):
        world.server.delete(DEPLOYMENTS, Key(key.namespace, body["metadata"]["name"]))
    world.server.set_status(DATA_PRODUCTS, key, {})
    world.start()
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    (lost,) = (event for event in world.server.all(EVENTS) if event["reason"] == "StateLost")
    assert "without a baseline" in lost["note"]
    assert not world.status(key)["stable"].get("baseline")


@on_virtual_time
async def test_a_first_version_has_the_time_from_which_it_is_judged_and_is_healthy_a_block_later(
    world,
):
    key = await served(world, product(), **RARELY)
    await world.until(lambda: world.condition(key, "SLOMet"), seconds=BLOCK)
    met = world.condition(key, "SLOMet")
    assert met["status"] == "Unknown"
    before, _, time = met["message"].rpartition(" ")
    assert before.endswith("its blocks are still being read, and it is judged by those after")
    counted = datetime.fromisoformat(time).timestamp()
    assert counted - world.loop.wall() < 3 * BLOCK
    await world.until(lambda: world.status(key)["state"] == "Healthy", seconds=HOUR)
    assert BLOCK < world.loop.wall() - counted < BLOCK + 60
