"""The shadow phase in status: evaluated rows, and the next Job, which is named before it is created.

Where requests are mirrored there are no Jobs: the rows of an interval are those that were counted.
"""

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import DecisionReason
from sluicegate.api.shadow import Mirror, ShadowStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.manifests.names import shadow_job_name
from sluicegate.policy import is_scored, with_rows
from sluicegate.policy.model.observed import Failure, ShadowCounted
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.shadow_phase import is_due, is_tried
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.observe.job_wait import queue_text
from sluicegate.reconcile.observe.observation import Observation

_NO_JOB = {"job": "", "until_time": None}
_NO_REASON = {"reason": "", "message": ""}


def with_shadow(
    observation: Observation, status: DataProductStatus
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status with the rows of an ended interval, and the next Job's name if it is due."""
    candidate, spec = status.trial, observation.product.spec.rollout.shadow
    if candidate is None or observation.is_frozen(status):
        return status, ()
    shadow = candidate.shadow
    if spec is None or not is_tried(status):
        idle_shadow = (
            None if spec is None or shadow is None else shadow.replace(**_NO_JOB, **_NO_REASON)
        )
        return (status if idle_shadow == shadow else status.with_candidate(shadow=idle_shadow)), ()
    if shadow is None:
        rollout_start = candidate.start_time
        if spec.mirror is None:  # a Job also reads what was labelled while it was trained
            rollout_start = candidate.data_end_time or rollout_start
        shadow = ShadowStatus(since_time=min(rollout_start, observation.now))
    if spec.mirror is not None and shadow.job:  # of the command that the spec had before
        shadow = shadow.replace(**_NO_JOB, **_NO_REASON)
    shadow, events = _with_result(observation, status, shadow)
    if spec.mirror is None and is_due(shadow, spec.interval_seconds, observation.now):
        shadow = _with_next(observation, status, shadow)
    return (status if shadow == candidate.shadow else status.with_candidate(shadow=shadow)), events


def _with_result(
    observation: Observation, status: DataProductStatus, shadow: ShadowStatus
) -> tuple[ShadowStatus, tuple[EventNote, ...]]:
    """Add the rows of an ended interval; a Job without a result adds none."""
    assert status.trial is not None
    spec = observation.product.spec.rollout
    match observation.observed.shadow if shadow.job or spec.mirror else None:
        case None:
            return _with_wait(observation, _with_refusal(observation, shadow)), ()
        case ShadowCounted(pairs, end_time):
            ended_shadow = shadow if end_time is None else shadow.replace(until_time=end_time)
            counted_shadow = with_rows(observation.terms, status.trial, ended_shadow, pairs)
            return counted_shadow.replace(
                **_NO_JOB, **_missing_rows_reason(counted_shadow, spec.mirror, observation.terms)
            ), ()
        case Failure(reason, message):
            text = f"{message}; its interval is scored again"[:4096]
            event = EventNote(EventReason.SHADOW_NOT_COUNTED, "Score", text, warning=True)
            return shadow.replace(**_NO_JOB, reason=str(reason), message=text), (event,)


def _missing_rows_reason(
    shadow: ShadowStatus, mirror: Mirror | None, terms: Terms
) -> dict[str, str]:
    """Return why mirrored requests have no result yet; empty if they have one or no SLO needs it."""
    if mirror is None or shadow.evidence or not any(is_scored(terms, slo) for slo in terms.slos):
        return _NO_REASON
    text = (
        f"No labelled answer carries both predictions, with {mirror.percent} % of the requests mirrored:"
        " the service has to return `await self.tokens(predictions)`, both versions within"
        f" {mirror.timeout_milliseconds} ms (sluicegate_mirrored_requests_total counts what becomes of"
        " them), and labels have to come"
    )
    return {"reason": str(DecisionReason.NO_PAIRS), "message": text}


def _with_refusal(observation: Observation, shadow: ShadowStatus) -> ShadowStatus:
    """Return the shadow status with the reason why its Job doesn't exist yet."""
    if not shadow.job or observation.shadow_job is not None or not observation.shadow_refusal:
        return shadow
    text = f"The shadow Job isn't created: {observation.shadow_refusal}"[:4096]
    return shadow.replace(reason=str(DecisionReason.JOB_REFUSED), message=text)


def _with_wait(observation: Observation, shadow: ShadowStatus) -> ShadowStatus:
    """Return the shadow status with the queue in which its Job waits; without it once the Job is admitted."""
    job = observation.shadow_job
    if job is not None and job.suspended and job.queue:
        text = f"The shadow {queue_text(job.key, job.queue, job.suspended_since)}"
        return shadow.replace(reason=str(DecisionReason.WAITING_FOR_QUEUE), message=text)
    return (
        shadow.replace(**_NO_REASON)
        if shadow.reason == DecisionReason.WAITING_FOR_QUEUE
        else shadow
    )


def _with_next(
    observation: Observation, status: DataProductStatus, shadow: ShadowStatus
) -> ShadowStatus:
    """Return the shadow status with the next Job's name if it has a training slot; else with the wait for a slot."""
    candidate = status.trial
    assert candidate is not None
    if observation.job_runs or not observation.observed.portfolio.slot:
        text = "The next shadow Job waits for a training slot"
        return shadow.replace(reason=str(DecisionReason.NO_SLOT), message=text)
    number = shadow.started_jobs + 1
    # Not the rollout's start: a phase that is removed and set again counts its Jobs from 0 again.
    name = shadow_job_name(
        observation.product.metadata.name, candidate.revision, observation.now, number
    )
    wait_fields = _NO_REASON if shadow.reason == DecisionReason.NO_SLOT else {}
    return shadow.replace(
        job=name,
        until_time=observation.now,
        started_jobs=number,
        start_time=observation.now,
        **wait_fields,
    )
