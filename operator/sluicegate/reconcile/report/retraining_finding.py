"""The condition RetrainingActive: what trains, what waits and for what, or how the last attempt ended. Pure."""

from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.names import REQUEST_RETRAIN, DecisionReason
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining import RetrainingMode
from sluicegate.api.retraining_status import (
    HOLD_OUT_REASONS,
    MAX_FAILURES,
    RetrainingStatus,
    Trigger,
)
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding
from sluicegate.kube.resources import Key
from sluicegate.policy import (
    MIN_AGE_BLOCKS,
    attempts_without,
    earliest_training_time,
    may_train_challengers,
    next_score_time,
    retraining_off_text,
    running_trainings_text,
)
from sluicegate.policy.model.observed import NO_TRAFFIC
from sluicegate.reconcile.observe.job_wait import queue_text
from sluicegate.reconcile.observe.observation import Observation

LONGEST_CAUSE: Final = 300
"""Characters of the last line of a failed training; `status.retraining.lastResult` has all of them."""
_KIND: Final = Type.RETRAINING_ACTIVE
_WITHOUT_SLO: Final = {
    str(DecisionReason.SCHEDULED): "the schedule",
    str(DecisionReason.FOLLOW_UP): "a follow-up",
}
"""What a training is for that no SLO and no person asked for."""
_END_TEXTS: Final = {
    str(DecisionReason.INPUT_STALE): "with data that are fresh",
    str(DecisionReason.INPUT_CHANGED): "with data that keep their contract",
    str(DecisionReason.UPSTREAM_DEGRADED): "once that product is healthy",
    str(DecisionReason.UPSTREAM_DEGRADING): "once that product is healthy, or at that time",
    str(DecisionReason.UPSTREAM_UNDECIDED): "once more blocks show the cause, or at that time",
    str(DecisionReason.UPSTREAM_RELEASED): "once that product serves another version",
    str(DecisionReason.COMMON_CAUSE): "once fewer products are bad at the same time",
    str(DecisionReason.PODS_UNHEALTHY): "once all pods are ready and none restarts",
    str(DecisionReason.NODE_BUSY): "once its node has the CPU that the pod requests",
    str(DecisionReason.CPU_THROTTLED): "with a higher CPU limit or more replicas in spec.serving",
    str(DecisionReason.MEMORY_PRESSURE): "with a higher memory limit in spec.serving.resources",
    str(DecisionReason.TRAFFIC_ANOMALY): "with less load a pod, or more replicas in spec.serving",
    str(DecisionReason.INFRASTRUCTURE_UNKNOWN): "once Prometheus scrapes the kubelet's cAdvisor",
}
"""Causes outside the model that hold trainings, and what ends each."""
_UNTIL_CORRECTED: Final = (
    "until a person corrects spec.retraining, the runtime image or an SLO, or asks for an attempt"
    f" with {REQUEST_RETRAIN}"
)


def retraining(observation: Observation, status: DataProductStatus) -> Finding:
    """Return the state of the retraining: running, due and waiting, or the last attempt's outcome."""
    status_part = status.retraining
    if status_part is not None and status_part.trigger is not None:
        return _under_way(observation, status, status_part, status_part.trigger)
    text = _last_attempt(status_part)
    if (
        status_part is not None
        and (reason_and_text := _obstacle(observation, status, status_part)) is not None
    ):
        reason, reason_text = reason_and_text
        return Finding(_KIND, "False", reason, f"{text}; {reason_text}".removeprefix("; "))
    if (cause_finding := _external_cause(observation, status)) is not None:
        reason, reason_text = cause_finding
        return Finding(_KIND, "False", reason, f"{text}; {reason_text}".removeprefix("; "))
    text += _limit(observation) + _no_training_text(observation, status)
    return Finding(_KIND, "False", Reason.IDLE, text.removeprefix("; "))


