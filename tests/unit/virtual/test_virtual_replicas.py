"""Several replicas of the whole operator: one leads, whatever becomes of the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.network import Late, NetworkFault
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.kube.resources import DEPLOYMENTS, EVENTS, JOBS, LEASES, Key
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BLOCK,
    HOUR,
    LEASE,
    LOOK,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    pushed,
    serving,
    trainings,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.network import Fault
    from benchmarks.virtual.operator import Replica, World
    from sluicegate.kube.requests import ApiRequest
    from sluicegate.kube.resources import Resource

PRODUCTS = 4


async def pair(world: World) -> tuple[list[Key], Replica, Replica]:
    """Return products that serve, a leader and its standby."""
    keys = [world.apply(product(f"p{number}")) for number in range(PRODUCTS)]
    first = world.start()
    await world.until(lambda: first.leads, seconds=10)
    second = world.start()
    await world.until(lambda: all(serving(world, key) == "v1" for key in keys), seconds=60)
    return keys, first, second


async def rescale(world: World, keys: list[Key], pods: int, *, seconds: float = 30) -> None:
    """Ask for so many pods of each, and wait for them."""
    for key in keys:
        world.edit(key, serving={"replicas": pods})
    await world.until(
        lambda: all(len(world.cluster.pods_of(key)) == pods for key in keys), seconds=seconds
    )


def note_writers(world: World) -> dict[str, list[str]]:
    """Record from now on the replicas that write each object, in order.

    Consecutive writes count once.
    """
    found: dict[str, list[str]] = defaultdict(list)

    def note(
        resource: Resource, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        if world.network.writer is None or resource in (LEASES, EVENTS):
            return
        replica, _ = world.network.writer
        meta = (after or before or {})["metadata"]
        turns = found[f"{resource.plural}/{meta['name']}"]
        if turns[-1:] != [replica]:
            turns.append(replica)

    world.server.on_change.append(note)
    return found


@on_virtual_time
async def test_another_replica_takes_over_when_the_leader_is_killed(world):
    keys, first, second = await pair(world)
    first.kill()
    took = await world.until(lambda: second.leads, seconds=60)
    assert LEASE - LOOK <= took <= LEASE + LOOK
    world.network.writes.clear()
    await rescale(world, keys, 2)
    assert {replica for replica, _ in world.network.writes} == {second.name}


@pytest.mark.slow
@on_virtual_time
async def test_a_new_leader_has_the_states_of_all_products_at_once(world):
    """It has measured as a standby, so no state is unknown until it has read a past."""
    seen: set[str] = set()
    key = world.apply(product())
    first, second = world.start(), world.start()
    await world.run(HOUR / 2)
    assert world.status(key)["state"] == "Healthy"
    leader, standby = sorted((first, second), key=lambda one: not one.leads)
    asked = world.prometheus.queries.total()
    leader.kill()
    await world.until(lambda: standby.leads, seconds=60)
    assert world.prometheus.queries.total() - asked <= 16, "a block or two, and no past"
    world.on_step.append(lambda *_: seen.add(world.status(key)["state"]))
    await world.run(HOUR / 4)
    assert seen == {"Healthy"}


@on_virtual_time
async def test_a_leader_with_random_ids_replaces_the_pods_of_both_versions_and_starts_no_other(
    world,
):
    world.cluster.set_quality(image("b"), Quality(start=20.0))
    rollout = {"steps": [25], "maxDurationSeconds": 86_400}
    key = world.apply(product(serving={"replicas": 4}, rollout=rollout))
    first = world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 25, seconds=600)
    deployments = {name: body["metadata"]["uid"] for name, body in workloads(world, key).items()}
    before = {pod.key for pod in world.cluster.pods_of(key)}
    ready: set[int] = set()

    def count_ready(*_: object) -> None:
        labels = [pod.labels for pod in world.cluster.pods_of(key) if pod.ready]
        ready.add(sum(label["sluicegate.dev/version"] == "v1" for label in labels))

    await first.stop()
    world.server.on_change.append(count_ready)
    world.start(random_ids=True, **RARELY)
    await world.run(200)
    assert not before & {pod.key for pod in world.cluster.pods_of(key)}
    assert min(ready) >= 4, "a new pod is ready before an old one ends"
    found = workloads(world, key)
    assert {name: body["metadata"]["uid"] for name, body in found.items()} == deployments
    for body in found.values():
        assert "runAsUser" not in body["spec"]["template"]["spec"]["securityContext"]
    assert serving(world, key) == "v1"
    assert weight(world, key) == 25
    assert world.status(key)["candidate"]["version"] == "v2"


def workloads(world: World, key: Key) -> dict[str, Any]:
    """Return the Deployments of a product by name."""
    return {
        deployment["metadata"]["name"]: deployment
        for deployment in world.server.all(DEPLOYMENTS, key.namespace)
    }


@on_virtual_time
async def test_a_stopped_leader_releases_its_lease_and_another_leads_at_once(world):
    _, first, second = await pair(world)
    await first.stop()
    assert await world.until(lambda: second.leads, seconds=60) <= LOOK


@pytest.mark.slow
@pytest.mark.parametrize("fault", [NetworkFault.REFUSED, NetworkFault.SWALLOWED])
@on_virtual_time
async def test_a_disconnected_leader_stops_before_its_successor_starts_and_returns_as_a_standby(
    world, fault
):
    keys, first, second = await pair(world)

    def cut(replica: str, _: ApiRequest) -> Fault | None:
        return fault if replica == first.name else None

    world.network.faults["cut"] = cut
    for key in keys:
        world.edit(key, serving={"replicas": 2})
    while not second.leads:
        assert world.loop.time() < HOUR
        await world.run(0.05)
        assert not (first.leads and second.leads)
    await rescale(world, keys, 2)
    await world.run(300)
    world.network.faults.clear()
    world.network.writes.clear()
    await rescale(world, keys, 3)
    await world.run(60)
    assert (first.leads, second.leads, first.is_gone) == (False, True, False)
    assert {replica for replica, _ in world.network.writes} == {second.name}


@on_virtual_time
async def test_a_leader_with_hanging_renewals_stops_before_its_lease_ends_and_resumes_later(
    world,
):
    """Its other writes would get through."""
    keys, first, second = await pair(world)
    second.kill()

    def hang(_: str, request: ApiRequest) -> Fault | None:
        return NetworkFault.SWALLOWED if "/leases" in request.path else None

    world.network.faults["leases"] = hang
    took = await world.until(lambda: not first.leads, seconds=LEASE)
    assert took < LEASE
    world.network.writes.clear()
    for key in keys:
        world.edit(key, serving={"replicas": 2})
    await world.run(300)
    assert not world.network.writes
    world.network.faults.clear()
    await world.until(lambda: all(len(world.cluster.pods_of(key)) == 2 for key in keys), seconds=30)


@on_virtual_time
async def test_late_writes_of_a_former_leader_are_refused(world):
    arrived: list[int] = []
    keys, first, second = await pair(world)
    world.network.refused.append(lambda _, __, refusal: arrived.append(refusal.status))

    def late(replica: str, request: ApiRequest) -> Fault | None:
        if replica != first.name or request.method == "GET":
            return None
        return NetworkFault.SWALLOWED if "/leases" in request.path else Late(2 * LEASE)

    world.network.faults["late"] = late
    stored = note_writers(world)
    for key in keys:
        world.edit(key, serving={"replicas": 2})
    await world.until(lambda: second.leads, seconds=60)
    await world.until(lambda: all(len(world.cluster.pods_of(key)) == 2 for key in keys), seconds=30)
    await world.run(300)
    assert arrived, "writes came late"
    assert set(arrived) == {409}
    assert set(map(tuple, stored.values())) == {(second.name,)}
    assert len(list(world.server.all(DEPLOYMENTS))) == PRODUCTS


@pytest.mark.slow
@pytest.mark.parametrize("skew", [600, -600], ids=["ahead", "behind"])
@on_virtual_time
async def test_a_clock_step_neither_stops_a_leader_nor_delays_its_succession(world, skew):
    """A lease is waited for by each one's own steady clock."""
    keys, first, second = await pair(world)
    for pods, offset in enumerate((skew, 0, skew), start=2):
        first.skew = offset
        await rescale(world, keys, pods)
        await world.run(60)
        assert (first.leads, second.leads) == (True, False)
    first.kill()
    took = await world.until(lambda: second.leads, seconds=60)
    assert LEASE - LOOK <= took <= LEASE + LOOK
    await rescale(world, keys, 1)


