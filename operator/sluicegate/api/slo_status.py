"""status.slos: how each service level does, as people read it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Events, Number, StatusModel, Time
from sluicegate.api.list_types import Keyed


class SloState(StrEnum):
    """How one SLO does."""

    MET = "Met"
    """Its objective holds, and its performance is that of acceptance."""
    AT_RISK = "AtRisk"
    """Its error budget burns too fast, or evidence of a drop accumulates."""
    MISSED = "Missed"
    """Its objective is missed, or its performance is shown to have dropped below its baseline."""
    UNKNOWN = "Unknown"
    """There is no verdict: data is missing, too little or invalid."""


class MarketStatus(StatusModel):
    """State of one SLO in one market."""

    market: str
    """Market; `other` stands for requests that name none of spec.markets."""
    state: SloState
    """State of the SLO in this market: Missed, Met, or Unknown if neither is shown."""
    ratio: Number | None = None
    """Share of good events."""
    interval: Annotated[tuple[Number, ...], Field(max_length=2)] = ()
    """95 % interval of that share (Wilson)."""
    total: Events = 0
    """Number of all events of the market."""
    limit: Number | None = None
    """Least share of good events: the objective, otherwise the ratio at acceptance less maxDrop."""
    budget_remaining: Number | None = None
    """Share of the market's error budget that is left, over the same time as that of the SLO."""
    missed_start_time: Time | None = None
    """Time at which the evidence begins that the market misses the SLO, an estimate of when it fell: it
    may lie before the fall, by bad events that chance brought. Left out where nothing follows from it."""


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
    """Share of good events; of a gauge, its mean."""
    bad: Events | None = None
    """Bad events of the deciding window."""
    total: Events | None = None
    """All events of the deciding window."""
    objective: Number | None = None
    """Objective: the least share of good events."""
    budget_remaining: Number | None = None
    """Share of the error budget that is left, of fourteen days (4,032 blocks at most) or since the
    version took over; negative when overspent."""
    baseline_ratio: Number | None = None
    """Share of good events at acceptance."""
    drop: Number | None = None
    """Ratio at acceptance less the present one."""
    interval: Annotated[tuple[Number, ...], Field(max_length=2)] = ()
    """95 % interval of the drop (Newcombe)."""
    markets: Annotated[tuple[MarketStatus, ...], Field(max_length=3), Keyed("market")] = ()
    """State in the three markets with the worst state."""
    degraded: bool = False
    """Whether it was missed in three evaluations over two fresh blocks, and has not recovered
    since."""
