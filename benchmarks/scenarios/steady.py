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
    from benchmarks.process import Process
    from benchmarks.stage import Stage


async def steady(
    stage: Stage, process: Process, *, settle_seconds: float, seconds: float
) -> Figures:
    """CPU, requests and queries over `seconds`, begun when it no longer writes.

    A contender that judges says so once, some blocks after its products were ready: that is
    waited for first, `settle_seconds`.
    """
    await asyncio.sleep(settle_seconds)
    settled = await (await Period.begin(stage, process)).quiet(seconds=180, what="writes")
    period = await Period.begin(stage, process)
    asked, forms = Counter(stage.prometheus.asked), len(stage.prometheus.forms)
    async with CpuSeconds(process) as cpu:
        await asyncio.sleep(seconds)
    process.require()
    taken = period.traffic(1)
    lasted = time.monotonic() - period.began
    queries = Counter(stage.prometheus.asked) - asked
    blocks = {form["end"] for form in stage.prometheus.forms[forms:]}
    return {
        "seconds": lasted,
        "settledBefore": settled is not None,
        "cpuShare": statistics.mean(cpu.samples),
        # Blocks take a few seconds of each minute, so the median second is one between them.
        "cpuShareBetweenBlocks": statistics.median(cpu.samples),
        "writes": audit.writes(period.requests) + audit.events(period.requests),
        "readsPerSecond": audit.reads(period.requests) / lasted,
        "requests": taken["requests"],
        "blocks": len(blocks),
        "cpuSecondsPerBlock": sum(cpu.samples) / len(blocks) if blocks else None,
        "queriesPerBlock": queries.total() / len(blocks) if blocks else None,
        "memoryMiB": process.memory_mib(),
        **await period.inside(),
    }
