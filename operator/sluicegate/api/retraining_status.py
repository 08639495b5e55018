"""status.retraining: attempts, their triggers and outcomes."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from sluicegate.api.base import Counted, Paired, StatusModel, Time

MOST_FAILURES: Final = 3
"""Attempts in a row without a promotion after which a person has to look."""


class Trigger(StatusModel):
    """Why a retraining was started; its id names the Job."""

    id: str
    """Eight hex digits of product, version, SLO and first bad block."""
    cause: str
    """Cause of the training: ModelDecay, ModelTooSlow or Requested."""
    slo: str = ""
    """The SLO that is degraded; empty when a person asked."""
    indicator: str = ""
    """Its kind of indicator."""
    version: str
    """The stable version at that time, the parent of the new one."""
    first_bad_block: Time | None = None
    """End of the first bad block."""
    change_time: Time | None = None
    """Time at which what is wrong seems to have begun; data since then is of the new world."""
    message: str = ""
    """Numbers that led to the training."""
    at: Time
    """Time at which the training was decided."""


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
    """Outcome of the attempt in one word."""
    reason: str = ""
    """Reason of the outcome, in one word."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Message of the Job and the tail of its log, or the gate's numbers."""
    version: str = ""
    """Name of the version it made."""
    image: str = ""
    """Image of the version it made."""
    evaluation: Annotated[dict[str, Counted], Field(max_length=16)] = Field(default_factory=dict)
    """Hold-out counts of the new version."""
    stable_evaluation: Annotated[dict[str, Counted], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """The same hold-out scored with stable."""
    pairs: Annotated[dict[str, Paired], Field(max_length=16)] = Field(default_factory=dict)
    """Rows of the hold-out by which of both versions was right, by SLO name."""
    at: Time
    """Time at which the attempt ended."""


class RetrainingStatus(StatusModel):
    """The running retraining, the last one, and when the next may be."""

    trigger: Trigger | None = None
    """Why one is running; written before its Job."""
    pending: Trigger | None = None
    """Why one would start, but for what `waitingFor` names."""
    waiting_for: str = ""
    """Reason why the pending retraining waits: a slot, the cooldown, a person."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Number of the attempt that is running or was last; 1 for the first since a promotion or a person's request."""
    started: Annotated[int, Field(ge=0)] = 0
    """How many attempts were ever started; the newest one's number is part of its Job's name."""
    job: str = ""
    """Name of the Job of the running training."""
    started_at: Time | None = None
    """Time at which the attempt began."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Attempts in a row that didn't end in a promotion; three suspend retraining."""
    next_allowed_at: Time | None = None
    """Time at which the cooldown ends."""
    suspended: bool = False
    """Whether people have to look first (annotation retrain-requested-at)."""
    last_training_time: Time | None = None
    """Time at which the newest training began; a schedule counts from it."""
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
