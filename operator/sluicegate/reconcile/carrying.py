"""Carries on what was decided earlier: a decision is remembered when the traffic has followed."""

from dataclasses import dataclass, replace
from typing import assert_never

from sluicegate.api.base import at
from sluicegate.api.canary import Candidate, CandidatePhase, Fate, PastVersion
from sluicegate.api.names import DecisionReason, DecisionType
from sluicegate.api.status import DataProductStatus, DecisionStatus
from sluicegate.policy.acts import act
from sluicegate.policy.decision import Decision, Inconclusive, Promote, Rollback
from sluicegate.policy.memory import Memory
from sluicegate.policy.recall import baselines_of, memory_of, release_of
from sluicegate.policy.remember import remember
from sluicegate.reconcile.api_gate import at_the_gate, comparison_of
from sluicegate.reconcile.attempts import with_outcome, without_job
from sluicegate.reconcile.blame import GRACE_SECONDS, Blame, blame_for
from sluicegate.reconcile.layout import FULL, Layout, layout_of
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

_AT_FAULT = frozenset(
    {
        DecisionReason.CANARY_NOT_READY,
        DecisionReason.IMAGE_NOT_FOUND,
        DecisionReason.RUNTIME_MISMATCH,
        DecisionReason.SERVICE_NOT_FOUND,
    }
)
_WITHOUT_VERDICT = frozenset({DecisionReason.MAX_DURATION, DecisionReason.METRICS_LOST})


@dataclass(frozen=True, slots=True)
class Told:
    """Something that people are told by an event; a quiet one is only logged.

    That a rollout goes on is told when the traffic follows, and all steps share one series.
    """

    reason: str
    action: str
    message: str
    warning: bool = False
    quiet: bool = False


def decision_status(kind: str, reason: str, message: str, *, now: int) -> DecisionStatus:
    """A decision as status shows it; `now` in seconds."""
    return DecisionStatus(type=str(kind), reason=str(reason), message=message, at=at(now))


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
        blame=_blame(situation, status, candidate),
    )
    found = progress(situation.product, status, layout(situation, status), rolling)
    if candidate.phase is CandidatePhase.STARTING:
        found, memory = at_the_gate(situation, status, found)
        status = status if memory is None else remembered(situation, status, memory)
    match found:
        case Unchanged():
            return status, ()
        case ShareTaken(after):
            text = f"{after.version} takes {after.weight} % of the traffic"
            if after.weight < FULL and status.decision is not None:
                text = f"{text}. {status.decision.message}"
            status = status.model_copy(update={"candidate": after})
            text += comparison_of(status)
            quiet = after.weight == FULL
            told = Told("CanaryWeightIncreased", "ShiftTraffic", text, quiet=quiet)
            return status, (told,)
        case TurnedBack(after):
            text = f"{after.version} goes back: {after.rollback_message}"
            if after.returning and status.stable is not None:
                text = (
                    f"{after.version} can't come back, {status.stable.version} serves on:"
                    f" {after.rollback_message}"
                )
            told = Told(after.rollback_reason, "RollBack", text, warning=True)
            kind = DecisionType.ALERT if after.returning else DecisionType.ROLLBACK
            shown = decision_status(kind, after.rollback_reason, text, now=situation.now)
            return status.model_copy(update={"candidate": after, "decision": shown}), (told,)
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
    reason = DecisionReason.read(candidate.rollback_reason)
    if candidate.returning:  # stable stays
        update = {"candidate": None, "history": _without_return(situation, status, candidate)}
        return status.model_copy(update=update), ()
    stable = status.stable
    decision: Decision
    if reason is DecisionReason.INFRASTRUCTURE:
        blame = _blame(situation, status, candidate)
        if blame is None or not blame.own:
            return _parked(situation, status, candidate)
        reason = blame.reason
        seen: dict[str, object] = {"rollback_reason": str(reason), "rollback_message": blame.text}
        candidate = candidate.model_copy(update=seen)
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


def _blame(situation: Situation, status: DataProductStatus, candidate: Candidate) -> Blame | None:
    """Whose trouble it would be that no pod of a candidate is ready; None for a first version."""
    if status.stable is None:
        return None
    live = situation.live.get(candidate.revision)
    return blame_for(
        live,
        of_revision(situation.pods, candidate.revision),
        situation.live.get(status.stable.revision),
        settled=live is not None and situation.now - live.moved >= GRACE_SECONDS,
    )


def _parked(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """Trouble of the cluster ended it: no verdict, nothing for the history, and another try."""
    decision = Inconclusive(
        reason=DecisionReason.INFRASTRUCTURE,
        message=candidate.rollback_message,
        candidate=release_of(candidate),
    )
    after = acted(situation, status, decision)
    waiting = after.candidate
    assert waiting is not None
    assert waiting.retry_at is not None
    text = (
        f"{candidate.version}: {candidate.rollback_message}. That isn't its doing: it is tried again"
        f" at {waiting.retry_at:%H:%M:%S} UTC"
    )
    told = Told("RolloutWaits", "Retry", text, warning=True)
    shown = decision_status(
        DecisionType.INCONCLUSIVE, DecisionReason.INFRASTRUCTURE, text, now=situation.now
    )
    return after.model_copy(update={"decision": shown}), (told,)


def _promoted(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    assert status.stable is not None
    message = candidate.rollback_message or f"{candidate.version} serves all traffic"
    decision: Decision
    if candidate.returning:
        decision = Rollback(
            reason=DecisionReason.read(candidate.rollback_reason),
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
            held_against=baselines_of(candidate.held_against),
        )
        told = Told("Promoted", "Promote", f"{candidate.version} serves all traffic")
    after = acted(situation, status, decision)
    return with_outcome(after, candidate, Fate.REPLACED, decision.reason), (told,)


def _without_return(
    situation: Situation, status: DataProductStatus, candidate: Candidate
) -> tuple[PastVersion, ...]:
    """The history once a version didn't come back; if its pods are at fault, it isn't tried again.

    A person may still ask for it.
    """
    if candidate.rollback_reason not in _AT_FAULT:
        return status.history
    failed = {
        "fate": Fate.FAILED,
        "reason": candidate.rollback_reason,
        "until": at(situation.now),
    }
    marked = (
        one.model_copy(update=failed) if one.revision == candidate.revision else one
        for one in status.history
    )
    return tuple(sorted(marked, key=lambda one: one.until, reverse=True))


def layout(situation: Situation, status: DataProductStatus) -> Layout:
    """Which versions are to live, by this status."""
    candidate = status.candidate
    live = situation.live.get(candidate.revision) if candidate else None
    layout = layout_of(
        situation.product,
        status,
        stable_pods=situation.stable_pods,
        followed=situation.followed,
        ready=live.ready if live else 0,
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
