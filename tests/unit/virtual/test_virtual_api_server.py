"""Five minutes in which the API server is away, or answers nothing that helps, in each way it can.

Meanwhile people and the cluster go on; afterwards all of it is made up for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.admission import Crowded, Refused
from benchmarks.virtual.network import Late, NetworkFault
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, SERVICES
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.network import Fault
    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest

OUTAGE = 300.0
RECOVERY = 30.0
"""The bar: so many seconds after a fault everything is as if there had been none."""
RETRY_AFTER = 7
IN_FLIGHT = 0.25
"""What arrives so soon after another was sent before the other's answer was read."""


def everything(_: ApiRequest) -> bool:
    return True


def writes(request: ApiRequest) -> bool:
    return request.method != "GET" and "/leases" not in request.path


def all_but_the_lease(request: ApiRequest) -> bool:
    return "/leases" not in request.path


@dataclass(frozen=True, slots=True)
class Way:
    """A way of being away; with `leads`, the operator keeps the lease and may go on leading."""

    fault: Fault
    among: Any = everything
    leads: bool = False
    watches: bool = True


def refused(status: int, reason: str) -> Refused:
    return Refused(status, reason, "no")


WAYS = {
    "connection refused": Way(NetworkFault.REFUSED),
    "requests are never answered": Way(NetworkFault.SWALLOWED),
    "answers are no JSON": Way(NetworkFault.BROKEN),
    "everything is answered with 503": Way(refused(503, "ServiceUnavailable")),
    "everything is answered with 404": Way(refused(404, "NotFound")),
    "all but open watches is answered with 404": Way(refused(404, "NotFound"), watches=False),
    "the token is refused": Way(refused(401, "Unauthorized")),
    "writes are answered with 503": Way(refused(503, ""), writes, leads=True, watches=False),
    "writes are answered with 409": Way(
        refused(409, "Conflict"), writes, leads=True, watches=False
    ),
    "writes are carried out and the answers lost": Way(
        NetworkFault.UNANSWERED, writes, leads=True, watches=False
    ),
    "all but the lease is answered with 429": Way(
        Crowded(RETRY_AFTER), all_but_the_lease, leads=True
    ),
    "answers come two seconds late": Way(Late(2.0), leads=True, watches=False),
}


class Outage:
    """Breaks the way to the API server, and notes what is asked meanwhile."""

    def __init__(self, world: World, way: Way) -> None:
        self.world, self.way = world, way
        self.asked: dict[str, list[float]] = {}

    def __enter__(self) -> Self:
        self.world.network.faults["outage"] = self._judge
        if self.way.watches:
            self.world.network.watch_faults["outage"] = lambda *_: self.way.fault
            for stream in self.world.server.streams():
                stream.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.world.network.faults.clear()
        self.world.network.watch_faults.clear()

    def _judge(self, _: str, request: ApiRequest) -> Fault | None:
        if "/leases" not in request.path:
            target = f"{request.method} {request.path}"
            self.asked.setdefault(target, []).append(self.world.loop.time())
        return self.way.fault if self.way.among(request) else None


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "connection refused" else pytest.mark.slow)
        for name in WAYS
    ],
)
@on_virtual_time
async def test_changes_during_five_minutes_without_an_api_server_are_reconciled_after_it(
    world, name
):
    way = WAYS[name]
    cars, vans = (world.apply(product(one)) for one in ("cars", "vans"))
    replica = world.start()
    await world.until(lambda: {serving(world, one) for one in (cars, vans)} == {"v1"}, seconds=60)
    with Outage(world, way) as outage:
        world.edit(cars, serving={"replicas": 2})
        world.server.delete(SERVICES, vans)
        late = world.apply(product("late"))
        await world.run(OUTAGE)
        assert replica.leads == way.leads
    await world.until(lambda: len(world.cluster.pods_of(cars)) == 2, seconds=RECOVERY)
    await world.until(lambda: bool(world.server.find(SERVICES, vans)), seconds=RECOVERY)
    await world.until(lambda: serving(world, late) == "v1", seconds=60)
    assert replica.leads
    assert {serving(world, one) for one in (cars, vans)} == {"v1"}
    for target, times in outage.asked.items():
        assert len(times) <= OUTAGE / 2 + 10, f"{target} is asked again and again"
    if name == "all but the lease is answered with 429":
        assert_patient(outage.asked)


def assert_patient(asked: dict[str, list[float]]) -> None:
    """Assert that no request is sent before the server's Retry-After."""
    assert asked
    for target, times in asked.items():
        refused_at = float("-inf")
        for time in times:
            crossed = time - refused_at < IN_FLIGHT
            assert crossed or time - refused_at >= RETRY_AFTER, f"{target} at {times}"
            refused_at = refused_at if crossed else time


@pytest.mark.slow
@on_virtual_time
async def test_no_decision_is_made_until_both_the_api_server_and_prometheus_recover(world):
    """What is measured would let the canary go on; who holds it does so for want of data."""
    cars = world.apply(product("cars"))
    world.start(**RARELY)
    await world.run(HOUR / 4)
    world.edit(cars, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, cars) == 5, seconds=HOUR)
    with Outage(world, WAYS["connection refused"]):
        world.prometheus.lies[""] = Lie.REFUSED
        await world.run(OUTAGE)
    await world.run(2 * OUTAGE)
    assert weight(world, cars) == 5
    world.prometheus.lies.clear()
    await world.until(lambda: weight(world, cars) > 5, seconds=HOUR)


@pytest.mark.parametrize("fault", [NetworkFault.SWALLOWED, refused(503, "ServiceUnavailable")])
@on_virtual_time
async def test_an_operator_that_starts_without_an_api_server_waits_for_it(world, fault):
    key = world.apply(product())
    with Outage(world, Way(fault)):
        replica = world.start()
        await world.run(OUTAGE)
        assert not replica.is_gone
        assert not replica.leads
    await world.until(lambda: serving(world, key) == "v1", seconds=60)


@on_virtual_time
async def test_conflicts_on_status_and_children_lead_to_a_new_observation_and_decision(world):
    met: Counter[str] = Counter()

    def once(_: str, request: ApiRequest) -> Refused | None:
        kind = request.path.rpartition("/")[0].rpartition("/")[2]
        if request.method == "GET" or kind in ("leases", "events"):
            return None
        met[request.path] += 1
        return refused(409, "Conflict") if met[request.path] == 1 else None

    world.network.faults["conflicts"] = once
    await served(world, product())
    assert len(list(world.server.all(DEPLOYMENTS))) == 1
    assert len(met) >= 4, "status, Deployment, Service and route"
    assert max(met.values()) <= 6, "a back-off, not a storm"


@on_virtual_time
async def test_objects_deleted_while_watches_were_broken_and_expired_are_dropped(world):
    cars, vans = (world.apply(product(one)) for one in ("cars", "vans"))
    world.start()
    await world.until(lambda: {serving(world, one) for one in (cars, vans)} == {"v1"}, seconds=60)
    for stream in world.server.streams():
        stream.swallows = True
    world.server.delete(SERVICES, cars)
    world.server.delete(DATA_PRODUCTS, vans)
    await world.run(60)
    world.server.compact()
    for stream in world.server.streams():
        stream.close()
    await world.until(lambda: bool(world.server.find(SERVICES, cars)), seconds=RECOVERY)
    assert not world.cluster.pods_of(vans)
