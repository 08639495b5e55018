"""Prometheus is away for longer than people should be left in the dark, and than a canary may wait.

The operator's clock is stepped over both limits: five minutes, and half an hour.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.judged_products import (
    BUSY,
    CANARY,
    CARS_OWE,
    STEPS,
    Judged,
    judged,
    weight,
)
from tests.support.kept_promises import Promises
from tests.support.prometheus_stand_in import Lie
from tests.support.stepped_clock import SteppedClock
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

Object = dict[str, Any]

TOLD_AFTER = 300
TAKEN_BACK_AFTER = 1800


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> SteppedClock:
    return SteppedClock.make(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def scene(control_plane: Any, clock: SteppedClock, tmp_path: Path) -> Iterator[Judged]:
    """A canary that is about to take its next step when Prometheus goes away."""
    with judged(control_plane, "away", tmp_path, **clock.environment) as scene:
        scene.serve("cars", slos=CARS_OWE, shown=BUSY)
        scene.begin_canaries("cars", slos=CARS_OWE)
        yield scene


def told(scene: Judged) -> list[str]:
    """Why people were told something of the product, in no order."""
    events = scene.product("cars").listed("events.k8s.io/v1/events")
    return sorted(one["reason"] for one in events if one["regarding"]["name"] == "cars")


def asks_again(scene: Judged) -> None:
    """Wait until two questions more were asked: whatever the first led to is decided then."""
    asked = scene.server.asked.total()
    eventually(lambda: scene.server.asked.total() > asked + 1, what="it asks again")


def test_people_are_told_once_and_the_canary_is_taken_back_without_a_verdict(scene, clock):
    promises = Promises(scene.plane, scene.namespace, scene.replica)
    cars = scene.product("cars")
    before, candidate = told(scene), cars.status["candidate"]
    scene.server.lies[""] = Lie.REFUSED
    scene.show("cars", CANARY, since=time.time())
    cars.until(lambda status: status.get("metricsLostSince"), what="the outage", seconds=60)

    clock.step(TOLD_AFTER // 2)
    asks_again(scene)
    assert told(scene) == before

    clock.step(TOLD_AFTER + 1)
    eventually(lambda: told(scene) != before, what="an event")
    asks_again(scene)
    assert told(scene) == sorted([*before, "PrometheusUnavailable"])
    assert weight(cars.status) == STEPS[0]

    clock.step(TAKEN_BACK_AFTER + 1)
    back = cars.until(
        lambda status: not status["traffic"]["weight"], what="the end of its share", seconds=60
    )
    assert (back["decision"]["type"], back["decision"]["reason"]) == ("Inconclusive", "MetricsLost")
    assert_kept(scene, back, candidate)
    each_once = sorted([*before, "MetricsLost", "PrometheusUnavailable"])
    eventually(lambda: told(scene) == each_once, what="an event for each limit")
    promises.check_without_data()


def backends(scene: Judged) -> list[str]:
    """Who gets requests by the route."""
    (route,) = scene.product("cars").listed("gateway.networking.k8s.io/v1/httproutes")
    (rule,) = route["spec"]["rules"]
    return [one["name"] for one in rule["backendRefs"] if one.get("weight", 1)]


def assert_kept(scene: Judged, status: Object, candidate: Object) -> None:
    """The candidate is still there for a person to decide on, without traffic."""
    assert status["traffic"]["weight"] == 0
    stable = [f"cars-{status['stable']['revision']}"]
    eventually(lambda: backends(scene) == stable, what="the route follows the status")
    for name in ("version", "image", "revision"):
        assert status["candidate"][name] == candidate[name]
    assert status["stable"]["version"] == "v1"
    assert not status.get("history")
