"""Measurements of every scenario: requests until they end, CPU, memory, and the contender's own histograms."""

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
"""Figures by name; the name ends with the unit. None if it couldn't be measured."""
Progress = Any
"""Prints a line of progress."""

QUIET_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 1.0
"""Seconds by which the write that makes an object ready precedes the event of the watch."""
HISTOGRAMS: Final = {
    "loopLag": "sluicegate_event_loop_lag_seconds",
    "reconcile": "controller_runtime_reconcile_time_seconds",
    "queueWait": "workqueue_queue_duration_seconds",
}


@dataclass
class Period:
    """Measurements since `begin`, from outside and, if the contender exports them, from inside."""

    stage: Stage
    process: Process
    began: float
    cpu: float
    before: Metrics
    requests: Requests

    @classmethod
    async def begin(cls, stage: Stage, process: Process) -> Period:
        """Drop earlier requests, and start the clock."""
        stage.audit.take(stage.user)
        stage.audit.written.clear()
        before = await stage.metrics()
        return cls(
            stage, process, time.monotonic(), process.cpu_seconds(), before, requests=Counter()
        )

    async def quiet(self, *, seconds: float, what: str = "requests") -> float | None:
        """Wait for a time without requests; return the time of the last one, None on timeout.

        `what` may be "writes": reads are ignored then.
        """
        last, deadline = time.monotonic(), time.monotonic() + seconds
        while time.monotonic() - last < QUIET_SECONDS:
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.25)
            self.process.require()
            if self.new_requests(what):
                last = time.monotonic()
        return last

    def new_requests(self, what: str = "requests") -> int:
        """Return the number of new requests, without leases."""
        fresh = self.stage.audit.take(self.stage.user)
        self.requests += fresh
        read = audit.reads(fresh) if what == "requests" else 0
        return read + audit.writes(fresh) + audit.events(fresh)

    def traffic(self, objects: int) -> Figures:
        """Return requests per object, also by kind."""
        self.new_requests()
        return {
            "writesPerObject": audit.writes(self.requests) / objects,
            "eventsPerObject": audit.events(self.requests) / objects,
            "readsPerObject": audit.reads(self.requests) / objects,
            "requests": audit.by_kind(self.requests),
        }

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process since the begin."""
        return self.process.cpu_seconds() - self.cpu

    async def inside(self) -> Figures:
        """Return quantiles of its own histograms, if it has them."""
        added = (await self.stage.metrics()).since(self.before)
        figures: Figures = {}
        for name, histogram in HISTOGRAMS.items():
            for share in (50, 99):
                value = added.quantile(histogram, share / 100)
                if value is not None:
                    figures[f"{name}P{share}Seconds"] = value
        return figures


def writes_until(reached: Watcher, stage: Stage, products: Sequence[Product]) -> int:
    """Return the writes of each product's objects in this period until the product had reached it.

    Children are identified by their names, which begin with the product's. Writes of other products
    in the meantime, and later ones of these, don't count.
    """
    offset = time.time() - time.monotonic()
    until = {one.key: reached.since[one.key] + offset + ANSWER_SECONDS for one in products}
    length = len(products[0].name)
    return sum(
        (key := (one.namespace, one.name[:length])) in until and one.at <= until[key]
        for one in stage.audit.written
    )
