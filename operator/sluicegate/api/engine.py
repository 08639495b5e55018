"""status.engine: what the operator keeps for itself between two passes.

People needn't read it, and it may change with any version. Evidence isn't in here: it is computed
from the blocks each time, so that a restart changes no decision. What is here changes only with a
decision or with a state, so that a healthy product costs no write.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Exact, Since, StatusModel, Time
from sluicegate.api.baseline import Baseline, Baselines


class ProductState(StrEnum):
    """How the product does."""

    HEALTHY = "Healthy"
    DEGRADING = "Degrading"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


class Streak(StatusModel):
    """Evaluations in a row that said the same, one a block."""

    first: int
    """Index of the block that began it: its end in seconds since the epoch by the block's length."""
    last: int
    """Index of the block that counted last."""
    evaluations: Annotated[int, Field(ge=1)]
    """Number of evaluations in the streak."""
    fresh: Annotated[int, Field(ge=0)]
    """Number of them that came with new events."""


class Interval(StatusModel):
    """A stretch of time: begin < t ≤ end."""

    begin: Annotated[Time, Field(alias="startTime")]
    """Time at which the interval begins."""
    end: Annotated[Time, Field(alias="endTime")]
    """Time at which the interval ends."""


class SloRecord(StatusModel):
    """State of one SLO of the stable version."""

    streak: Streak | None = None
    """Bad evaluations in a row, not confirmed yet or those that confirmed it."""
    degraded: bool = False
    """Whether it was confirmed as bad, and hasn't recovered."""
    calm: Streak | None = None
    """Good evaluations in a row, while it is degraded."""
    steady_start_time: Time | None = None
    """Since when it has been neither AtRisk nor Missed; a baseline is learnt after that only."""
    since: Annotated[Since, Field(alias="evidenceStartTime")] = 0
    """Blocks that ended before count for nothing: the SLO was another one then, or what was measured
    had a cause outside the model, which has ended."""
    disturbance_start_time: Time | None = None
    """Since when a cause outside the model disturbs what is measured, say a degraded upstream."""
    left_out: Annotated[tuple[Interval, ...], Field(max_length=24)] = ()
    """When such a cause did, until it ended: what was measured meanwhile counts for nothing."""
    terms_hash: str = ""
    """Hash of indicator and margins that the evidence was gathered with."""


class OriginalBaseline(StatusModel):
    """The first baseline ever accepted: a chain of slightly worse versions can't walk away."""

    version: str
    """The version it was accepted with."""
    slos: Annotated[dict[str, Baseline], Field(max_length=16)] = Field(default_factory=dict)
    """Baselines by SLO name."""


class EngineState(StatusModel):
    """State that only the operator reads; its fields may change with any version."""

    last_known_state: ProductState | None = None
    """The state of the product before it became Unknown."""
    outage_start_time: Time | None = None
    """Time since which nothing could be measured."""
    alerted: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """Alerts of the present problem that were emitted, so that each is emitted once."""
    slos: Annotated[dict[str, SloRecord], Field(max_length=17)] = Field(default_factory=dict)
    """State of each SLO of the stable version, and of client errors, by name."""
    original_baseline: OriginalBaseline | None = None
    """The first baseline ever accepted."""
    probation_baselines: Baselines = Field(default_factory=dict)
    """Baselines of the version before, which the version on probation is held against."""
    held_against: Baselines = Field(default_factory=dict)
    """Baselines that the candidate is held against once it is stable; fixed when its promotion begins."""
    correlation: Annotated[dict[str, Exact], Field(max_length=17)] = Field(default_factory=dict)
    """Burstiness of stable's blocks before the rollout, by SLO name; frozen."""

    def slo(self, name: str) -> SloRecord:
        """What is kept of an SLO; a fresh record for one never seen."""
        return self.slos.get(name) or SloRecord(steady_start_time=0)
