"""What every scenario measures: requests until it is quiet, CPU, memory, and its own histograms."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks import audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.audit import Requests
    from benchmarks.contender import Product
    from benchmarks.figures import Metrics
    from benchmarks.harness import Stage
    from benchmarks.kube import Watcher
    from benchmarks.process import Process

Figures = dict[str, Any]
"""Figures by name; the name ends with the unit. None is "couldn't be measured"."""
Progress = Any
"""Prints a line of what is going on."""

QUIET_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 1.0
"""A write that makes an object what is waited for is asked for before the watch tells of it."""
HISTOGRAMS: Final = {
    "loopLag": "sluicegate_event_loop_lag_seconds",
    "reconcile": "controller_runtime_reconcile_time_seconds",
    "queueWait": "workqueue_queue_duration_seconds",
}


@dataclass
class Period:
    """What happened since `begin`, seen from outside and, where it exports it, from inside."""

    stage: Stage
    process: Process
    began: float
    cpu: float
    before: Metrics
    requests: Requests

    @classmethod
    async def begin(cls, stage: Stage, process: Process) -> Period:
        """Forget what was asked before, and start the clock."""
        stage.audit.take(stage.user)
        stage.audit.written.clear()
        before = await stage.metrics()
        return cls(
            stage, process, time.monotonic(), process.cpu_seconds(), before, requests=Counter()
        )

    async def quiet(self, *, seconds: float, what: str = "requests") -> float | None:
        """Wait until nothing was asked for a while; return when the last was, None in vain.

        `what` may be "writes": reads may then go on.
        """
        last, deadline = time.monotonic(), time.monotonic() + seconds
        while time.monotonic() - last < QUIET_SECONDS:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.25)
            self.process.require()
            if self.taken(what):
                last = time.monotonic()
        return last

    def taken(self, what: str = "requests") -> int:
        """How many requests came since the last look; leases don't count."""
        fresh = self.stage.audit.take(self.stage.user)
        self.requests += fresh
        read = audit.reads(fresh) if what == "requests" else 0
        return read + audit.writes(fresh) + audit.events(fresh)

    def traffic(self, objects: int) -> Figures:
        """Requests per object, by kind too."""
        self.taken()
        return {
            "writesPerObject": audit.writes(self.requests) / objects,
            "eventsPerObject": audit.events(self.requests) / objects,
            "readsPerObject": audit.reads(self.requests) / objects,
            "requests": audit.by_kind(self.requests),
        }

    def cpu_seconds(self) -> float:
        """CPU time of the process since the beginning."""
        return self.process.cpu_seconds() - self.cpu

    async def inside(self) -> Figures:
        """Quantiles of its own histograms, where it has them."""
        added = (await self.stage.metrics()).since(self.before)
        figures: Figures = {}
        for name, histogram in HISTOGRAMS.items():
            for share in (50, 99):
                value = added.quantile(histogram, share / 100)
                if value is not None:
                    figures[f"{name}P{share}Seconds"] = value
        return figures


def writes_until(reached: Watcher, stage: Stage, products: Sequence[Product]) -> int:
    """Writes of each product's objects in this period until the product had reached it.

    Children are told by their names, which begin with the product's. What is written of other
    products in the meantime, and of these ones later, doesn't count.
    """
    offset = time.time() - time.monotonic()
    until = {one.key: reached.since[one.key] + offset + ANSWER_SECONDS for one in products}
    length = len(products[0].name)
    return sum(
        (key := (one.namespace, one.name[:length])) in until and one.at <= until[key]
        for one in stage.audit.written
    )
