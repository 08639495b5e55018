"""Blocks of all lengths at once, with the same queries as the operator's rounds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.prometheus_stand_in import PrometheusStandIn
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from sluicegate.prometheus.block_reader import Length
    from sluicegate.prometheus.targets import Readings, Target


async def fetch_all(
    evaluation: BlockReader, targets: Iterable[Target], now: float
) -> tuple[Readings, ...]:
    """Return the complete blocks of each set of queries that these targets need."""
    groups = evaluation.regroup(targets)
    fetches = [fetch_length(evaluation, length, group, now) for length, group in groups.items()]
    return tuple(readings for answered in await asyncio.gather(*fetches) for readings in answered)


async def fetch_length(
    evaluation: BlockReader, length: Length, group: Sequence[Target], now: float
) -> list[Readings]:
    """Return the complete blocks of one set of queries."""
    return [readings async for readings in evaluation.fetch_blocks(length, group, now)]


def cars_and_vans() -> PrometheusStandIn:
    """Return a Prometheus with counts of two products."""
    return PrometheusStandIn(World([ProductBlocks(product="cars"), ProductBlocks(product="vans")]))


@asynccontextmanager
async def evaluating(
    server: PrometheusStandIn, *, seconds: float = 20.0, concurrency: int = 4, **settings: Any
) -> AsyncIterator[BlockReader]:
    """Yield an evaluation with these settings that asks at once, and waits this many seconds for an answer."""
    endpoint = Endpoint(url=server.url, timeout_seconds=seconds, concurrency=concurrency)
    async with Prometheus(endpoint) as prometheus:
        yield BlockReader(prometheus, EvaluationSettings(**{"jitter_seconds": 0, **settings}))
