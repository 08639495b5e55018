"""What a training Job says when it has ended: a result, or one clear reason why there is none.

The Job writes one JSON object to its termination message (see `sluicegate_service.training`).
Anything else is a failed attempt; its message is kept for the person who reads the status.
"""

import json
from collections.abc import Collection
from typing import Any, Final

from pydantic import Field, ValidationError

from sluicegate.api.base import BentoVersion, PinnedImage, StatusModel
from sluicegate.api.errors import problem
from sluicegate.api.model import Counts, counts_of
from sluicegate.api.names import DecisionReason
from sluicegate.api.versions import Release
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.observed import TrainingFailed, TrainingResult, TrainingSucceeded
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import TrainingExit

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
    ended: TrainingExit,
    trigger: str,
    parent: Release,
    *,
    output: str,
    slos: Collection[str] | None = None,
) -> TrainingResult:
    """The result of a Job that has ended.

    Parameters
    ----------
    job : the Job; `finished` holds.
    ended : what its container left behind.
    trigger : name of the training. parent : the version that it started from.
    output : repository that the new bento must lie in.
    slos : names that its evaluations may have; None for any.
    """
    if not job.succeeded:
        return _failure(job, ended, trigger)
    try:
        report = Report.model_validate_json(_json_object(ended.message))
    except (ValidationError, ValueError) as error:
        return TrainingFailed(
            trigger,
            DecisionReason.INVALID_RESULT,
            f"the training succeeded, but its termination message is not a result ({_why(error)});"
            f" message: {_tail(ended.message)}",
        )
    named = {*report.evaluation, *report.stable_evaluation}
    if slos is not None and (strange := sorted(named - set(slos))):
        return TrainingFailed(
            trigger,
            DecisionReason.INVALID_RESULT,
            f"the training's evaluation names {', '.join(strange)}, and spec.slos has"
            f" {', '.join(slos) or 'none'}: correct the name in the training's code",
        )
    if report.image.partition("@")[0] != output:
        return TrainingFailed(
            trigger,
            DecisionReason.IMAGE_OUTSIDE_OUTPUT,
            f"the training pushed {report.image}, which isn't in retraining.output ({output})",
        )
    made = Release(report.version, report.image, parent.runtime_image, parent.service)
    if made == parent or report.version == parent.version:
        return TrainingFailed(
            trigger,
            DecisionReason.VERSION_REUSED,
            f"the training gave version {report.version} ({report.image}), which is the stable"
            " one: it must push a new bento under a new version",
        )
    return TrainingSucceeded(
        trigger=trigger,
        parent=parent,
        release=made,
        evaluation=counts_of(report.evaluation),
        stable_evaluation=counts_of(report.stable_evaluation),
    )


def _failure(job: JobRecord, ended: TrainingExit, trigger: str) -> TrainingFailed:
    if job.reason == "DeadlineExceeded":
        # At its deadline a Job deletes the pods that run, and their status says no more.
        deleted = "its pod is deleted, so its last message is not known"
        said = deleted if ended.exit_code is None else _said(ended)
        return TrainingFailed(
            trigger,
            DecisionReason.TIMED_OUT,
            f"the training took longer than retraining.timeoutSeconds{_limit(job)}; {said}",
        )
    code = "never ran" if ended.exit_code is None else f"exited with {ended.exit_code}"
    if ended.reason == "OOMKilled":
        code += " (OOMKilled): raise the memory limit in retraining.resources"
    elif ended.exit_code is None and job.message:
        code += f" ({job.message})"
    return TrainingFailed(
        trigger, DecisionReason.JOB_FAILED, f"the training {code}; {_said(ended)}"
    )


def _limit(job: JobRecord) -> str:
    return f" ({duration(job.deadline)})" if job.deadline else ""


def _said(ended: TrainingExit) -> str:
    return f"message: {_tail(ended.message)}" if ended.message.strip() else "it left no message"


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
