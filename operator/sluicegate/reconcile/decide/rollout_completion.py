"""Carries on what was decided earlier: a decision is remembered when the traffic has followed."""

from dataclasses import dataclass, replace
from typing import assert_never

from sluicegate.api.base import rfc3339
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, DecisionReason, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, DecisionStatus
from sluicegate.api.versions import Candidate, CandidatePhase, PastVersion
from sluicegate.policy.model.decision import (
    NOT_ITS_DOING,
    Decision,
    Inconclusive,
    Promote,
    Rollback,
)
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.history import MOST_VERSIONS, newest_first
from sluicegate.policy.model.observed import RolloutObservation
from sluicegate.policy.transitions import accept_first, accepted_version, apply_decision
from sluicegate.reconcile.decide.api_gate import at_the_gate, comparison_of
from sluicegate.reconcile.decide.events import Told
from sluicegate.reconcile.decide.retraining_attempt import with_outcome
from sluicegate.reconcile.decide.rollout_progress import (
    Completed,
    Progress,
    Rolling,
    ShareTaken,
    Unchanged,
    facts_of,
    progress,
)
from sluicegate.reconcile.decide.versions import acceptance_time, refused_version
from sluicegate.reconcile.live.failure_attribution import GRACE_SECONDS, Blame, blame_for
from sluicegate.reconcile.live.pods import of_revision, trouble_of
from sluicegate.reconcile.observe.observation import Situation
from sluicegate.reconcile.traffic.allocation import FULL, Layout, layout_of, share_in_force

_AT_FAULT = frozenset(
    {
        DecisionReason.CANARY_NOT_READY,
        DecisionReason.IMAGE_NOT_FOUND,
        DecisionReason.RUNTIME_MISMATCH,
        DecisionReason.SERVICE_NOT_FOUND,
    }
)


def decision_status(kind: str, reason: str, message: str, *, now: int) -> DecisionStatus:
    """A decision as status shows it; `now` in seconds."""
    return DecisionStatus(type=str(kind), reason=str(reason), message=message, decision_time=now)


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
    )
    frozen = situation.is_frozen(status)
    found = progress(situation.product, status, layout(situation, status), rolling)
    facts = replace(
        facts_of(situation.product, status, rolling, found),
        frozen=frozen,
        committed=situation.committed,
    )
    return RolloutMove(Unchanged() if frozen else found, facts)


