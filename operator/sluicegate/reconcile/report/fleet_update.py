"""State of a product for other products, from its plan. Pure."""

from sluicegate.api.engine import ProductState
from sluicegate.api.names import CHALLENGER_CAUSES, DecisionReason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.kube.resources import Key
from sluicegate.policy.model.observed import DegradedConsumer
from sluicegate.policy.rollout.shadow_phase import is_tried
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.decide.warm_up import just_took_over
from sluicegate.reconcile.fleet.slot_reservation import Reserved
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, releases_of, renews_runtime
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.views.approval_notes import answered_products


def snapshot_of(observation: Observation, plan: Plan) -> ProductSnapshot:
    """Return the snapshot of a product after a decision, for the passes of other products."""
    status, spec = plan.status, observation.product.spec
    block, now = observation.observed.block, observation.now
    seconds = spec.analysis.block_seconds
    first_bad_times = [
        slo.streak.first * seconds for slo in status.engine.slos.values() if slo.streak is not None
    ]
    # In blocks that were shorter until a moment ago, what happened lies far ahead.
    streaks = [first for first in first_bad_times if first <= now]
    job_name = _reserving_job(observation, status)
    is_evaluated = plan.evaluation is not None and status.state is not ProductState.UNKNOWN
    waiting_since = min(streaks, default=now) if _waits_for_slot(observation, plan) else None
    challenger_since = None if waiting_since is None else _challenged_since(plan)
    waiting_since = waiting_since if challenger_since is None else challenger_since
    return ProductSnapshot(
        state=status.state or ProductState.UNKNOWN,
        block_seconds=seconds,
        bad_since=min(streaks, default=None),
        fine_at=block * seconds if is_evaluated and not first_bad_times else None,
        degraded_at=now if status.state is ProductState.DEGRADED else None,
        silent=_silent_by_kind(observation, status),
        depends_on=tuple(
            Key(dependency.namespace or observation.product.metadata.namespace, dependency.name)
            for dependency in spec.depends_on
        ),
        priority=spec.priority,
        training=observation.has_slot or bool(job_name),
        reserved=Reserved(job_name, now) if job_name else None,
        trained_at=now if observation.has_slot or job_name else None,
        waiting_since=waiting_since,
        challenger=challenger_since is not None,
        judged_until=block * seconds,
        has_queue=bool(observation.product.queue),
        renews=renews_runtime(status),
        releases=releases_of(Key(*observation.product.metadata.key), status, observation.now),
        suspect=_suspect(plan),
        degraded_by=_degraded_by(observation, plan),
        answers=tuple(
            (Key(namespace, name), value)
            for namespace, name, value in answered_products(
                observation.product.metadata.annotations
            )
        ),
    )


def _reserving_job(observation: Observation, status: DataProductStatus) -> str:
    """Return the name of the Job that this pass creates and that takes a slot; empty without one."""
    if observation.product.queue:
        return ""
    if observation.starts_training(status) and status.retraining:
        return status.retraining.job
    if observation.starts_shadow(status) and status.shadow:
        return status.shadow.job
    return ""


def _suspect(plan: Plan) -> str | None:
    """Return the product whose release preceded a degraded SLO; None without an evaluation."""
    evaluation = plan.evaluation
    if evaluation is None or not evaluation.judged:
        return None
    release = evaluation.diagnosis.release if evaluation.diagnosis is not None else None
    return release.product if release is not None and release.ended is None else ""


def _degraded_by(observation: Observation, plan: Plan) -> DegradedConsumer | None:
    """Return the diagnosis of a consumer that a release degraded; None without one."""
    diagnosis = plan.evaluation.diagnosis if plan.evaluation is not None else None
    if not _suspect(plan) or diagnosis is None or diagnosis.release is None:
        return None
    name = "/".join(observation.product.metadata.key)
    release = diagnosis.release
    return DegradedConsumer(name, release.product, release.version, diagnosis.message)


def _waits_for_slot(observation: Observation, plan: Plan) -> bool:
    """Return whether a training would start at once with a slot.

    One whose Job was refused isn't among those: it asks when it is tried again, so that no slot
    is kept for it meanwhile.
    """
    status = plan.status
    if observation.product.queue:
        return False
    if _shadow_waits(observation, status):
        return True
    if status.retraining is None or status.retraining.trigger is None:
        evaluation = plan.evaluation
        if evaluation is None:
            return False
        waiting = evaluation.waiting
        is_challenger = waiting is not None and waiting.cause in CHALLENGER_CAUSES
        reasons = {
            evaluation.decision.reason,
            waiting.reason if waiting and is_challenger else None,
        }
        return DecisionReason.NO_SLOT in reasons
    has_no_job = observation.job is None and not observation.job_runs and not observation.refusal
    return has_no_job and observation.may_train(status) and not observation.starts_training(status)


def _challenged_since(plan: Plan) -> int | None:
    """Return when the waiting challenger became due, in seconds; None where another training waits."""
    retraining = plan.status.retraining
    if retraining is None or is_tried(plan.status):
        return None
    if plan.evaluation is not None and plan.evaluation.decision.reason is DecisionReason.NO_SLOT:
        return None  # a person asked for it, or it is a remedy
    trigger = retraining.trigger or retraining.pending
    if trigger is None or not trigger.trains_challenger:
        return None
    return trigger.trigger_time


def _shadow_waits(observation: Observation, status: DataProductStatus) -> bool:
    """Return whether a Job of the shadow phase would start at once with a slot."""
    shadow = status.shadow
    if shadow is None or not is_tried(status):
        return False
    if observation.job_runs or observation.is_frozen(status):
        return False
    if not shadow.job:
        return shadow.reason == DecisionReason.NO_SLOT
    waits_for_slot = observation.shadow_job is None and not observation.shadow_refusal
    return waits_for_slot and not observation.starts_shadow(status)


def _silent_by_kind(observation: Observation, status: DataProductStatus) -> dict[str, bool]:
    """Return whether an SLO that had data has none now, by kind of indicator.

    One that never had any doesn't count: its labels aren't connected yet.
    """
    stable, spec = status.stable, observation.product.spec
    kinds = {slo.name: slo.indicator.kind.value for slo in spec.slos}
    silent_by_kind: dict[str, bool] = {}
    # Series of a version that only just took over are about to appear: that is no silence.
    if stable is None or just_took_over(stable, spec.analysis.block_seconds, now=observation.now):
        return silent_by_kind
    for slo in status.slos:
        if slo.name not in kinds:
            continue
        is_unknown = slo.state is SloState.UNKNOWN
        if not is_unknown or observation.observed.had_data(stable.version, slo.name):
            has_no_data = is_unknown and slo.reason == DecisionReason.NO_DATA
            silent_by_kind[kinds[slo.name]] = (
                silent_by_kind.get(kinds[slo.name], False) or has_no_data
            )
    return silent_by_kind
