"""A common cause: so many products degrade at the same time that their models can't be the cause.

Like the wave of `degradations`, but for two fifths of all products. No product may be retrained.
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
"""Blocks after the last degradation that are observed; a decayed model is retrained within two."""

LOOK_BLOCKS: Final = 3
"""Blocks between lists of all products, which also cost the control plane."""


async def common_cause(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """Measure from the breach until all would have been retrained; the products serve already.

    Raises
    ------
    TimeoutError
        Some products weren't degraded in time.
    """
    await asyncio.sleep(WARM_BLOCKS * QUICK_BLOCK_SECONDS)
    jobs = Jobs({})
    async with watching(stage, jobs):
        period = await Period.begin(stage, process)
        breach = stage.measurements.degrade(keys(wave))
        counts = {FINE: len(wave)}
        async with asyncio.timeout(seconds):
            while FINE in counts:
                await asyncio.sleep(LOOK_BLOCKS * QUICK_BLOCK_SECONDS)
                process.require()
                counts = await causes(stage, keys(wave))
        duration = time.time() - breach
        await asyncio.sleep(WATCHED_BLOCKS * QUICK_BLOCK_SECONDS)
    process.require()
    counts = await causes(stage, keys(wave))
    return {
        "products": len(wave),
        "breachToAllFoundSeconds": duration,
        # Jobs of an earlier wave may still exist.
        "jobs": len(jobs.created.keys() & keys(wave)),
        "causes": counts,
        "blamedOnCommonCause": counts.get("CommonCause", 0) / len(wave),
        "memoryMiB": process.memory_mib(),
        **period.traffic(len(wave)),
        **await period.inside(),
    }
