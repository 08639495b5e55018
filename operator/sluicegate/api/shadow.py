"""spec.rollout.shadow and what status keeps of it: both versions on rows labelled after the training."""

from typing import Annotated

from pydantic import Field, StringConstraints

from sluicegate.api.base import (
    ApiModel,
    Events,
    ExactOrZero,
    Number,
    Paired,
    StatusModel,
    Time,
)
from sluicegate.api.containers import EnvVars, Resources
from sluicegate.api.list_types import Keyed
from sluicegate.stats.paired import Pairs


class Shadow(ApiModel):
    """Jobs that score stable and candidate on rows that were labelled after the training."""

    command: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=1024)], ...],
        Field(min_length=1, max_length=32),
    ]
    """Command that scores both versions. It runs in the candidate's runtime image, or in the image
    of retraining.podTemplate, with the bentos mounted at /stable and /candidate. It reads the rows
    whose label came after SLUICEGATE_SINCE and by SLUICEGATE_UNTIL, and writes one JSON object to
    the termination log."""
    interval_seconds: Annotated[int, Field(ge=10, le=604_800)]
    """Least time from the start of one Job to that of the next, and least length of the interval
    that a Job scores. With one batch of labels a day, a day."""
    resources: Resources = Field(default_factory=Resources)
    """Resource requests and limits of the container."""
    env: EnvVars = ()
    """Variables of the container."""
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
    """Number of Jobs whose result was counted."""
    evidence: Annotated[tuple[ShadowEvidence, ...], Field(max_length=16), Keyed("slo")] = ()
    """Evidence of the rows so far, by SLO."""
    reason: str = ""
    """Reason why the newest Job counts for nothing, or why the next one waits, in one word."""
    message: Annotated[str, StringConstraints(max_length=4096)] = ""
    """Explanation of the reason."""
