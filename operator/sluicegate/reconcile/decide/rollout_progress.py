"""Carries a rollout on by what is observed: pods first, then weight, then a look, then the rest.

A decision says where to go; this says how far one may go now. Each function takes a status and
gives the next, so a restart continues from what was written. Nothing here weighs evidence or
rolls back: the decision gets the obstacles of a candidate (policy/rollout/setbacks.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.engine import TimeInterval
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.manifests.pod import grace_seconds
from sluicegate.measurement.canary_blocks import Requests
from sluicegate.policy.model.attended_time import seconds_without
from sluicegate.policy.model.observed import Failure, RolloutObservation
from sluicegate.policy.rollout.transitions import with_share
from sluicegate.reconcile.live.children import DeploymentRecord
from sluicegate.reconcile.live.failure_attribution import GRACE_SECONDS
from sluicegate.reconcile.live.pods import PodState
from sluicegate.reconcile.traffic.allocation import (
    FULL,
    Allocation,
    split_by_replicas,
    target_weight,
)
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel, is_drained

DRAIN_SECONDS: Final = 600
"""Pods whose requests can't be counted go so long after the last of the traffic did, at the latest."""
FOLLOW_SECONDS: Final = 10
"""After a change of weight, until a version of which no pod is ready counts as one that gets none.

A Gateway accepts a route before its data plane follows, and only requests would show that it has.
A pod that starts again meanwhile still serves what is sent to it.
"""


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What is observed of a rollout, at one moment.

    Attributes
    ----------
    now : the moment, in seconds.
    live : Deployments by revision.
    split : how far the split in force is verified; None without a split.
    requests : of both versions since the last change of weight.
    problem : the candidate's pod that best explains why it isn't ready.
    attribution : the cause if none is ready; None for a first version.
    moved_at : when the weights in force were written, in seconds.
    term : since when this replica leads, in seconds: what waits for pods waits since then at most.
    absences : intervals in which nothing was observed, as far as this process knows of them.
    route_gone : no request comes any more through a route that was removed.
    """

    now: int
    live: Mapping[str, DeploymentRecord]
    split: Split | None = None
    requests: Requests = field(default_factory=Requests)
    problem: PodState | None = None
    attribution: Failure | None = None
    moved_at: float = 0.0
    term: int = 0
    absences: tuple[TimeInterval, ...] = ()
    route_gone: bool = True

    def ready(self, revision: str) -> int:
        """Ready pods of a version."""
        return self.live[revision].ready if revision in self.live else 0

    def pods(self, revision: str) -> int:
        """Pods of a version, ready or not."""
        return self.live[revision].total if revision in self.live else 0

    @property
    def accepted(self) -> bool:
        """Whether the weights in force are those of the route, and each Gateway took them."""
        if self.split is None:
            return self.route_gone
        return self.split.level >= VerificationLevel.ACCEPTED


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing to do but wait."""