def _obstacle(
    observation: Observation, status: DataProductStatus, status_part: RetrainingStatus
) -> tuple[Reason, str] | None:
    """Return the obstacle to the next attempt, with its end in the text; None without one."""
    pending, reason = status_part.pending, status_part.waiting_for
    if status_part.suspended:
        return Reason.RETRAIN_SUSPENDED, f"attempts are suspended {_UNTIL_CORRECTED}"
    if (
        pending is not None
        and (reason_and_text := _due_reason(observation, status, pending)) is not None
    ):
        return reason_and_text
    pause_end = status_part.next_allowed_time or 0
    cooling_down = pending is not None and reason == DecisionReason.COOLING_DOWN and pause_end
    # A failed training pauses the next remedy also while the product needs none.
    terms = observation.terms.retraining
    is_automatic = terms is not None and terms.mode is RetrainingMode.AUTOMATIC
    failed = (
        is_automatic
        and status_part.unsuccessful_attempts
        and status_part.last_reason not in HOLD_OUT_REASONS
    )
    cooling_down = cooling_down or (failed and pause_end > observation.now)
    if status_part.attempts_without_remedy >= MAX_FAILURES or cooling_down:
        return _no_remedy(observation, status_part) or (
            Reason.COOLING_DOWN,
            _pause(observation, status_part),
        )
    if status_part.retry_time is not None and status_part.retry_time > observation.now:
        text = f"the next Job is created at {rfc3339(status_part.retry_time)}"
        return (
            Reason.WAITING_TO_RETRY,
            f"{text}; {_lost_jobs_text(status_part.lost_jobs)} lost to the cluster",
        )
    if status_part.challengers_fail and may_train_challengers(observation.terms, status):
        return Reason.CHALLENGERS_FAIL, _failing_challengers_text(status_part)
    return None


def _failing_challengers_text(status_part: RetrainingStatus) -> str:
    """Return how many challengers failed, and the way out."""
    return (
        f"{status_part.unsuccessful_challengers} challengers in a row failed: correct what"
        " status.retraining.lastResult names, in spec.retraining or in its image"
    )


def _no_training_text(observation: Observation, status: DataProductStatus) -> str:
    """Return a clause about a spec that lets no training of a degraded product follow; empty otherwise."""
    terms = observation.terms
    if not any(slo.is_retrained and status.engine.slo(slo.name).degraded for slo in terms.slos):
        return ""
    off_text = retraining_off_text(terms.retraining)
    return f"; no training follows: {off_text}" if off_text else ""


def _external_cause(
    observation: Observation, status: DataProductStatus
) -> tuple[Reason, str] | None:
    """Return the cause outside the model that blocks a training, and what ends it; None without one."""
    diagnosis, terms = status.diagnosis, observation.terms
    if diagnosis is None or terms.retraining is None or diagnosis.cause not in _END_TEXTS:
        return None
    if not any(slo.is_retrained and status.engine.slo(slo.name).degraded for slo in terms.slos):
        return None
    end = _END_TEXTS[diagnosis.cause]
    if diagnosis.cause == DecisionReason.UPSTREAM_RELEASED and NO_TRAFFIC in diagnosis.message:
        end = "once labels of the time of that release come no more"
    text = (
        f"no training follows since {rfc3339(diagnosis.diagnosis_time)}: {diagnosis.message}."
        f" That ends {end}, or with {REQUEST_RETRAIN}"
    )
    return Reason(diagnosis.cause), text


def _due_reason(
    observation: Observation, status: DataProductStatus, pending: Trigger
) -> tuple[Reason, str] | None:
    """Return the reason why a due training waits; None for the pause after an attempt."""
    match status.retraining.waiting_for if status.retraining else "":
        case DecisionReason.SERVING_SKEW | DecisionReason.CODE_NOT_DATA as cause:
            return Reason(cause), _contradicted(status, pending)
        case DecisionReason.NO_SLOT:
            return Reason.WAITING_FOR_SLOT, _slot_wait_text(observation, pending)
        case DecisionReason.MANUAL_MODE:
            return Reason.MANUAL_MODE, _manual_text(pending)
        case DecisionReason.SCORE_UNDECIDED:
            return Reason.SCORE_UNDECIDED, _next_score_text(observation, status, pending)
        case DecisionReason.VERSION_TOO_YOUNG:
            return Reason.VERSION_TOO_YOUNG, _too_young(observation, pending)
        case _:
            return None


