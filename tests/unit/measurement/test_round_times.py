"""When Prometheus is asked: as each block settles, each ten seconds while it fails; on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.event_loop import EPOCH, run_in, virtual_loop
from sluicegate.api.slos import Indicator
from sluicegate.kube.resources import Key
from sluicegate.measurement import scheduler, store
from sluicegate.measurement.scheduler import BlockScheduler
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.errors import PrometheusUnavailable
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.runtime.tasks import end_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CARS, VANS = Key("catalog", "cars"), Key("catalog", "vans")


def target(key: Key = CARS, **changes) -> Target:
    slos = {"availability": Indicator(availability={})}
    settings = {"key": ProductKey(*key), "versions": ("v1",), "slos": slos}
    return Target(**settings | changes)


@dataclass
class Silent:
    """Plays Prometheus: has no series, or doesn't answer; when it was asked for which length."""

    fails: Callable[[float], bool] = lambda _: False
    asked: list[tuple[float, int]] = field(default_factory=list)

    async def query_range(self, text, *, start, end, step, reader, urgent=False, own_of=""):
        now = virtual_loop().time()
        self.asked.append((now, step))
        if self.fails(now):
            raise PrometheusUnavailable("it is away")
        return reader().result()

    def times(self, step: int) -> list[float]:
        """Return the seconds at which blocks of a length were asked for."""
        return sorted({round(at, 1) for at, one in self.asked if one == step})


@dataclass
class Rounds:
    """The rounds, and the products that they requeue."""

    prometheus: Silent
    measurements: Measurements = field(default_factory=lambda: Measurements(Timing()))
    looked: list[tuple[float, Key]] = field(default_factory=list)

    def __post_init__(self) -> None:
        reader = BlockReader(self.prometheus, EvaluationSettings(jitter_seconds=0))
        wall = virtual_loop().wall
        self.scheduler = BlockScheduler(self.measurements, reader, self._look_at, wall_clock=wall)
        self.running = asyncio.create_task(self.scheduler.run())

    def _look_at(self, key: Key, late: float, _: object) -> None:
        self.looked.append((round(virtual_loop().time() + late, 1), key))


@asynccontextmanager
async def opened() -> AsyncIterator[Rounds]:
    """Yield rounds that begin as a block ends."""
    assert EPOCH % 3600 == 0
    rounds = Rounds(Silent())
    try:
        yield rounds
    finally:
        await end_tasks([rounds.running])


in_rounds = run_in(opened)


def test_a_measurement_round_has_its_documented_pauses():
    assert (scheduler.SHORTEST_PAUSE, scheduler.GATHER_SECONDS) == (0.25, 1.0)
    assert (scheduler.KEYS_AT_ONCE, scheduler.PACE_SECONDS) == (200, 0.006)
    assert store.CLOCK_TOLERANCE == 1.0


@in_rounds
async def test_a_block_is_read_as_soon_as_it_is_complete_and_its_product_is_requeued(rounds):
    rounds.measurements.set_target(CARS, target())
    await asyncio.sleep(700)
    assert rounds.prometheus.times(300) == pytest.approx([0, 60, 360, 660], abs=0.11)
    assert [key for _, key in rounds.looked] == [CARS] * 4
    assert [at for at, _ in rounds.looked] == pytest.approx([0, 60, 360, 660], abs=0.11)


@in_rounds
async def test_new_products_are_collected_for_one_second_and_then_read(rounds):
    await asyncio.sleep(100.5)
    rounds.measurements.set_target(CARS, target())
    await asyncio.sleep(0.5)
    rounds.measurements.set_target(VANS, target(VANS))
    await asyncio.sleep(10)
    assert rounds.prometheus.times(300) == pytest.approx([101.5], abs=0.11)
    assert {key for _, key in rounds.looked} == {CARS, VANS}


@pytest.mark.parametrize(("seconds", "pause"), [(300, 10.0), (5, 5.0)])
@in_rounds
async def test_an_unanswered_query_is_retried_every_ten_seconds_or_every_block(
    rounds, seconds, pause
):
    rounds.prometheus.fails = lambda now: now > 66
    rounds.measurements.set_target(CARS, target(block_seconds=seconds))
    await asyncio.sleep(66)
    rounds.prometheus.asked.clear()
    await asyncio.sleep(380)
    times = rounds.prometheus.times(seconds)
    assert len(times) > 5
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([pause] * len(gaps), abs=0.11)


@in_rounds
async def test_a_canary_is_read_in_its_own_block_length(rounds):
    rounds.measurements.set_target(CARS, target(canary_from=int(EPOCH) - 3600))
    await asyncio.sleep(400)
    canary = [at for at in rounds.prometheus.times(120) if at > 2]
    assert canary == pytest.approx([60, 180, 300], abs=0.11)
    assert rounds.prometheus.times(300) == pytest.approx([0, 60, 360], abs=0.11)


@in_rounds
async def test_lateness_is_that_of_the_oldest_block_that_is_not_complete(rounds):
    wall, late = virtual_loop().wall, rounds.measurements.block_lateness.lateness
    rounds.prometheus.fails = lambda now: 300 < now < 1000
    rounds.measurements.set_target(CARS, target())
    for seconds, expected in ((50, 0), (300, 0), (50, 40), (300, 340), (320, 0)):
        await asyncio.sleep(seconds)
        assert late(wall()) == pytest.approx(expected, abs=0.5)
