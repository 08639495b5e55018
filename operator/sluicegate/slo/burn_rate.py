"""Has the error budget been spent too fast? Multi-window burn rates whose long window must be sure.

The rule of the SRE Workbook compares two point estimates with a threshold: at 30 requests an hour
it pages a healthy service eleven times a month, as one bad request is 3 %. Here the long window
must exceed the threshold with the lower bound of its interval, and hold at least three bad events;
the short window says "still happening" by its point estimate.

Source of windows and factors: The Site Reliability Workbook, chapter 5, table 5-8. Confidences
and the slow profile: simulated in tests/simulation.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sluicegate.slo.blocks import Series
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import least_total, quantile, wilson_lower

LEAST_BAD: Final = 3
"""Bad events in the long window below which nothing trips, whatever the ratio."""


class Level(IntEnum):
    """What a test says of an SLO, in the order of gravity."""

    MET = 0
    AT_RISK = 1
    MISSED = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of windows, in blocks.

    Attributes
    ----------
    long, short : windows.
    burn_rate : how many times the allowed bad ratio is too much.
    confidence : of the one-sided bound on the long window.
    level : what it says when it trips.
    """

    long: int
    short: int
    burn_rate: float
    confidence: float
    level: Level


FAST: Final = (
    Row(12, 1, 14.4, 0.99, Level.MISSED),
    Row(72, 6, 6.0, 0.99, Level.MISSED),
    Row(288, 24, 3.0, 0.95, Level.AT_RISK),
    Row(864, 72, 1.0, 0.95, Level.AT_RISK),
)
"""For availability and latency, which every request measures."""
SLOW: Final = (
    Row(288, 24, 1.0, 0.999998, Level.MISSED),
    Row(288, 24, 1.0, 0.95, Level.AT_RISK),
    Row(2016, 288, 1.0, 0.99999, Level.MISSED),
)
"""For few and late events: outcomes and the product's own counters.

At a burn rate of 1 the threshold is the objective itself, where a product may well stay, and each
block is a new test. At 99 % every product that keeps its objective exactly is Missed within a
year; at these confidences one in twenty or fewer is (tests/simulation).
"""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A row with its numbers for one objective."""

    row: Row
    ratio: float
    """Bad ratio above which it trips: burn rate × allowed ratio."""
    z: float
    least_events: float
    """Events in the long window, divided by φ, below which the row is silent."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a row saw: the numbers behind its verdict; `blocks` of `long` are there."""

    threshold: Threshold
    long: Count
    lower_bound: float
    tripped: bool
    blocks: int


def thresholds(profile: tuple[Row, ...], allowed_bad: float) -> tuple[Threshold, ...]:
    """The rows that make sense for an objective that allows this bad ratio.

    A row whose threshold is 1 or more can't trip and is dropped; the row with a burn rate of 1 stays.
    """
    return tuple(
        Threshold(
            row,
            row.burn_rate * allowed_bad,
            quantile(row.confidence),
            least_total(row.burn_rate * allowed_bad),
        )
        for row in profile
        if row.burn_rate * allowed_bad < 1
    )


def read(
    threshold: Threshold, series: Series, *, now: int, since: int, phi: float
) -> Reading | None:
    """What the row says at block `now`; None while its long window holds too few events."""
    row = threshold.row
    long, blocks = series.window(now, row.long, since), min(row.long, now - since)
    if long.total / phi < threshold.least_events:
        return None
    if long.bad < LEAST_BAD or long.bad <= threshold.ratio * long.total:
        return Reading(threshold, long, 0.0, tripped=False, blocks=blocks)
    lower = wilson_lower(long.bad / phi, long.total / phi, threshold.z)
    # The short window tells whether it still happens.
    short = series.window(now, row.short, since) if lower > threshold.ratio else NOTHING
    tripped = short.bad > threshold.ratio * short.total
    return Reading(threshold, long, lower, tripped, blocks)
