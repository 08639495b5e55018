"""The condition RetrainingActive: what trains, what waits and for what, or how the last attempt ended. Pure."""

from sluicegate.api.base import rfc3339
from sluicegate.api.names import ConditionReason as Reason
from sluicegate.api.names import ConditionType as Type
from sluicegate.api.names import DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import DataProductStatus
from sluicegate.conditions import Finding
from sluicegate.policy.retraining.preconditions import who_trains
from sluicegate.reconcile.observe.observation import Observation

_KIND = Type.RETRAINING_ACTIVE


def retraining(observation: Observation, status: DataProductStatus) -> Finding:
    """What trains now, what is due and waits, or how the last attempt ended."""
    one = status.retraining
    if one is not None and one.trigger is not None:
        return _under_way(observation, status, one, one.trigger)
    if one is not None and one.pending is not None and one.waiting_for == DecisionReason.NO_SLOT:
        return Finding(_KIND, "False", Reason.WAITING_FOR_SLOT, _in_line(observation, one.pending))
    text = _last_attempt(one)
    if one is not None and one.suspended:
        text += "; attempts are suspended until a person asks for one with sluicegate.dev/retrain-requested-at"
        return Finding(_KIND, "False", Reason.RETRAIN_SUSPENDED, text.removeprefix("; "))
    return Finding(_KIND, "False", Reason.IDLE, (text + _limit(observation)).removeprefix("; "))


def _under_way(
    observation: Observation, status: DataProductStatus, one: RetrainingStatus, trigger: Trigger
) -> Finding:
    """How the attempt does that was decided."""
    text = f"attempt {one.attempt} for {trigger.slo or 'a person'}, from {trigger.version}"
    if observation.refusal and observation.job is None and not observation.is_new(status):
        return Finding(_KIND, "False", Reason.JOB_REFUSED, f"{text}: {observation.refusal}")
    if not (observation.job or observation.starts_training(status)):
        text += "; its Job isn't created yet"
        reason = Reason.SUSPENDED if observation.product.spec.suspend else Reason.WAITING_FOR_SLOT
        return Finding(_KIND, "False", reason, text)
    if observation.job and observation.job.finished and observation.product.spec.suspend:
        text += "; its Job has ended, and its result is used once spec.suspend is false"
        return Finding(_KIND, "False", Reason.SUSPENDED, text)
    return Finding(_KIND, "True", Reason.TRAINING, text + _limit(observation))


def _in_line(observation: Observation, pending: Trigger) -> str:
    """What waits for a slot, since when, and who has it."""
    challenger = pending.cause == DecisionReason.SCHEDULED
    what = "a challenger" if challenger else f"a training for {pending.slo}"
    behind = "; products that are degraded go first" if challenger else ""
    who = who_trains(observation.observed.portfolio)
    since = rfc3339(pending.trigger_time)
    return f"{what} of {pending.version} waits for a slot since {since}: {who}{behind}"


def _last_attempt(one: RetrainingStatus | None) -> str:
    """How the last attempt ended; empty before the first."""
    if one is None:
        return ""
    last = one.last_result
    if last is not None and last.outcome is Outcome.IN_PROGRESS:
        return f"the last attempt made {last.version}, which is in its rollout"
    return f"the last attempt ended with {one.last_reason}" if one.last_reason else ""


def _limit(observation: Observation) -> str:
    """That the operator allows a training less time than the product asks for."""
    retraining = observation.product.spec.retraining
    if retraining is None or retraining.timeout_seconds <= observation.training_seconds:
        return ""
    return (
        f"; spec.retraining.timeoutSeconds is {retraining.timeout_seconds}, and this operator"
        f" allows {observation.training_seconds} (SLUICEGATE_MAX_RETRAINING_SECONDS)"
    )
