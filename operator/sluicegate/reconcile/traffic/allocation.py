"""Which versions live, with how many pods and which share: pure, from what status decided.

Promotion and rollback change only what this module answers; the builders turn it into objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct, DataProductSpec
from sluicegate.api.rollout import DEFAULT_STEPS
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL_WEIGHT, Candidate, CandidatePhase, PastVersion, VersionBase
from sluicegate.policy.rollout.shadow_phase import is_tried
from sluicegate.reconcile.traffic.exchange import Exchange, exchange_of

SURGE: Final = 1.5
"""Without a route, the pods of both versions together are at most this many times stable's."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The desired pods of a live version.

    Attributes
    ----------
    version : which one.
    replicas : how many pods it is to have.
    autoscaled : an autoscaler may own the number; it is never below `replicas`.
    floor, ceiling : pods below and above which the autoscaler may not go for the moment; 0 for the
        spec's.
    """

    version: VersionBase
    replicas: int
    autoscaled: bool = False
    floor: int = 0
    ceiling: int = 0


@dataclass(frozen=True, slots=True)
class ServingPods:
    """The ready pods beside a candidate.

    Attributes
    ----------
    stable, candidate : ready pods of each.
    stable_replicas, candidate_replicas : pods that each of them is to have by its Deployment.
    selected : revision that the product's own Service selects, empty for both; None while it isn't
        there.
    is_reached : a selector that followed from the newest share is in force in the whole cluster.
    waits_for_pods : a version that is rolled back may still serve until stable has all of its pods.
    """

    stable: int
    candidate: int
    stable_replicas: int
    candidate_replicas: int
    selected: str | None
    is_reached: bool
    waits_for_pods: bool


@dataclass(frozen=True, slots=True)
class Allocation:
    """The desired pods and weights of a product's versions.

    Attributes
    ----------
    placements : the live versions, stable first.
    weights : revision and share in percent of those that take traffic; empty before the first.
    selected : revision that the product's own Service picks; None when it picks all of them.
    needed : ready pods that the candidate needs before it takes its next share.
    part : percent that it takes then, where there is no room yet for the pods of all of it; 0 where
        it takes all that was decided.
    tried : revision that mirrored requests and previews go to; empty while no candidate is tried.
    """

    placements: tuple[Placement, ...]
    weights: tuple[tuple[str, int], ...]
    selected: str | None
    needed: int = 0
    tried: str = ""
    part: int = 0

    def replicas(self, revision: str) -> int:
        """Return the desired pods of a version; 0 if it isn't live."""
        return sum(
            placement.replicas
            for placement in self.placements
            if placement.version.revision == revision
        )


def previous_version(status: DataProductStatus) -> PastVersion | None:
    """Return the previous version, kept at zero replicas for an immediate rollback."""
    live = {version.revision for version in (status.stable, status.candidate) if version}
    for past in status.history:
        if past.outcome is Outcome.REPLACED and past.revision not in live:
            return past
    return None


def target_weight(spec: DataProductSpec, candidate: Candidate) -> int:
    """Return the share that the candidate is to get next, or has, in percent."""
    match candidate.phase:
        # As it was decided: an edit of the steps moves no traffic.
        case CandidatePhase.STARTING:
            return candidate.target or (spec.rollout.steps or DEFAULT_STEPS)[0]
        case CandidatePhase.STEPPING | CandidatePhase.AWAITING_APPROVAL:
            return max(candidate.target, candidate.weight)
        case CandidatePhase.PROMOTING:
            return FULL_WEIGHT
        case CandidatePhase.ROLLING_BACK | CandidatePhase.PARKED:
            return 0


def pods_for(spec: DataProductSpec, weight: int, stable: int) -> int:
    """Return the ready pods that a candidate needs before it gets a share.

    Parameters
    ----------
    weight : in percent.
    stable : pods of the stable version.
    """
    if weight == 0:
        return 0
    if weight >= (spec.rollout.steps or DEFAULT_STEPS)[-1]:
        return stable
    return max(1, ceil(weight * stable / FULL_WEIGHT))


def max_pods(stable: int) -> int:
    """Return the most pods of both versions together where replicas split the traffic."""
    return max(stable + 1, ceil(SURGE * stable))


def most_pods(spec: DataProductSpec, stable: int) -> int:
    """Return the most pods of both versions together, of which none has a share by a route."""
    exchange = exchange_of(spec, stable)
    return max_pods(stable) if exchange is None else exchange.pods


