"""A common cause: so many products turn bad at the same moment that no model can be to blame.

The wave of `degradations`, but two fifths of all products at once. Nothing may be retrained.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from benchmarks.harness import keys
from benchmarks.scenarios.common import Figures, Period
from benchmarks.scenarios.degradations import FINE, WARM_BLOCKS, Jobs, causes, watching
from benchmarks.sluicegate_contender import QUICK_BLOCK_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contender import Product
    from benchmarks.harness import Stage
    from benchmarks.process import Process

WATCHED_BLOCKS: Final = 18
"""After the last was found degraded; a model that decays by itself is retrained within two."""

LOOK_BLOCKS: Final = 3
"""How often all products are listed, which is work for the control plane too."""


async def common_cause(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """From the breach until all would long have been retrained; the products serve already.

    Raises
    ------
    TimeoutError
        After so many seconds some were still not found degraded.
    """
    await asyncio.sleep(WARM_BLOCKS * QUICK_BLOCK_SECONDS)
    jobs = Jobs({})
    async with watching(stage, jobs):
        period = await Period.begin(stage, process)
        breach = stage.measurements.degrade(keys(wave))
        found = {FINE: len(wave)}
        async with asyncio.timeout(seconds):
            while FINE in found:
                await asyncio.sleep(LOOK_BLOCKS * QUICK_BLOCK_SECONDS)
                process.require()
                found = await causes(stage, keys(wave))
        took = time.time() - breach
        await asyncio.sleep(WATCHED_BLOCKS * QUICK_BLOCK_SECONDS)
    process.require()
    found = await causes(stage, keys(wave))
    return {
        "products": len(wave),
        "breachToAllFoundSeconds": took,
        # Jobs of an earlier wave may be there still.
        "jobs": len(jobs.created.keys() & keys(wave)),
        "causes": found,
        "blamedOnCommonCause": found.get("CommonCause", 0) / len(wave),
        "memoryMiB": process.memory_mib(),
        **period.traffic(len(wave)),
        **await period.inside(),
    }
