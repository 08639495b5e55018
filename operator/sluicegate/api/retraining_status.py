"""status.retraining: attempts, their triggers and outcomes."""

from typing import Annotated, Final

from pydantic import Field

from sluicegate.api.base import Counted, Exact, ExactOrZero, Paired, StatusModel, Time
from sluicegate.api.containers import Quantity
from sluicegate.api.iteration import Iteration
from sluicegate.api.names import CHALLENGER_CAUSES, DecisionReason
from sluicegate.api.outcome import TRAINING_OUTCOMES, Outcome

MAX_FAILURES: Final = 3
"""Attempts in a row without a promotion after which a person has to look."""

MAX_DIFFERENCE_LENGTH: Final = 300
"""Characters of the text about a feature."""

HOLD_OUT_REASONS: Final = frozenset(
    {
        DecisionReason.WORSE_ON_HOLD_OUT,
        DecisionReason.HOLD_OUT_TOO_SMALL,
        DecisionReason.NOT_SHOWN_BETTER,
        DecisionReason.SERVING_SKEW,
        DecisionReason.CODE_NOT_DATA,
    }
)
"""Reasons of attempts that ended with the verdict of their hold-out: newer labels may change it."""


class Trigger(StatusModel):
    """Trigger of a training; its id is part of the Job's name."""

    id: str
    """Eight hex digits of product, version, SLO and first bad block."""
    cause: str
    """Cause of the training: ModelDecay, ModelTooSlow, Requested, Scheduled or FollowUp."""
    slo: str = ""
    """The SLO that is degraded; empty when a person asked."""
    indicator: str = ""
    """Kind of the SLO's indicator."""
    market: str = ""
    """The market in which the evidence is; left out where it isn't in one market alone."""
    version: str
    """The stable version at that time, the parent of the new one."""
    first_bad_block_time: Time | None = None
    """End of the first bad block; for a market alone, the estimated time of `changeTime`."""
    change_time: Time | None = None
    """Estimated time of the change that caused the degradation; later data reflect the change."""
    accepted_share: Exact | None = None
    """Share of wrong rows up to which a training that scores the stable version first ends before its
    fit: half of the allowed drop above what was accepted, or a fifth of the live fall, where that is more.
    Left out where the training has to fit."""
    iteration: Iteration | None = None
    """Statement of the person who requested it."""
    message: str = ""
    """Numbers that led to the training."""
    trigger_time: Time
    """Time at which the training was decided."""

    @property
    def trains_challenger(self) -> bool:
        """Return whether neither a degraded SLO nor a person is the cause: its version must be better than stable."""
        return self.cause in CHALLENGER_CAUSES


