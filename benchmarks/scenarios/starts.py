"""Starts: as many products as in a wave start beside the N, all at once.

They are a floor of the promotions. A wave of promotions starts as many versions, and no controller
can make them serve before the control plane has started their pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scenarios.cold_start import cold_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contender import Product
    from benchmarks.harness import Stage
    from benchmarks.process import Process
    from benchmarks.scenarios.common import Figures


async def starts(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """Measure from the first create to the last Ready of a wave's products."""
    duration = await cold_start(stage, process, wave, seconds=seconds)
    return {"products": len(wave), "readySeconds": duration["readySeconds"]}
