"""A wave of degradations: the models of many products become worse at the same time.

Only contenders that detect it can be measured. Pods of training Jobs complete at once on fake nodes
and report nothing, so each Job is a failed attempt and its slot is free again: the wave shows which
products are admitted, in which order, and never more than the budget allows.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.harness import keys
from benchmarks.scenarios.common import Figures, Period
from benchmarks.sluicegate_contender import PRIORITIES, QUICK_BLOCK_SECONDS
from sluicegate.api import names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from benchmarks.contender import Body, Product
    from benchmarks.harness import Stage
    from benchmarks.kube import Key
    from benchmarks.process import Process

JOBS: Final = "/apis/batch/v1/jobs"
WATCHED_SECONDS: Final = 90.0
"""Seconds after the first Job in which Jobs are counted."""
WARM_BLOCKS: Final = 20
"""Blocks before the breach: a version is retrained only after 14 blocks, and needs a normal level."""
TOGETHER_SECONDS: Final = QUICK_BLOCK_SECONDS / 2
"""Seconds within which Jobs of one pass over all products are created; the next pass is a block later.

It is also the time from a decision to its Job, in which the inputs of the decision may change.

Also the time from a decision to its Job, in which what was decided by may change."""
CONFIRMING: Final = 3
"""Evaluations in a row that confirm a degradation."""
FINE: Final = "not degraded"


@dataclass
class Jobs:
    """All Jobs, the largest number of unfinished ones, and products that were passed over.

    Attributes
    ----------
    ranks
        Ranks of the products of the wave: a higher one is first.
    created
        Time of a product's first Job, in seconds since 1970, in order.
    busy
        Namespaces with a Job at the decision of a product's Job: each trains one at a time.
    confirmed
        Time at which the block that confirmed its degradation was complete, by the Job's trigger.
    unfinished, open
        Running Jobs; Jobs whose result the operator hasn't read yet.
    freed
        Time at which the result of a namespace's last Job was read.
    """

    ranks: Mapping[Key, int]
    created: dict[Key, float] = field(default_factory=dict)
    confirmed: dict[Key, float] = field(default_factory=dict)
    busy: dict[Key, frozenset[str]] = field(default_factory=dict)
    unfinished: set[tuple[Key, str]] = field(default_factory=set)
    open: set[tuple[Key, str]] = field(default_factory=set)
    freed: dict[str, float] = field(default_factory=dict)
    most: int = 0
    max_in_namespace: int = 0
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def take_in(self, event: str, body: Body) -> None:
        """Record a Job that arrives."""
        meta = body["metadata"]
        key = meta["namespace"], meta["labels"][names.LABEL_PRODUCT]
        if key not in self.created and event == "ADDED":
            self.created[key] = time.time()
            self.busy[key] = self._busy(self.created[key])
            self.confirmed[key] = confirming_block(body)
            self.first.set()
        deleted = event == "DELETED"
        self._keep(self.unfinished, (key, meta["name"]), kept=not (deleted or has_ended(body)))
        over = deleted or "ttlSecondsAfterFinished" in body["spec"]
        if over and (key, meta["name"]) in self.open:
            self.freed[key[0]] = time.time()
        self._keep(self.open, (key, meta["name"]), kept=not over)
        self.most = max(self.most, len(self.unfinished))
        places = Counter(namespace for (namespace, _), _ in self.unfinished)
        self.max_in_namespace = max(self.max_in_namespace, *places.values(), 0)

    def passed_over(self) -> dict[str, dict[str, float]]:
        """Return starts instead of which products of higher priority could have started.

        All of the wave degrade at the same time, so all wait. Of two that are admitted together
        either Job may be observed first.

        Returns
        -------
        Names of the products that were passed over, with the seconds until their start, by the name of
        the one that started.
        """
        others_by_key = {key: self._passed_over_by(key) for key in self.created}
        return {key[1]: others for key, others in others_by_key.items() if others}

    def _busy(self, created: float) -> frozenset[str]:
        """Return namespaces that had a Job at the decision of one that is created now."""
        lately = {place for place, when in self.freed.items() if when + TOGETHER_SECONDS > created}
        return frozenset(lately.union(namespace for (namespace, _), _ in self.open))

    def _passed_over_by(self, key: Key) -> dict[str, float]:
        began = self.created[key]
        return {
            other[1]: self.created.get(other, math.inf) - began
            for other, rank in self.ranks.items()
            if rank > self.ranks.get(key, 0)
            and self.created.get(other, math.inf) > began + TOGETHER_SECONDS
            and other[0] not in self.busy[key]
        }

    @staticmethod
    def _keep(among: set[tuple[Key, str]], job: tuple[Key, str], *, kept: bool) -> None:
        (among.add if kept else among.discard)(job)


def has_ended(job: Body) -> bool:
    """Return whether a Job has succeeded or failed."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(
        one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions
    )