def split_by_replicas(weight: int, stable: int) -> tuple[int, int]:
    """Return the pods of stable and candidate with the smallest share that is at least the desired one.

    Parameters
    ----------
    weight : in percent, below 100.
    stable : pods of the stable version when it is alone.
    """
    if weight == 0:
        return stable, 0
    max_stable_pods = max_pods(stable)
    candidate = max(1, ceil(weight * stable / (FULL_WEIGHT - weight)))
    if stable + candidate > max_stable_pods:
        candidate = min(ceil(weight * max_stable_pods / FULL_WEIGHT), max_stable_pods - 1)
    return min(stable, max_stable_pods - candidate), candidate


def allocation_of(
    product: DataProduct,
    status: DataProductStatus,
    *,
    stable_pods: int,
    route_followed: bool = False,
    serving: ServingPods | None = None,
    kept_pods: Mapping[str, int] | None = None,
) -> Allocation:
    """Return the allocation for this status.

    Parameters
    ----------
    product : the spec in force.
    status : what was decided.
    stable_pods : pods that stable has (an autoscaler may have raised them), at least the spec's.
    route_followed : the Gateways have taken a candidate's 100 %, so the product's own Service may follow.
    serving : the pods that serve now; None for all desired ones.
    kept_pods : pods that the versions don't give up for the moment, by revision; None for none.
    """
    allocation = _requested(product, status, stable_pods, followed=route_followed, serving=serving)
    return _one_per_revision(
        _with_kept(allocation, most_pods(product.spec, stable_pods), kept_pods)
        if kept_pods
        else allocation
    )


def with_predecessors(
    allocation: Allocation,
    ready: Sequence[tuple[VersionBase, int]],
    *,
    candidate: int,
    selected: str | None,
    exchange: Exchange | None = None,
) -> Allocation:
    """Return the allocation without a route of a first version that replaces unaccepted ones.

    The product's own Service selects pods of theirs that are ready, so these have requests. They
    stay until as many of the new version are ready.

    Parameters
    ----------
    allocation : of the new version alone. ready : the others, newest first, with their ready pods.
    candidate : ready pods of the new version. selected : revision that the Service selects, empty
        for all; None while it isn't there. exchange : of the pods; None where they are added.
    """
    (first,) = allocation.placements
    most, demand = max_pods(first.replicas), first.replicas
    if exchange is not None:
        most, demand = exchange.pods, exchange.serving
    missing = demand - (candidate if selected == "" else 0)
    kept_placements: list[Placement] = []
    for version, pods in ready:
        if (kept_pods_count := min(pods, missing)) > 0:
            kept_placements.append(Placement(version, kept_pods_count))
            missing -= kept_pods_count
    if not kept_placements:
        return allocation
    spare_pods = most - sum(placement.replicas for placement in kept_placements)
    placements = (replace(first, replicas=min(first.replicas, spare_pods)), *kept_placements)
    return replace(allocation, placements=placements, selected=None)


def within_room(
    allocation: Allocation, exchange: Exchange, pods: Mapping[str, int], *, scaled: bool
) -> Allocation:
    """Return the allocation in which a version gets pods only for those that others have given up.

    Parameters
    ----------
    pods : that there are, by revision.
    scaled : whether an autoscaler sets the pods of the first version of the allocation.
    """
    left = exchange.pods - sum(pods.values())
    placements: list[Placement] = []
    for placement in allocation.placements:
        number = pods.get(placement.version.revision, 0)
        replicas = min(placement.replicas, max(number, number + left))
        left -= max(0, replicas - number)
        floor, ceiling, others = placement.floor, placement.ceiling, sum(pods.values()) - number
        if scaled and not placements and (ceiling or others):  # whose pods it may not take
            ceiling = max(1, min(ceiling or exchange.pods, exchange.pods - others))
            floor = min(floor, ceiling)
        placements.append(replace(placement, replicas=replicas, floor=floor, ceiling=ceiling))
    return replace(allocation, placements=tuple(placements))


def _with_kept(allocation: Allocation, most: int, kept_pods: Mapping[str, int]) -> Allocation:
    """Return the allocation in which no version loses pods, and one gains pods only up to `most` of all."""
    placements: list[Placement] = []
    for placement in allocation.placements:
        kept_number, other_pods = (
            kept_pods.get(placement.version.revision, 0),
            sum(placement.replicas for placement in placements),
        )
        desired = (
            placement.replicas if not placements else min(placement.replicas, most - other_pods)
        )
        placements.append(replace(placement, replicas=max(desired, kept_number)))
    return replace(allocation, placements=tuple(placements))


