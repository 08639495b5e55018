"""Result of an ended training Job, or the reason why there is none.

A training that ended before its fit reports the score of the stable version alone.

The Job writes one JSON object to its termination message (see `sluicegate_service.training`).
Anything else is a failed attempt; its message is kept for the person who reads the status.
"""

import json
from collections.abc import Collection
from typing import Final, Self

from pydantic import Field, ValidationError, model_validator

from sluicegate.api.base import BentoVersion, Paired, PinnedImage, StatusModel, Time
from sluicegate.api.model import Counts, counts_of
from sluicegate.api.names import DecisionReason
from sluicegate.api.retraining_status import MAX_DIFFERENCE_LENGTH, FeatureDifferences
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import (
    TrainingFailed,
    TrainingResult,
    TrainingScored,
    TrainingSucceeded,
)
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import TrainingExit
from sluicegate.reconcile.observe.job_message import (
    JobDescription,
    exit_tail,
    invalid_message_text,
    job_failure,
    json_object,
)
from sluicegate.runtime.redaction import redact

TRAINING: Final = JobDescription("the training", "retraining")


class ScoreReport(StatusModel):
    """The JSON object that a training without a fit writes."""

    stable_evaluation: dict[str, Counts] = Field(min_length=1, max_length=16)
    """Counts of the stable version by SLO."""
    hold_out_start_time: Time
    """Begin of the rows that it was scored on."""
    data_end_time: Time
    """Their end."""
    feature_differences: FeatureDifferences | None = None
    """Features of these rows that differ from those of requests."""


class Report(StatusModel):
    """The JSON object that a training writes."""

    image: PinnedImage
    """The new bento."""
    version: BentoVersion
    """Its version."""
    evaluation: dict[str, Counts] = Field(default_factory=dict, max_length=16)
    """Hold-out counts by SLO."""
    stable_evaluation: dict[str, Counts] = Field(default_factory=dict, max_length=16)
    """The same hold-out scored with stable."""
    pairs: dict[str, Paired] = Field(default_factory=dict, max_length=16)
    """Rows of the hold-out by which of both was right, by SLO; a paired test then judges."""
    hold_out_start_time: Time | None = None
    """Begin of the rows that both were scored on; with it a score is compared with the same time live."""
    data_end_time: Time | None = None
    """End of the data that it read; rows that were labelled later are new to both versions."""
    feature_differences: FeatureDifferences | None = None
    """Features of its rows that differ from those of requests."""

    @model_validator(mode="after")
    def _check_hold_out(self) -> Self:
        """Check that pairs and counts have the same rows; add the counts that follow from pairs."""
        for slo, pairs in self.pairs.items():
            for name, counts, invalid_reason in (
                ("evaluation", self.evaluation, pairs.only_candidate_wrong),
                ("stableEvaluation", self.stable_evaluation, pairs.only_stable_wrong),
            ):
                bad, total = invalid_reason + pairs.both_wrong, pairs.total
                slo_counts = counts.setdefault(slo, Counts(bad=bad, total=total))
                if (slo_counts.bad, slo_counts.total) != (bad, total):
                    raise ValueError(
                        f"pairs.{slo} makes {bad} wrong of {total}, and {name}.{slo} says"
                        f" {slo_counts.bad} of {slo_counts.total}: score both versions on the same rows"
                    )
        return self


