"""What a decision may know of a rollout: how far its pods and the traffic have followed. Pure."""

from dataclasses import dataclass, replace

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.model.observed import RolloutObservation
from sluicegate.policy.transitions import accepted_version
from sluicegate.reconcile.decide.rollout_progress import (
    Progress,
    Rolling,
    Unchanged,
    facts_of,
    progress,
)
from sluicegate.reconcile.live.failure_attribution import GRACE_SECONDS, Blame, blame_for
from sluicegate.reconcile.live.pods import of_revision, trouble_of
from sluicegate.reconcile.observe.observation import Situation
from sluicegate.reconcile.traffic.allocation import Layout, layout_of, share_in_force


@dataclass(frozen=True, slots=True)
class RolloutMove:
    """How far the cluster allows a rollout to go by now, and what a decision may know of it."""

    found: Progress
    facts: RolloutObservation


def observe_rollout(situation: Situation, status: DataProductStatus) -> RolloutMove | None:
    """What the cluster allows by now of what was decided; None without a candidate."""
    candidate = status.candidate
    if candidate is None:
        return None
    rolling = Rolling(
        now=situation.now,
        live=situation.live,
        split=situation.split,
        requests=situation.requests,
        trouble=trouble_of(of_revision(situation.pods, candidate.revision)),
        blame=_blame(situation, status, candidate),
        moved_at=_moved_at(situation, status),
        term=situation.term,
    )
    frozen = situation.is_frozen(status)
    found = progress(situation.product, status, layout(situation, status), rolling)
    facts = replace(
        facts_of(situation.product, status, rolling, found),
        frozen=frozen,
        committed=situation.committed,
    )
    return RolloutMove(Unchanged() if frozen else found, facts)


def layout(situation: Situation, status: DataProductStatus) -> Layout:
    """Which versions are to live, by this status."""
    candidate = status.candidate
    live = situation.live.get(candidate.revision) if candidate else None
    known = candidate.capacity if candidate is not None and situation.scales else 0
    base = situation.product.spec.serving.base_replicas
    layout = layout_of(
        situation.product,
        status,
        stable_pods=max(known, base) if known else situation.stable_pods,
        followed=situation.followed,
        ready=live.ready if live else 0,
        have={revision: one.replicas for revision, one in situation.live.items()},
    )
    if status.stable is None and status.candidate is not None and situation.product.spec.route:
        return _foreseen(situation, status.candidate, layout)
    return layout


def _foreseen(situation: Situation, candidate: Candidate, layout: Layout) -> Layout:
    """The first version's Deployment as it will be when it serves: then it needs no other write."""
    stable = accepted_version(situation.terms, candidate, candidate.start_time)
    placements = tuple(replace(one, version=stable) for one in layout.placements)
    return replace(layout, placements=placements)


def _moved_at(situation: Situation, status: DataProductStatus) -> float:
    """When the weights in force were written, in seconds; 0 before.

    The API server may refuse the route for long after they were decided, so its own record of the
    last change counts too.
    """
    candidate, traffic, route = status.candidate, status.traffic, situation.route
    if candidate is None or traffic is None or traffic.weight != share_in_force(candidate):
        return 0.0
    return max(traffic.write_time, 0 if route is None else route.changed_by(situation.now))


def _blame(situation: Situation, status: DataProductStatus, candidate: Candidate) -> Blame | None:
    """Whose trouble it would be that no pod of a candidate is ready; None for a first version."""
    if status.stable is None:
        return None
    live = situation.live.get(candidate.revision)
    begun = max(candidate.wait_start_time or candidate.start_time, situation.term)
    return blame_for(
        live,
        of_revision(situation.pods, candidate.revision),
        situation.live.get(status.stable.revision),
        settled=live is not None and situation.now - live.moved >= GRACE_SECONDS,
        overdue=situation.now - begun > situation.product.spec.serving.progress_deadline_seconds,
    )
