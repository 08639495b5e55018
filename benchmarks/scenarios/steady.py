"""Steady state: nothing changes, blocks of measurements settle, and it should cost next to nothing."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks import audit
from benchmarks.process import CpuSeconds
from benchmarks.scenarios.common import Figures, Period

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.harness import Stage
    from benchmarks.process import Process


async def settle(stage: Stage, process: Process, *, seconds: float) -> bool:
    """Wait until nothing changes any more, and say whether that came.

    A contender that judges says so once, some blocks after its products were ready: that is
    waited for first, `seconds`, and then until it no longer writes.
    """
    await asyncio.sleep(seconds)
    period = await Period.begin(stage, process)
    return await period.quiet(seconds=180, what="writes") is not None


async def steady(stage: Stage, process: Process, *, settled: bool, seconds: float) -> Figures:
    """CPU, requests and queries over `seconds`, of products that have settled."""
    period = await Period.begin(stage, process)
    asked = len(stage.prometheus.forms)
    async with CpuSeconds(process) as cpu:
        await asyncio.sleep(seconds)
    process.require()
    taken = period.traffic(1)
    lasted = time.monotonic() - period.began
    queries = Counter(float(form["end"]) for form in stage.prometheus.forms[asked:])
    return {
        "seconds": lasted,
        "settledBefore": settled,
        "cpuShare": statistics.mean(cpu.samples),
        # Blocks take a few seconds of each minute, so the median second is one between them.
        "cpuShareBetweenBlocks": statistics.median(cpu.samples),
        "writes": audit.writes(period.requests) + audit.events(period.requests),
        "readsPerSecond": audit.reads(period.requests) / lasted,
        "requests": taken["requests"],
        "blocks": len(queries),
        "cpuSecondsPerBlock": sum(cpu.samples) / len(queries) if queries else None,
        "queriesPerBlock": per_whole_block(queries),
        "memoryMiB": process.memory_mib(),
        **await period.inside(),
    }


def per_whole_block(queries: Mapping[float, int]) -> float | None:
    """Queries per block, of `queries` by the end of their block; None if no block is whole.

    The first and the last are left out: a period that begins or ends while a block is being read
    has only a part of its queries.
    """
    whole = [queries[end] for end in sorted(queries)[1:-1]]
    return statistics.mean(whole) if whole else None
