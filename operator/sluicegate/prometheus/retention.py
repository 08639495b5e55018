"""Check whether Prometheus keeps its samples for the longest window of decisions."""

import asyncio
import logging
import time
from collections.abc import Callable
from math import ceil
from typing import Final

from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.errors import MalformedAnswer, PrometheusError
from sluicegate.prometheus.http_session import Row
from sluicegate.prometheus.metrics import RETENTION_SHORT
from sluicegate.stats.calendar import BLOCKS_PER_HOUR, HOURS

logger = logging.getLogger(__name__)

RETENTION_METRIC: Final = "prometheus_tsdb_retention_limit_seconds"
DAY: Final = 86_400
MIN_RETENTION_SECONDS: Final = 15 * DAY
"""Least retention: fourteen days of evidence, at blocks of 300 s, and a day for the current block."""
RETRY_SECONDS: Final = 600.0
"""Seconds until the next try after no answer."""
_STEP: Final = 60


def needed_retention(block_seconds: int = 0) -> int:
    """Return the seconds that samples must be kept for, with blocks of this length; a day is for the newest."""
    return max(MIN_RETENTION_SECONDS, HOURS * BLOCKS_PER_HOUR * block_seconds + DAY)


async def keep_checking_retention(
    prometheus: Prometheus,
    longest_block: Callable[[], int] = int,
    wall_clock: Callable[[], float] = time.time,
) -> None:
    """Report at once and then daily, in the log and as a metric, if the retention is too short.

    Nothing else depends on it: existing samples are read whatever the limit is.

    Parameters
    ----------
    longest_block : of all products at that time, in seconds; 0 if unknown.
    wall : now, in seconds since 1970.
    """
    while True:
        pause_seconds: float = DAY
        try:
            needed_seconds = needed_retention(longest_block())
            warning = await observe_short_retention(prometheus, wall_clock(), needed_seconds)
        except PrometheusError as error:
            logger.info("the retention of Prometheus isn't known: %s", error)
            pause_seconds = RETRY_SECONDS
        else:
            RETENTION_SHORT.set(bool(warning))
            if warning:
                logger.warning(warning)
        await asyncio.sleep(pause_seconds)


async def observe_short_retention(
    prometheus: Prometheus, now: float, needed_seconds: int = MIN_RETENTION_SECONDS
) -> str:
    """Return a message about a retention that is too short; empty if it suffices or is unknown.

    The limit is a metric of Prometheus itself, so it is known only if Prometheus scrapes itself; a
    limit by size alone is 0.

    Raises
    ------
    PrometheusError
        No complete answer.
    """
    query_time = int(now)
    text = f"min({RETENTION_METRIC} > 0)"
    seconds = await prometheus.query_range(
        text, start=query_time, end=query_time, step=_STEP, reader=_NewestValue
    )
    if seconds is None or seconds >= needed_seconds:
        return ""
    return (
        f"Prometheus keeps samples for {seconds / DAY:.1f} days: after a restart, evidence older "
        f"than that is lost. Set --storage.tsdb.retention.time to {ceil(needed_seconds / DAY)}d or more."
    )


class _NewestValue:
    """Reader of the answer to a query with at most one row."""

    def __init__(self) -> None:
        self._value: float | None = None

    def take(self, row: Row) -> None:
        try:
            self._value = float(row["values"][-1][1])
        except (LookupError, TypeError, ValueError) as error:
            raise MalformedAnswer(f"an unreadable retention: {error}") from error

    def result(self) -> float | None:
        return self._value
