"""The shadow phase in status: rows that came, and the next Job, which is named before it is created."""

from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import DecisionReason
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.status import DataProductStatus
from sluicegate.manifests.names import shadow_job_name
from sluicegate.policy.canary.shadow_evidence import is_due, is_tried, with_rows
from sluicegate.policy.model.observed import Failure, ShadowCounted
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.observe.observation import Observation

_IDLE = {"job": "", "until_time": None}
_SILENT = {"reason": "", "message": ""}


def with_shadow(
    observation: Observation, status: DataProductStatus
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """The status with what the ended Job says, and the name of the next one if it is due."""
    candidate, spec = status.trial, observation.product.spec.rollout.shadow
    if candidate is None or observation.is_frozen(status):
        return status, ()
    shadow = candidate.shadow
    if spec is None or not is_tried(status):
        kept = None if spec is None or shadow is None else shadow.replace(**_IDLE, **_SILENT)
        return (status if kept == shadow else status.with_candidate(shadow=kept)), ()
    if shadow is None:
        begun = candidate.data_end_time or candidate.start_time
        shadow = ShadowStatus(since_time=min(begun, observation.now))
    shadow, told = _with_result(observation, status, shadow)
    if is_due(shadow, spec.interval_seconds, observation.now):
        shadow = _with_next(observation, status, shadow)
    return (status if shadow == candidate.shadow else status.with_candidate(shadow=shadow)), told


def _with_result(
    observation: Observation, status: DataProductStatus, shadow: ShadowStatus
) -> tuple[ShadowStatus, tuple[EventNote, ...]]:
    """Count the rows of the Job that ended; one without a result moves nothing."""
    assert status.trial is not None
    match observation.observed.shadow if shadow.job else None:
        case None:
            return _refused(observation, shadow), ()
        case ShadowCounted(pairs):
            counted = with_rows(observation.terms, status.trial, shadow, pairs)
            return counted.replace(**_IDLE, **_SILENT), ()
        case Failure(reason, message):
            text = f"{message}; its interval is scored again"[:4096]
            told = EventNote(EventReason.SHADOW_NOT_COUNTED, "Score", text, warning=True)
            return shadow.replace(**_IDLE, reason=str(reason), message=text), (told,)


def _refused(observation: Observation, shadow: ShadowStatus) -> ShadowStatus:
    """The same, with why its Job isn't there yet."""
    if not shadow.job or observation.shadow_job is not None or not observation.shadow_refusal:
        return shadow
    text = f"The shadow Job isn't created: {observation.shadow_refusal}"[:4096]
    return shadow.replace(reason=str(DecisionReason.JOB_REFUSED), message=text)


def _with_next(
    observation: Observation, status: DataProductStatus, shadow: ShadowStatus
) -> ShadowStatus:
    """Name the next Job if it has a training slot; else say that it waits for one."""
    candidate = status.trial
    assert candidate is not None
    if observation.trains or not observation.observed.portfolio.slot:
        text = "The next shadow Job waits for a training slot"
        return shadow.replace(reason=str(DecisionReason.NO_SLOT), message=text)
    number = shadow.started_jobs + 1
    # Not the rollout's start: a phase that is removed and set again counts its Jobs anew.
    name = shadow_job_name(
        observation.product.metadata.name, candidate.revision, observation.now, number
    )
    waited = _SILENT if shadow.reason == DecisionReason.NO_SLOT else {}
    return shadow.replace(
        job=name,
        until_time=observation.now,
        started_jobs=number,
        start_time=observation.now,
        **waited,
    )
