"""Result of the shadow phase: rows that count, or the reason why there are none.

They are the result of a Job or, where requests are mirrored, what was counted in an interval.
"""

from collections.abc import Collection
from itertools import takewhile
from typing import Final, Self

from pydantic import ValidationError, model_validator

from sluicegate.api.base import Paired, StatusModel
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.policy import is_scored
from sluicegate.policy.model.observed import Failure, ShadowCounted, ShadowResult
from sluicegate.policy.rollout.shadow_phase import is_due, is_tried
from sluicegate.reconcile.fleet.slot_reservation import JobRefusal, is_overdue
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.live.pods import TrainingExit, job_exit
from sluicegate.reconcile.observe.job_message import (
    JobDescription,
    exit_tail,
    invalid_message_text,
    job_failure,
    json_object,
)
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.runtime.redaction import redact
from sluicegate.slo.blocks import Quality
from sluicegate.stats.paired_blocks import NO_ROWS, add_pairs
from sluicegate.views.numbers import duration

MAX_ROWS: Final = 10**9
"""Of one result, so that the sum of all fits into status, which would else be refused for good."""
SHADOW: Final = JobDescription("The shadow Job", "rollout.shadow")


class ShadowReport(StatusModel):
    """The JSON object that a Job of the shadow phase writes."""

    pairs: dict[str, Paired]
    """Rows by which of both versions was right, by SLO; empty when there were none."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for slo, rows in self.pairs.items():
            if rows.total > MAX_ROWS:
                raise ValueError(f"pairs.{slo} has more than {MAX_ROWS:,} rows")
        return self


def needs_scoring_slot(product: DataProduct, now: int) -> bool:
    """Return whether the shadow phase needs a training slot now or soon."""
    shadow, status = product.spec.rollout.shadow, product.status
    if shadow is None or shadow.command is None or not is_tried(status):
        return False
    shadow_before = status.shadow
    return (
        shadow_before is None
        or bool(shadow_before.job)
        or is_due(shadow_before, shadow.interval_seconds, now)
    )


def shadow_of(observation: Observation, refusal: JobRefusal | None) -> ShadowResult | None:
    """Return the result of the Job in status once it has ended or can't be created.

    Where requests are mirrored, the rows of an interval that is over.
    """
    spec, status = observation.product.spec.rollout.shadow, observation.product.status.shadow
    if spec is None or status is None:
        return None
    if spec.mirror is not None:
        return _scored_pairs(observation, status.since_time, spec.interval_seconds)
    if not status.job:
        return None
    job = observation.shadow_job
    if job is not None and job.finished:
        slos = [slo.name for slo in observation.terms.slos if slo.measures_quality]
        return shadow_result(job, job_exit(observation.pods, job.uid), slos)
    if refusal is not None and refusal.final:
        text = f"{SHADOW.name} is refused: {refusal.message}"
        return Failure(DecisionReason.JOB_REFUSED, text)
    max_seconds = observation.max_training_seconds
    allowed = min(spec.timeout_seconds, max_seconds)
    text = ""
    if job is not None and is_overdue(job, observation.now, max_seconds):
        text = f"{SHADOW.name} {job.key.name} hasn't ended, though it may take {duration(allowed)}"
    elif job is None and refusal and observation.now >= (status.start_time or 0) + allowed:
        text = f"{SHADOW.name} couldn't be created within {duration(allowed)}: {refusal.message}"
    return Failure(DecisionReason.TIMED_OUT, text) if text else None


def _scored_pairs(observation: Observation, since: int, interval: int) -> ShadowCounted | None:
    """Return the pairs that were counted since `since`; None before the interval has ended."""
    newest_first = reversed(observation.observed.canary_blocks)
    blocks = list(takewhile(lambda block: block.end > since, newest_first))
    end_time = next((block.end for block in blocks if block.quality is Quality.COUNTED), since)
    if end_time < since + interval:
        return None
    rows = NO_ROWS
    for block in blocks:
        if block.pairs is not None and block.end <= end_time:
            rows = add_pairs(rows, block.pairs)
    terms = observation.terms
    scored_slos = [slo.name for slo in terms.slos if is_scored(terms, slo)] if rows.total else []
    return ShadowCounted(dict.fromkeys(scored_slos, rows), end_time)


def shadow_result(
    job: JobRecord, training_exit: TrainingExit, slos: Collection[str]
) -> ShadowResult:
    """Return the result of a Job that has ended.

    Parameters
    ----------
    job : the Job; `finished` holds. ended : what its container left behind.
    slos : names that its rows may have.
    """
    if not job.succeeded:
        return Failure(*job_failure(job, training_exit, SHADOW))
    try:
        report = ShadowReport.model_validate_json(json_object(training_exit.message))
    except (ValidationError, ValueError) as error:
        text = f"{SHADOW.name} succeeded, but its termination message is not a result ({invalid_message_text(error)})"
        return Failure(
            DecisionReason.INVALID_RESULT, f"{text}; message: {exit_tail(training_exit)}"
        )
    if unknown_slos := sorted(set(report.pairs) - set(slos)):
        text = (
            f"{SHADOW.name}'s result names {redact(', '.join(unknown_slos))}, and the SLOs about the answers are"
            f" {', '.join(slos)}: correct the name in the command's code"
        )
        return Failure(DecisionReason.INVALID_RESULT, text)
    return ShadowCounted(report.pairs)
