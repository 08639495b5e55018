"""How long a fetch waits before it asks, and for an answer."""

from __future__ import annotations

import asyncio
import random

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.blocks import Quality
from tests.support.prometheus.fetching import evaluating, fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World

NOW = 300 * 12 * 400 + 60.0
SLOS = {"availability": Indicator(availability={})}
TARGET = Target(key=ProductKey("catalog", "p0"), versions=("v1",), slos=SLOS)


@pytest.fixture
async def server():
    async with PrometheusStandIn(World([ProductBlocks(product="p0")])) as started:
        yield started


async def test_a_fetch_is_delayed_by_its_jitter(server, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.5)
    async with evaluating(server, jitter_seconds=0.4) as evaluation:
        begun = asyncio.get_running_loop().time()
        (readings,) = await fetch_all(evaluation, (TARGET,), NOW)
    assert asyncio.get_running_loop().time() - begun >= 0.2
    assert readings.complete


async def test_a_fetch_that_times_out_makes_its_blocks_unavailable(server):
    server.lies[""] = Lie.HANGS
    async with evaluating(server, fetch_seconds=0.2) as evaluation:
        (readings,) = await fetch_all(evaluation, (TARGET,), NOW)
    assert "no answer within 0.2 s" in readings.problem
    assert not readings.complete
    for blocks in readings.blocks.values():
        assert {block.quality for block in blocks} == {Quality.UNAVAILABLE}
