"""Which versions are to live, by what is observed, with how many pods and which share. Pure."""

from dataclasses import replace
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL, Candidate, SplitMode, VersionBase
from sluicegate.manifests.version_annotations import read_identity
from sluicegate.policy.rollout.transitions import accepted_version
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import (
    Allocation,
    ServingPods,
    allocation_of,
    split_by_replicas,
    with_predecessors,
)

FOLLOW_SECONDS: Final = 10
"""After a change of weight, until a version of which no pod is ready counts as one that gets none.

A Gateway accepts a route before its data plane follows, and only requests would show that it has.
A pod that starts again meanwhile still serves what is sent to it.
"""
REMOVAL_SECONDS: Final = 60
"""How long requests may come through an HTTPRoute that was deleted; gateways follow in seconds."""


def allocation(observation: Observation, status: DataProductStatus) -> Allocation:
    """Return which versions are to live, by this status."""
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
        kept=None if is_route_gone(observation) else pods,
    )
    if status.stable is not None or candidate is None:
        return allocation
    if observation.product.spec.route is not None:
        return _foreseen(observation, candidate, allocation)
    return _beside_predecessors(observation, candidate, allocation)


def _beside_predecessors(
    observation: Observation, candidate: Candidate, allocation: Allocation
) -> Allocation:
    """Return the layout of a first version beside those that it replaces and that have requests."""
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
    """Return what serves at the moment; None without a candidate beside a version that serves."""
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
    """Return whether the selector that follows from its newest share is in force in the whole cluster."""
    if not candidate.shares:
        return False
    return observation.now - candidate.shares[-1].start_time >= FOLLOW_SECONDS


def route_removal_time(observation: Observation) -> int | None:
    """Return when the route was last there that the spec has no more; None if none was in this rollout."""
    traffic = observation.product.status.traffic
    if observation.product.spec.route is not None or traffic is None:
        return None
    if traffic.mode is SplitMode.GATEWAY or observation.route is not None:
        return observation.now
    return traffic.route_removal_time


def is_route_gone(observation: Observation) -> bool:
    """Return whether no request comes any more through a route that was removed.

    Until then its weights hold, by which one version may have 99 % of the requests, and a gateway
    that refused the newest ones has those before.
    """
    removed = route_removal_time(observation)
    return removed is None or observation.now - removed >= REMOVAL_SECONDS


def _foreseen(observation: Observation, candidate: Candidate, allocation: Allocation) -> Allocation:
    """Return the first version's Deployment as it will be when it serves: then it needs no other write."""
    stable = accepted_version(observation.terms, candidate, candidate.start_time)
    placements = tuple(replace(one, version=stable) for one in allocation.placements)
    return replace(allocation, placements=placements)


def return_seconds(product: DataProduct, candidate: Candidate) -> int:
    """Return how long a version that is rolled back may keep serving, until stable has all of its pods.

    Where replicas split the traffic, stable may have given up pods for the candidate's, and needs
    two starts to have all of them again within the surge. A route returns the traffic at once.
    """
    serving = product.spec.serving
    if product.spec.route is not None or serving.autoscaling is not None:
        return 0
    pods = serving.base_replicas
    kept, _ = split_by_replicas(min(candidate.weight, FULL - 1), pods)
    return 2 * serving.progress_deadline_seconds if kept < pods else 0
