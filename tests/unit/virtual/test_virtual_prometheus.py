"""Prometheus answers nothing, late, or about another time: what it doesn't say decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.prometheus_stand_in import Lie
from sluicegate.kube.resources import EVENTS, JOBS, Key
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BAD,
    HOUR,
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    slo,
    trainings,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

pytestmark = pytest.mark.slow  # each lives through an hour of canary

LIES = (Lie.REFUSED, Lie.HANGS, Lie.ERROR_503, Lie.PARTIAL, Lie.NOT_JSON)
"""Of each way to say nothing one; tests/unit/prometheus/test_client has all of them."""
FIVE_MINUTES = 300.0
CANARY_BLOCK = 60.0


async def begin_canary(world: World, **settings: float) -> Key:
    """Return a canary that is at its first step, and to take its next one in some blocks."""
    cars = await served(world, product("cars"), **RARELY, **settings)
    await world.run(HOUR / 4)
    world.edit(cars, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, cars) == 5, seconds=HOUR)
    return cars


def told(world: World, key: Key) -> list[str]:
    """Return the reasons of a product's alerts, in no order."""
    events = (event for event in world.server.all(EVENTS) if event["regarding"]["name"] == key.name)
    return sorted(event["reason"] for event in events)


@on_virtual_time
async def test_an_outage_of_prometheus_defers_all_decisions_until_it_recovers(world):
    cars = await begin_canary(world)
    before = told(world, cars)
    for lie in LIES:
        world.prometheus.lies[""], asked = lie, world.prometheus.queries.total()
        await world.run(FIVE_MINUTES)
        assert world.prometheus.queries.total() >= asked + 3, f"{lie}: it goes on asking"
        assert weight(world, cars) == 5, lie
        assert slo(world, cars) == ("Unknown", "PrometheusUnavailable"), lie
        assert world.condition(cars, "MetricsAvailable")["status"] == "False"
        assert world.condition(cars, "Ready")["status"] == "True"
    assert told(world, cars) == sorted([*before, "PrometheusUnavailable"]), "told once"
    world.prometheus.lies.clear()
    await world.until(lambda: weight(world, cars) > 5, seconds=HOUR / 2)


@on_virtual_time
async def test_a_canary_without_metrics_for_half_an_hour_ends_inconclusive(world):
    cars = await begin_canary(world)
    candidate, before = world.status(cars)["candidate"], told(world, cars)
    world.prometheus.lies[""] = Lie.REFUSED
    await world.run(5.5 * FIVE_MINUTES)
    assert weight(world, cars) == 5
    await world.run(2 * FIVE_MINUTES)
    status = world.status(cars)
    decision = status["decision"]
    assert (decision["type"], decision["reason"]) == ("Inconclusive", "MetricsLost")
    assert status["traffic"]["weight"] == 0
    assert sum((world.cluster.weights_of(cars) or {}).values()) == 100
    for name in ("version", "image", "revision"):
        assert status["candidate"][name] == candidate[name]
    assert not status.get("history")
    assert told(world, cars) == sorted([*before, "MetricsLost", "PrometheusUnavailable"])


@on_virtual_time
async def test_an_outage_of_prometheus_is_named_with_address_and_error_within_twenty_seconds(
    world, caplog
):
    """From the first query that fails on; the log has it once for an outage, and once that it has ended."""
    cars = await served(world, product("cars"), **RARELY)
    await world.run(HOUR / 4)
    world.prometheus.lies[""], asked = Lie.REFUSED, world.prometheus.queries.total()
    caplog.clear()
    await world.until(lambda: world.prometheus.queries.total() > asked, seconds=HOUR)
    took = await world.until(
        lambda: world.condition(cars, "MetricsAvailable")["reason"] == "PrometheusUnavailable",
        seconds=HOUR,
    )
    assert took <= 20
    words = f"Prometheus at {world.settings.prometheus_url} can't be reached: connection refused"
    assert words in world.condition(cars, "MetricsAvailable")["message"]

    await world.run(HOUR / 2)
    del world.prometheus.lies[""]
    await world.until(
        lambda: world.condition(cars, "MetricsAvailable")["status"] == "True", seconds=HOUR
    )

    lines = [
        record.getMessage() for record in caplog.records if "blocks of 300 s" in record.getMessage()
    ]
    assert len(lines) == 2, lines
    assert words in lines[0]
    assert "are read again" in lines[1]


@pytest.mark.parametrize("skew", [600, -600], ids=["ahead", "behind"])
@on_virtual_time
async def test_a_wrong_clock_of_the_operator_defers_all_decisions_until_it_is_corrected(
    world, skew
):
    cars = await begin_canary(world)
    (replica,) = world.replicas
    replica.skew = skew
    await world.run(2 * FIVE_MINUTES - CANARY_BLOCK)
    assert weight(world, cars) == 5
    assert replica.leads
    replica.skew = 0
    await world.until(lambda: weight(world, cars) > 5, seconds=HOUR / 2)
    assert not world.status(cars).get("history")


@pytest.mark.parametrize("seconds", [10.0, 28.0], ids=["half a block", "more than a block"])
@on_virtual_time
async def test_a_slow_prometheus_is_awaited_and_all_decisions_are_made(world, seconds):
    """Eight queries go four at a time, so a block takes three times as long as one does."""
    cars = await begin_canary(world, prometheus_timeout_seconds=60.0)
    world.prometheus.seconds = seconds
    asked, began = world.prometheus.queries.total(), world.loop.time()
    available = lambda: world.condition(cars, "MetricsAvailable")["status"]  # noqa: E731
    while weight(world, cars) == 5:
        await world.run(CANARY_BLOCK / 4)
        assert available() == "True"
        assert world.loop.time() < began + HOUR
    blocks = (world.loop.time() - began) / CANARY_BLOCK + 3
    assert world.prometheus.queries.total() - asked <= 2 * 8 * blocks, "they don't pile up"


@on_virtual_time
async def test_a_degradation_during_an_outage_of_prometheus_is_retrained_after_it(world):
    vans = world.apply(product("vans"))
    world.start(**RARELY)
    await world.run(HOUR)
    world.prometheus.lies[""] = Lie.REFUSED
    world.cluster.set_quality(image("a"), BAD)
    await world.run(HOUR)
    assert trainings(world, vans) == 0
    assert not list(world.server.all(JOBS))
    world.prometheus.lies.clear()
    await world.until(lambda: trainings(world, vans) == 1, seconds=3 * HOUR)
