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
from sluicegate.api.versions import FULL, Candidate, CandidatePhase, PastVersion, VersionBase
from sluicegate.policy.rollout.shadow_phase import is_tried

SURGE: Final = 1.5
"""Without a route, the pods of both versions together are at most this many times stable's."""


@dataclass(frozen=True, slots=True)
class Placement:
    """One live version.

    Attributes
    ----------
    version : which one.
    replicas : how many pods it is to have.
    autoscaled : an autoscaler may own the number; it is never below `replicas`.
    floor : pods below which the autoscaler may not go for the moment; 0 for the spec's.
    """

    version: VersionBase
    replicas: int
    autoscaled: bool = False
    floor: int = 0


@dataclass(frozen=True, slots=True)
class ServingPods:
    """What serves at the moment beside a candidate.

    Attributes
    ----------
    stable, candidate : ready pods of each.
    stable_replicas, candidate_replicas : pods that each of them is to have by its Deployment.
    selected : revision that the product's own Service selects, empty for both; None while it isn't
        there.
    reached : a selector that followed from the newest share is in force in the whole cluster.
    waits : a version that is rolled back may still serve until stable has all of its pods.
    """

    stable: int
    candidate: int
    stable_replicas: int
    candidate_replicas: int
    selected: str | None
    reached: bool
    waits: bool


@dataclass(frozen=True, slots=True)
class Allocation:
    """What is to exist.

    Attributes
    ----------
    placements : the live versions, stable first.
    weights : revision and share in percent of those that take traffic; empty before the first.
    selected : revision that the product's own Service picks; None when it picks all of them.
    needed : ready pods that the candidate needs before it takes its next share.
    part : percent that it takes then, where there is no room yet for the pods of all of it; 0 where
        it takes all that was decided.
    mirrored_to : revision that mirrored requests go to; empty while no candidate is tried.
    """

    placements: tuple[Placement, ...]
    weights: tuple[tuple[str, int], ...]
    selected: str | None
    needed: int = 0
    mirrored_to: str = ""
    part: int = 0

    def replicas(self, revision: str) -> int:
        """Pods that a version is to have; 0 for one that doesn't live."""
        return sum(one.replicas for one in self.placements if one.version.revision == revision)


def previous_version(status: DataProductStatus) -> PastVersion | None:
    """Return the previous version, kept at zero replicas for an immediate rollback."""
    live = {one.revision for one in (status.stable, status.candidate) if one}
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
            return FULL
        case CandidatePhase.ROLLING_BACK | CandidatePhase.PARKED:
            return 0


def pods_for(spec: DataProductSpec, weight: int, stable: int) -> int:
    """Ready pods that a candidate needs before it takes this share.

    Parameters
    ----------
    weight : in percent.
    stable : pods of the stable version.
    """
    if weight == 0:
        return 0
    if weight >= (spec.rollout.steps or DEFAULT_STEPS)[-1]:
        return stable
    return max(1, ceil(weight * stable / FULL))


def most_pods(stable: int) -> int:
    """Pods of both versions together where replicas split the traffic."""
    return max(stable + 1, ceil(SURGE * stable))


def split_by_replicas(weight: int, stable: int) -> tuple[int, int]:
    """Pods of stable and candidate that come nearest to the share, from above.

    Parameters
    ----------
    weight : in percent, below 100.
    stable : pods of the stable version when it is alone.
    """
    if weight == 0:
        return stable, 0
    most = most_pods(stable)
    candidate = max(1, ceil(weight * stable / (FULL - weight)))
    if stable + candidate > most:
        candidate = min(ceil(weight * most / FULL), most - 1)
    return min(stable, most - candidate), candidate


def allocation_of(
    product: DataProduct,
    status: DataProductStatus,
    *,
    stable_pods: int,
    followed: bool = False,
    serving: ServingPods | None = None,
    kept: Mapping[str, int] | None = None,
) -> Allocation:
    """Return the layout that status asks for.

    Parameters
    ----------
    product : the spec in force.
    status : what was decided.
    stable_pods : pods that stable has (an autoscaler may have raised them), at least the spec's.
    followed : the Gateways have taken a candidate's 100 %, so the product's own Service may follow.
    serving : what serves at the moment; None for all that is asked for.
    kept : pods that the versions don't give up for the moment, by revision; None for none.
    """
    allocation = _asked(product, status, stable_pods, followed=followed, serving=serving)
    return _once_each(_with_kept(allocation, stable_pods, kept) if kept else allocation)


