"""What the loop must remember: confirmations, attempts, cooldowns, probation, handled requests."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Count, Number, StatusModel, Time
from sluicegate.api.list_types import Keyed


class SloState(StrEnum):
    """How one SLO does."""

    OK = "OK"
    WARN = "WARN"
    BAD = "BAD"
    UNKNOWN = "Unknown"


class Streak(StatusModel):
    """Evaluations in a row that said the same, one a block."""

    first: int
    """Index of the block that began it: its end in seconds since the epoch by the block's length."""
    last: int
    """Index of the block that counted last."""
    evaluations: Annotated[int, Field(ge=1)]
    """How many."""
    fresh: Annotated[int, Field(ge=0)]
    """How many of them came with new events."""


class Interval(StatusModel):
    """A stretch of time."""

    since: Time
    """From when on."""
    until: Time
    """Up to when."""


class MarketStatus(StatusModel):
    """How one SLO does in one market."""

    market: str
    """Which one; `other` for requests that name none of the product's."""
    state: SloState
    """BAD or OK where its events show it with 95 % confidence; Unknown where they are too few."""
    ratio: Number | None = None
    """Share of good events."""
    samples: Count = 0
    """All events that were looked at."""


class SloStatus(StatusModel):
    """One service level, with the numbers of the last decision."""

    name: str
    """Its name."""
    state: SloState
    """How it does."""
    reason: str = ""
    """Why."""
    message: str = ""
    """Why, with the numbers: window, value, bound."""
    ratio: Number | None = None
    """Share of good events (a gauge: its mean)."""
    bad: Count | None = None
    """Bad events of the deciding window."""
    samples: Count | None = None
    """All events of the deciding window."""
    objective: Number | None = None
    """What is owed."""
    budget_remaining: Number | None = None
    """Share of the error budget that is left, of 4,032 blocks (fourteen days of 5-minute blocks) or
    since the version took over; negative when overspent."""
    baseline_ratio: Number | None = None
    """Share of good events at acceptance."""
    drop: Number | None = None
    """Baseline less now."""
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
    streak: Streak | None = None
    """Bad evaluations in a row."""
    calm: Streak | None = None
    """Good evaluations in a row, while it is degraded."""
    steady_since: Time | None = None
    """Since when it has been neither WARN nor BAD; a baseline is learnt after that only."""
    evidence_since: Time | None = None
    """Blocks that ended before count for nothing: the SLO was another one then, or what was measured
    had a cause outside the model, which has ended."""
    disturbed_since: Time | None = None
    """Since when a cause outside the model disturbs what is measured, say a degraded upstream."""
    left_out: Annotated[tuple[Interval, ...], Field(max_length=24)] = ()
    """When such a cause did, until it ended: what was measured meanwhile counts for nothing."""
    terms_hash: str = ""
    """Hash of indicator and margins that the evidence was gathered with."""
