"""Which versions are to live, by what is observed, with how many pods and which share. Pure."""

from dataclasses import replace
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.rollout import Capacity
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    FULL_WEIGHT,
    Candidate,
    CandidatePhase,
    Share,
    SplitMode,
    VersionBase,
)
from sluicegate.manifests.version_annotations import read_identity
from sluicegate.policy.rollout.candidates import bounded_shares
from sluicegate.policy.rollout.decision_status import accepted_version
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import (
    Allocation,
    ServingPods,
    allocation_of,
    split_by_replicas,
    with_predecessors,
    within_room,
)
from sluicegate.reconcile.traffic.exchange import Exchange, exchange_of
from sluicegate.reconcile.traffic.split_verification import VerificationLevel

FOLLOW_SECONDS: Final = 10
"""After a change of weight, until a version of which no pod is ready counts as one that gets none.

A Gateway accepts a route before its data plane follows, and only requests would show that it has.
A pod that starts again meanwhile still serves what is sent to it.
"""
REMOVAL_SECONDS: Final = 60
"""How long requests may come through an HTTPRoute that was deleted; gateways follow in seconds."""


def allocation(observation: Observation, status: DataProductStatus) -> Allocation:
    """Return the allocation for this status: pods and weight of each version."""
    candidate = status.candidate
    kept_pods = {revision: deployment.replicas for revision, deployment in observation.live.items()}
    allocation = allocation_of(
        observation.product,
        status,
        stable_pods=_demand(observation, status),
        route_followed=observation.followed,
        serving=_serving(observation, status),
        kept_pods=None if is_route_gone(observation) else kept_pods,
    )
    if status.stable is None and candidate is not None:
        if observation.product.spec.route is not None:
            allocation = _first_version_as_stable(observation, candidate, allocation)
        else:
            allocation = _beside_predecessors(observation, candidate, allocation)
    exchange = _exchange(observation, status)
    if exchange is None:
        return allocation
    pods = {revision: deployment.pods for revision, deployment in observation.live.items()}
    return within_room(allocation, exchange, pods, scaled=observation.scales)


def _exchange(observation: Observation, status: DataProductStatus) -> Exchange | None:
    """Return the pods that the versions share; None where a candidate has pods of its own."""
    return exchange_of(observation.product.spec, _demand(observation, status))


def _demand(observation: Observation, status: DataProductStatus) -> int:
    """Return the pods that all of the traffic needs."""
    candidate = status.candidate
    capacity = candidate.capacity if candidate is not None and observation.scales else 0
    base_replicas = observation.product.spec.serving.base_replicas
    return max(capacity, base_replicas) if capacity else observation.stable_pods


def _beside_predecessors(
    observation: Observation, candidate: Candidate, allocation: Allocation
) -> Allocation:
    """Return the allocation of a first version together with the replaced versions that still receive requests."""
    live = dict(observation.live)
    live_candidate = live.pop(candidate.revision, None)
    ready: list[tuple[VersionBase, int]] = []
    for deployment in sorted(
        live.values(), key=lambda deployment: deployment.moved_at, reverse=True
    ):
        version = read_identity(dict(deployment.labels), dict(deployment.annotations))
        if version is not None and deployment.ready:
            ready.append((version, deployment.ready))
    return with_predecessors(
        allocation,
        ready,
        candidate=live_candidate.ready if live_candidate else 0,
        selected=observation.selected,
        exchange=exchange_of(observation.product.spec, allocation.placements[0].replicas),
    )


