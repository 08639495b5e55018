"""Whether Prometheus keeps its samples as long as decisions look back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sluicegate.prometheus.client import Matrix, Prometheus

RETENTION_METRIC: Final = "prometheus_tsdb_retention_limit_seconds"
DAY: Final = 86_400
LEAST_RETENTION: Final = 15 * DAY
"""Fourteen days of evidence, and one for the block that is going on."""
_STEP: Final = 60


async def observe_short_retention(prometheus: Prometheus, now: float) -> str:
    """What a person should know about the retention; empty when it suffices or is unknown.

    Prometheus exports its limit only to those who scrape Prometheus itself; a limit by size
    alone is 0.

    Raises
    ------
    PrometheusError
        No complete answer.
    """
    at = int(now)
    text = f"min({RETENTION_METRIC} > 0)"
    seconds = await prometheus.query_range(text, start=at, end=at, step=_STEP, parse=_only_value)
    if seconds is None or seconds >= LEAST_RETENTION:
        return ""
    return (
        f"Prometheus keeps samples for {seconds / DAY:.1f} days: after a restart, evidence older "
        f"than that is lost. Set --storage.tsdb.retention.time to {LEAST_RETENTION // DAY}d or more."
    )


def _only_value(rows: Matrix) -> float | None:
    return float(rows[0]["values"][-1][1]) if rows else None