def _lost_jobs_text(number: int) -> str:
    return "1 Job was" if number == 1 else f"{number} Jobs in a row were"


def _no_remedy(
    observation: Observation, status_part: RetrainingStatus
) -> tuple[Reason, str] | None:
    """Return the reason and text after several successful trainings that are no remedy; None for few."""
    number, pause_end = status_part.attempts_without_remedy, status_part.next_allowed_time
    if number < MAX_FAILURES:
        return None
    text = (
        f"{number} attempts made a version that isn't shown to be a remedy, so a person has to find the"
        " cause: the data, the features or the labels"
    )
    if pause_end is not None and pause_end > observation.now:
        cooldown_given = (
            observation.terms.retraining is None or observation.terms.retraining.is_cooldown_given
        )
        earlier_end_text = (
            "" if cooldown_given else "once there are as many labels again, at the latest "
        )
        text = f"{text}. The next attempt follows {earlier_end_text}at {rfc3339(pause_end)}"
    return Reason.NO_REMEDY_FOUND, text


def _pause(observation: Observation, status_part: RetrainingStatus) -> str:
    """Return the end of the pause after the last attempt, and what ends it earlier."""
    assert status_part.next_allowed_time is not None
    subject_text = (
        f"the training for {status_part.pending.slo} waits"
        if status_part.pending
        else "the next one has to wait"
    )
    text = (
        f"{subject_text} until {rfc3339(status_part.next_allowed_time)}"
        f"{attempts_without(status_part.unsuccessful_attempts)}"
    )
    terms = observation.terms.retraining
    labels = status_part.last_reason in HOLD_OUT_REASONS or not status_part.unsuccessful_attempts
    if labels and terms is not None and not terms.is_cooldown_given:
        return f"{text}, or until there are enough labels for another result"
    return f"{text}, or {_UNTIL_CORRECTED}"


def _under_way(
    observation: Observation,
    status: DataProductStatus,
    status_part: RetrainingStatus,
    trigger: Trigger,
) -> Finding:
    """Return the progress of the attempt under way."""
    cause_text = _WITHOUT_SLO.get(trigger.cause, "a person")
    text = f"attempt {status_part.attempt} for {trigger.slo or cause_text}, from {trigger.version}"
    if trigger.trains_challenger and status_part.challengers_fail:
        text = f"{text}; {_failing_challengers_text(status_part)}"
    wait = (
        _absent_job(observation, status) if observation.job is None else _waiting_job(observation)
    )
    if wait is None:
        return Finding(_KIND, "True", Reason.TRAINING, text + _limit(observation))
    reason, clause = wait
    return Finding(_KIND, "False", reason, text + clause)


def _absent_job(observation: Observation, status: DataProductStatus) -> tuple[Reason, str] | None:
    """Return why the Job doesn't exist, with a clause; None if this pass creates it without a queue."""
    if observation.refusal and not observation.is_new(status):
        return Reason.JOB_REFUSED, f": {observation.refusal}"
    if not observation.starts_training(status):
        reason = Reason.SUSPENDED if observation.product.spec.suspend else Reason.WAITING_FOR_SLOT
        return reason, "; its Job isn't created yet"
    retraining, queue = status.retraining, observation.product.queue
    if not queue or retraining is None:
        return None
    # The text of the Job once it exists: status is written for another reason, not for another text.
    job = Key(observation.product.metadata.namespace, retraining.job)
    return Reason.WAITING_FOR_QUEUE, f"; its {queue_text(job, queue, observation.now)}"


def _waiting_job(observation: Observation) -> tuple[Reason, str] | None:
    """Return the reason why an existing Job or its result waits, and a clause; None while it runs."""
    if observation.job and observation.job.finished and observation.product.spec.suspend:
        text = "; its Job has ended, and its result is used once spec.suspend is false"
        return Reason.SUSPENDED, text
    wait = observation.job_wait
    return None if wait is None else (wait.reason, f"; {wait.message}")


