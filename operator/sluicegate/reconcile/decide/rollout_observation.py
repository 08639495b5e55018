"""What a decision may know of a rollout: how far its pods and the traffic have followed. Pure."""

from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, SplitMode, VersionBase
from sluicegate.manifests.version_annotations import read_identity
from sluicegate.policy.model.attended_time import attended_seconds, with_absences
from sluicegate.policy.model.observed import Failure, RolloutObservation
from sluicegate.policy.rollout.transitions import accepted_version
from sluicegate.reconcile.decide.rollout_progress import (
    FOLLOW_SECONDS,
    Progress,
    RolloutState,
    Unchanged,
    facts_of,
    progress,
    return_seconds,
)
from sluicegate.reconcile.live.failure_attribution import GRACE_SECONDS, attribution_of
from sluicegate.reconcile.live.pods import of_revision, problem_of
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import (
    Allocation,
    ServingPods,
    allocation_of,
    share_in_force,
    with_predecessors,
)

REMOVAL_SECONDS: Final = 60
"""How long requests may come through an HTTPRoute that was deleted; gateways follow in seconds."""


@dataclass(frozen=True, slots=True)
class RolloutMove:
    """How far the cluster allows a rollout to go by now, and what a decision may know of it."""

    found: Progress
    facts: RolloutObservation


def observe_rollout(observation: Observation, status: DataProductStatus) -> RolloutMove | None:
    """What the cluster allows by now of what was decided; None without a candidate."""
    candidate = status.candidate
    if candidate is None:
        return None
    rolling = RolloutState(
        now=observation.now,
        live=observation.live,
        split=observation.split,
        requests=observation.requests,
        problem=problem_of(of_revision(observation.pods, candidate.revision)),
        attribution=_attribution(observation, status, candidate),
        moved_at=_moved_at(observation, status),
        term=observation.term,
        absences=observation.observed.absences,
        route_gone=_is_route_gone(observation),
    )
    frozen = observation.is_frozen(status)
    found = progress(observation.product, status, allocation(observation, status), rolling)
    waits = facts_of(observation.product, status, rolling, found)
    facts = replace(
        waits,
        frozen=frozen,
        committed=observation.committed,
        waited=attended_seconds(status, observation.now - round(waits.waited), observation.now),
        given_since=attended_seconds(
            status, observation.now - round(waits.given_since), observation.now
        ),
    )
    return RolloutMove(Unchanged() if frozen else found, facts)


def allocation(observation: Observation, status: DataProductStatus) -> Allocation:
    """Which versions are to live, by this status."""
    candidate = status.candidate
    known = candidate.capacity if candidate is not None and observation.scales else 0
    base = observation.product.spec.serving.base_replicas
    pods = {revision: one.replicas for revision, one in observation.live.items()}
    allocation = allocation_of(
        observation.product,
        status,
        stable_pods=max(known, base) if known else observation.stable_pods,
        followed=observation.followed,
        serving=_serving(observation, status),
        kept=None if _is_route_gone(observation) else pods,
    )
    if status.stable is not None or candidate is None:
        return allocation
    if observation.product.spec.route is not None:
        return _foreseen(observation, candidate, allocation)
    return _beside_predecessors(observation, candidate, allocation)


def _beside_predecessors(
    observation: Observation, candidate: Candidate, allocation: Allocation
) -> Allocation:
    """The layout of a first version beside those that it replaces and that have requests."""
    live = dict(observation.live)
    ours = live.pop(candidate.revision, None)
    ready: list[tuple[VersionBase, int]] = []
    for one in sorted(live.values(), key=lambda one: one.moved, reverse=True):
        version = read_identity(dict(one.labels), dict(one.annotations))
        if version is not None and one.ready:
            ready.append((version, one.ready))
    return with_predecessors(
        allocation, ready, candidate=ours.ready if ours else 0, selected=observation.selected
    )


