"""Steady state: nothing changes, blocks are read, and the cost should be near zero."""

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
    """Wait until no object changes any more, and return whether that was in time.

    A contender with evaluations writes their results once, some blocks after its products were
    ready: first wait for that, `seconds`, and then until it no longer writes.
    """
    await asyncio.sleep(seconds)
    period = await Period.begin(stage, process)
    return await period.quiet(seconds=180, what="writes") is not None


async def steady(stage: Stage, process: Process, *, is_idle: bool, seconds: float) -> Figures:
    """Measure CPU, requests and queries over `seconds`, of idle products."""
    period = await Period.begin(stage, process)
    first_form = len(stage.prometheus.forms)
    async with CpuSeconds(process) as cpu:
        await asyncio.sleep(seconds)
    process.require()
    requests = period.traffic(1)
    lasted = time.monotonic() - period.began
    queries = Counter(float(form["end"]) for form in stage.prometheus.forms[first_form:])
    return {
        "seconds": lasted,
        "settledBefore": is_idle,
        "cpuShare": statistics.mean(cpu.samples),
        # Blocks need a few seconds of each minute, so the median second is one between them.
        "cpuShareBetweenBlocks": statistics.median(cpu.samples),
        "writes": audit.writes(period.requests) + audit.events(period.requests),
        "readsPerSecond": audit.reads(period.requests) / lasted,
        "requests": requests["requests"],
        "blocks": len(queries),
        "cpuSecondsPerBlock": sum(cpu.samples) / len(queries) if queries else None,
        "queriesPerBlock": per_whole_block(queries),
        "memoryMiB": process.memory_mib(),
        **await period.inside(),
    }


def per_whole_block(queries: Mapping[float, int]) -> float | None:
    """Return queries per block, of `queries` by the end of their block; None if no block is complete.

    The first and the last block are left out: a period that begins or ends during the read of a
    block has only a part of its queries.
    """
    whole = [queries[end] for end in sorted(queries)[1:-1]]
    return statistics.mean(whole) if whole else None
