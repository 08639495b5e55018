"""The performance that a version had when it was accepted, frozen as counts."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field

from sluicegate.api.base import Counted, Events, Exact, ExactOrZero, StatusModel, Time
from sluicegate.stats.counts import Count


class BaselineSource(StrEnum):
    """Where a baseline comes from."""

    EVALUATION = "Evaluation"
    """Counts of a hold-out: provisional until production has shown enough."""
    PRODUCTION = "Production"
    """Counts of real traffic."""


class Baseline(StatusModel):
    """Bad events of all events, counted over the blocks from startTime to endTime."""

    bad: Events
    """Number of bad events."""
    total: Events
    """Number of all events."""
    start: Annotated[Time, Field(alias="startTime")]
    """Begin of the first block; of a hold-out, the time at which it was reported."""
    end: Annotated[Time, Field(alias="endTime")]
    """End of the last block."""
    source: BaselineSource
    """Source of the counts: a hold-out evaluation or production."""
    phi: Annotated[Exact, Field(alias="dispersion")] = 1.0
    """Dispersion of the blocks, from 1 to 10: 1 is binomial, more means bursts."""
    hour_phi: Annotated[ExactOrZero, Field(alias="hourDispersion")] = 0.0
    """Dispersion of sums of twelve blocks, or of longer times where it is larger; left out of a hold-out."""
    pods: ExactOrZero = 0.0
    """Mean number of pods in that time; left out without an autoscaler."""
    daily: bool = False
    """Whether the hours of the day differ, so that whole days and the same hours are compared."""
    weekdays: Annotated[tuple[Counted, ...], Field(max_length=7)] = ()
    """Counts by weekday, Monday first, with seasonality Weekly."""
    mean: ExactOrZero = 0.0
    """A gauge: mean of the blocks."""
    deviation: ExactOrZero = 0.0
    """A gauge: standard deviation of the blocks."""
    indicator_hash: str = ""
    """Hash of the indicator it was counted with; another one makes it provisional."""

    @classmethod
    def of(
        cls, count: Count, start: int, end: int, source: BaselineSource, **other_fields: Any
    ) -> Self:
        """Return the baseline of these events; `other_fields` are its other fields, times in seconds."""
        return cls(
            bad=count.bad, total=count.total, start=start, end=end, source=source, **other_fields
        )

    @property
    def count(self) -> Count:
        """Bad events of all events."""
        return Count(self.bad, self.total)


Baselines = Annotated[dict[str, Baseline], Field(max_length=17)]
"""Baselines by SLO name, and that of client errors."""