def _serving(observation: Observation, status: DataProductStatus) -> ServingPods | None:
    """Return the ready pods and weights beside a candidate; None without a candidate or a serving stable version."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None:
        return None
    live_stable, live_candidate = (
        observation.live.get(version.revision) for version in (stable, candidate)
    )
    since = max(candidate.wait_start_time or candidate.start_time, observation.term)
    if candidate.returning is not None:  # each batch of stable's pods has the deadline
        since = max(since, candidate.shares[-1].start_time)
    return ServingPods(
        stable=live_stable.ready if live_stable else 0,
        candidate=live_candidate.ready if live_candidate else 0,
        stable_replicas=live_stable.replicas if live_stable else 0,
        candidate_replicas=live_candidate.replicas if live_candidate else 0,
        selected=observation.selected,
        is_reached=_is_reached(observation, candidate),
        waits_for_pods=observation.now - since < return_seconds(observation.product, candidate),
    )


def with_returning(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the share that a rolled back candidate keeps until stable's pods are ready.

    Where versions exchange their pods, stable has only those for its own share. A candidate without
    a ready pod keeps none, nor one whose time for a batch of stable's pods is over while any of them
    is ready.
    """
    candidate, exchange = status.candidate, _exchange(observation, status)
    if candidate is None or candidate.phase is not CandidatePhase.ROLLING_BACK:
        return status
    if not candidate.shares or (exchange is None and candidate.returning is None):
        return status
    before = candidate.weight if candidate.returning is None else candidate.returning
    serving, kept = _serving(observation, status), 0
    if exchange is not None and serving is not None and serving.candidate:
        waits = serving.waits_for_pods or not serving.stable
        kept = FULL_WEIGHT - exchange.share_of(serving.stable) if waits else 0
    share = min(before, kept)
    if share == candidate.returning:
        return status
    shares = candidate.shares
    if share != shares[-1].weight:
        shares = bounded_shares((*shares, Share(weight=share, start_time=observation.now)))
    return status.with_candidate(returning=share, shares=shares)


def _is_reached(observation: Observation, candidate: Candidate) -> bool:
    """Return whether the candidate's newest share is in force at each Gateway, or in the selector of all nodes."""
    if not candidate.shares:
        return False
    if observation.now - candidate.shares[-1].start_time < FOLLOW_SECONDS:
        return False
    split = observation.split
    return split is None or split.level >= VerificationLevel.ACCEPTED


def preview_end_time(observation: Observation, status: DataProductStatus) -> int | None:
    """Return when a starting candidate may take traffic, in seconds; None without a time of previews."""
    candidate, preview = status.candidate, observation.product.spec.rollout.preview
    if preview is None or not preview.duration_seconds:
        return None
    if not observation.previews or status.stable is None:
        return None
    if candidate is None or candidate.phase is not CandidatePhase.STARTING:
        return None
    return candidate.start_time + preview.duration_seconds


def is_before_share(observation: Observation, status: DataProductStatus) -> bool:
    """Return whether a candidate takes no traffic yet, as it answers previews alone."""
    end_time = preview_end_time(observation, status)
    return end_time is not None and observation.now < end_time


def route_removal_time(observation: Observation) -> int | None:
    """Return when a route that was removed from the spec was last live, in seconds; None without one in this rollout."""
    traffic = observation.product.status.traffic
    if observation.product.spec.route is not None or traffic is None:
        return None
    if traffic.mode is SplitMode.GATEWAY or observation.route is not None:
        return observation.now
    return traffic.route_removal_time


def is_route_gone(observation: Observation) -> bool:
    """Return whether a removed route can't carry requests any more.

    Until then its weights hold, by which one version may have 99 % of the requests, and a gateway
    that refused the newest ones has those before.
    """
    removal_time = route_removal_time(observation)
    return removal_time is None or observation.now - removal_time >= REMOVAL_SECONDS


def _first_version_as_stable(
    observation: Observation, candidate: Candidate, allocation: Allocation
) -> Allocation:
    """Return the first version's allocation as if it were stable, so that its promotion needs no second Deployment write."""
    stable = accepted_version(observation.terms, candidate, candidate.start_time)
    placements = tuple(replace(placement, version=stable) for placement in allocation.placements)
    return replace(allocation, placements=placements)


def return_seconds(product: DataProduct, candidate: Candidate) -> int:
    """Return for how many seconds a rolled-back version may keep serving while stable's pods start.

    Where replicas split the traffic, stable may have given up pods for the candidate's, and needs
    two starts to have all of them again within the surge. A route returns the traffic at once, except
    where stable has given up pods for the candidate's: a batch of them has the time of a start.
    """
    serving = product.spec.serving
    if product.spec.rollout.capacity is Capacity.REPLACE:
        return serving.progress_deadline_seconds
    if product.spec.route is not None or serving.autoscaling is not None:
        return 0
    pods = serving.base_replicas
    stable_pods, _ = split_by_replicas(min(candidate.weight, FULL_WEIGHT - 1), pods)
    return 2 * serving.progress_deadline_seconds if stable_pods < pods else 0
