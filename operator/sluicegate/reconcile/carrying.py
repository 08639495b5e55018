"""Carries on what was decided earlier: a decision is remembered when the traffic has followed."""

from dataclasses import dataclass, replace
from typing import assert_never

from sluicegate.api.canary import Candidate, CandidatePhase, Fate
from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.acts import act
from sluicegate.policy.decision import Decision, Inconclusive, Promote, Rollback
from sluicegate.policy.memory import Baselines, Memory
from sluicegate.policy.recall import memory_of, release_of
from sluicegate.policy.remember import remember
from sluicegate.reconcile.attempts import with_outcome, without_job
from sluicegate.reconcile.layout import Layout, layout_of
from sluicegate.reconcile.pods import of_revision, trouble_of
from sluicegate.reconcile.progress import (
    Completed,
    Rolling,
    ShareTaken,
    TurnedBack,
    Unchanged,
    progress,
)
from sluicegate.reconcile.situation import Situation
from sluicegate.reconcile.versions import first_memory, identifier, refused_version

_WITHOUT_VERDICT = frozenset({DecisionReason.MAX_DURATION, DecisionReason.METRICS_LOST})


@dataclass(frozen=True, slots=True)
class Told:
    """Something that people are told by an event."""

    reason: str
    action: str
    message: str
    warning: bool = False


def carry_on(
    situation: Situation, status: DataProductStatus
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """What the cluster allows by now of what was decided, and what people are told of it."""
    candidate = status.candidate
    if candidate is None or situation.is_frozen(status):
        return status, ()
    rolling = Rolling(
        now=situation.now,
        live=situation.live,
        split=situation.split,
        requests=situation.requests,
        trouble=trouble_of(of_revision(situation.pods, candidate.revision)),
    )
    match progress(situation.product, status, layout(situation, status), rolling):
        case Unchanged():
            return status, ()
        case ShareTaken(after):
            told = Told(
                "CanaryWeightIncreased",
                "ShiftTraffic",
                f"{after.version} takes {after.weight} % of the traffic",
            )
            return status.model_copy(update={"candidate": after}), (told,)
        case TurnedBack(after):
            told = Told(
                after.rollback_reason,
                "RollBack",
                f"{after.version} goes back: {after.rollback_message}",
                warning=True,
            )
            return status.model_copy(update={"candidate": after}), (told,)
        case Completed(done):
            return _complete(situation, status, done)
        case unexpected:
            assert_never(unexpected)


def _complete(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """What was decided has come true: remember it."""
    if status.stable is None:
        memory = first_memory(situation.terms, candidate, situation.now)
        memory = replace(memory, handled=memory_of(status).handled)
        told = Told("Serving", "Serve", f"{candidate.version} serves")
        return remembered(situation, status, memory), (told,)
    if candidate.phase is CandidatePhase.PROMOTING:
        return _promoted(situation, status, candidate)
    stable, status = status.stable, _without_promise(status)
    if candidate.returning:  # it didn't come up: stable stays
        return status.model_copy(update={"candidate": None}), ()
    reason = DecisionReason(candidate.rollback_reason)
    decision: Decision
    if reason in _WITHOUT_VERDICT:
        decision = Inconclusive(
            reason=reason, message=candidate.rollback_message, candidate=release_of(candidate)
        )
        fate = Fate.INCONCLUSIVE
    else:
        decision = Rollback(
            reason=reason,
            message=candidate.rollback_message,
            leaving=release_of(candidate),
            to=release_of(stable),
        )
        fate = Fate.SUPERSEDED if reason is DecisionReason.SUPERSEDED else Fate.ROLLED_BACK
    after = with_outcome(acted(situation, status, decision), candidate, fate, reason)
    refused = refused_version(candidate, fate, str(reason), situation.now)
    return after.model_copy(update={"history": (refused, *after.history)[:20]}), ()


def _promoted(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    assert status.stable is not None
    message = candidate.rollback_message or f"{candidate.version} serves all traffic"
    decision: Decision
    if candidate.returning:
        decision = Rollback(
            reason=DecisionReason(candidate.rollback_reason),
            message=message,
            leaving=release_of(status.stable),
            to=release_of(candidate),
        )
        told = Told("RolledBack", "RollBack", f"{candidate.version} serves all traffic again")
    else:
        decision = Promote(
            reason=DecisionReason.CANARY_NOT_WORSE,
            message=message,
            candidate=release_of(candidate),
            replaced=release_of(status.stable),
            held_against=_promise(status),
        )
        told = Told("Promoted", "Promote", f"{candidate.version} serves all traffic")
    after = acted(situation, status, decision)
    return with_outcome(after, candidate, Fate.REPLACED, decision.reason), (told,)


def _promise(status: DataProductStatus) -> Baselines:
    """What the version that is being promoted will be held against, as `_promote` kept it."""
    kept = memory_of(status)
    if kept.probation is None or kept.stable is None:
        return {}
    return kept.probation.baselines if kept.probation.previous == kept.stable.release else {}


def _without_promise(status: DataProductStatus) -> DataProductStatus:
    """The promotion that it was kept for didn't come about."""
    return status.model_copy(update={"probation": None}) if _promise(status) else status


def layout(situation: Situation, status: DataProductStatus) -> Layout:
    """Which versions are to live, by this status."""
    layout = layout_of(
        situation.product, status, stable_pods=situation.stable_pods, followed=situation.followed
    )
    if status.stable is None and status.candidate is not None and situation.product.spec.route:
        return _foreseen(situation, status, status.candidate, layout)
    return layout


def _foreseen(
    situation: Situation, status: DataProductStatus, candidate: Candidate, layout: Layout
) -> Layout:
    """The first version's Deployment as it will be when it serves: then it needs no other write."""
    begun = int(candidate.since.timestamp())
    memory = first_memory(situation.terms, candidate, begun)
    stable = remembered(situation, status, memory).stable
    assert stable is not None
    placements = tuple(replace(one, version=stable) for one in layout.placements)
    return replace(layout, placements=placements)


def acted(situation: Situation, status: DataProductStatus, decision: Decision) -> DataProductStatus:
    """The status after a decision was carried out."""
    memory = act(situation.terms, memory_of(status), decision, situation.now)
    return remembered(situation, status, memory)


def remembered(
    situation: Situation, status: DataProductStatus, memory: Memory
) -> DataProductStatus:
    """The status with what the engine remembers."""
    identify = identifier(situation.product, status)
    return without_job(remember(status, memory, identify, now=situation.now))
