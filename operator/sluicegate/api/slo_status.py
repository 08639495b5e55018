"""status.slos: how each service level does, as people read it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Events, Number, StatusModel
from sluicegate.api.list_types import Keyed


class SloState(StrEnum):
    """How one SLO does."""

    OK = "OK"
    WARN = "WARN"
    BAD = "BAD"
    UNKNOWN = "Unknown"


class MarketStatus(StatusModel):
    """How one SLO does in one market."""

    market: str
    """Which one; `other` for requests that name none of the product's."""
    state: SloState
    """BAD or OK where its events show it with 95 % confidence; Unknown where they are too few."""
    ratio: Number | None = None
    """Share of good events."""
    samples: Events = 0
    """All events that were looked at."""


class SloStatus(StatusModel):
    """One service level, with the numbers of the last decision."""

    name: str
    """Name of the SLO."""
    state: SloState
    """State of the SLO: OK, WARN, BAD or Unknown."""
    reason: str = ""
    """Reason of the state, in one word."""
    message: str = ""
    """Explanation with the numbers: window, value, bound."""
    ratio: Number | None = None
    """Share of good events (a gauge: its mean)."""
    bad: Events | None = None
    """Bad events of the deciding window."""
    samples: Events | None = None
    """All events of the deciding window."""
    objective: Number | None = None
    """Share of good events that is owed."""
    budget_remaining: Number | None = None
    """Share of the error budget that is left, of 4,032 blocks (fourteen days of 5-minute blocks) or
    since the version took over; negative when overspent."""
    baseline_ratio: Number | None = None
    """Share of good events at acceptance."""
    drop: Number | None = None
    """Ratio at acceptance less the present one."""
    interval: Annotated[tuple[Number, ...], Field(max_length=2)] = ()
    """95 % interval of the drop (Newcombe)."""
    statistic: Number | None = None
    """Largest CUSUM of the bank; bad at statisticBound."""
    statistic_bound: Number | None = None
    """Where the relative test calls it bad."""
    visible_drop: Number | None = None
    """Smallest drop from the baseline that would be seen within a day, at the present rate of events."""
    visible_after_seconds: int | None = None
    """How long a drop by maxDrop takes to be seen at that rate; left out where none of that size is."""
    markets: Annotated[tuple[MarketStatus, ...], Field(max_length=3), Keyed("market")] = ()
    """How it does in the markets where it does worst, three at most."""
    degraded: bool = False
    """Whether it was confirmed as bad, in three evaluations over two fresh blocks, and hasn't recovered."""
