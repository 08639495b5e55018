"""Cold start: N objects are applied at once; it ends when all are ready."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from benchmarks.harness import keys
from benchmarks.scenarios.common import Figures, Period, writes_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contender import Product
    from benchmarks.harness import Stage
    from benchmarks.process import Process


async def cold_start(
    stage: Stage, process: Process, products: Sequence[Product], *, seconds: float
) -> Figures:
    """Measure from the first create to the last Ready; requests are counted until they end."""
    period = await Period.begin(stage, process)
    applying = asyncio.create_task(stage.apply(products))
    end = await stage.ready.until(keys(products), seconds=seconds)
    await applying
    cpu = period.cpu_seconds()
    quiet_at = await period.quiet(seconds=60, what="writes")
    return {
        "readySeconds": end - period.began,
        "settledSeconds": quiet_at and quiet_at - period.began,
        "objectsPerSecond": len(products) / (end - period.began),
        "cpuSeconds": cpu,
        "cpuMillisecondsPerObject": 1000 * cpu / len(products),
        "memoryMiB": process.memory_mib(),
        "peakMemoryMiB": process.memory_mib("VmHWM"),
        **period.traffic(len(products)),
        # With such short blocks, the first products are evaluated before the last one serves; these
        # writes are part of the requests, but not of the start.
        "writesUntilReady": writes_until(stage.ready, stage, products) / len(products),
        **await period.inside(),
    }


async def warm_up(stage: Stage, process: Process, *, seconds: float) -> None:
    """Wait until the process has sent its first requests without any objects: it has started then."""
    period = await Period.begin(stage, process)
    while not period.new_requests("requests"):
        if time.monotonic() > process.started + seconds:
            raise TimeoutError(f"no request of {stage.user} within {seconds:.0f} s")
        await asyncio.sleep(0.1)
        process.require()
    await period.quiet(seconds=seconds)