def _one_per_revision(allocation: Allocation) -> Allocation:
    """Return one placement per revision, as two with the same Deployment would overwrite each other."""
    by_revision: dict[str, Placement] = {}
    for placement in allocation.placements:
        by_revision.setdefault(placement.version.revision, placement)
    if len(by_revision) == len(allocation.placements):
        return allocation
    weights: dict[str, int] = {}
    for revision, weight in allocation.weights:
        weights[revision] = weights.get(revision, 0) + weight
    return replace(
        allocation, placements=tuple(by_revision.values()), weights=tuple(weights.items())
    )


def _requested(
    product: DataProduct,
    status: DataProductStatus,
    stable_pods: int,
    *,
    followed: bool,
    serving: ServingPods | None,
) -> Allocation:
    if status.stable is None:
        return _initial(product, status)
    if (exchange := exchange_of(product.spec, stable_pods)) is not None:
        return _by_exchange(product, status, exchange, followed=followed, serving=serving)
    if product.spec.route is None and product.spec.serving.autoscaling is not None:
        return _beside_autoscaled(product, status, stable_pods)
    if product.spec.route is None:
        return _by_replicas(product, status, stable_pods, serving)
    return _routed(product, status, stable_pods, followed=followed, serving=serving)


def _routed(
    product: DataProduct,
    status: DataProductStatus,
    stable_pods: int,
    *,
    followed: bool,
    serving: ServingPods | None,
) -> Allocation:
    """Return the allocation with a route, whose weights split the traffic; the Service selects one version."""
    allocation = _by_weight(product, status, stable_pods)
    candidate = status.candidate
    if candidate is None:
        return allocation
    selected = None if serving is None else serving.selected
    if share_in_force(candidate) == FULL_WEIGHT and (followed or selected == candidate.revision):
        return replace(allocation, selected=candidate.revision)
    if serving is not None and selected == "" and serving.stable < stable_pods:
        # The route is new, and stable has given up pods while replicas split the traffic.
        return replace(allocation, selected=None)
    return allocation


def _initial(product: DataProduct, status: DataProductStatus) -> Allocation:
    """Return the allocation before the first version serves: all its pods, and no traffic until they are ready."""
    if status.candidate is None:
        return Allocation((), (), None)
    placement = Placement(status.candidate, product.spec.serving.base_replicas)
    return Allocation((placement,), (), status.candidate.revision, placement.replicas)


def _by_weight(product: DataProduct, status: DataProductStatus, stable_pods: int) -> Allocation:
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    placements = [_stable(product, status, stable_pods)]
    pods = 0
    if candidate is not None:
        desired = pods_for(product.spec, target_weight(product.spec, candidate), stable_pods)
        pods = max(desired, _kept_pods(product.spec, candidate, stable_pods))
        placements.append(Placement(candidate, pods))
    placements += _previous_placements(status)
    tried, weights = _tried(product, status), _weights(stable, candidate)
    return Allocation(tuple(placements), weights, stable.revision, pods, tried)


def _weights(stable: VersionBase, candidate: Candidate | None) -> tuple[tuple[str, int], ...]:
    """Return the versions with a share, and their shares in percent."""
    if candidate is None:
        return ((stable.revision, FULL_WEIGHT),)
    weight = share_in_force(candidate)
    pairs = ((stable.revision, FULL_WEIGHT - weight), (candidate.revision, weight))
    return tuple(pair for pair in pairs if pair[1])


def _by_exchange(
    product: DataProduct,
    status: DataProductStatus,
    exchange: Exchange,
    *,
    followed: bool,
    serving: ServingPods | None,
) -> Allocation:
    """Return the allocation in which both versions together have no more pods than one alone.

    Each version has the pods for its present share and, while a new share isn't in force yet, for the
    previous one. The candidate has one batch of pods more until its next share, so a share that needs
    several batches is reached in parts. The product's own Service selects both versions while both
    have a share, as neither has the pods for all requests.
    """
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    needed = part = pods = 0
    selected: str | None = stable.revision
    if candidate is not None and candidate.phase is not CandidatePhase.PARKED:
        share = lowest = highest = share_in_force(candidate)
        if serving is not None and not serving.is_reached and candidate.shares:
            before = candidate.shares[-2].weight if len(candidate.shares) > 1 else 0
            lowest, highest = min(share, before), max(share, before)
        is_followed = product.spec.route is None or followed
        if share == FULL_WEIGHT and (
            is_followed or (serving is not None and serving.selected == candidate.revision)
        ):
            selected = candidate.revision
        elif share:
            selected = None
        if candidate.phase is CandidatePhase.ROLLING_BACK:
            pods = max(
                exchange.needed(highest), exchange.batch
            )  # the last batch until it is drained
            pods = pods if serving is None else min(pods, serving.candidate_replicas)
        else:
            goal = exchange.needed(target_weight(product.spec, candidate))
            needed = min(goal, exchange.room_beside(share))
            part = exchange.share_of(needed) if needed < goal else 0
            pods = max(exchange.needed(highest), min(needed, exchange.room_beside(lowest)))
    stable_pods = min(exchange.demand, exchange.pods - pods)
    is_scaled = product.spec.serving.autoscaling is not None
    placement = Placement(stable, stable_pods, is_scaled)
    if is_scaled and pods:
        placement = replace(placement, floor=stable_pods, ceiling=exchange.pods - pods)
    placements = (
        placement,
        *((Placement(candidate, pods),) if candidate else ()),
        *_previous_placements(status),
    )
    weights = () if product.spec.route is None else _weights(stable, candidate)
    return Allocation(placements, weights, selected, needed, _tried(product, status), part)


