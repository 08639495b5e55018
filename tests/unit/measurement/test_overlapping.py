"""What products want may change while it is read: nothing that is late undoes what came since."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.prometheus_stand_in import Held, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.kube.resources import Key
from sluicegate.measurement.store import Measurements
from sluicegate.prometheus.block_cache import BLOCKS_PER_SLICE, BlockCache
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings, Length
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import Past, ProductKey, Readings, SeriesKey, Target
from sluicegate.prometheus.timing import Timing
from sluicegate.slo.blocks import Block, Quality
from sluicegate.stats.counts import Count
from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CARS = Key("catalog", "cars")
LONG, SHORT = 3600, 600
TIMING = Timing(scrape_seconds=5, settle_seconds=5)
"""With which blocks of an hour have canary blocks of a minute, and shorter ones as long as they."""
NOW = 1_700_000_000.0
AVAILABILITY = SeriesKey("catalog", "cars", "v1", "availability")
SECONDS = 20


def target(block_seconds: int = LONG, *, canary: bool = False) -> Target:
    return Target(
        key=ProductKey(*CARS),
        versions=("v1",),
        slos={"availability": Indicator(availability={})},
        block_seconds=block_seconds,
        canary_from=int(NOW) - 1800 if canary else None,
    )


AT_REST, IN_CANARY = target(), target(canary=True)


class Reading:
    """Measurements of one product that are read length by length, at one moment."""

    def __init__(self, server: PrometheusStandIn, evaluation: BlockReader) -> None:
        self.server = server
        self.evaluation = evaluation
        self.measurements = Measurements(TIMING)

    def set_target(self, desired: Target | None) -> None:
        """Change what the product wants to know, and see it as a round's begin does."""
        self.measurements.set_target(CARS, desired)
        self.measurements.prepare(self.evaluation, NOW)

    async def read(self, block_seconds: int, *, canary: bool = False, now: float = NOW):
        """Read one length as a round does; return the products to requeue."""
        length = Length(block_seconds, canary)
        return await self.measurements.read_length(self.evaluation, length, now)

    async def begin(self, block_seconds: int, *, canary: bool = False):
        """Begin such a reading; return it and the event that lets its answers come."""
        held = self.server.held[block_seconds] = Held()
        late = asyncio.create_task(self.read(block_seconds, canary=canary))
        await held.arrived.wait()
        return late, held.released

    def canary_blocks(self):
        blocks = self.measurements.canaries.blocks(AVAILABILITY)
        return {index: blocks.value(index) for index in blocks.indexes()}


@pytest.fixture
async def reading() -> AsyncIterator[Reading]:
    world = World([ProductBlocks(product="cars")], scrape_seconds=5)
    async with (
        PrometheusStandIn(world) as server,
        Prometheus(Endpoint(url=server.url, timeout_seconds=SECONDS)) as prometheus,
        asyncio.timeout(SECONDS),
    ):
        settings = EvaluationSettings(timing=TIMING, jitter_seconds=0)
        yield Reading(server, BlockReader(prometheus, settings))


async def test_a_late_backfill_is_not_awaited_again(reading):
    reading.set_target(AT_REST)
    late, release = await reading.begin(LONG)
    reading.set_target(target(SHORT))
    assert await reading.read(SHORT) == [CARS]
    assert reading.measurements.is_filled(CARS)
    release.set()
    await late
    assert reading.measurements.is_filled(CARS)


async def test_late_canary_blocks_of_a_former_length_do_not_replace_current_ones(reading):
    reading.set_target(IN_CANARY)
    late, release = await reading.begin(60, canary=True)
    reading.set_target(target(30, canary=True))
    await reading.read(30, canary=True)
    known = reading.canary_blocks()
    assert len(known) >= 1800 // 30
    release.set()
    assert await late == []
    assert reading.canary_blocks() == known


@pytest.mark.parametrize("restart", ["while it is read", "later"])
async def test_a_restarted_canary_keeps_its_past_blocks(reading, restart):
    reading.set_target(IN_CANARY)
    late, release = await reading.begin(60, canary=True)
    reading.set_target(AT_REST)
    if restart == "later":
        release.set()
        await late
        assert not reading.canary_blocks()
    reading.set_target(IN_CANARY)
    release.set()
    await late
    await reading.read(60, canary=True)
    assert len(reading.canary_blocks()) >= 1800 // 60


async def test_a_query_result_for_a_deleted_product_is_dropped(reading):
    reading.set_target(AT_REST)
    late, release = await reading.begin(LONG)
    reading.set_target(None)
    release.set()
    await late
    reading.measurements.prepare(reading.evaluation, NOW)
    assert reading.measurements.blocks.series(AVAILABILITY, LONG).newest == -1
    assert not reading.measurements.awaits_answer(Length(LONG, canary=False))


async def test_blocks_of_an_unused_length_are_dropped(reading):
    reading.set_target(AT_REST)
    await reading.read(LONG)
    blocks = reading.measurements.blocks
    assert blocks.series(AVAILABILITY, LONG).newest > 0
    reading.set_target(target(SHORT))
    assert blocks.series(AVAILABILITY, LONG).newest == -1
    assert blocks.facts(AVAILABILITY[:3], LONG) is None


async def test_a_product_deleted_during_its_backfill_causes_no_error():
    cache = BlockCache()
    others = [SeriesKey("catalog", f"vans-{n}", "v1", "availability") for n in range(2)]
    counted = [Block(n + 1, Quality.COUNTED, Count(0, 9)) for n in range(BLOCKS_PER_SLICE + 1)]
    blocks = dict.fromkeys([AVAILABILITY, *others], counted)
    singles = Readings(block_seconds=LONG, canary=False, first=1, last=1, blocks=blocks)
    hours = replace(singles, block_seconds=12 * LONG)
    taking_in = asyncio.create_task(cache.record_past(Past((AT_REST,), singles, hours)))
    while not taking_in.done():
        await asyncio.sleep(0)
        cache.prune([])
    await taking_in
    assert cache.series(AVAILABILITY, LONG).newest == -1


@pytest.mark.parametrize(("block_seconds", "at_rest"), [(LONG, [CARS]), (30, [])])
async def test_a_canary_whose_blocks_end_with_those_of_idle_products_is_reconciled_once(
    reading, block_seconds, at_rest
):
    reading.set_target(target(block_seconds, canary=True))
    assert await reading.read(block_seconds) == [CARS], "its past is known now"
    later = NOW + block_seconds
    assert await reading.read(block_seconds, now=later) == at_rest
    canary = TIMING.canary_block(block_seconds)
    assert await reading.read(canary, canary=True, now=later) == [CARS]


async def test_reads_of_idle_products_leave_a_query_slot_for_a_canary(reading):
    lengths = [LONG, 2 * LONG, 3 * LONG, 4 * LONG]
    held = reading.server.held = {length: Held() for length in lengths}
    desired = {Key("catalog", f"vans-{length}"): target(length) for length in lengths}
    for key, one in desired.items():
        reading.measurements.set_target(key, replace(one, key=ProductKey(*key)))
    reading.set_target(IN_CANARY)
    late = [asyncio.create_task(reading.read(length)) for length in lengths]
    await asyncio.wait(
        [asyncio.create_task(held[length].arrived.wait()) for length in lengths[:3]],
    )
    assert await reading.read(60, canary=True) == [CARS]
    assert not held[4 * LONG].arrived.is_set(), "as many at once as places, but for one"
    for one in held.values():
        one.released.set()
    await asyncio.gather(*late)