def with_predecessors(
    allocation: Allocation,
    ready: Sequence[tuple[VersionBase, int]],
    *,
    candidate: int,
    selected: str | None,
) -> Allocation:
    """Return the layout of a first version that replaces others before any was accepted, without a route.

    The product's own Service selects pods of theirs that are ready, so these have requests. They
    stay until as many of the new version are ready.

    Parameters
    ----------
    allocation : of the new version alone. ready : the others, newest first, with their ready pods.
    candidate : ready pods of the new version. selected : revision that the Service selects, empty
        for all; None while it isn't there.
    """
    (first,) = allocation.placements
    missing = first.replicas - (candidate if selected == "" else 0)
    kept: list[Placement] = []
    for version, pods in ready:
        if (stays := min(pods, missing)) > 0:
            kept.append(Placement(version, stays))
            missing -= stays
    if not kept:
        return allocation
    room = most_pods(first.replicas) - sum(one.replicas for one in kept)
    placements = (replace(first, replicas=min(first.replicas, room)), *kept)
    return replace(allocation, placements=placements, selected=None)


def _with_kept(allocation: Allocation, stable_pods: int, kept: Mapping[str, int]) -> Allocation:
    """No version gives up pods; one is added only where all of them stay within the surge."""
    most = most_pods(stable_pods)
    placements: list[Placement] = []
    for one in allocation.placements:
        has, others = kept.get(one.version.revision, 0), sum(each.replicas for each in placements)
        desired = one.replicas if not placements else min(one.replicas, most - others)
        placements.append(replace(one, replicas=max(desired, has)))
    return replace(allocation, placements=tuple(placements))


def _once_each(allocation: Allocation) -> Allocation:
    """Keep one placement of each revision: of two with one Deployment, each would undo the other."""
    seen: dict[str, Placement] = {}
    for placement in allocation.placements:
        seen.setdefault(placement.version.revision, placement)
    if len(seen) == len(allocation.placements):
        return allocation
    weights: dict[str, int] = {}
    for revision, weight in allocation.weights:
        weights[revision] = weights.get(revision, 0) + weight
    return replace(allocation, placements=tuple(seen.values()), weights=tuple(weights.items()))


def _asked(
    product: DataProduct,
    status: DataProductStatus,
    stable_pods: int,
    *,
    followed: bool,
    serving: ServingPods | None,
) -> Allocation:
    if status.stable is None:
        return _initial(product, status)
    if product.spec.route is None and product.spec.serving.autoscaling is not None:
        return _beside(product, status, stable_pods)
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
    """With a route, whose weights split the traffic; the product's own Service has one version."""
    allocation = _by_weight(product, status, stable_pods)
    candidate = status.candidate
    if candidate is None:
        return allocation
    selected = None if serving is None else serving.selected
    if share_in_force(candidate) == FULL and (followed or selected == candidate.revision):
        return replace(allocation, selected=candidate.revision)
    if serving is not None and selected == "" and serving.stable < stable_pods:
        # The route is new, and stable has given up pods while replicas split the traffic.
        return replace(allocation, selected=None)
    return allocation


def _initial(product: DataProduct, status: DataProductStatus) -> Allocation:
    """Before the first version serves: it gets all its pods, and no traffic until it is ready."""
    if status.candidate is None:
        return Allocation((), (), None)
    placement = Placement(status.candidate, product.spec.serving.base_replicas)
    return Allocation((placement,), (), status.candidate.revision, placement.replicas)