def _stable(product: DataProduct, status: DataProductStatus, stable_pods: int) -> Placement:
    """Return stable's allocation with the pods for all of the traffic."""
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    if product.spec.serving.autoscaling is None:
        return Placement(stable, stable_pods)
    is_tried = candidate is not None and candidate.phase is not CandidatePhase.PARKED
    return Placement(stable, stable_pods, autoscaled=True, floor=stable_pods if is_tried else 0)


def _beside_autoscaled(
    product: DataProduct, status: DataProductStatus, stable_pods: int
) -> Allocation:
    """Return the allocation without a route beside an autoscaled stable: the candidate's pods are added.

    Taking pods from stable would conflict with the autoscaler.
    """
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    stable_allocation = _stable(product, status, stable_pods)
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        parked_placements = (Placement(candidate, 0),) if candidate else ()
        return Allocation(
            (stable_allocation, *parked_placements, *_previous_placements(status)),
            (),
            stable.revision,
        )
    weight = target_weight(product.spec, candidate)
    needed = _surge_pods(weight, stable_pods)
    pods = max(needed, _surge_pods(candidate.weight, stable_pods))
    placements = (stable_allocation, Placement(candidate, pods), *_previous_placements(status))
    selected = {FULL_WEIGHT: candidate.revision, 0: stable.revision}.get(share_in_force(candidate))
    return Allocation(placements, (), selected, needed, _tried(product, status))


def _surge_pods(weight: int, stable_pods: int) -> int:
    """Return the candidate's pods beside all of stable's, within the surge; as many as stable's for 100 %."""
    if weight in (0, FULL_WEIGHT):
        return stable_pods * weight // FULL_WEIGHT
    spare_pods = max_pods(stable_pods) - stable_pods
    return min(max(1, ceil(weight * stable_pods / (FULL_WEIGHT - weight))), spare_pods)


def with_capacity(
    product: DataProduct, status: DataProductStatus, stable_pods: int
) -> DataProductStatus:
    """Return the status with the pods that all of the traffic needs, by the autoscaler's present number.

    Beside a candidate stable has only a part of the traffic, so its autoscaler reduces its pods to that
    part. So status keeps the number from before, and it grows when stable's part needs more.

    Parameters
    ----------
    stable_pods : that stable has.
    """
    candidate, scaling = status.candidate, product.spec.serving.autoscaling
    if candidate is None or status.stable is None or scaling is None:
        return status
    weight = share_in_force(candidate)
    if candidate.phase is CandidatePhase.PARKED or weight == FULL_WEIGHT:
        return status
    if stable_pods <= candidate.capacity:
        return status
    needed = min(ceil(stable_pods * FULL_WEIGHT / (FULL_WEIGHT - weight)), scaling.max_replicas)
    if product.spec.route is None:
        needed = stable_pods  # each of its pods is there for all of the traffic
    with_pods = candidate.replace(capacity=max(needed, stable_pods))
    return status.replace(candidate=with_pods)


