"""status.slos: how each service level does, as people read it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Events, Number, StatusModel
from sluicegate.api.list_types import Keyed


class SloState(StrEnum):
    """How one SLO does."""

    MET = "Met"
    """Its objective holds, and its performance is that of acceptance."""
    AT_RISK = "AtRisk"
    """Its error budget burns too fast, or evidence of a drop accumulates."""
    MISSED = "Missed"
    """Its objective is missed, or its performance has dropped by more than maxDrop."""
    UNKNOWN = "Unknown"
    """There is no verdict: data is missing, too little or invalid."""


class MarketStatus(StatusModel):
    """How one SLO does in one market."""

    market: str
    """Which one; `other` for requests that name none of the product's."""
    state: SloState
    """State of the SLO in this market: Missed or Met with 95 % confidence, Unknown with too few events."""
    ratio: Number | None = None
    """Share of good events."""
    samples: Events = 0
    """All events that were looked at."""


class SloStatus(StatusModel):
    """One service level, with the numbers of the last decision."""

    name: str
    """Name of the SLO."""
    state: SloState
    """State of the SLO."""
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
    markets: Annotated[tuple[MarketStatus, ...], Field(max_length=3), Keyed("market")] = ()
    """How it does in the markets where it does worst, three at most."""
    degraded: bool = False
    """Whether it was confirmed as bad, in three evaluations over two fresh blocks, and hasn't recovered."""