def _by_weight(product: DataProduct, status: DataProductStatus, stable_pods: int) -> Allocation:
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    placements = [_stable(product, status, stable_pods)]
    weights = [(stable.revision, FULL)]
    pods = 0
    if candidate is not None:
        desired = pods_for(product.spec, target_weight(product.spec, candidate), stable_pods)
        pods = max(desired, _kept_pods(product.spec, candidate, stable_pods))
        placements.append(Placement(candidate, pods))
        weight = share_in_force(candidate)
        pairs = ((stable.revision, FULL - weight), (candidate.revision, weight))
        weights = [pair for pair in pairs if pair[1]]
    placements += _previous(status)
    mirrored_to = _mirrored_to(product, status)
    return Allocation(tuple(placements), tuple(weights), stable.revision, pods, mirrored_to)


def _stable(product: DataProduct, status: DataProductStatus, stable_pods: int) -> Placement:
    """Stable with what it needs to take all of the traffic back at once."""
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    if product.spec.serving.autoscaling is None:
        return Placement(stable, stable_pods)
    tried = candidate is not None and candidate.phase is not CandidatePhase.PARKED
    return Placement(stable, stable_pods, autoscaled=True, floor=stable_pods if tried else 0)


def _beside(product: DataProduct, status: DataProductStatus, stable_pods: int) -> Allocation:
    """Without a route, where an autoscaler owns stable's pods: the candidate's come in addition.

    Taking pods from stable would conflict with the autoscaler.
    """
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    ours = _stable(product, status, stable_pods)
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        parked = (Placement(candidate, 0),) if candidate else ()
        return Allocation((ours, *parked, *_previous(status)), (), stable.revision)
    weight = target_weight(product.spec, candidate)
    needed = _added(weight, stable_pods)
    pods = max(needed, _added(candidate.weight, stable_pods))
    placements = (ours, Placement(candidate, pods), *_previous(status))
    selected = {FULL: candidate.revision, 0: stable.revision}.get(share_in_force(candidate))
    return Allocation(placements, (), selected, needed, _mirrored_to(product, status))


def _added(weight: int, stable_pods: int) -> int:
    """Pods beside all of stable's that give the share, within the surge; as many for everything."""
    if weight in (0, FULL):
        return stable_pods * weight // FULL
    room = most_pods(stable_pods) - stable_pods
    return min(max(1, ceil(weight * stable_pods / (FULL - weight))), room)


def with_capacity(
    product: DataProduct, status: DataProductStatus, stable_pods: int
) -> DataProductStatus:
    """Return the status with how many pods all of the traffic needs, as an autoscaler has shown by now.

    Beside a candidate stable has a part of the traffic, and an autoscaler that sees no other would
    shrink it to that. So it is known from before, and grows with what stable's part needs.

    Parameters
    ----------
    stable_pods : that stable has.
    """
    candidate, scaling = status.candidate, product.spec.serving.autoscaling
    if candidate is None or status.stable is None or scaling is None:
        return status
    weight = share_in_force(candidate)
    if candidate.phase is CandidatePhase.PARKED or weight == FULL:
        return status
    if stable_pods <= candidate.capacity:
        return status
    needed = min(ceil(stable_pods * FULL / (FULL - weight)), scaling.max_replicas)
    if product.spec.route is None:
        needed = stable_pods  # each of its pods is there for all of the traffic
    known = candidate.replace(capacity=max(needed, stable_pods))
    return status.replace(candidate=known)


def _by_replicas(
    product: DataProduct,
    status: DataProductStatus,
    stable_pods: int,
    serving: ServingPods | None,
) -> Allocation:
    """Without a route the pods that the product's Service selects split the traffic.

    They are as many as all of the traffic needs: stable gives up a pod only for a ready one of the
    candidate that requests reach, and gets all of them before the Service selects it alone.
    """
    stable, candidate = status.stable, status.candidate
    assert stable is not None
    if candidate is None or candidate.phase is CandidatePhase.PARKED:
        parked = (Placement(candidate, 0),) if candidate else ()
        placements = (Placement(stable, stable_pods), *parked, *_previous(status))
        return Allocation(placements, (), stable.revision)
    selected = {FULL: candidate.revision, 0: stable.revision}.get(share_in_force(candidate))
    needed = part = 0
    if candidate.phase is not CandidatePhase.ROLLING_BACK:
        ours, theirs, needed = _forward(product.spec, candidate, stable_pods, serving)
        if candidate.phase is CandidatePhase.PROMOTING and needed < stable_pods:
            part = FULL * needed // (stable_pods + needed)
    elif serving is None or not _is_awaited(candidate, stable_pods, serving):
        ours, theirs = stable_pods, _draining(candidate, stable_pods, serving)
    else:
        theirs = min(stable_pods - serving.stable, serving.candidate_replicas)
        ours, selected = min(stable_pods, most_pods(stable_pods) - theirs), None
    placements = (Placement(stable, ours), Placement(candidate, theirs), *_previous(status))
    mirrored_to = _mirrored_to(product, status)
    return Allocation(placements, (), selected, needed, mirrored_to, part)