def _contradicted(status: DataProductStatus, pending: Trigger) -> str:
    """Return the text for trainings blocked by a contradicting score: since when, and what ends the wait."""
    diagnosis = status.diagnosis
    since = pending.trigger_time if diagnosis is None else diagnosis.diagnosis_time
    clause = f": {diagnosis.message}" if diagnosis is not None else ""
    return (
        f"no training for {pending.slo} follows since {rfc3339(since)}{clause}. That ends with live answers"
        " as good as accepted, with another spec.model, spec.retraining, runtime image or SLO, or with"
        f" {REQUEST_RETRAIN}"
    )


def _next_score_text(observation: Observation, status: DataProductStatus, pending: Trigger) -> str:
    """Return when the stable version is scored again after a score on too few rows, and what sooner ends the wait."""
    slos = (slo for slo in observation.terms.slos if slo.name == pending.slo)
    times = (next_score_time(observation.terms, status, slo) for slo in slos)
    score_time = next(times, None)
    at_text = "" if score_time is None else f" at {rfc3339(score_time)}"
    return (
        f"the last Job ended before its fit: {pending.version} scores as accepted so far, and the rows since the"
        f" change are too few for a conclusion. The next Job scores it again{at_text}, or a training"
        f" is asked for with {REQUEST_RETRAIN}"
    )


def _manual_text(pending: Trigger) -> str:
    """Return the text for a training that waits for a person in mode Manual."""
    return (
        f"{_subject_text(pending)} of {pending.version} waits for a person, as spec.retraining.mode is Manual:"
        f" ask for it with {REQUEST_RETRAIN}"
    )


def _too_young(observation: Observation, pending: Trigger) -> str:
    """Return until when a version is too young for a retraining."""
    text = f"{_subject_text(pending)} waits until {pending.version} has been measured for"
    text = f"{text} {MIN_AGE_BLOCKS} blocks"
    stable = observation.product.status.stable
    if stable is None:
        return text
    earliest_time = rfc3339(earliest_training_time(observation.terms, stable))
    return f"{text}, at {earliest_time}, or until a person asks for it with {REQUEST_RETRAIN}"


def _subject_text(pending: Trigger) -> str:
    return "a challenger" if pending.trains_challenger else f"a training for {pending.slo}"


def _slot_wait_text(observation: Observation, pending: Trigger) -> str:
    """Return a clause about the wait for a slot: its start, and the products that have one."""
    priority_text = "; products that are degraded go first" if pending.trains_challenger else ""
    trainers_text = running_trainings_text(observation.observed.portfolio)
    since = rfc3339(pending.trigger_time)
    return f"{_subject_text(pending)} of {pending.version} waits for a slot since {since}: {trainers_text}{priority_text}"


def _last_attempt(status_part: RetrainingStatus | None) -> str:
    """Return the last attempt's outcome, of a failure with the last line that it has; empty before the first."""
    if status_part is None:
        return ""
    last = status_part.last_result
    if last is not None and last.outcome is Outcome.IN_PROGRESS:
        return f"the last attempt made {last.version}, which is in its rollout"
    if not status_part.last_reason:
        return ""
    text = f"the last attempt ended with {status_part.last_reason}"
    if last is None or last.outcome is not Outcome.FAILED or last.reason != status_part.last_reason:
        return text
    lines = [line for raw_line in last.message.splitlines() if (line := raw_line.strip())]
    return f"{text} ({lines[-1][:LONGEST_CAUSE]})" if lines else text


def _limit(observation: Observation) -> str:
    """Return a clause where the operator's limit is below the training time in the spec."""
    retraining = observation.product.spec.retraining
    if retraining is None or retraining.timeout_seconds <= observation.training_seconds:
        return ""
    return (
        f"; spec.retraining.timeoutSeconds is {retraining.timeout_seconds}, and this operator"
        f" allows {observation.training_seconds} (SLUICEGATE_MAX_RETRAINING_SECONDS)"
    )
