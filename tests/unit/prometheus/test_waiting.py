"""How long a fetch waits, for whom, and how the past of many products is read in parts."""

from __future__ import annotations

import asyncio
import random

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.blocks import Quality
from tests.support.prometheus.fetching import fetch_all
from tests.support.prometheus.measured_world import ProductBlocks, World

NOW = 300 * 12 * 400 + 60.0


def target(number: int = 0) -> Target:
    slos = {"availability": Indicator(availability={})}
    return Target(key=ProductKey("catalog", f"p{number}"), versions=("v1",), slos=slos)


@pytest.fixture
async def server():
    async with PrometheusStandIn(World([ProductBlocks(product="p0")])) as started:
        yield started


@pytest.fixture
async def prometheus(server):
    async with Prometheus(Endpoint(url=server.url, timeout_seconds=60)) as opened:
        yield opened


async def test_a_fetch_waits_its_jitter_before_it_asks(server, prometheus, monkeypatch):
    monkeypatch.setattr(random, "random", lambda: 0.5)
    fetching = BlockReader(prometheus, EvaluationSettings(jitter_seconds=0.4))
    begun = asyncio.get_running_loop().time()
    (readings,) = await fetch_all(fetching, (target(),), NOW)
    assert asyncio.get_running_loop().time() - begun >= 0.2
    assert readings.complete


async def test_what_is_not_answered_within_the_time_of_a_fetch_is_unavailable(server, prometheus):
    server.lies[""] = Lie.HANGS
    settings = EvaluationSettings(jitter_seconds=0, fetch_seconds=0.2)
    (readings,) = await fetch_all(BlockReader(prometheus, settings), (target(),), NOW)
    assert "no answer within 0.2 s" in readings.problem
    assert not readings.complete
    for blocks in readings.blocks.values():
        assert {block.quality for block in blocks} == {Quality.UNAVAILABLE}