@pytest.mark.slow
@pytest.mark.parametrize("skew", [600, -600], ids=["ahead", "behind"])
@on_virtual_time
async def test_a_standby_whose_clock_is_stepped_does_not_take_a_lease_that_is_held(world, skew):
    keys, first, second = await pair(world)
    for offset in (skew, 0, skew):
        second.skew = offset
        await world.run(300)
        assert (first.leads, second.leads) == (True, False)
    world.network.writes.clear()
    await rescale(world, keys, 2)
    assert {replica for replica, _ in world.network.writes} == {first.name}


async def push(world: World, key: Key) -> None:
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: "candidate" in world.status(key), seconds=60)


async def ask_for_a_training(world: World, key: Key) -> None:
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.annotate(key, **{names.REQUEST_RETRAIN: "once"})
    await world.until(lambda: bool(list(world.server.all(JOBS))), seconds=2 * BLOCK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begin", "version", "jobs"),
    [
        (push, "v2", 0),
        pytest.param(ask_for_a_training, "v2-trained", 1, marks=pytest.mark.heavy),
    ],
    ids=["a pushed model", "a training"],
)
@on_virtual_time
async def test_work_under_way_continues_under_another_leader(world, begin, version, jobs):
    key = world.apply(product())
    world.start(**RARELY)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR / 4)
    await begin(world, key)
    while serving(world, key) != version:
        leader = world.leader()
        if leader is not None:
            leader.kill()
            world.start(**RARELY)
        await world.run(600)
        assert world.loop.time() < 12 * HOUR
    assert len(list(world.server.all(JOBS))) == jobs
    assert trainings(world, key) == 0, "none failed, so none was repeated"
    assert [past["version"] for past in world.status(key)["history"]] == ["v1"]
    told = Counter((event["reason"], event["note"]) for event in world.server.all(EVENTS))
    assert set(told.values()) == {1}, told
