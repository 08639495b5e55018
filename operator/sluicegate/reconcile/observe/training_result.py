"""What a training Job says when it has ended: a result, or one clear reason why there is none.

The Job writes one JSON object to its termination message (see `sluicegate_service.training`).
Anything else is a failed attempt; its message is kept for the person who reads the status.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import Field, ValidationError

from sluicegate.api.base import BentoVersion, PinnedImage, StatusModel
from sluicegate.api.errors import problem
from sluicegate.api.model import Counts
from sluicegate.api.names import DecisionReason
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.observed import TrainingFailed, TrainingResult, TrainingSucceeded
from sluicegate.policy.model.state import Release, Training
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import Ended
from sluicegate.stats.counts import Count

MESSAGE_LIMIT: Final = 1500
"""Characters of a Job's message and log tail that are kept in status."""


class Report(StatusModel):
    """The one JSON object that a training writes."""

    image: PinnedImage
    """The new bento."""
    version: BentoVersion
    """Its version."""
    evaluation: dict[str, Counts] = Field(default_factory=dict, max_length=16)
    """Hold-out counts by SLO."""
    stable_evaluation: dict[str, Counts] = Field(default_factory=dict, max_length=16)
    """The same hold-out scored with stable."""


def training_result(
    job: JobRecord,
    ended: Ended,
    training: Training,
    *,
    output: str,
    slos: Collection[str] | None = None,
) -> TrainingResult:
    """The result of a Job that has ended.

    Parameters
    ----------
    job : the Job; `finished` holds.
    ended : what its container left behind.
    training : what was asked for.
    output : repository that the new bento must lie in.
    slos : names that its evaluations may have; None for any.
    """
    if not job.succeeded:
        return _failure(job, ended, training)
    try:
        report = Report.model_validate_json(_json_object(ended.message))
    except (ValidationError, ValueError) as error:
        return TrainingFailed(
            training.trigger,
            DecisionReason.INVALID_RESULT,
            f"the training ended well but its termination message isn't a result ({_why(error)});"
            f" it said: {_tail(ended.message)}",
        )
    named = {*report.evaluation, *report.stable_evaluation}
    if slos is not None and (strange := sorted(named - set(slos))):
        return TrainingFailed(
            training.trigger,
            DecisionReason.INVALID_RESULT,
            f"the training's evaluation names {', '.join(strange)}, and spec.slos has"
            f" {', '.join(slos) or 'none'}: correct the name in the training's code",
        )
    if report.image.partition("@")[0] != output:
        return TrainingFailed(
            training.trigger,
            DecisionReason.IMAGE_OUTSIDE_OUTPUT,
            f"the training pushed {report.image}, which isn't in retraining.output ({output})",
        )
    made = Release(report.version, report.image, training.parent.runtime_image)
    if made == training.parent or report.version == training.parent.version:
        return TrainingFailed(
            training.trigger,
            DecisionReason.VERSION_REUSED,
            f"the training gave version {report.version} ({report.image}), which is the stable"
            " one: it must push a new bento under a new version",
        )
    return TrainingSucceeded(
        trigger=training.trigger,
        parent=training.parent,
        release=made,
        evaluation=_counts(report.evaluation),
        stable_evaluation=_counts(report.stable_evaluation),
    )


def _failure(job: JobRecord, ended: Ended, training: Training) -> TrainingFailed:
    if job.reason == "DeadlineExceeded":
        return TrainingFailed(
            training.trigger,
            DecisionReason.TIMED_OUT,
            f"the training took longer than retraining.timeoutSeconds{_limit(job)}; {_said(ended)}",
        )
    code = "never ran" if ended.exit_code is None else f"exited with {ended.exit_code}"
    if ended.reason == "OOMKilled":
        code += " (OOMKilled): raise the memory limit in retraining.resources"
    elif ended.exit_code is None and job.message:
        code += f" ({job.message})"
    return TrainingFailed(
        training.trigger, DecisionReason.JOB_FAILED, f"the training {code}; {_said(ended)}"
    )


def _limit(job: JobRecord) -> str:
    return f" ({duration(job.deadline)})" if job.deadline else ""


def _said(ended: Ended) -> str:
    return f"it said: {_tail(ended.message)}" if ended.message.strip() else "it said nothing"


def _tail(message: str) -> str:
    text = message.strip()
    return text if len(text) <= MESSAGE_LIMIT else f"…{text[-MESSAGE_LIMIT:]}"


def _json_object(message: str) -> str:
    """The message, if it is one JSON object; ValueError says what it is instead."""
    if not message.strip():
        raise ValueError("it is empty")
    try:
        value: Any = json.loads(message)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"it is a JSON {type(value).__name__}, not an object")  # noqa: TRY004
    return message


def _why(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(problem(one)) for one in error.errors())
    return "it is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)


def _counts(evaluation: Mapping[str, Counts]) -> dict[str, Count]:
    return {slo: Count(one.bad, one.total) for slo, one in evaluation.items()}
