"""Restart: the process is stopped and another one started while nothing changes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from benchmarks import audit
from benchmarks.scenarios.common import Figures, Period

if TYPE_CHECKING:
    from benchmarks.harness import Stage
    from benchmarks.process import Process

LEADS: Final = ("leader_election_master_status", 'name="dataproduct"')
RECONCILES: Final = "controller_runtime_reconcile_total"
WAITING: Final = ("workqueue_depth", 'name="dataproduct"')
"""Depth of the queue, which must be 0: repeated reconciles count, too."""
METRICS_SECONDS: Final = 20
"""Seconds after which a contender with such metrics exports them."""
QUIET_WITHIN_SECONDS: Final = 120
QUIET_SECONDS_PER_OBJECT: Final = 0.02
"""Seconds for each object in which a contender becomes quiet; one that polls never does."""


async def restart(
    stage: Stage, process: Process, objects: int, *, stopped: float, seconds: float
) -> Figures:
    """Measure from the process' start until it leads, has reconciled each object, and is quiet.

    `process` is the new one, just started; the last one needed `stopped` seconds to end.
    """
    period = await Period.begin(stage, process)
    reached = asyncio.create_task(_reached(stage, process, objects, seconds=seconds))
    patience = QUIET_WITHIN_SECONDS + QUIET_SECONDS_PER_OBJECT * objects
    quiet = await period.quiet(seconds=min(seconds, patience))
    figures = await reached
    # A contender without this metric may be quiet because it waits for the lease.
    leads = figures["leadsSeconds"]
    return {
        **figures,
        "stopSeconds": stopped,
        "quietSeconds": quiet - process.started if quiet and leads else None,
        "cpuSeconds": process.cpu_seconds(),
        "memoryMiB": process.memory_mib(),
        **period.traffic(objects),
        "reads": audit.reads(period.requests),
        "writes": audit.writes(period.requests) + audit.events(period.requests),
        **await period.inside(),
    }


async def _reached(stage: Stage, process: Process, objects: int, *, seconds: float) -> Figures:
    """Return when it led and when it had reconciled each object, by its own metrics if it has them."""
    leads = done = None
    deadline = process.started + seconds
    while done is None and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        process.require()
        metrics = await stage.metrics()
        now = time.monotonic()
        if leads is None and metrics.get(*LEADS):
            leads = now
        reconciled = sum(
            value for name, value in metrics.values.items() if name.startswith(RECONCILES)
        )
        if leads is not None and reconciled >= objects and not metrics.get(*WAITING):
            done = now
        if not metrics.has(LEADS[0]) and now > process.started + METRICS_SECONDS:
            # A peer, with other metrics or none; a scrape costs it CPU.
            break
    return {
        "leadsSeconds": leads and leads - process.started,
        "leaseToReconciledSeconds": done and leads and done - leads,
    }
