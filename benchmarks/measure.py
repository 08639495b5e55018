"""One contender at one size, through the scenarios, each with a time limit of its own."""

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
"""A wave is at most a fifth of the products."""
COMMON_SHARE: Final = 0.4
"""Of all products, that are degraded at once by a common cause: it counts as one from 30 % on."""
COMMON_BELOW: Final = 1000
"""Products from which on a common cause isn't made: it would take thousands more."""
SECONDS_PER_PRODUCT: Final = 0.35
"""What is added to a scenario's limit: the slowest contender admits ten products a second."""
SECOND_START: Final = "coldWithShortBlocks"
"""What everything after the cold start begins with, where it needs products of its own."""
SLACK_SECONDS: Final = 240.0
"""A scenario's own waits, beside what its limit is for."""

Say = Any
"""Prints a line of progress."""
Keep = Any
"""Is given all results so far, whenever there is one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run, and how long it may take.

    Attributes
    ----------
    scenarios
        Names out of `benchmarks.sluicegate_contender.SCENARIOS`; "cold" always comes first, and is always run.
    steady_seconds
        How long the steady state is watched: so long that everything is listed once meanwhile.
    limit_seconds
        For each scenario, and a third of a second more for each product; what takes longer is
        given up, and says so.
    run, commit
        When the run began, and what it measures: only figures of one run are compared.
    """

    scenarios: tuple[str, ...] = SCENARIOS
    steady_seconds: float = 620.0
    limit_seconds: float = 420.0
    run: str = ""
    commit: str = ""


@dataclass
class Run:
    """The results so far; a scenario that fails doesn't take the others with it."""

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

    def goes_on(self) -> bool:
        """Whether there is a start to go on from, and anything to go on to."""
        failed = any("failed" in self.results.get(one, ()) for one in ("cold", SECOND_START))
        return not failed and self.planned(*SCENARIOS[1:])

    def planned(self, *names: str) -> bool:
        """Whether any of these is to be run."""
        return any(name in self.plan.scenarios for name in names)


async def measure(
    contender: Contender, count: int, plan: Plan, say: Say, *, keep: Keep = lambda _: None
) -> dict[str, Figures]:
    """All scenarios of a contender at N = `count`, on control planes of its own.

    Where what comes after the cold start is measured with other products than this one, it has a
    control plane of its own, too.
    """
    plan = replace(plan, scenarios=fitting(contender, count, plan))
    run = Run(plan, say, keep, limit=plan.limit_seconds + SECONDS_PER_PRODUCT * count)
    hurried = contender.hurried()
    if hurried != contender:
        async with open_stage(contender, count) as stage:
            with stage.running() as process:
                await start(run, stage, process, count)
        if not run.goes_on():
            return run.results
    wave = min(LARGEST_WAVE, max(count // WAVE_SHARE, 1))
    many = math.ceil(COMMON_SHARE / (1 - COMMON_SHARE) * (count + 2 * wave))
    async with open_stage(hurried, count + 2 * wave + many) as stage:
        with stage.running() as process:
            await start(run, stage, process, count)
            if not run.goes_on():
                return run.results
            await run.scenario(
                "starts",
                lambda: starts(
                    stage, process, products(wave, "started", quick=True), seconds=run.limit
                ),
            )
            # A restart would write what is still to be said of products that only just began, too.
            settled = run.planned("steady", "restart") and await settle(
                stage, process, seconds=hurried.description.settle_seconds
            )
            await run.scenario(
                "steady",
                lambda: steady(stage, process, settled=settled, seconds=plan.steady_seconds),
            )
            stopped = await process.stop()
        if not run.planned("restart", "promotions", "degradations", "commonCause"):
            return run.results
        with stage.running() as process:
            await run.scenario(
                "restart",
                lambda: restart(stage, process, count, stopped=stopped, seconds=run.limit),
            )
            await waves(run, stage, process, size=wave, many=many)
    return run.results


async def start(run: Run, stage: Stage, process: Process, count: int) -> None:
    """The cold start; a second one tells what short blocks cost it, and can't be left out."""
    await warm_up(stage, process, seconds=180)
    everyone = products(count)
    name = SECOND_START if "cold" in run.results else "cold"
    await run.scenario(name, lambda: cold_start(stage, process, everyone, seconds=run.limit))


def fitting(contender: Contender, count: int, plan: Plan) -> tuple[str, ...]:
    """The planned scenarios that mean something for this contender and size."""
    wanted = dict.fromkeys(("cold", *plan.scenarios))
    if count >= COMMON_BELOW:
        wanted.pop("commonCause", None)
    return tuple(one for one in wanted if one in contender.description.scenarios)


async def waves(run: Run, stage: Stage, process: Process, *, size: int, many: int) -> None:
    """The waves, each with products of its own that join for it; a common cause has `many`."""
    limit = run.limit

    async def joined(count: int, name: str) -> list[Product]:
        chosen = products(count, name, quick=True)
        took = await cold_start(stage, process, chosen, seconds=limit)
        run.say(f"{count} products joined in {took['readySeconds']:.1f} s")
        return chosen

    async def promoted() -> Figures:
        chosen = await joined(size, "promoted")
        # What is said of a version in its first blocks isn't part of the wave.
        await asyncio.sleep(SETTLING_BLOCKS * QUICK_BLOCK_SECONDS)
        return await promotions(stage, process, chosen, seconds=limit)

    async def degraded() -> Figures:
        return await degradations(stage, process, await joined(size, "degraded"), seconds=limit)

    async def together() -> Figures:
        return await common_cause(stage, process, await joined(many, "together"), seconds=limit)

    await run.scenario("promotions", promoted)
    await run.scenario("degradations", degraded)
    await run.scenario("commonCause", together)


def summary(figures: Figures) -> str:
    """The plain numbers on one line."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
        if not isinstance(value, (dict, list))
    )