def _serving(observation: Observation, status: DataProductStatus) -> ServingPods | None:
    """What serves at the moment; None without a candidate beside a version that serves."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None:
        return None
    ours, theirs = (observation.live.get(one.revision) for one in (stable, candidate))
    since = candidate.wait_start_time or candidate.start_time
    return ServingPods(
        stable=ours.ready if ours else 0,
        candidate=theirs.ready if theirs else 0,
        stable_replicas=ours.replicas if ours else 0,
        candidate_replicas=theirs.replicas if theirs else 0,
        selected=observation.selected,
        reached=_is_reached(observation, candidate),
        waits=observation.now - max(since, observation.term)
        < return_seconds(observation.product, candidate),
    )


def _is_reached(observation: Observation, candidate: Candidate) -> bool:
    """Whether the selector that follows from its newest share is in force in the whole cluster."""
    if not candidate.shares:
        return False
    return observation.now - candidate.shares[-1].start_time >= FOLLOW_SECONDS


def route_removal_time(observation: Observation) -> int | None:
    """When the route was last there that the spec has no more; None if none was in this rollout."""
    traffic = observation.product.status.traffic
    if observation.product.spec.route is not None or traffic is None:
        return None
    if traffic.mode is SplitMode.GATEWAY or observation.route is not None:
        return observation.now
    return traffic.route_removal_time


def _is_route_gone(observation: Observation) -> bool:
    """Whether no request comes any more through a route that was removed.

    Until then its weights hold, by which one version may have 99 % of the requests, and a gateway
    that refused the newest ones has those before.
    """
    removed = route_removal_time(observation)
    return removed is None or observation.now - removed >= REMOVAL_SECONDS


def _foreseen(observation: Observation, candidate: Candidate, allocation: Allocation) -> Allocation:
    """The first version's Deployment as it will be when it serves: then it needs no other write."""
    stable = accepted_version(observation.terms, candidate, candidate.start_time)
    placements = tuple(replace(one, version=stable) for one in allocation.placements)
    return replace(allocation, placements=placements)


def _moved_at(observation: Observation, status: DataProductStatus) -> float:
    """When the weights in force were written, in seconds; 0 before.

    The API server may refuse the route for long after they were decided, so its own record of the
    last change counts too.
    """
    candidate, traffic, route = status.candidate, status.traffic, observation.route
    if candidate is None or traffic is None or traffic.weight != share_in_force(candidate):
        return 0.0
    return max(traffic.write_time, 0 if route is None else route.changed_by(observation.now))


def _attribution(
    observation: Observation, status: DataProductStatus, candidate: Candidate
) -> Failure | None:
    """The cause if no pod of a candidate is ready; None for a first version."""
    if status.stable is None:
        return None
    live = observation.live.get(candidate.revision)
    begun = max(candidate.wait_start_time or candidate.start_time, observation.term)
    return attribution_of(
        live,
        of_revision(observation.pods, candidate.revision),
        observation.live.get(status.stable.revision),
        settled=live is not None and observation.now - live.moved >= GRACE_SECONDS,
        overdue=attended_seconds(status, begun, observation.now)
        > observation.product.spec.serving.progress_deadline_seconds,
    )


# ---- time that counts against no deadline -----------------------------------------------------
def with_time_held(observation: Observation) -> DataProductStatus:
    """Return the status with the time for which its candidate was held or not observed."""
    known, now = observation.observed.absences, observation.now
    status = with_absences(observation.product.status, known, now)
    candidate = status.candidate
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        return status
    if observation.is_frozen(status):
        return _held(status, candidate.suspend_time or now)
    return status if candidate.suspend_time is None else _resumed(status, now)


def _held(status: DataProductStatus, since: int) -> DataProductStatus:
    """The status of a candidate that spec.suspend holds since a time in seconds."""
    return status.with_candidate(suspend_time=since)


def _resumed(status: DataProductStatus, now: int) -> DataProductStatus:
    """The status of a candidate that goes on at `now`, in seconds; its pods get their time again."""
    candidate = status.candidate
    assert candidate is not None
    assert candidate.suspend_time is not None
    lasted = attended_seconds(status, candidate.suspend_time, now)
    return status.with_candidate(
        suspend_time=None,
        suspended_seconds=candidate.suspended_seconds + max(lasted, 0),
        wait_start_time=now,
    )