def confirming_block(job: Body) -> float:
    """Return when the block that confirmed the degradation was complete, in seconds since 1970."""
    trigger = json.loads(job["metadata"]["annotations"][names.ANNOTATION_TRIGGER])
    first = datetime.fromisoformat(trigger["firstBadBlockTime"]).timestamp()
    return first + (CONFIRMING - 1) * QUICK_BLOCK_SECONDS


async def degradations(
    stage: Stage, process: Process, wave: Sequence[Product], *, seconds: float
) -> Figures:
    """Measure from the breach to the Jobs; the products of the wave serve already."""
    await asyncio.sleep(WARM_BLOCKS * QUICK_BLOCK_SECONDS)
    jobs = Jobs({one.key: one.number % len(PRIORITIES) for one in wave})
    async with watching(stage, jobs):
        period = await Period.begin(stage, process)
        breach = stage.measurements.degrade(keys(wave))
        async with asyncio.timeout(seconds):
            await jobs.first.wait()
        await asyncio.sleep(WATCHED_SECONDS)
    process.require()
    first = next(iter(jobs.created))
    counts, passed_over = await causes(stage, keys(wave)), jobs.passed_over()
    return {
        "products": len(wave),
        "foundDegraded": sum(counts.values()) - counts.get(FINE, 0),
        "causes": counts,
        "breachToFirstJobSeconds": jobs.created[first] - breach,
        "breachToFirstJobBlocks": (jobs.created[first] - breach) / QUICK_BLOCK_SECONDS,
        "confirmedToFirstJobBlocks": (jobs.created[first] - jobs.confirmed[first])
        / QUICK_BLOCK_SECONDS,
        "breachToJobP50Seconds": median(jobs.created.values()) - breach,
        "breachToLastJobSeconds": max(jobs.created.values()) - breach,
        "jobs": len(jobs.created),
        "mostAtOnce": jobs.most,
        "mostInNamespace": jobs.max_in_namespace,
        "priorityInversions": len(passed_over),
        "passedOver": passed_over,
        "memoryMiB": process.memory_mib(),
        **period.traffic(max(len(jobs.created), 1)),
        **await period.inside(),
    }


@asynccontextmanager
async def watching(stage: Stage, jobs: Jobs) -> AsyncIterator[None]:
    """Pass every Job to `jobs`; an error of the watch ends the scenario."""
    task = asyncio.create_task(stage.client.watch(JOBS, jobs.take_in))
    try:
        yield
    finally:
        failed = task.done()
        task.cancel()
        if failed:
            task.result()


async def causes(stage: Stage, wave: set[Key]) -> dict[str, int]:
    """Return the number of degraded products by cause; the others under `FINE`."""
    bodies, _ = await stage.client.list(stage.contender.observed)
    counts: Counter[str] = Counter()
    for body in bodies:
        if (body["metadata"]["namespace"], body["metadata"]["name"]) in wave:
            status = body.get("status") or {}
            degraded = status.get("state") == "Degraded"
            cause = (status.get("diagnosis") or {}).get("cause", "unknown")
            counts[cause if degraded else FINE] += 1
    return dict(counts.most_common())
