"""What the loop must remember: confirmations, attempts, cooldowns, probation, handled requests."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sluicegate.api.base import Count, Number, StatusModel, Time
from sluicegate.api.baseline import Baselines
from sluicegate.api.model import Counts


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
    terms_hash: str = ""
    """Hash of indicator and margins that the evidence was gathered with."""


class Trigger(StatusModel):
    """Why a retraining was started; its id names the Job."""

    id: str
    """Eight hex digits of product, version, SLO and first bad block."""
    cause: str
    """ModelDecay, ModelTooSlow or Requested."""
    slo: str = ""
    """The SLO that is degraded; empty when a person asked."""
    indicator: str = ""
    """Its kind of indicator."""
    version: str
    """The stable version at that time, the parent of the new one."""
    first_bad_block: Time | None = None
    """End of the first bad block."""
    message: str = ""
    """The numbers."""
    at: Time
    """When."""


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    RUNNING = "Running"
    CANARY = "Canary"
    """It gave a candidate, which is on its way."""
    PROMOTED = "Promoted"
    FAILED = "Failed"
    REFUSED = "Refused"
    """The hold-out gate refused it."""
    ROLLED_BACK = "RolledBack"
    INCONCLUSIVE = "Inconclusive"
    SUPERSEDED = "Superseded"


class AttemptResult(StatusModel):
    """How an attempt ended."""

    outcome: AttemptOutcome
    """In one word."""
    reason: str = ""
    """Why."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Message of the Job and the tail of its log, or the gate's numbers."""
    version: str = ""
    """The version it made."""
    image: str = ""
    """Its image."""
    evaluation: Annotated[dict[str, Counts], Field(max_length=16)] = Field(default_factory=dict)
    """Hold-out counts of the new version."""
    stable_evaluation: Annotated[dict[str, Counts], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """The same hold-out scored with stable."""
    at: Time
    """When it ended."""


class RetrainingStatus(StatusModel):
    """The running retraining, the last one, and when the next may be."""

    trigger: Trigger | None = None
    """Why one is running; written before its Job."""
    pending: Trigger | None = None
    """Why one would start, but for what `waitingFor` names."""
    waiting_for: str = ""
    """What it waits for: a slot, the cooldown, a person."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Number of the attempt that is running or was last; 1 for the first since a promotion or a person's request."""
    started: Annotated[int, Field(ge=0)] = 0
    """How many attempts were ever started; the newest one's number is part of its Job's name."""
    job: str = ""
    """Name of the running Job."""
    started_at: Time | None = None
    """When the attempt began."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Attempts in a row that didn't end in a promotion; three suspend retraining."""
    next_allowed_at: Time | None = None
    """End of the cooldown."""
    suspended: bool = False
    """Whether people have to look first (annotation retrain-requested-at)."""
    last_duration_seconds: int | None = None
    """How long the last training took."""
    last_reason: str = ""
    """Why the last attempt ended, in one word."""
    last_result: AttemptResult | None = None
    """How the last attempt ended."""

    @property
    def number(self) -> int:
        """Number in the newest Job's name; an older operator counted by `attempt` alone."""
        return self.started or self.attempt


class Probation(StatusModel):
    """What a promoted version still has to show, against the version before it."""

    version: str
    """The version on probation."""
    against: str
    """The version before it, that it goes back to."""
    since: Time
    """When it was promoted."""
    until: Time | None = None
    """When it ends at the earliest; open while labels are still to come."""
    baselines: Baselines = Field(default_factory=dict)
    """Baselines of the version before, by SLO name."""


class LastHandled(StatusModel):
    """Values of the one-shot annotations that were handled, or refused."""

    retrain_requested_at: str = ""
    """Of sluicegate.dev/retrain-requested-at."""
    rollback_to: str = ""
    """Of sluicegate.dev/rollback-to."""
    promote: str = ""
    """Of sluicegate.dev/promote."""
    abort: str = ""
    """Of sluicegate.dev/abort."""