def _by_replicas(
    product: DataProduct,
    status: DataProductStatus,
    stable_pods: int,
    serving: ServingPods | None,
) -> Allocation:
    """Return the allocation without a route: the pods that the Service selects split the traffic.

    They are as many as all of the traffic needs: stable gives up a pod only for a ready one of the
    candidate that requests reach, and gets all of them before the Service selects it alone.
    """
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        parked_placements = (Placement(candidate, 0),) if candidate else ()
        placements = (
            Placement(stable, stable_pods),
            *parked_placements,
            *_previous_placements(status),
        )
        return Allocation(placements, (), stable.revision)
    selected = {FULL_WEIGHT: candidate.revision, 0: stable.revision}.get(share_in_force(candidate))
    needed = part = 0
    if candidate.phase is not CandidatePhase.ROLLING_BACK:
        stable_number, candidate_number, needed = _forward(
            product.spec, candidate, stable_pods, serving
        )
        if candidate.phase is CandidatePhase.PROMOTING and needed < stable_pods:
            part = FULL_WEIGHT * needed // (stable_pods + needed)
    elif serving is None or not _is_awaited(candidate, stable_pods, serving):
        stable_number, candidate_number = stable_pods, _draining(candidate, stable_pods, serving)
    else:
        candidate_number = min(stable_pods - serving.stable, serving.candidate_replicas)
        stable_number, selected = min(stable_pods, max_pods(stable_pods) - candidate_number), None
    placements = (
        Placement(stable, stable_number),
        Placement(candidate, candidate_number),
        *_previous_placements(status),
    )
    tried = _tried(product, status)
    return Allocation(placements, (), selected, needed, tried, part)


def _forward(
    spec: DataProductSpec, candidate: Candidate, stable_pods: int, serving: ServingPods | None
) -> tuple[int, int, int]:
    """Return the present pods of stable and candidate, and the ready pods that the next share needs."""
    stable_number, candidate_number = _desired_pods(spec, candidate, stable_pods)
    if serving is None:
        return stable_number, candidate_number, candidate_number
    spare_pods = max_pods(stable_pods) - stable_pods
    if candidate.weight == 0:  # the Service selects stable alone
        return stable_pods, min(candidate_number, spare_pods), min(candidate_number, spare_pods)
    if candidate.weight == FULL_WEIGHT:  # the Service selects the candidate alone
        return spare_pods, stable_pods, stable_pods
    kept_number = max(
        0, min(serving.candidate, stable_pods - serving.stable)
    )  # stable isn't ready for these
    stable_number = min(max(stable_number, stable_pods - serving.candidate), stable_pods)
    if not (serving.selected == "" and serving.is_reached):
        stable_number = max(stable_number, min(serving.stable_replicas, stable_pods))
    stable_number = min(stable_number, max_pods(stable_pods) - kept_number)
    return (
        stable_number,
        min(max(candidate_number, kept_number), max_pods(stable_pods) - stable_number),
        candidate_number,
    )


def _is_awaited(candidate: Candidate, stable_pods: int, serving: ServingPods) -> bool:
    """Return whether a rolled back version serves until stable has all its pods."""
    had_requests = candidate.weight > 0 and serving.candidate > 0
    return serving.waits_for_pods and had_requests and serving.stable < stable_pods


def _desired_pods(spec: DataProductSpec, candidate: Candidate, stable_pods: int) -> tuple[int, int]:
    """Return the pods of stable and candidate for the next share; all of both before 100 %."""
    if candidate.phase is CandidatePhase.PROMOTING:
        return max_pods(stable_pods) - stable_pods, stable_pods
    return split_by_replicas(min(target_weight(spec, candidate), FULL_WEIGHT - 1), stable_pods)


def _draining(candidate: Candidate, stable_pods: int, serving: ServingPods | None) -> int:
    """Return the pods of a version until it is drained: within the surge, none added."""
    pods_before = stable_pods
    if candidate.weight < FULL_WEIGHT:
        pods_before = split_by_replicas(candidate.weight, stable_pods)[1]
    if serving is not None:
        pods_before = min(pods_before, serving.candidate_replicas)
    return min(pods_before, max_pods(stable_pods) - stable_pods)


def _tried(product: DataProduct, status: DataProductStatus) -> str:
    """Return the revision for mirrored requests and previews; empty without either, or a candidate under trial."""
    rollout = product.spec.rollout
    is_reached = rollout.mirror is not None or rollout.preview is not None
    candidate = status.trial if is_reached and is_tried(status) else None
    return "" if candidate is None else candidate.revision


def share_in_force(candidate: Candidate) -> int:
    """Return the present traffic share of the candidate, in percent; 0 after a rollback that has returned it."""
    if candidate.phase is CandidatePhase.ROLLING_BACK:
        return candidate.returning or 0
    return 0 if candidate.phase is CandidatePhase.PARKED else candidate.weight


def _kept_pods(spec: DataProductSpec, candidate: Candidate, stable_pods: int) -> int:
    """Return the pods that remain while the last share drains: first the weight is zero, then the pods go."""
    if candidate.phase is CandidatePhase.PARKED:
        return 0
    return pods_for(spec, candidate.weight, stable_pods)


def _previous_placements(status: DataProductStatus) -> Iterator[Placement]:
    if (previous := previous_version(status)) is not None:
        yield Placement(previous, 0)