class AttemptResult(StatusModel):
    """Result of an attempt."""

    outcome: Annotated[Outcome, TRAINING_OUTCOMES]
    """Outcome of the attempt; InProgress while the version that it made is in its rollout."""
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
    """Counts of the stable version on the same hold-out."""
    pairs: Annotated[dict[str, Paired], Field(max_length=16)] = Field(default_factory=dict)
    """Rows of the hold-out by which of both versions was right, by SLO name."""
    completion_time: Time
    """Time at which the attempt ended."""

    @property
    def is_refused(self) -> bool:
        """Return whether a version was made that its hold-out kept from a rollout."""
        return bool(self.version) and self.reason in HOLD_OUT_REASONS

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` of the bento that was made."""
        return f"sha256:{self.image.rpartition('sha256:')[2]}"


class EndedTraining(StatusModel):
    """A training that has ended, whatever became of it, and the resources that its pod requested."""

    job: str
    """Name of the training's Job."""
    start_time: Time
    """Time at which the attempt began."""
    end_time: Time
    """Time at which the attempt ended."""
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default_factory=dict)
    """Resources that the training container requested, by resource."""


class FeatureDifferences(StatusModel):
    """Features that differ between the rows of a training and the requests that were logged in the same time."""

    compared: Annotated[int, Field(ge=0)]
    """Number of features that were compared; 0 where there were no rows or no requests."""
    largest: Annotated[
        list[Annotated[str, Field(max_length=MAX_DIFFERENCE_LENGTH)]], Field(max_length=3)
    ] = Field(default_factory=list)
    """The features that differ most, of those that are shown to differ, each with its numbers of both sides."""


class StableScore(StatusModel):
    """What a training reported of the stable version on its hold-out; a diagnosis compares it with live counts."""

    version: str
    """The stable version that was scored."""
    evaluation: Annotated[dict[str, Counted], Field(max_length=16)] = Field(default_factory=dict)
    """Counts of that version on the hold-out, by SLO name."""
    live: Annotated[dict[str, Counted], Field(max_length=16)] = Field(default_factory=dict)
    """Live counts of that version in the time of the hold-out's rows, by SLO name."""
    live_share: ExactOrZero = 0.0
    """Share of that time in which the version served."""
    start_time: Time | None = None
    """Begin of the hold-out's rows; left out where the training doesn't report it."""
    end_time: Time
    """End of the data that the training read."""
    alone: bool | None = None
    """Whether the Job ended before its fit, with this score alone; left out where it trained."""
    change_time: Time | None = None
    """Estimated time of the change that the training was for; left out where none was found."""
    inputs: str = ""
    """Hashes of what the training was made from, as in `inputs`; with others the score counts no longer."""
    feature_differences: FeatureDifferences | None = None
    """Features that the training found to differ from those of requests; left out where it compared none."""


class RetrainingStatus(StatusModel):
    """Retraining: the running attempt, the last one, and the time of the next."""

    trigger: Trigger | None = None
    """Trigger of the running training; it is written before the Job."""
    pending: Trigger | None = None
    """Trigger of a training that is due and waits; `waitingFor` has the reason."""
    waiting_for: str = ""
    """Reason why the pending retraining waits: a slot, the cooldown, a person."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """Number of the attempt that is running or was last; 1 for the first since a promotion or a person's request."""
    started_attempts: Annotated[int, Field(ge=0)] = 0
    """Number of attempts that were ever started; the newest one's is part of its Job's name."""
    job: str = ""
    """Name of the Job of the running training."""
    start_time: Time | None = None
    """Time at which the attempt began."""
    admission_time: Time | None = None
    """Time at which the queue admitted the Job of the running training; left out without a queue, and
    while the Job waits in it."""
    unsuccessful_attempts: Annotated[int, Field(ge=0)] = 0
    """Number of attempts in a row that ended without a promotion; three suspend retraining."""
    attempts_without_remedy: Annotated[int, Field(ge=0)] = 0
    """Number of attempts for one degradation whose training worked, and whose version was not shown to
    be a remedy; from three on a person is asked to look, and attempts go on ever more rarely."""
    unsuccessful_challengers: Annotated[int, Field(ge=0)] = 0
    """Number of challengers in a row that failed; they pause no remedy."""
    lost_jobs: Annotated[int, Field(ge=0)] = 0
    """Number of Jobs in a row that were lost to the cluster: no node, no image, a quota."""
    retry_time: Time | None = None
    """Time of the next Job after one that was lost to the cluster."""
    inputs: str = ""
    """Hashes of what the newest attempt was made from: of what its Job reads, and of the rest of
    spec.retraining, the runtime image and what the SLOs ask for. Another one ends the pause after the
    attempt; another first part replaces a Job that waits."""
    next_allowed_time: Time | None = None
    """Time at which the cooldown ends."""
    suspended: bool = False
    """Whether retraining is suspended until a person asks for it (annotation
    retrain-requested-at)."""
    last_training_time: Time | None = None
    """Time at which the newest training began; a schedule counts from it."""
    previous_training_time: Time | None = None
    """Time at which the training before the newest one began; a schedule counts from it where the
    Job of the newest one was lost to the cluster."""
    last_duration_seconds: int | None = None
    """Duration of the last training in seconds."""
    last_reason: str = ""
    """Reason for which the last attempt ended, in one word."""
    last_result: AttemptResult | None = None
    """Result of the last attempt."""
    stable_score: StableScore | None = None
    """Newest score of the stable version on the hold-out of a training."""
    last_job: EndedTraining | None = None
    """Newest Job that has ended, or that was given up; the ledger records what it reserved."""

    def seconds_run(self, now: int) -> int | None:
        """Return for how long the running training has run, in seconds, without its wait in a queue; None without one."""
        if self.trigger is None:
            return None
        return now - (self.admission_time or self.trigger.trigger_time)

    @property
    def challengers_fail(self) -> bool:
        """Return whether so many challengers in a row failed that a person must check their training."""
        return self.unsuccessful_challengers >= MAX_FAILURES

    @property
    def is_held_back(self) -> bool:
        """Return whether a count of attempts, or a pause, delays the next attempt."""
        counts = self.unsuccessful_attempts, self.unsuccessful_challengers, self.lost_jobs
        times = self.next_allowed_time, self.retry_time
        return any((*counts, self.attempts_without_remedy)) or times != (None, None)

    @property
    def number(self) -> int:
        """Return the number in the newest Job's name; an older operator counted by `attempt` alone."""
        return self.started_attempts or self.attempt
