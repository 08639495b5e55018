"""A wave of promotions: many products get a second version at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from benchmarks.harness import keys
from benchmarks.scenarios.common import Figures, Period, writes_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contender import Product
    from benchmarks.harness import Stage
    from benchmarks.process import Process


async def promotions(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """Measure from the first change to the last promotion; the products of the wave serve already."""
    ideal = stage.contender.ideal_promotion_seconds()
    period = await Period.begin(stage, process)
    await stage.change(wave)
    end = await stage.promoted.until(keys(wave), seconds=seconds)
    duration = end - period.began
    cpu, inside = period.cpu_seconds(), await period.inside()
    await period.quiet(seconds=60, what="writes")
    await asyncio.sleep(stage.contender.description.late_seconds)
    traffic = period.traffic(len(wave))
    until = writes_until(stage.promoted, stage, wave) / len(wave)
    return {
        "products": len(wave),
        "seconds": duration,
        "idealSeconds": ideal,
        "ratioToIdeal": duration / ideal,
        "cpuSeconds": cpu,
        "memoryMiB": process.memory_mib(),
        **traffic,
        # The new version is evaluated some blocks later, and others meanwhile: these writes aren't
        # part of a promotion.
        "writesAndEventsUntilPromoted": until + traffic["eventsPerObject"],
        "writesAndEventsPerObject": traffic["writesPerObject"] + traffic["eventsPerObject"],
        **inside,
    }
