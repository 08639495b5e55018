"""When measurements are read: as blocks settle, soon again after a failure, at once for the new."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.prometheus_stand_in import Held
from sluicegate.api.slos import Indicator
from sluicegate.kube.resources import Key
from sluicegate.measurement import scheduler
from sluicegate.measurement.scheduler import BlockScheduler
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.block_reader import BlockReader, Length
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.runtime.interfaces import QueuePriority
from tests.support.prometheus.fetching import cars_and_vans, evaluating
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sluicegate.runtime.clock import Clock

CARS, VANS = Key("catalog", "cars"), Key("catalog", "vans")
AN_HOUR = 3600
"""Length of a block in tests that must not depend on when one ends."""
SECONDS = 20


def target(key: Key, *, canary: bool = False) -> Target:
    return Target(
        key=ProductKey(*key),
        versions=("v1",),
        slos={"availability": Indicator(availability={})},
        block_seconds=AN_HOUR,
        canary_from=int(time.time()) - AN_HOUR if canary else None,
    )


@pytest.fixture
async def server():
    async with cars_and_vans() as started:
        yield started


@pytest.fixture
async def evaluation(server):
    async with evaluating(server, seconds=SECONDS) as started:
        yield started


@pytest.fixture
def measurements():
    return Measurements(Timing())


until: Any = partial(asyncio.to_thread, eventually)
Looked = asyncio.Queue[tuple[Key, QueuePriority]]


@contextlib.asynccontextmanager
async def measuring(
    measurements: Measurements, evaluation: BlockReader, wall: Clock = time.time
) -> AsyncIterator[Looked]:
    """Yield the rounds; yields the products that they requeue, with their priority."""
    looked_at: Looked = asyncio.Queue()

    def requeue(key: Key, _: float, priority: QueuePriority) -> None:
        looked_at.put_nowait((key, priority))

    loop = asyncio.create_task(
        BlockScheduler(measurements, evaluation, requeue, wall_clock=wall).run()
    )
    try:
        yield looked_at
    finally:
        loop.cancel()
        await asyncio.wait([loop])


@pytest.mark.slow
@pytest.mark.parametrize("others", ["stay", "go"])
async def test_a_product_added_during_a_read_of_its_block_length_is_read_soon(
    server, evaluation, measurements, others, monkeypatch
):
    monkeypatch.setattr(scheduler, "RETRY_SECONDS", AN_HOUR)
    hours, held = Length(AN_HOUR, canary=False), Held()
    server.held[AN_HOUR] = held
    measurements.set_target(CARS, target(CARS))
    async with measuring(measurements, evaluation) as looked_at, asyncio.timeout(SECONDS):
        await held.arrived.wait()
        if others == "go":
            measurements.set_target(CARS, None)
            measurements.news.set()
            await until(lambda: not measurements.groups)
        measurements.set_target(VANS, target(VANS))
        await until(lambda: VANS in [Key(*one.key) for one in measurements.groups.get(hours, ())])
        held.released.set()
        while (await looked_at.get())[0] != VANS:
            pass


@pytest.mark.slow
async def test_a_new_canary_does_not_wait_for_a_block_of_idle_products(evaluation, measurements):
    measurements.set_target(CARS, target(CARS))
    async with measuring(measurements, evaluation) as looked_at, asyncio.timeout(SECONDS):
        assert await looked_at.get() == (CARS, QueuePriority.BACKGROUND)
        measurements.set_target(CARS, target(CARS, canary=True))
        while await looked_at.get() != (CARS, QueuePriority.NORMAL):
            pass  # an hour may have ended just now


async def test_a_canary_has_a_higher_queue_priority_than_idle_products(evaluation, measurements):
    measurements.set_target(CARS, target(CARS))
    measurements.set_target(VANS, target(VANS, canary=True))
    told: dict[Key, QueuePriority] = {}
    async with measuring(measurements, evaluation) as looked_at, asyncio.timeout(SECONDS):
        while told.keys() != {CARS, VANS}:
            told |= dict([await looked_at.get()])
    assert told == {CARS: QueuePriority.BACKGROUND, VANS: QueuePriority.NORMAL}


async def test_a_canary_does_not_wait_until_idle_products_are_read(
    server, evaluation, measurements
):
    held = server.held[AN_HOUR] = Held()
    measurements.set_target(CARS, target(CARS))
    measurements.set_target(VANS, target(VANS, canary=True))
    async with measuring(measurements, evaluation) as looked_at, asyncio.timeout(SECONDS):
        await held.arrived.wait()
        assert await looked_at.get() == (VANS, QueuePriority.NORMAL)
        assert not measurements.newest(AN_HOUR), "the others' answer is still held"
        held.released.set()
        while (await looked_at.get())[0] != CARS:
            pass


@pytest.mark.slow
async def test_a_read_during_a_backward_clock_step_is_repeated(server, evaluation, measurements):
    held = server.held[AN_HOUR] = Held()
    measurements.set_target(CARS, target(CARS))
    ahead = [10.0 * AN_HOUR]
    wall = lambda: time.time() + ahead[0]  # noqa: E731
    async with (
        measuring(measurements, evaluation, wall) as looked_at,
        asyncio.timeout(SECONDS),
    ):
        await held.arrived.wait()
        ahead[0] = 0.0
        held = server.held[AN_HOUR] = Held()
        measurements.set_target(VANS, target(VANS))
        await held.arrived.wait()
        held.released.set()
        while (await looked_at.get())[0] != CARS:
            pass
    newest = Timing().newest_complete(time.time(), AN_HOUR)
    assert measurements.newest(AN_HOUR) in {newest - 1, newest}, "an hour may have ended meanwhile"


@pytest.mark.slow
async def test_an_error_in_one_measurement_round_stops_the_others_and_is_raised(
    server, evaluation, measurements
):
    held = server.held[AN_HOUR] = Held()
    measurements.set_target(CARS, target(CARS))
    measurements.set_target(VANS, target(VANS, canary=True))

    def requeue(key: Key, *_: object) -> None:
        raise RuntimeError(f"{key} can't be looked at")

    with pytest.raises(RuntimeError, match="vans can't be looked at"):
        async with asyncio.timeout(SECONDS):
            await BlockScheduler(measurements, evaluation, requeue).run()
    assert held.arrived.is_set(), "another round was under way"
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("round")]


@pytest.mark.parametrize("set_back", [0, 600, 86_400])
async def test_a_backward_clock_step_delays_the_next_round_by_at_most_one_block(
    evaluation, measurements, set_back
):
    measurements.set_target(CARS, target(CARS))
    await measurements.read(evaluation, time.time())
    length = Length(AN_HOUR, canary=False)
    assert not measurements.awaits_answer(length)
    pause = BlockScheduler(measurements, evaluation, lambda *_: None).pause(
        length, time.time() + set_back
    )
    assert 0 < pause <= AN_HOUR


@pytest.mark.parametrize(("seconds", "last"), [(AN_HOUR, 4.8), (60, 4.8), (5, 2.0)])
def test_thousands_of_idle_products_are_requeued_spread_over_time_and_a_canary_at_once(
    measurements, seconds, last
):
    many = [Key("catalog", f"cars-{number}") for number in range(scheduler.KEYS_AT_ONCE + 800)]
    for key in many:
        measurements.set_target(key, replace(target(key), block_seconds=seconds))
    measurements.set_target(VANS, replace(target(VANS, canary=True), block_seconds=seconds))
    told: dict[Key, float] = {}
    look = BlockScheduler(measurements, None, lambda key, late, _: told.update({key: late}))
    look._call([*many, VANS], Length(seconds, canary=False))
    assert told.pop(VANS) == 0
    assert [told[key] for key in many[: scheduler.KEYS_AT_ONCE]] == [0] * scheduler.KEYS_AT_ONCE
    assert list(told.values()) == sorted(told.values())
    assert told[many[-1]] == pytest.approx(last, rel=0.01)
