"""The clock that jumps: it passes no timer by, knows a deadlock, and repeats itself exactly."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.virtual.event_loop import Deadlock, run_virtually, virtual_loop, virtually
from benchmarks.virtual.operator import World
from tests.support.decisions.rollout_world import document


def test_virtual_time_passes_at_once_and_timers_fire_in_order():
    fired: list[int] = []

    async def after(seconds: int) -> None:
        await asyncio.sleep(seconds)
        fired.append(seconds)

    async def story() -> float:
        await asyncio.gather(after(86_400), after(1), after(3_600))
        return virtual_loop().time()

    assert run_virtually(story()) == pytest.approx(86_400, abs=0.01)
    assert fired == [1, 3_600, 86_400]


def test_waiting_for_an_event_that_never_happens_is_a_deadlock():
    with pytest.raises(Deadlock):
        run_virtually(asyncio.Event().wait())


def test_work_in_a_thread_advances_virtual_time_by_its_duration():
    async def story() -> float:
        loop = virtual_loop()
        await asyncio.to_thread(loop.spend, 20)
        return loop.time()

    assert run_virtually(story()) == pytest.approx(20, abs=0.01)


def test_the_same_seed_gives_the_same_virtual_run():
    async def life(seed: int) -> tuple[int, int, str]:
        async with World(seed) as world:
            key = world.apply(document())
            world.start()
            world.start()
            await world.run(300)
            moved = world.status(key)["conditions"][0]["lastTransitionTime"]
            return world.network.sent, world.server.version, moved

    once = run_virtually(life(7))
    assert once == run_virtually(life(7))
    assert once[0] != run_virtually(life(8))[0]


@virtually
async def test_a_rarely_polling_task_pauses_longer_with_unchanged_request_times():
    loop = virtual_loop()
    loop.rarely = {"looks": 900.0}
    took: list[float] = []

    async def look() -> None:
        for seconds in (0.01, 5.0):
            begun = loop.time()
            await asyncio.sleep(seconds)
            took.append(loop.time() - begun)

    await loop.create_task(look(), name="looks")
    assert took == [pytest.approx(0.01, abs=1e-3), pytest.approx(900.0, abs=1e-3)]
    await look()
    assert took[3] == pytest.approx(5.0, abs=1e-3)
