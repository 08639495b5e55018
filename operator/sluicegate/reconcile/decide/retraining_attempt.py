"""What status says of an attempt to replace stable: why it began, and what became of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from sluicegate.api.base import at
from sluicegate.api.model import Counts
from sluicegate.api.names import DecisionReason
from sluicegate.api.retraining_status import (
    AttemptOutcome,
    AttemptResult,
    RetrainingStatus,
    Trigger,
)
from sluicegate.api.status import DataProductStatus, SpecModelOutcome
from sluicegate.api.versions import Candidate, Fate, VersionSource
from sluicegate.manifests.names import job_name
from sluicegate.policy.diagnosis.remedy import Waiting
from sluicegate.policy.model.decision import Alert, Decision, Retrain, StartRollout
from sluicegate.policy.model.observed import TrainingSucceeded
from sluicegate.policy.model.state import Release
from sluicegate.policy.persistence.load import release_of
from sluicegate.reconcile.observe.observation import Situation
from sluicegate.stats.counts import Count

_REFUSALS: Final = frozenset({DecisionReason.WORSE_ON_HOLD_OUT, DecisionReason.HOLD_OUT_TOO_SMALL})
_OUTCOMES: Final = {
    Fate.REPLACED: AttemptOutcome.PROMOTED,
    Fate.ROLLED_BACK: AttemptOutcome.ROLLED_BACK,
    Fate.INCONCLUSIVE: AttemptOutcome.INCONCLUSIVE,
    Fate.SUPERSEDED: AttemptOutcome.SUPERSEDED,
    Fate.FAILED: AttemptOutcome.FAILED,
}


def with_cause(
    situation: Situation, status: DataProductStatus, decision: Retrain
) -> DataProductStatus:
    """The trigger with what the training has to know: the cause, the indicator, the numbers."""
    retraining = status.retraining
    assert retraining is not None
    assert retraining.trigger is not None
    kinds = {slo.name: str(slo.kind) for slo in situation.terms.slos}
    streaks = {slo.name: slo.streak for slo in status.slos if slo.streak is not None}
    streak = streaks.get(decision.slo)
    trigger = retraining.trigger.model_copy(
        update={
            "cause": str(decision.reason),
            "indicator": kinds.get(decision.slo, ""),
            "message": decision.message,
            "first_bad_block": streak and at(streak.first * situation.terms.block_seconds),
        }
    )
    name = job_name(situation.product.metadata.name, trigger.id, retraining.number)
    return _retraining(status, trigger=trigger, job=name)


def with_pending(
    situation: Situation, status: DataProductStatus, waiting: Waiting | None
) -> DataProductStatus:
    """The retraining that is due and what it waits for, said once as long as that is so."""
    one = status.retraining
    if waiting is None:
        idle = one is None or (one.pending is None and not one.waiting_for)
        return status if idle else _retraining(status, pending=None, waiting_for="")
    before = situation.product.status.retraining
    pending = before.pending if before is not None else None
    if pending is None or pending.id != waiting.trigger:
        assert status.stable is not None
        kinds = {slo.name: str(slo.kind) for slo in situation.terms.slos}
        pending = Trigger(
            id=waiting.trigger,
            cause=str(waiting.cause),
            slo=waiting.slo,
            indicator=kinds.get(waiting.slo, ""),
            version=status.stable.version,
            at=at(situation.now),
        )
    status = status.model_copy(update={"retraining": one or RetrainingStatus()})
    return _retraining(status, pending=pending, waiting_for=str(waiting.reason))


def without_job(status: DataProductStatus) -> DataProductStatus:
    """No Job is named once no training is wanted."""
    one = status.retraining
    if one is None or one.trigger is not None or not one.job:
        return status
    return _retraining(status, job="")


def with_result(
    situation: Situation, status: DataProductStatus, decision: Decision
) -> DataProductStatus:
    """How a training ended, as it was just taken up."""
    if status.retraining is None:
        return status
    result = situation.observed.training
    made: dict[str, Any] = {}
    if isinstance(result, TrainingSucceeded):
        made = {
            "version": result.release.version,
            "image": result.release.image,
            "evaluation": _counts(result.evaluation),
            "stable_evaluation": _counts(result.stable_evaluation),
        }
    last = AttemptResult(
        outcome=_outcome(decision),
        reason=str(decision.reason),
        message=decision.message[:4096],
        at=at(situation.now),
        **made,
    )
    return _retraining(status, last_result=last)


def with_outcome(
    status: DataProductStatus, candidate: Candidate, fate: Fate, reason: DecisionReason
) -> DataProductStatus:
    """What became of a candidate, where it came from: the attempt that made it, or spec.model."""
    model, one = status.spec_model, status.retraining
    returned = int(candidate.returning)  # then the newest of the history is what was left
    if model is not None and model.outcome is SpecModelOutcome.REJECTED:
        tried = {release_of(candidate), *(release_of(one) for one in status.history[:returned])}
        if (
            Release(model.version, model.image, model.runtime_image) in tried
            or reason is DecisionReason.ROLLBACK_REQUESTED
        ):
            model = model.model_copy(update={"reason": str(reason)})
    elif model is not None:
        model = model.model_copy(update={"reason": ""})
    status = status.model_copy(update={"spec_model": model})
    if candidate.source is not VersionSource.RETRAINING or one is None or one.last_result is None:
        return status
    if candidate.returning or one.last_result.image != candidate.image:
        return status
    update: dict[str, object] = {"outcome": _OUTCOMES[fate], "reason": str(reason)}
    if candidate.rollback_message and fate is not Fate.REPLACED:
        update["message"] = candidate.rollback_message[:4096]
    return _retraining(status, last_result=one.last_result.model_copy(update=update))


def _outcome(decision: Decision) -> AttemptOutcome:
    if isinstance(decision, StartRollout):
        return AttemptOutcome.CANARY
    if not isinstance(decision, Alert) or decision.reason is DecisionReason.SUPERSEDED:
        return AttemptOutcome.SUPERSEDED
    return AttemptOutcome.REFUSED if decision.reason in _REFUSALS else AttemptOutcome.FAILED


def _retraining(status: DataProductStatus, **update: object) -> DataProductStatus:
    assert status.retraining is not None
    return status.model_copy(update={"retraining": status.retraining.model_copy(update=update)})


def _counts(evaluation: Mapping[str, Count]) -> dict[str, Counts]:
    return {slo: Counts(bad=one.bad, total=one.total) for slo, one in evaluation.items()}
