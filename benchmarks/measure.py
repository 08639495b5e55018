"""One contender at one size, through the scenarios, each with its own time limit."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.harness import open_stage, products
from benchmarks.scenarios.cold_start import cold_start, warm_up
from benchmarks.scenarios.common_cause import common_cause
from benchmarks.scenarios.degradations import degradations
from benchmarks.scenarios.promotions import promotions
from benchmarks.scenarios.restart import restart
from benchmarks.scenarios.starts import starts
from benchmarks.scenarios.steady import settle, steady
from benchmarks.sluicegate_contender import QUICK_BLOCK_SECONDS, SCENARIOS, SETTLING_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contender import Contender, Product
    from benchmarks.harness import Stage
    from benchmarks.process import Process
    from benchmarks.scenarios.common import Figures

LARGEST_WAVE: Final = 200
WAVE_SHARE: Final = 5
"""Products per product of a wave, at most a fifth."""
COMMON_SHARE: Final = 0.4
"""Share of all products that a common cause degrades at once: it is detected from 30 % on."""
COMMON_BELOW: Final = 1000
"""Products from which on the scenario of a common cause is skipped: it would need thousands more."""
SECONDS_PER_PRODUCT: Final = 0.35
"""Seconds for each product in a scenario's limit: the slowest contender admits ten products a second."""
SECOND_START: Final = "coldWithShortBlocks"
"""Cold start of the products for all later scenarios, if these need products of their own."""
SLACK_SECONDS: Final = 240.0
"""Seconds for a scenario's own waits, in addition to its limit."""

Say = Any
"""Prints a line of progress."""
Keep = Any
"""Stores all results so far, after each new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Scenarios, and their time limits.

    Attributes
    ----------
    scenarios
        Names out of `benchmarks.sluicegate_contender.SCENARIOS`; "cold" always comes first, and is always run.
    steady_seconds
        Duration of the steady state: long enough for a list of all kinds.
    limit_seconds
        For each scenario, and a third of a second more for each product; a longer one is ended and
        marked as failed.
    run, commit
        Begin of the run, and the measured commit: only figures of one run are compared.
    """

    scenarios: tuple[str, ...] = SCENARIOS
    steady_seconds: float = 620.0
    limit_seconds: float = 420.0
    run: str = ""
    commit: str = ""


@dataclass
class Run:
    """The results so far; a failed scenario doesn't affect the others."""

    plan: Plan
    say: Say
    keep: Keep
    limit: float
    results: dict[str, Figures] = field(default_factory=dict)

    async def scenario(self, name: str, run: Callable[[], Awaitable[Figures]]) -> None:
        """Run one scenario, if it is planned."""
        if name not in (*self.plan.scenarios, SECOND_START):
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.limit + SLACK_SECONDS):
                figures = await run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the others are still worth it
            figures = {"failed": str(error) or type(error).__name__}
        figures |= {"run": self.plan.run, "commit": self.plan.commit}
        self.results[name] = figures
        self.keep(self.results)
        self.say(f"{name}: {time.monotonic() - began:.0f} s; {summary(figures)}")

    def is_ongoing(self) -> bool:
        """Return whether there is a start to continue from, and another scenario."""
        failed = any("failed" in self.results.get(one, ()) for one in ("cold", SECOND_START))
        return not failed and self.planned(*SCENARIOS[1:])

    def planned(self, *names: str) -> bool:
        """Return whether any of these is to be run."""
        return any(name in self.plan.scenarios for name in names)


async def measure(
    contender: Contender, count: int, plan: Plan, say: Say, *, keep: Keep = lambda _: None
) -> dict[str, Figures]:
    """Run all scenarios of a contender at N = `count`, on control planes of its own.

    If the later scenarios need other products than the cold start, they have another control plane.
    """
    plan = replace(plan, scenarios=fitting(contender, count, plan))
    run = Run(plan, say, keep, limit=plan.limit_seconds + SECONDS_PER_PRODUCT * count)
    hurried = contender.hurried()
    if hurried != contender:
        async with open_stage(contender, count) as stage:
            with stage.running() as process:
                await start(run, stage, process, count)
        if not run.is_ongoing():
            return run.results
    wave = min(LARGEST_WAVE, max(count // WAVE_SHARE, 1))
    promotions = math.ceil(COMMON_SHARE / (1 - COMMON_SHARE) * (count + 2 * wave))
    async with open_stage(hurried, count + 2 * wave + promotions) as stage:
        with stage.running() as process:
            await start(run, stage, process, count)
            if not run.is_ongoing():
                return run.results
            await run.scenario(
                "starts",
                lambda: starts(
                    stage, process, products(wave, "started", quick=True), seconds=run.limit
                ),
            )
            # A restart would also write pending status changes of products that have just begun.
            is_idle = run.planned("steady", "restart") and await settle(
                stage, process, seconds=hurried.description.settle_seconds
            )
            await run.scenario(
                "steady",
                lambda: steady(stage, process, is_idle=is_idle, seconds=plan.steady_seconds),
            )
            stopped = await process.stop()
        if not run.planned("restart", "promotions", "degradations", "commonCause"):
            return run.results
        with stage.running() as process:
            await run.scenario(
                "restart",
                lambda: restart(stage, process, count, stopped=stopped, seconds=run.limit),
            )
            await waves(run, stage, process, size=wave, number=promotions)
    return run.results


async def start(run: Run, stage: Stage, process: Process, count: int) -> None:
    """Run the cold start; a second one, with short blocks, is required for later scenarios."""
    await warm_up(stage, process, seconds=180)
    everyone = products(count)
    name = SECOND_START if "cold" in run.results else "cold"
    await run.scenario(name, lambda: cold_start(stage, process, everyone, seconds=run.limit))


def fitting(contender: Contender, count: int, plan: Plan) -> tuple[str, ...]:
    """Return the planned scenarios that apply to this contender and size."""
    scenarios = dict.fromkeys(("cold", *plan.scenarios))
    if count >= COMMON_BELOW:
        scenarios.pop("commonCause", None)
    return tuple(scenario for scenario in scenarios if scenario in contender.description.scenarios)


async def waves(run: Run, stage: Stage, process: Process, *, size: int, number: int) -> None:
    """Run the waves, each with new products; a common cause has `number` of them."""
    limit = run.limit

    async def joined(count: int, name: str) -> list[Product]:
        chosen = products(count, name, quick=True)
        seconds = await cold_start(stage, process, chosen, seconds=limit)
        run.say(f"{count} products joined in {seconds['readySeconds']:.1f} s")
        return chosen

    async def promoted() -> Figures:
        chosen = await joined(size, "promoted")
        # Status changes of a version in its first blocks aren't part of the wave.
        await asyncio.sleep(SETTLING_BLOCKS * QUICK_BLOCK_SECONDS)
        return await promotions(stage, process, chosen, seconds=limit)

    async def degraded() -> Figures:
        return await degradations(stage, process, await joined(size, "degraded"), seconds=limit)

    async def together() -> Figures:
        return await common_cause(stage, process, await joined(number, "together"), seconds=limit)

    await run.scenario("promotions", promoted)
    await run.scenario("degradations", degraded)
    await run.scenario("commonCause", together)


def summary(figures: Figures) -> str:
    """Return the plain numbers on one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
        if not isinstance(value, (dict, list))
    )
