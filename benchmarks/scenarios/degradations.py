"""A wave of degradations: the models of many products become worse at the same moment.

Only contenders that notice it can be measured. Pods of training Jobs complete at once on fake
nodes and report nothing, so each Job is a failed attempt and its slot is free again: the wave
shows who is admitted, in which order, and never more than the budget allows.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from benchmarks.measurements import SCRAPE_SECONDS
from benchmarks.own import PRIORITIES, QUICK_BLOCK_SECONDS, SETTLE_SECONDS
from benchmarks.scenarios.common import Figures, Period
from benchmarks.stage import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contender import Body, Product
    from benchmarks.kube import Key
    from benchmarks.process import Process
    from benchmarks.stage import Stage

JOBS: Final = "/apis/batch/v1/jobs"
WATCHED_SECONDS: Final = 90.0
"""How long Jobs are counted after the first one."""
WARM_BLOCKS: Final = 20
"""A version is retrained only after 14 blocks, and should have shown what is normal for it."""
LABEL: Final = "sluicegate.dev/product"


@dataclass
class Jobs:
    """The Jobs there were, and how many were unfinished at the same time."""

    priorities: dict[Key, int]
    created: dict[Key, float] = field(default_factory=dict)
    order: list[Key] = field(default_factory=list)
    unfinished: set[tuple[Key, str]] = field(default_factory=set)
    most: int = 0
    most_in_namespace: int = 0
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def take_in(self, event: str, body: Body) -> None:
        """Look at a Job as it arrives."""
        meta = body["metadata"]
        key = meta["namespace"], meta["labels"][LABEL]
        if key not in self.created and event == "ADDED":
            self.created[key] = time.time()
            self.order.append(key)
            self.first.set()
        conditions = (body.get("status") or {}).get("conditions") or ()
        done = event == "DELETED" or any(
            one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions
        )
        (self.unfinished.discard if done else self.unfinished.add)((key, meta["name"]))
        self.most = max(self.most, len(self.unfinished))
        places = [namespace for (namespace, _), _ in self.unfinished]
        self.most_in_namespace = max(
            self.most_in_namespace, max(map(places.count, places), default=0)
        )

    def inversions(self) -> int:
        """Starts that a product of higher priority, which waited too, should have had.

        A namespace trains one at a time, so only starts within a namespace are compared.
        """
        wrong = 0
        for namespace in {key[0] for key in self.order}:
            ranks = [self.priorities[key] for key in self.order if key[0] == namespace]
            wrong += sum(after > before for before, after in pairwise(ranks))
        return wrong


async def degradations(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """From the breach to the Jobs; the products of the wave serve already."""
    await asyncio.sleep(WARM_BLOCKS * QUICK_BLOCK_SECONDS)
    jobs = Jobs({one.key: one.number % len(PRIORITIES) for one in wave})
    watching = asyncio.create_task(stage.client.watch(JOBS, jobs.take_in))
    try:
        period = await Period.begin(stage, process)
        breach = stage.measurements.degrade(keys(wave))
        async with asyncio.timeout(seconds):
            await jobs.first.wait()
        await asyncio.sleep(WATCHED_SECONDS)
    finally:
        watching.cancel()
    process.require()
    confirmed = await confirmations(stage, set(jobs.created))
    delays = [(jobs.created[key] - at) / QUICK_BLOCK_SECONDS for key, at in confirmed.items()]
    return {
        "products": len(wave),
        "breachToFirstJobSeconds": min(jobs.created.values()) - breach,
        "breachToFirstJobBlocks": (min(jobs.created.values()) - breach) / QUICK_BLOCK_SECONDS,
        "confirmedToFirstJobBlocks": min(delays, default=None),
        "jobs": len(jobs.created),
        "mostAtOnce": jobs.most,
        "mostInNamespace": jobs.most_in_namespace,
        "priorityInversions": jobs.inversions(),
        "memoryMiB": process.memory_mib(),
        **period.traffic(max(len(jobs.created), 1)),
        **await period.inside(),
    }


async def confirmations(stage: Stage, started: set[Key]) -> dict[Key, float]:
    """When the block that confirmed each degradation was complete, in seconds since 1970.

    The trigger tells when it was decided; the newest block settled by then is the confirming one.
    """
    bodies, _ = await stage.client.list(stage.contender.observed)
    found: dict[Key, float] = {}
    for body in bodies:
        key = body["metadata"]["namespace"], body["metadata"]["name"]
        trigger = ((body.get("status") or {}).get("retraining") or {}).get("trigger") or {}
        if key in started and "at" in trigger:
            decided = datetime.fromisoformat(trigger["at"]).timestamp()
            settled = (decided - SCRAPE_SECONDS - SETTLE_SECONDS) / QUICK_BLOCK_SECONDS
            found[key] = math.floor(settled) * QUICK_BLOCK_SECONDS
    return found
