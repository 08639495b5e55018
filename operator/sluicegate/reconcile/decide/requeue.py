"""Time at which a product is reconciled again without an event. Pure."""

from typing import Final

from sluicegate.api.rollout import Capacity
from sluicegate.api.versions import CandidatePhase
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.decide.serving_rollout import is_rolling, is_stuck
from sluicegate.reconcile.live.children import is_starting
from sluicegate.reconcile.live.pods import UNREADY_SECONDS
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.split_verification import VerificationLevel
from sluicegate.runtime.interfaces import Done, RequeueAfter, Result

CONFLICT_SECONDS: Final = 30
"""Interval of checks for a name conflict with an object not owned by us: these aren't watched."""
REQUEUE_SECONDS: Final = 5
"""While traffic moves, or a first version starts: how often to look, should no event come."""


def requeue_after(
    observation: Observation, plan: Plan, *, conflicted: bool, deferred: bool
) -> Result:
    """Return when to requeue; Done to wait for an event.

    Parameters
    ----------
    observation : input of the step, with the status before it.
    conflicted : an object not owned by us has one of the product's names.
    deferred : the status after the step isn't written yet.
    """
    if conflicted:
        return RequeueAfter(CONFLICT_SECONDS)
    result = _by_progress(observation, plan, deferred=deferred)
    refusal = observation.route_refusal
    has_no_watch = refusal is not None and refusal.passes  # no event reports its end
    return RequeueAfter(CONFLICT_SECONDS) if has_no_watch and isinstance(result, Done) else result


def _by_progress(  # noqa: PLR0911 - one a reason to look
    observation: Observation, plan: Plan, *, deferred: bool
) -> Result:
    candidate = plan.status.candidate
    phase = None if candidate is None else candidate.phase
    if phase not in (None, CandidatePhase.PARKED) or deferred:
        if phase is CandidatePhase.AWAITING_APPROVAL and _share_is_verified(observation, plan):
            # It may wait for a person for days; blocks and pods enqueue it by themselves.
            return RequeueAfter(max(REQUEUE_SECONDS, observation.terms.block_seconds))
        is_exchanged = (
            candidate is not None
            and candidate.has_part
            and observation.product.spec.rollout.capacity is Capacity.REPLACE
        )
        is_verified = not is_exchanged and _share_is_verified(observation, plan)
        if phase is CandidatePhase.STEPPING and is_verified:
            # Evidence comes in blocks, which enqueue it, as changed workloads do; a step may last days.
            return RequeueAfter(max(REQUEUE_SECONDS, observation.observed.canary_block_seconds))
        # Only the pods of a canary that starts can change something.
        first = plan.status.stable is None
        starts_pods = phase is CandidatePhase.STARTING and not deferred and not first
        return RequeueAfter(UNREADY_SECONDS if starts_pods else REQUEUE_SECONDS)
    if candidate is not None and candidate.retry_time is not None:
        seconds_left = candidate.retry_time - observation.now
        if seconds_left > 0:  # what holds it beyond that is reconciled with each block
            return RequeueAfter(seconds_left)
    stable = observation.product.status.stable
    if stable is not None and plan.status.stable != stable:
        return RequeueAfter(0)  # what becomes of the version before is seen from the new status
    if (
        observation.gateways
        and observation.split
        and observation.split.level < VerificationLevel.ACCEPTED
    ):
        return RequeueAfter(REQUEUE_SECONDS)  # Gateways aren't watched
    if is_rolling(observation, plan.status) and not is_stuck(observation, plan.status):
        return RequeueAfter(UNREADY_SECONDS)
    if is_starting(observation.live.values(), observation.now):
        return RequeueAfter(REQUEUE_SECONDS)  # neither are pods
    now = observation.now
    restarts = [
        restart for pod in observation.pods if (restart := pod.restarts) and restart.is_ongoing(now)
    ]
    return RequeueAfter(max(restart.calm_at for restart in restarts) - now) if restarts else Done()


def _share_is_verified(observation: Observation, plan: Plan) -> bool:
    """Return whether a candidate's share is verified to the extent that its route permits."""
    candidate_before, candidate_after = observation.product.status.candidate, plan.status.candidate
    is_accepted = observation.split is None or observation.split.level >= VerificationLevel.ACCEPTED
    if candidate_before is None or candidate_after is None:
        return False
    return is_accepted and (candidate_before.weight, candidate_before.phase) == (
        candidate_after.weight,
        candidate_after.phase,
    )