@dataclass(frozen=True, slots=True)
class ShareTaken:
    """The candidate's pods are there: it takes its share, which is to be written to the route."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Completed:
    """What was decided about the candidate has come true.

    Attributes
    ----------
    uncounted : seconds for which requests to the pods to be removed couldn't be counted; 0 where
        the traffic was seen to follow.
    """

    candidate: Candidate
    uncounted: int = 0


Progress = Unchanged | ShareTaken | Completed


def progress(
    product: DataProduct, status: DataProductStatus, allocation: Allocation, rolling: RolloutState
) -> Progress:
    """How far the rollout of `status.candidate` may go now; there is a candidate.

    Parameters
    ----------
    allocation : what the status asks for, so how many pods the candidate needs.
    """
    candidate = status.candidate
    assert candidate is not None
    wanted = allocation.needed
    if status.stable is None:
        return _first(candidate, rolling, wanted)
    match candidate.phase:
        case CandidatePhase.STARTING | CandidatePhase.STEPPING | CandidatePhase.AWAITING_APPROVAL:
            return _step(product, candidate, rolling, wanted)
        case CandidatePhase.PROMOTING:
            return _promote(product, status, rolling, allocation)
        case CandidatePhase.ROLLING_BACK:
            return _back(product, candidate, rolling)
        case CandidatePhase.PARKED:
            return Unchanged()


def facts_of(
    product: DataProduct, status: DataProductStatus, rolling: RolloutState, found: Progress
) -> RolloutObservation:
    """What a decision may know of the rollout of `status.candidate`; there is a candidate."""
    candidate, stable = status.candidate, status.stable
    assert candidate is not None
    problem, split = rolling.problem, rolling.split
    weight = target_weight(product.spec, candidate)
    promoting = candidate.phase is CandidatePhase.PROMOTING
    followed = split is None or (rolling.accepted and not split.mismatched)
    return RolloutObservation(
        moves=not isinstance(found, Unchanged),
        wants_share=candidate.weight < FULL if promoting else candidate.weight != weight,
        waited=rolling.now - max(candidate.wait_start_time or candidate.start_time, rolling.term),
        deadline=product.spec.serving.progress_deadline_seconds,
        problem=None if problem is None else Failure(problem.reason, problem.problem),
        unrecoverable=problem is not None and problem.unrecoverable,
        attribution=rolling.attribution,
        serves=rolling.ready(candidate.revision) > 0,
        stable_serves=stable is not None and rolling.ready(stable.revision) > 0,
        given_since=rolling.now - _changed_at(candidate),
        not_followed="" if followed or split is None else split.message,
    )


def _back(product: DataProduct, candidate: Candidate, rolling: RolloutState) -> Progress:
    """Its pods go once no request can reach them any more."""
    if not candidate.shares:
        return Completed(candidate)
    if not (rolling.accepted and _judged(candidate, rolling)):
        return Unchanged()
    pods = _reachable(candidate, rolling, candidate.revision)
    if is_drained(rolling.requests, stable=False, pods=pods):
        return Completed(candidate)
    return _uncounted(product, candidate, rolling) or Unchanged()


def _uncounted(
    product: DataProduct, candidate: Candidate, rolling: RolloutState
) -> Completed | None:
    """No request is sent to the version that goes, and the longest that it had has ended by now.

    What can't be counted (no measurements, a crash loop, pods scraped twice) ends no phase
    otherwise. An absence gives the Gateways and the counts no time in which they could be observed.
    """
    moved = round(_moved_at(candidate, rolling))
    waited = seconds_without(rolling.absences, moved, rolling.now)
    longest = max(DRAIN_SECONDS, 2 * grace_seconds(product))
    if candidate.phase is CandidatePhase.ROLLING_BACK:
        longest += return_seconds(product, candidate)
    late = waited > longest
    return Completed(candidate, uncounted=waited) if late else None


def return_seconds(product: DataProduct, candidate: Candidate) -> int:
    """How long a version that is rolled back may keep serving, until stable has all of its pods.

    Where replicas split the traffic, stable may have given up pods for the candidate's, and needs
    two starts to have all of them again within the surge. A route returns the traffic at once.
    """
    serving = product.spec.serving
    if product.spec.route is not None or serving.autoscaling is not None:
        return 0
    pods = serving.base_replicas
    kept, _ = split_by_replicas(min(candidate.weight, FULL - 1), pods)
    return 2 * serving.progress_deadline_seconds if kept < pods else 0


def _reachable(candidate: Candidate, rolling: RolloutState, revision: str) -> int:
    """Pods of a version that loses its share, as far as a request may still reach one."""
    live = rolling.live.get(revision)
    if live is None:
        return 0
    moved = rolling.now - _moved_at(candidate, rolling) >= FOLLOW_SECONDS
    return live.ready if moved else max(live.ready, live.replicas)


def _moved_at(candidate: Candidate, rolling: RolloutState) -> float:
    """When the weights in force were decided or written, whichever came last, in seconds."""
    return max(_changed_at(candidate), rolling.moved_at)


def _changed_at(candidate: Candidate) -> float:
    """When its share was last changed, in seconds."""
    moments = [share.start_time for share in candidate.shares[-1:]]
    moments += [candidate.wait_start_time] if candidate.wait_start_time is not None else []
    return max(moments, default=0)


def _step(
    product: DataProduct, candidate: Candidate, rolling: RolloutState, wanted: int
) -> Progress:
    """Take the next share once the pods for it are ready."""
    weight = target_weight(product.spec, candidate)
    if candidate.weight == weight:
        return Unchanged()
    if _is_ready(rolling, candidate, wanted):
        return ShareTaken(with_share(candidate, weight, rolling.now))
    return Unchanged()


def _first(candidate: Candidate, rolling: RolloutState, wanted: int) -> Progress:
    """The first version takes everything once it is ready, whatever its phase is called."""
    return Completed(candidate) if _is_ready(rolling, candidate, wanted) else Unchanged()


def _promote(
    product: DataProduct, status: DataProductStatus, rolling: RolloutState, allocation: Allocation
) -> Progress:
    candidate, stable = status.candidate, status.stable
    assert candidate is not None
    assert stable is not None
    if candidate.weight == FULL:
        return _all_given(product, candidate, rolling, stable.revision)
    if not _is_ready(rolling, candidate, allocation.needed):
        return Unchanged()
    if not allocation.part:
        return ShareTaken(with_share(candidate, FULL, rolling.now))
    part = with_share(candidate, allocation.part, rolling.now)
    return ShareTaken(part.replace(wait_start_time=rolling.now))


def _all_given(
    product: DataProduct, candidate: Candidate, rolling: RolloutState, stable: str
) -> Progress:
    """It has all of the traffic: the pods of `stable` go once no request can reach them any more."""
    serves = rolling.ready(candidate.revision) > 0
    left = _reachable(candidate, rolling, stable) == 0 and serves
    drained = is_drained(rolling.requests, stable=True, pods=0 if left else 1)
    if rolling.accepted and drained:
        return Completed(candidate)
    uncounted = _uncounted(product, candidate, rolling) if rolling.accepted and serves else None
    return uncounted or Unchanged()


def _is_ready(rolling: RolloutState, candidate: Candidate, wanted: int) -> bool:
    live = rolling.live.get(candidate.revision)
    return live is not None and live.current and live.ready >= max(wanted, 1)


def _judged(candidate: Candidate, rolling: RolloutState) -> bool:
    """Whether it shows by now whose doing it was that no pod was ready."""
    if (
        candidate.decision_reason != DecisionReason.INFRASTRUCTURE
        or candidate.wait_start_time is None
    ):
        return True
    return rolling.now - candidate.wait_start_time >= GRACE_SECONDS


def rolled_back(candidate: Candidate, reason: DecisionReason, message: str, now: int) -> Candidate:
    """The candidate rolled back from `now`, in seconds: first the weight to zero, then the pods."""
    return candidate.replace(
        phase=CandidatePhase.ROLLING_BACK,
        decision_reason=str(reason),
        decision_message=message,
        wait_start_time=now,
    )
