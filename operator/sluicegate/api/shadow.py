"""spec.rollout.shadow and what status keeps of it: both versions on rows labelled after the training."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import (
    ApiModel,
    Events,
    ExactOrZero,
    Number,
    Paired,
    Rule,
    StatusModel,
    Time,
)
from sluicegate.api.containers import EnvVars, Resources
from sluicegate.api.list_types import Keyed
from sluicegate.stats.paired import Pairs


class Mirror(ApiModel):
    """Requests of users that stable's pods also send to the candidate.

    The candidate's answer reaches no user. A service returns `await self.tokens(predictions)`, so
    that each token carries both predictions.
    """

    percent: Annotated[int, Field(ge=1, le=100)]
    """Share of the requests to stable that are mirrored, in percent. They load the candidate's pods
    in addition to its share of the traffic."""
    timeout_milliseconds: Annotated[int, Field(ge=1, le=60_000)] = 100
    """Time budget of a mirrored request, from its start. After it the answer goes out without the
    candidate's prediction, so no answer takes longer because of this."""
    max_concurrency: Annotated[int, Field(ge=1, le=1000)] = 4
    """Maximum number of mirrored requests that one pod has under way. Others aren't mirrored."""


class Shadow(ApiModel):
    """How stable and candidate are scored on the same rows, labelled after the training."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.command) != has(self.mirror)",
            holds=lambda self: (self.command is None) != (self.mirror is None),
            message="set exactly one of command (Jobs score both versions) and mirror (answers carry"
            " both predictions)",
            field="command",
        ),
    )

    command: (
        Annotated[
            tuple[Annotated[str, StringConstraints(max_length=1024)], ...],
            Field(min_length=1, max_length=32),
        ]
        | None
    ) = None
    """Command of Jobs that score both versions. It runs in the candidate's runtime image, or in the
    image of retraining.podTemplate, with the bentos mounted at /stable and /candidate. It reads the
    rows whose label came after SLUICEGATE_SINCE and by SLUICEGATE_UNTIL, and writes one JSON object
    to the termination log."""
    mirror: Mirror | None = None
    """Mirrors requests to the candidate, instead of Jobs. The outcomes of both predictions are
    counted when the label comes. Use it only where the outcome doesn't depend on the answer that
    was shown. A change restarts the pods."""
    interval_seconds: Annotated[int, Field(ge=10, le=604_800)]
    """Least length of the interval whose rows are counted together, and least time from the start
    of one Job to that of the next. With one batch of labels a day, a day."""
    resources: Resources = Field(default_factory=Resources)
    """Resource requests and limits of the Job's container."""
    env: EnvVars = ()
    """Variables of the Job's container."""
    timeout_seconds: Annotated[int, Field(ge=10, le=604_800)] = 3600
    """Deadline of a Job, from the time at which it should be created. A Job that misses it counts
    for nothing. The operator may have a lower limit: SLUICEGATE_MAX_RETRAINING_SECONDS."""


class ShadowEvidence(StatusModel):
    """What the rows say of one SLO."""

    slo: str
    """Name of the SLO."""
    terms_hash: str = ""
    """Hash of the SLO's indicator and margins; another one starts the evidence afresh."""
    blocks: Events = 0
    """Number of intervals with rows."""
    pairs: Paired = Pairs(0, 0, 0, 0)
    """Rows by which of both versions was right."""
    squares: ExactOrZero = 0.0
    """Sum over intervals of the squared difference of both errors, by the rows of the interval."""
    correlation: Number = "0"
    """Correlation of two differences of one interval, by which the next interval is discounted."""
    promote: ExactOrZero = 0.0
    """Natural logarithm of the e-value against "worse by maxRegression"."""
    roll_back: ExactOrZero = 0.0
    """Natural logarithm of the e-value against "not worse"."""
    better: ExactOrZero = 0.0
    """Natural logarithm of the e-value against "not better"."""


class ShadowStatus(StatusModel):
    """Shadow phase of a candidate."""

    since_time: Time
    """End of the last interval that was counted; the next one begins there."""
    until_time: Time | None = None
    """End of the interval that the running Job scores."""
    job: str = ""
    """Name of the running Job; it is written before the Job."""
    started_jobs: Annotated[int, Field(ge=0)] = 0
    """Number of Jobs that were ever started; the newest one's is part of its name."""
    start_time: Time | None = None
    """Time at which the newest Job was started."""
    blocks: Events = 0
    """Number of intervals that were counted."""
    evidence: Annotated[tuple[ShadowEvidence, ...], Field(max_length=16), Keyed("slo")] = ()
    """Evidence of the rows so far, by SLO."""
    reason: str = ""
    """Reason why the newest Job counts for nothing, why the next one waits, or why no answer was
    counted, in one word."""
    message: Annotated[str, StringConstraints(max_length=4096)] = ""
    """Explanation of the reason."""