def training_result(
    job: JobRecord,
    training_exit: TrainingExit,
    trigger: str,
    parent: Release,
    *,
    output: str,
    slos: Collection[str] | None = None,
) -> TrainingResult:
    """Return the result of a Job that has ended.

    Parameters
    ----------
    job : the Job; `finished` holds.
    training_exit : what its container left behind.
    trigger : name of the training. parent : the version that it started from.
    output : repository that the new bento must lie in.
    slos : names that its evaluations may have; None for any.
    """
    if not job.succeeded:
        return TrainingFailed(trigger, *job_failure(job, training_exit, TRAINING))
    try:
        message = json_object(training_exit.message)
        if _is_score(json.loads(message)):
            return _scored(ScoreReport.model_validate_json(message), trigger, parent, slos=slos)
        report = Report.model_validate_json(message)
    except (ValidationError, ValueError) as error:
        return TrainingFailed(
            trigger,
            DecisionReason.INVALID_RESULT,
            f"the training succeeded, but its termination message is not a result ({invalid_message_text(error)});"
            f" message: {exit_tail(training_exit)}",
        )
    return _trained(report, training_exit, trigger, parent, output=output, slos=slos)


def _trained(
    report: Report,
    training_exit: TrainingExit,
    trigger: str,
    parent: Release,
    *,
    output: str,
    slos: Collection[str] | None,
) -> TrainingResult:
    """Return the version that a training reports, or why the report is invalid."""
    slo_names = {*report.evaluation, *report.stable_evaluation}  # of pairs, too
    if text := _unknown_slos_text(slo_names, slos):
        return TrainingFailed(trigger, DecisionReason.INVALID_RESULT, text)
    if report.image.partition("@")[0] != output:
        return TrainingFailed(
            trigger,
            DecisionReason.IMAGE_OUTSIDE_OUTPUT,
            f"the training pushed {report.image}, which isn't in retraining.output ({output})",
        )
    release = Release(report.version, report.image, parent.runtime_image, parent.service)
    if release == parent or report.version == parent.version:
        return TrainingFailed(
            trigger,
            DecisionReason.VERSION_REUSED,
            f"the training gave version {report.version} ({report.image}), which is the stable"
            " one: it must push a new bento under a new version",
        )
    return TrainingSucceeded(
        trigger=trigger,
        parent=parent,
        release=release,
        evaluation=counts_of(report.evaluation),
        stable_evaluation=counts_of(report.stable_evaluation),
        pairs=report.pairs,
        data_end=_data_end(report, training_exit),
        hold_out_start=report.hold_out_start_time,
        feature_differences=_redacted(report.feature_differences),
    )


def _is_score(document: Collection[str]) -> bool:
    """Return whether a report has the score of the stable version alone."""
    return "stableEvaluation" in document and not {"image", "version", "evaluation"} & set(document)


def _scored(
    report: ScoreReport, trigger: str, parent: Release, *, slos: Collection[str] | None
) -> TrainingResult:
    """Return the parent's score, or why the report is invalid."""
    if text := _unknown_slos_text(set(report.stable_evaluation), slos):
        return TrainingFailed(trigger, DecisionReason.INVALID_RESULT, text)
    return TrainingScored(
        trigger,
        parent,
        counts_of(report.stable_evaluation),
        report.data_end_time,
        report.hold_out_start_time,
        _redacted(report.feature_differences),
    )


def _redacted(differences: FeatureDifferences | None) -> FeatureDifferences | None:
    """Return differences without credentials, in one line each, as long as status allows."""
    if differences is None:
        return None
    lines = (" ".join(redact(text).split()) for text in differences.largest)
    largest = [line[:MAX_DIFFERENCE_LENGTH] for line in lines]
    return differences.replace(largest=largest)


def _unknown_slos_text(names: Collection[str], slos: Collection[str] | None) -> str:
    """Return a sentence about unknown SLO names; empty without one."""
    unknown_names = sorted(set(names) - set(slos)) if slos is not None else []
    if not unknown_names:
        return ""
    return (
        f"the training's evaluation names {redact(', '.join(unknown_names))}, and spec.slos has"
        f" {', '.join(slos or ()) or 'none'}: correct the name in the training's code"
    )


def _data_end(report: Report, training_exit: TrainingExit) -> int | None:
    """Return when the training's data ended, in seconds: as reported, at most the training's end; None if unknown."""
    end_times = [moment for moment in (report.data_end_time, training_exit.ended_at) if moment]
    return min(end_times, default=None)
