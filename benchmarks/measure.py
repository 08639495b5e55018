"""One contender at one size, through the scenarios, each with a time limit of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.own import BLOCK_SECONDS, QUICK_BLOCK_SECONDS
from benchmarks.scenarios.cold_start import cold_start, warm_up
from benchmarks.scenarios.degradations import degradations
from benchmarks.scenarios.promotions import promotions
from benchmarks.scenarios.restart import restart
from benchmarks.scenarios.steady import steady
from benchmarks.stage import open_stage, products

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contender import Contender
    from benchmarks.process import Process
    from benchmarks.scenarios.common import Figures
    from benchmarks.stage import Stage

SCENARIOS: Final = ("cold", "steady", "restart", "promotions", "degradations")
LARGEST_WAVE: Final = 200
SETTLING_BLOCKS: Final = 7
"""From serving to a state that lasts: warm-up, and blocks enough to be judged by."""
WAVE_SHARE: Final = 5
"""A wave is at most a fifth of the products: from 30 % on, a degradation is a common cause."""

Say = Any
"""Prints a line of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run, and how long it may take.

    Attributes
    ----------
    scenarios
        Names out of `SCENARIOS`; "cold" always comes first.
    settle_seconds, steady_seconds
        How long to wait before the steady state, and how long it is watched.
    limit_seconds
        For each scenario; what takes longer is given up, and says so.
    """

    scenarios: tuple[str, ...] = SCENARIOS
    settle_seconds: float = SETTLING_BLOCKS * BLOCK_SECONDS
    steady_seconds: float = 4.1 * BLOCK_SECONDS
    limit_seconds: float = 420.0


@dataclass
class Run:
    """The results so far; a scenario that fails doesn't take the others with it."""

    stage: Stage
    plan: Plan
    say: Say
    results: dict[str, Figures]

    async def scenario(self, name: str, run: Callable[[], Awaitable[Figures]]) -> None:
        """Run one scenario, if it is planned."""
        if name not in self.plan.scenarios:
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.plan.limit_seconds + 60):
                self.results[name] = await run()
        except (TimeoutError, RuntimeError) as error:
            self.results[name] = {"failed": str(error) or "took too long"}
        self.say(f"{name}: {time.monotonic() - began:.0f} s; {summary(self.results[name])}")


async def measure(contender: Contender, count: int, plan: Plan, say: Say) -> dict[str, Figures]:
    """All scenarios of a contender at N = `count`, on a control plane of its own."""
    everyone = products(count)
    fitting = tuple(one for one in plan.scenarios if one in contender.description.scenarios)
    plan = replace(plan, scenarios=fitting)
    wave = min(LARGEST_WAVE, max(count // WAVE_SHARE, 1))
    results: dict[str, Figures] = {}
    async with open_stage(contender, count + 2 * wave) as stage:
        run = Run(stage, plan, say, results)
        limit = plan.limit_seconds
        with stage.running() as process:
            await warm_up(stage, process, seconds=60)
            await run.scenario("cold", lambda: cold_start(stage, process, everyone, seconds=limit))
            if "failed" in results["cold"]:
                return results
            await run.scenario(
                "steady",
                lambda: steady(
                    stage,
                    process,
                    settle_seconds=plan.settle_seconds,
                    seconds=plan.steady_seconds,
                ),
            )
            stopped = await process.stop()
        if "restart" not in plan.scenarios:
            return results
        with stage.running() as process:
            await run.scenario("restart", lambda: restart(stage, process, count, seconds=limit))
            results["restart"]["stopSeconds"] = stopped
            await waves(run, process, wave)
    return results


async def waves(run: Run, process: Process, size: int) -> None:
    """Both waves, each with products of its own that join for it."""
    stage, limit = run.stage, run.plan.limit_seconds
    if "promotions" in run.plan.scenarios:
        chosen = products(size, "promoted", quick=True)
        joined = await cold_start(stage, process, chosen, seconds=limit)
        run.say(f"{size} products joined in {joined['readySeconds']:.1f} s")
        # What is said of a version in its first blocks isn't part of the wave.
        await asyncio.sleep(SETTLING_BLOCKS * QUICK_BLOCK_SECONDS)
        await run.scenario("promotions", lambda: promotions(stage, process, chosen, seconds=limit))
    if "degradations" in run.plan.scenarios:
        chosen = products(size, "degraded", quick=True)
        await cold_start(stage, process, chosen, seconds=limit)
        await run.scenario(
            "degradations", lambda: degradations(stage, process, chosen, seconds=limit)
        )


def summary(figures: Figures) -> str:
    """The plain numbers on one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
        if not isinstance(value, (dict, list))
    )
