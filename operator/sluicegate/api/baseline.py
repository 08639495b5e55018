"""The performance that a version had when it was accepted, frozen as counts."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Count, Number, StatusModel, Time


class BaselineSource(StrEnum):
    """Where a baseline comes from."""

    EVALUATION = "Evaluation"
    """Counts of a hold-out: provisional until production has shown enough."""
    PRODUCTION = "Production"
    """Counts of real traffic."""


class Stratum(StatusModel):
    """A baseline of one weekday."""

    bad: Count
    """Bad events."""
    total: Count
    """All events."""


class Baseline(StatusModel):
    """Bad events of all events, over the blocks from `from` to `to`."""

    bad: Count
    """Bad events."""
    total: Count
    """All events."""
    start: Annotated[Time, Field(alias="from")]
    """Begin of the first block (of a hold-out: when it was reported)."""
    end: Annotated[Time, Field(alias="to")]
    """End of the last block."""
    source: BaselineSource
    """Where the counts come from."""
    phi: Number = "1"
    """Dispersion of the blocks: 1 is binomial, more means bursts. From 1 to 10."""
    daily: bool = False
    """Whether the hour of the day matters, so that whole days are compared."""
    weekdays: Annotated[tuple[Stratum, ...], Field(max_length=7)] = ()
    """Counts by weekday, Monday first, with seasonality Weekly."""
    mean: Number | None = None
    """A gauge: mean of the blocks."""
    deviation: Number | None = None
    """A gauge: standard deviation of the blocks."""
    indicator_hash: str = ""
    """Hash of the indicator it was counted with; another one makes it provisional."""


Baselines = Annotated[dict[str, Baseline], Field(max_length=17)]
"""Baselines by SLO name, and that of client errors."""
