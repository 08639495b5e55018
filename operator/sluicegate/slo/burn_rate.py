"""Multi-window burn rates, whose long window must exceed the threshold with certainty.

The rule of the SRE Workbook compares two point estimates with a threshold: at 30 requests an hour
it pages for a healthy service eleven times a month, as one bad request is 3 %. Here the lower bound
of the long window's interval must exceed the threshold, and the window must hold at least three bad
events; the point estimate of the short window shows that the errors continue.

Source of windows and factors: The Site Reliability Workbook, chapter 5, table 5-8. Confidences and
the slow profile: simulated in tests/simulation.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sluicegate.slo.blocks import Series
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import min_total, quantile, wilson_lower

MIN_BAD_EVENTS: Final = 3
"""Bad events in the long window below which no row trips, whatever the ratio."""


class Level(IntEnum):
    """State of an SLO by its burn rate, in the order of severity."""

    MET = 0
    AT_RISK = 1
    MISSED = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of windows, in blocks.

    Attributes
    ----------
    long, short : windows.
    burn_rate : multiple of the allowed bad ratio above which the row trips.
    confidence : of the one-sided bound on the long window.
    level : the state of the SLO when the row trips.
    """

    long: int
    short: int
    burn_rate: float
    confidence: float
    level: Level


FAST_BURN_WINDOWS: Final = (
    Row(12, 1, 14.4, 0.99, Level.MISSED),
    Row(72, 6, 6.0, 0.99, Level.MISSED),
    Row(288, 24, 3.0, 0.95, Level.AT_RISK),
    Row(864, 72, 1.0, 0.95, Level.AT_RISK),
)
"""Profile for availability and latency, which every request measures."""
SLOW_BURN_WINDOWS: Final = (
    Row(288, 24, 1.0, 0.999998, Level.MISSED),
    Row(288, 24, 1.0, 0.95, Level.AT_RISK),
    Row(2016, 288, 1.0, 0.99999, Level.MISSED),
)
"""Profile for few and late events: outcomes and the product's own counters.

At a burn rate of 1 the threshold is the objective itself, where a product may well stay, and each
block is a new test. At 99 % every product that keeps its objective exactly is Missed within a
year; at these confidences one in twenty or fewer is (tests/simulation)."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A pair of burn-rate windows with the bad ratio that one objective allows in them."""

    row: Row
    ratio: float
    """Bad ratio above which it trips: burn rate × allowed ratio."""
    z: float
    min_events: float
    """Events in the long window, divided by φ, below which the row isn't evaluated."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of one pair of burn-rate windows; `blocks` is the number of blocks in the long window."""

    threshold: Threshold
    long: Count
    lower_bound: float
    tripped: bool
    blocks: int


def thresholds(profile: tuple[Row, ...], allowed_bad_ratio: float) -> tuple[Threshold, ...]:
    """Return the rows that can trip for an objective that allows this bad ratio.

    A row whose threshold is 1 or more is dropped; the row with a burn rate of 1 always stays.
    """
    return tuple(
        Threshold(
            row,
            row.burn_rate * allowed_bad_ratio,
            quantile(row.confidence),
            min_total(row.burn_rate * allowed_bad_ratio),
        )
        for row in profile
        if row.burn_rate * allowed_bad_ratio < 1
    )


def read_burn_rate(
    threshold: Threshold, series: Series, *, now: int, since_block: int, phi: float
) -> Reading | None:
    """Evaluate one pair of burn-rate windows at block `now`; None while the long window has too few events."""
    row = threshold.row
    long_count, blocks = series.window(now, row.long, since_block), min(row.long, now - since_block)
    if long_count.total / phi < threshold.min_events:
        return None
    if long_count.bad < MIN_BAD_EVENTS or long_count.bad <= threshold.ratio * long_count.total:
        return Reading(threshold, long_count, 0.0, tripped=False, blocks=blocks)
    lower_bound = wilson_lower(long_count.bad / phi, long_count.total / phi, threshold.z)
    # The short window shows whether the errors continue.
    short_count = (
        series.window(now, row.short, since_block) if lower_bound > threshold.ratio else NOTHING
    )
    is_tripped = short_count.bad > threshold.ratio * short_count.total
    return Reading(threshold, long_count, lower_bound, is_tripped, blocks)