def advance(
    situation: Situation, status: DataProductStatus, move: RolloutMove | None
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """Go as far as the cluster allows, and what people are told of it."""
    if move is None or status.candidate is None:
        return status, ()
    found = move.found
    if status.candidate.phase is CandidatePhase.STARTING:
        found, status = at_the_gate(situation, status, found)
    match found:
        case Unchanged():
            return status, ()
        case ShareTaken(after):
            text = f"{after.version} takes {after.weight} % of the traffic"
            if after.weight < FULL and status.decision is not None:
                text = f"{text}. {status.decision.message}"
            status = status.replace(candidate=after)
            text += comparison_of(status)
            quiet = after.weight == FULL
            told = Told(EventReason.CANARY_WEIGHT_INCREASED, "ShiftTraffic", text, quiet=quiet)
            return status, (told,)
        case Completed(done, uncounted):
            after_all, told_of = _complete(situation, status, done)
            return after_all, (*_uncounted(situation, status, uncounted), *told_of)
        case unexpected:
            assert_never(unexpected)


def _moved_at(situation: Situation, status: DataProductStatus) -> float:
    """When the weights in force were written, in seconds; 0 before.

    The API server may refuse the route for long after they were decided, so its own record of the
    last change counts too.
    """
    candidate, traffic, route = status.candidate, status.traffic, situation.route
    if candidate is None or traffic is None or traffic.weight != share_in_force(candidate):
        return 0.0
    return max(traffic.write_time, 0 if route is None else route.changed_by(situation.now))


def _uncounted(situation: Situation, status: DataProductStatus, seconds: int) -> tuple[Told, ...]:
    """That pods go though nobody could see whether requests still reached them."""
    candidate, stable = status.candidate, status.stable
    if not seconds or candidate is None or stable is None:
        return ()
    goes = stable if candidate.phase is CandidatePhase.PROMOTING else candidate
    why = f" ({situation.observed.problem})" if situation.observed.problem else ""
    text = (
        f"{goes.version} has had no share of the traffic for {duration(seconds)}, so its pods"
        f" are removed although its requests can't be counted{why}"
    )
    return (Told(EventReason.DRAIN_NOT_COUNTED, "ScaleDown", text, warning=True),)


def _complete(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """What was decided has come true: remember it."""
    if status.stable is None:
        now = acceptance_time(candidate, situation.now)
        told = Told(ConditionReason.SERVING, "Serve", f"{candidate.version} serves")
        return accept_first(situation.terms, status, candidate, now), (told,)
    if candidate.phase is CandidatePhase.PROMOTING:
        return _promoted(situation, status, candidate)
    reason = DecisionReason.read(candidate.decision_reason)
    if candidate.restoring:  # stable stays
        update = {"candidate": None, "history": _without_return(situation, status, candidate)}
        return status.model_copy(update=update), ()
    stable = status.stable
    decision: Decision
    if reason is DecisionReason.INFRASTRUCTURE:
        blame = _blame(situation, status, candidate)
        if blame is None or not blame.own:
            return _parked(situation, status, candidate, reason)
        reason = blame.reason
        seen: dict[str, object] = {"decision_reason": str(reason), "decision_message": blame.text}
        candidate = candidate.replace(**seen)
    if reason in NOT_ITS_DOING:
        return _parked(situation, status, candidate, reason)
    if reason is DecisionReason.MAX_DURATION:
        decision = Inconclusive(
            reason=reason, message=candidate.decision_message, candidate=candidate.release
        )
        outcome = Outcome.INCONCLUSIVE
    else:
        decision = Rollback(
            reason=reason,
            message=candidate.decision_message,
            leaving=candidate.release,
            to=stable.release,
        )
        outcome = Outcome.SUPERSEDED if reason is DecisionReason.SUPERSEDED else Outcome.ROLLED_BACK
    after = with_outcome(acted(situation, status, decision), candidate, outcome, reason)
    refused = refused_version(candidate, outcome, str(reason), situation.now)
    return after.model_copy(
        update={"history": newest_first((refused, *after.history))[:MOST_VERSIONS]}
    ), ()


def _blame(situation: Situation, status: DataProductStatus, candidate: Candidate) -> Blame | None:
    """Whose trouble it would be that no pod of a candidate is ready; None for a first version."""
    if status.stable is None:
        return None
    live = situation.live.get(candidate.revision)
    begun = candidate.wait_start_time or candidate.start_time
    return blame_for(
        live,
        of_revision(situation.pods, candidate.revision),
        situation.live.get(status.stable.revision),
        settled=live is not None and situation.now - live.moved >= GRACE_SECONDS,
        overdue=situation.now - begun > situation.product.spec.serving.progress_deadline_seconds,
    )


def _parked(
    situation: Situation, status: DataProductStatus, candidate: Candidate, reason: DecisionReason
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """Trouble of the cluster, or of Prometheus, ended it: no verdict, no history, another try."""
    decision = Inconclusive(
        reason=reason,
        message=candidate.decision_message,
        candidate=candidate.release,
    )
    after = acted(situation, status, decision)
    waiting = after.candidate
    assert waiting is not None
    assert waiting.retry_time is not None
    text = (
        f"{candidate.version}: {candidate.decision_message}. This is no fault of the model: the rollout is retried"
        f" at {rfc3339(waiting.retry_time)[11:19]} UTC"
    )
    told = Told(EventReason.ROLLOUT_WAITS, "Retry", text, warning=True)
    shown = decision_status(
        DecisionType.INCONCLUSIVE, DecisionReason.INFRASTRUCTURE, text, now=situation.now
    )
    return after.replace(decision=shown), (told,)


def _promoted(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    assert status.stable is not None
    message = candidate.decision_message or f"{candidate.version} serves all traffic"
    decision: Decision
    if candidate.restoring:
        decision = Rollback(
            reason=DecisionReason.read(candidate.decision_reason),
            message=message,
            leaving=status.stable.release,
            to=candidate.release,
        )
        told = Told(
            EventReason.ROLLED_BACK, "RollBack", f"{candidate.version} serves all traffic again"
        )
    else:
        reason = candidate.decision_reason or DecisionReason.CANARY_NOT_WORSE
        decision = Promote(
            reason=DecisionReason.read(reason),
            message=message,
            candidate=candidate.release,
            replaced=status.stable.release,
            candidate_baselines=status.engine.candidate_baselines,
        )
        told = Told(EventReason.PROMOTED, "Promote", f"{candidate.version} serves all traffic")
    after = acted(situation, status, decision)
    return with_outcome(after, candidate, Outcome.PROMOTED, decision.reason), (told,)


def _without_return(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[PastVersion, ...]:
    """The history once a version didn't come back; if its pods are at fault, it isn't tried again.

    A person may still ask for it.
    """
    if candidate.decision_reason not in _AT_FAULT:
        return status.history
    failed = {
        "outcome": Outcome.FAILED,
        "reason": candidate.decision_reason,
        "end_time": situation.now,
    }
    marked = (
        one.model_copy(update=failed) if one.revision == candidate.revision else one
        for one in status.history
    )
    return newest_first(marked)


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


def acted(situation: Situation, status: DataProductStatus, decision: Decision) -> DataProductStatus:
    """The status after a decision was carried out."""
    return apply_decision(situation.terms, status, decision, situation.now)
