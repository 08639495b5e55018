"""A life with given steps, printed: what the operator did between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.virtual.operator import World
from benchmarks.virtual.record import Record
from tests.support.lives.life import Life, Living
from tests.support.lives.steps import KINDS

if TYPE_CHECKING:
    from sluicegate.settings import Settings


async def retold(life: Life, settings: Settings, *, rest: int = 600) -> str:
    """What the operator writes in a life, and for so many seconds after its last step."""
    async with World(life.seed, settings) as world:
        record = Record(world)
        living = Living(world, ())
        living.begin(life.products)
        for number, step in enumerate(life.steps, start=1):
            await world.run(step.pause + living.rests)
            living.rests = 0
            living.number = living.safety.step = number
            record.say(f"{step.kind} {' '.join(map(str, step.args))}")
            KINDS[step.kind].do(living, *step.args)
        await world.run(rest)
        assert not living.safety.found, living.safety.found
        return record.end()
