"""The attempt to replace stable in status: its cause and its outcome. Pure."""

from typing import Any, Final

from sluicegate.api.names import DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, EndedTraining, Trigger
from sluicegate.api.status import DataProductStatus
from sluicegate.manifests.names import job_name
from sluicegate.policy import WaitingRetraining
from sluicegate.policy.model.decision import Alert, Decision, StartRollout
from sluicegate.policy.model.observed import TrainingScored, TrainingSucceeded
from sluicegate.policy.model.terms import job_inputs
from sluicegate.reconcile.live.children import JobRecord
from sluicegate.reconcile.observe.observation import Observation

_REFUSALS: Final = frozenset(
    {
        DecisionReason.WORSE_ON_HOLD_OUT,
        DecisionReason.HOLD_OUT_TOO_SMALL,
        DecisionReason.NOT_SHOWN_BETTER,
        DecisionReason.SERVING_SKEW,
        DecisionReason.CODE_NOT_DATA,
    }
)


def with_job(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the Job name of the training that starts."""
    retraining = status.retraining
    assert retraining is not None
    assert retraining.trigger is not None
    name = job_name(observation.product.metadata.name, retraining.trigger.id, retraining.number)
    return status.with_retraining(job=name)


def with_corrected_job(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status; a Job that hasn't started is replaced when the spec has changed."""
    retraining, terms = status.retraining, observation.terms.retraining
    if retraining is None or retraining.trigger is None or terms is None or not retraining.inputs:
        return status
    if job_inputs(retraining.inputs) == job_inputs(terms.inputs):
        return status
    if observation.job_wait is None or not observation.may_train(status):
        return status
    after = status.with_retraining(
        trigger=retraining.trigger.replace(trigger_time=observation.now),
        start_time=observation.now,
        admission_time=None,
        started_attempts=retraining.number + 1,
        inputs=terms.inputs,
    )
    return with_job(observation, after)


def with_admission(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the time at which a queue admitted the Job; without it while the Job waits."""
    retraining, job = status.retraining, observation.job
    if retraining is None or retraining.trigger is None or job is None or not job.queue:
        return status
    admitted = None if job.suspended or not job.start_time else min(job.start_time, observation.now)
    return status.with_retraining(admission_time=admitted)


def with_ended_training(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status in which an ended training releases its reservation.

    It lasted until its Job ended, also if spec.suspend or an absence of the operator delayed its result.
    """
    retraining_before, retraining_after = observation.product.status.retraining, status.retraining
    if (
        retraining_before is None
        or not retraining_before.job
        or retraining_before.start_time is None
    ):
        return status
    if retraining_after is not None and retraining_after.job == retraining_before.job:
        return status
    job = observation.job
    has_queue = job is not None and bool(job.queue)
    admitted = min(job.start_time, observation.now) if job is not None and has_queue else 0
    if has_queue and not admitted:
        return status  # it has run in no pod
    retraining = observation.product.spec.retraining
    end_time = _end_time(job, observation.now)
    ended_training = EndedTraining(
        job=retraining_before.job,
        start_time=admitted or retraining_before.start_time,
        end_time=end_time,
        requests=retraining.reserved() if retraining else {},
    )
    seconds_run = retraining_before.seconds_run(observation.now)
    if (
        retraining_after is not None
        and seconds_run is not None
        and retraining_after.last_duration_seconds == seconds_run
    ):
        status = status.with_retraining(
            last_duration_seconds=retraining_before.seconds_run(end_time)
        )
    return status.with_retraining(last_job=ended_training)


def _end_time(job: JobRecord | None, now: int) -> int:
    """Return when a Job ended, in seconds; now for a Job that is deleted before its end."""
    if job is None or not job.end_time:
        return now
    return min(now, max(job.created, job.end_time))


def with_pending(
    observation: Observation, status: DataProductStatus, waiting: WaitingRetraining | None
) -> DataProductStatus:
    """Return the due retraining with the reason of its wait; its start time changes only with the reason."""
    retraining = status.retraining
    if waiting is None:
        nothing_pending = retraining is None or retraining.pending is None
        return status if nothing_pending else status.with_retraining(pending=None, waiting_for="")
    retraining_before = observation.product.status.retraining
    pending = retraining_before.pending if retraining_before is not None else None
    if pending is None or pending.id != waiting.trigger:
        assert status.stable is not None
        pending = Trigger(
            id=waiting.trigger,
            cause=str(waiting.cause),
            slo=waiting.slo,
            indicator=observation.terms.indicator(waiting.slo),
            market=waiting.market,
            version=status.stable.version,
            trigger_time=observation.now,
        )
    return status.with_retraining(pending=pending, waiting_for=str(waiting.reason))


def with_result(
    observation: Observation, status: DataProductStatus, decision: Decision
) -> DataProductStatus:
    """Return the attempt's status with the result of a training that has just been processed."""
    if status.retraining is None:
        return status
    result = observation.observed.training
    changes: dict[str, Any] = {}
    if isinstance(result, TrainingSucceeded):
        changes = {
            "version": result.release.version,
            "image": result.release.image,
            "evaluation": dict(result.evaluation),
            "stable_evaluation": dict(result.stable_evaluation),
            "pairs": dict(result.pairs),
        }
    if isinstance(result, TrainingScored):
        changes = {"stable_evaluation": dict(result.stable_evaluation)}
    last = AttemptResult(
        outcome=_outcome(decision),
        reason=str(decision.reason),
        message=decision.message[:4096],
        completion_time=observation.now,
        **changes,
    )
    return status.with_retraining(last_result=last)


def _outcome(decision: Decision) -> Outcome:
    if isinstance(decision, StartRollout):
        return Outcome.IN_PROGRESS
    if not isinstance(decision, Alert) or decision.reason is DecisionReason.SUPERSEDED:
        return Outcome.SUPERSEDED
    if decision.reason is DecisionReason.SCORED_AS_ACCEPTED:
        return Outcome.NOT_TRAINED
    return Outcome.REJECTED if decision.reason in _REFUSALS else Outcome.FAILED
