"""status.engine: what the operator keeps for itself between two passes.

People needn't read it, and it may change with any version. Evidence isn't in here: it is computed
from the blocks each time, so that a restart changes no decision. What is here changes only with a
decision or with a state, so that a healthy product costs no write.
"""

from enum import StrEnum
from typing import Annotated, Final

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
    """Evaluations in a row with the same verdict, one for each block."""

    first: int
    """Index of the block that began it: its end in seconds since the epoch by the block's length."""
    last: int
    """Index of the block that counted last."""
    evaluations: Annotated[int, Field(ge=1)]
    """Number of evaluations in the streak."""
    fresh: Annotated[int, Field(ge=0)]
    """Number of evaluations in the streak with new events."""


class TimeInterval(StatusModel):
    """An interval of time: startTime < t ≤ endTime."""

    begin: Annotated[Time, Field(alias="startTime")]
    """Time at which the interval begins."""
    end: Annotated[Time, Field(alias="endTime")]
    """Time at which the interval ends."""


MAX_ABSENCES: Final = 24
"""Absences that status can hold; the longest are kept."""


class SloRecord(StatusModel):
    """State of one SLO of the stable version."""

    streak: Streak | None = None
    """Evaluations in a row in which it was missed: those before its confirmation, then those that
    confirmed it."""
    degraded: bool = False
    """Whether it was confirmed as missed, and has not recovered."""
    recovery_streak: Streak | None = None
    """Evaluations in a row in which it was met, while it is degraded."""
    steady_start_time: Time | None = None
    """Time since which it has been neither AtRisk nor Missed; the baseline is learnt from later
    blocks only."""
    since: Annotated[Since, Field(alias="evidenceStartTime")] = 0
    """Time before which blocks are ignored, because the SLO was another one or a cause outside the
    model disturbed it."""
    disturbance_start_time: Time | None = None
    """Time since which a cause outside the model disturbs the measurements, e.g. a degraded
    upstream."""
    ignored_intervals: Annotated[tuple[TimeInterval, ...], Field(max_length=24)] = ()
    """Intervals in which such a cause disturbed the measurements; their blocks are ignored."""
    missed_markets: Annotated[dict[str, Time], Field(max_length=65)] = Field(default_factory=dict)
    """Markets that miss the SLO, each with the time at which the evidence of that begins."""
    terms_hash: str = ""
    """Hash of the indicator that the evidence was gathered with."""


class OriginalBaseline(StatusModel):
    """The first baseline that was accepted: it stops a chain of slightly worse versions."""

    version: str
    """Version that it was accepted with."""
    slos: Annotated[dict[str, Baseline], Field(max_length=16)] = Field(default_factory=dict)
    """Baselines by SLO name."""


class EngineState(StatusModel):
    """State that only the operator reads; its fields may change with any version."""

    last_known_state: ProductState | None = None
    """The state of the product before it became Unknown."""
    outage_start_time: Time | None = None
    """Time since which nothing could be measured."""
    emitted_alerts: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    """Alerts of the current problem that were emitted; each is emitted once."""
    slos: Annotated[dict[str, SloRecord], Field(max_length=17)] = Field(default_factory=dict)
    """State of each SLO of the stable version, and of client errors, by name."""
    original_baseline: OriginalBaseline | None = None
    """The first baseline that was accepted."""
    probation_baselines: Baselines = Field(default_factory=dict)
    """Baselines of the previous version; the version on probation is compared with them."""
    candidate_baselines: Baselines = Field(default_factory=dict)
    """Baselines for the candidate's probation, fixed at the start of its promotion."""
    absences: Annotated[tuple[TimeInterval, ...], Field(max_length=MAX_ABSENCES)] = ()
    """Intervals since the candidate's start in which nothing was observed, because no replica led,
    Prometheus could not be read or the clock jumped; they count against no deadline."""
    correlation: Annotated[dict[str, Exact], Field(max_length=17)] = Field(default_factory=dict)
    """Correlation within the stable version's blocks before the rollout, by SLO name; frozen."""

    label_settling: Annotated[dict[str, int], Field(max_length=17)] = Field(default_factory=dict)
    """Seconds that the labels of an SLO take to be those of a new share of the traffic, by name, as
    measured in the newest canary; only where right and wrong predictions get them at different times."""
    tried_markets: Annotated[tuple[str, ...], Field(max_length=65)] = ()
    """Markets for which earlier versions were trained, and which weren't shown to meet their SLOs since;
    a market that misses one from the stable version's beginning is not retrained for again."""
    traffic_return_time: Time | None = None
    """Time at which the stable version got back the traffic of a candidate that was not promoted."""

    def slo(self, name: str) -> SloRecord:
        """Return the kept state of an SLO; a new record for an unknown one."""
        return self.slos.get(name) or SloRecord(steady_start_time=0)
