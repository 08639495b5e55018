"""The clock that jumps: it passes no timer by, knows a deadlock, and repeats itself exactly."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.virtual.event_loop import Deadlock, run_virtually, virtual_loop
from benchmarks.virtual.operator import World
from tests.support.decisions.rollout_world import document


def test_a_day_passes_at_once_and_timers_fire_in_their_order():
    fired: list[int] = []

    async def after(seconds: int) -> None:
        await asyncio.sleep(seconds)
        fired.append(seconds)

    async def story() -> float:
        await asyncio.gather(after(86_400), after(1), after(3_600))
        return virtual_loop().time()

    assert run_virtually(story()) == pytest.approx(86_400, abs=0.01)
    assert fired == [1, 3_600, 86_400]


def test_what_is_awaited_and_never_comes_is_a_deadlock():
    with pytest.raises(Deadlock):
        run_virtually(asyncio.Event().wait())


def test_work_of_a_thread_takes_the_time_that_it_spends():
    async def story() -> float:
        loop = virtual_loop()
        await asyncio.to_thread(loop.spend, 20)
        return loop.time()

    assert run_virtually(story()) == pytest.approx(20, abs=0.01)


def test_the_same_seed_gives_the_same_life():
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