def _forward(
    spec: DataProductSpec, candidate: Candidate, stable_pods: int, serving: ServingPods | None
) -> tuple[int, int, int]:
    """Pods of stable and candidate by now, and ready ones that the candidate's next share needs."""
    ours, theirs = _wanted(spec, candidate, stable_pods)
    if serving is None:
        return ours, theirs, theirs
    room = most_pods(stable_pods) - stable_pods
    if candidate.weight == 0:  # the Service selects stable alone
        return stable_pods, min(theirs, room), min(theirs, room)
    if candidate.weight == FULL:  # the Service selects the candidate alone
        return room, stable_pods, stable_pods
    kept = max(
        0, min(serving.candidate, stable_pods - serving.stable)
    )  # stable isn't ready for these
    ours = min(max(ours, stable_pods - serving.candidate), stable_pods)
    if not (serving.selected == "" and serving.reached):
        ours = max(ours, min(serving.stable_replicas, stable_pods))
    ours = min(ours, most_pods(stable_pods) - kept)
    return ours, min(max(theirs, kept), most_pods(stable_pods) - ours), theirs


def _is_awaited(candidate: Candidate, stable_pods: int, serving: ServingPods) -> bool:
    """Return whether a version that is rolled back serves until stable has all of its pods."""
    had_requests = candidate.weight > 0 and serving.candidate > 0
    return serving.waits and had_requests and serving.stable < stable_pods


def _wanted(spec: DataProductSpec, candidate: Candidate, stable_pods: int) -> tuple[int, int]:
    """Pods of stable and candidate that the next share asks for; all of them before it takes all."""
    if candidate.phase is CandidatePhase.PROMOTING:
        return most_pods(stable_pods) - stable_pods, stable_pods
    return split_by_replicas(min(target_weight(spec, candidate), FULL - 1), stable_pods)


def _draining(candidate: Candidate, stable_pods: int, serving: ServingPods | None) -> int:
    """Return how many pods of a version stay until they are drained: within the surge, and none is added."""
    before = stable_pods
    if candidate.weight < FULL:
        before = split_by_replicas(candidate.weight, stable_pods)[1]
    if serving is not None:
        before = min(before, serving.candidate_replicas)
    return min(before, most_pods(stable_pods) - stable_pods)


def _mirrored_to(product: DataProduct, status: DataProductStatus) -> str:
    """Return the revision that mirrored requests go to; empty without a mirror, or a candidate that is tried."""
    mirrored = product.spec.rollout.mirror is not None and is_tried(status)
    return status.trial.revision if mirrored and status.trial is not None else ""


def share_in_force(candidate: Candidate) -> int:
    """Return the present share of the candidate, in percent; 0 once it is rolled back."""
    back = candidate.phase in (CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED)
    return 0 if back else candidate.weight


def _kept_pods(spec: DataProductSpec, candidate: Candidate, stable_pods: int) -> int:
    """Pods that stay while the last share drains: weight to zero first, pods after."""
    if candidate.phase is CandidatePhase.PARKED:
        return 0
    return pods_for(spec, candidate.weight, stable_pods)


def _previous(status: DataProductStatus) -> Iterator[Placement]:
    if (previous := previous_version(status)) is not None:
        yield Placement(previous, 0)
