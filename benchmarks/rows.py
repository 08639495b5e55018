"""Rows of the tables of docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.sluicegate_contender import SHORT_BLOCK_SECONDS


@dataclass(frozen=True, slots=True)
class Row:
    """A figure in a table: its title with the unit, and "scenario.name" in the JSON."""

    title: str
    path: str


GROWTH: Final = {
    "cold start": (
        Row("all Ready, s", "cold.readySeconds"),
        Row(
            f"all Ready with blocks of {SHORT_BLOCK_SECONDS} s, s",
            "coldWithShortBlocks.readySeconds",
        ),
        Row("writes per product until it is ready", "cold.writesUntilReady"),
        Row("writes per product in all", "cold.writesPerObject"),
        Row("events per product", "cold.eventsPerObject"),
        Row("reads per product", "cold.readsPerObject"),
        Row("CPU, s", "cold.cpuSeconds"),
        Row("CPU, ms per product", "cold.cpuMillisecondsPerObject"),
        Row("peak memory, MiB", "cold.peakMemoryMiB"),
        Row("loop lag p50, s", "cold.loopLagP50Seconds"),
        Row("loop lag p99, s", "cold.loopLagP99Seconds"),
        Row("reconcile p50, s", "cold.reconcileP50Seconds"),
        Row("reconcile p99, s", "cold.reconcileP99Seconds"),
        Row("queue wait p50, s", "cold.queueWaitP50Seconds"),
        Row("queue wait p99, s", "cold.queueWaitP99Seconds"),
    ),
    "steady": (
        Row("CPU between blocks, share of a core", "steady.cpuShareBetweenBlocks"),
        Row("CPU over all, share of a core", "steady.cpuShare"),
        Row("CPU per block, s", "steady.cpuSecondsPerBlock"),
        Row("Prometheus queries per block", "steady.queriesPerBlock"),
        Row("writes", "steady.writes"),
        Row("reads per second", "steady.readsPerSecond"),
        Row("memory, MiB", "steady.memoryMiB"),
        Row("loop lag p50, s", "steady.loopLagP50Seconds"),
        Row("loop lag p99, s", "steady.loopLagP99Seconds"),
        Row("watched for, s", "steady.seconds"),
    ),
    "restart": (
        Row("until it leads, s", "restart.leadsSeconds"),
        Row("from the lease to all reconciled, s", "restart.leaseToReconciledSeconds"),
        Row("until it is quiet, s", "restart.quietSeconds"),
        Row("CPU, s", "restart.cpuSeconds"),
        Row("writes", "restart.writes"),
        Row("reads", "restart.reads"),
        Row("graceful stop of the one before, s", "restart.stopSeconds"),
    ),
    "promotions": (
        Row("products at once", "promotions.products"),
        Row("ratio to the ideal", "promotions.ratioToIdeal"),
        Row(
            "writes and events per promotion until it is one",
            "promotions.writesAndEventsUntilPromoted",
        ),
        Row("writes per promotion in all", "promotions.writesPerObject"),
        Row("events per promotion", "promotions.eventsPerObject"),
        Row("reads per promotion", "promotions.readsPerObject"),
        Row("memory, MiB", "promotions.memoryMiB"),
        Row("loop lag p99, s", "promotions.loopLagP99Seconds"),
    ),
    "starts": (
        Row("products at once", "starts.products"),
        Row("all Ready, s", "starts.readySeconds"),
    ),
    "degradations": (
        Row("products at once", "degradations.products"),
        Row("of which found degraded", "degradations.foundDegraded"),
        Row("breach to first Job, blocks", "degradations.breachToFirstJobBlocks"),
        Row("confirming block to first Job, blocks", "degradations.confirmedToFirstJobBlocks"),
        Row("breach to Job p50, s", "degradations.breachToJobP50Seconds"),
        Row("breach to the last Job of 90 s, s", "degradations.breachToLastJobSeconds"),
        Row("Jobs in 90 s", "degradations.jobs"),
        Row("loop lag p99, s", "degradations.loopLagP99Seconds"),
    ),
    "common cause": (
        Row("products at once", "commonCause.products"),
        Row("breach to all found degraded, s", "commonCause.breachToAllFoundSeconds"),
        Row("share diagnosed as common cause", "commonCause.blamedOnCommonCause"),
        Row("Jobs", "commonCause.jobs"),
    ),
}
"""Rows by scenario; a row without a figure is left out for that contender."""

SIDE_BY_SIDE: Final = (
    Row("all Ready, s", "cold.readySeconds"),
    Row("writes per product until it is ready", "cold.writesUntilReady"),
    Row("reads per product", "cold.readsPerObject"),
    Row("CPU per product, ms", "cold.cpuMillisecondsPerObject"),
    Row("peak memory, MiB", "cold.peakMemoryMiB"),
    Row("idle: share of a core", "steady.cpuShare"),
    Row("idle: reads per second", "steady.readsPerSecond"),
    Row("idle: writes", "steady.writes"),
    Row("restart: reads", "restart.reads"),
    Row("restart: writes", "restart.writes"),
    Row("promotions: seconds", "promotions.seconds"),
    Row("promotions: ratio to the ideal", "promotions.ratioToIdeal"),
    Row(
        "promotions: writes and events each until promoted",
        "promotions.writesAndEventsUntilPromoted",
    ),
    Row("promotions: writes and events each in all", "promotions.writesAndEventsPerObject"),
    Row("promotions: reads each", "promotions.readsPerObject"),
    Row("promotions: memory, MiB", "promotions.memoryMiB"),
)
"""Rows that compare the contenders."""
