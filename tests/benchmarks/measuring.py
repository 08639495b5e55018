"""What the benchmarks' tests measure with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Plan, measure
from benchmarks.sluicegate_contender import Sluicegate

if TYPE_CHECKING:
    from benchmarks.contender import Contender

SIZE = 20
"""Products: what is counted for each of them, and what doesn't depend on them, is so at any size.
Few, as a start that takes half a minute is reported, which is a write, whatever it waits for."""
BLOCK_SECONDS = 5
STEADY = Plan(
    scenarios=("cold", "steady", "restart"),
    steady_seconds=4 * BLOCK_SECONDS,
    limit_seconds=90.0,
)
COLD = Plan(scenarios=("cold",), limit_seconds=90.0)
"""With blocks of the usual length: on a slow machine the quick ones are judged, which is a write,
before the last product serves."""

Found = dict[str, dict[str, Any]]
"""Figures by scenario."""


def measured(size: int, plan: Plan, contender: Contender | None = None) -> Found:
    """Return the measurement, by default of this operator.

    No scenario of it may fail.
    """
    found: Found = asyncio.run(measure(contender or Sluicegate(), size, plan, print))
    failed = {name: figures["failed"] for name, figures in found.items() if "failed" in figures}
    assert not failed
    return found


def steady(size: int) -> Found:
    """Return quick blocks, of which some pass, and a restart."""
    return measured(size, STEADY, Sluicegate(block_seconds=BLOCK_SECONDS))
