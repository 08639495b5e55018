"""Carries on what was decided earlier: a decision is remembered when the traffic has followed."""

from typing import assert_never

from sluicegate.api.base import rfc3339
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, DecisionReason, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, DecisionStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.policy.canary.outcome import conclude, outcome_of, without_return
from sluicegate.policy.model.decision import (
    NOT_ITS_DOING,
    Decision,
    Inconclusive,
    Promote,
    Rollback,
)
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.history import MOST_VERSIONS, newest_first
from sluicegate.policy.model.observed import Failure
from sluicegate.policy.transitions import accept_first, apply_decision
from sluicegate.reconcile.decide.api_gate import at_the_gate, comparison_of
from sluicegate.reconcile.decide.events import Told
from sluicegate.reconcile.decide.retraining_attempt import with_outcome
from sluicegate.reconcile.decide.rollout_observation import RolloutMove
from sluicegate.reconcile.decide.rollout_progress import (
    Completed,
    ShareTaken,
    Unchanged,
)
from sluicegate.reconcile.decide.versions import acceptance_time, refused_version
from sluicegate.reconcile.observe.observation import Situation
from sluicegate.reconcile.traffic.allocation import FULL


def decision_status(kind: str, reason: str, message: str, *, now: int) -> DecisionStatus:
    """A decision as status shows it; `now` in seconds."""
    return DecisionStatus(type=str(kind), reason=str(reason), message=message, decision_time=now)


def advance(
    situation: Situation, status: DataProductStatus, move: RolloutMove | None
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """Go as far as the cluster allows, and what people are told of it."""
    if move is None or status.candidate is None:
        return status, ()
    found = move.found
    if status.stable is not None and status.candidate.phase is CandidatePhase.STARTING:
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
            after_all, told_of = _complete(situation, status, done, move.facts.blame)
            return after_all, (*_uncounted(situation, status, uncounted), *told_of)
        case unexpected:
            assert_never(unexpected)


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
    situation: Situation, status: DataProductStatus, candidate: Candidate, blame: Failure | None
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """What was decided has come true: remember it."""
    stable = status.stable
    if stable is None:
        now = acceptance_time(candidate, situation.now)
        told = Told(ConditionReason.SERVING, "Serve", f"{candidate.version} serves")
        return accept_first(situation.terms, status, candidate, now), (told,)
    promoting = candidate.phase is CandidatePhase.PROMOTING
    if candidate.restoring and not promoting:  # stable stays
        history = without_return(status, candidate, situation.now)
        return status.replace(candidate=None, history=history), ()
    decision = conclude(status, candidate, stable, blame)
    after = acted(situation, status, decision)
    if isinstance(decision, Promote) or promoting:
        after = with_outcome(after, candidate, Outcome.PROMOTED, decision.reason)
        return after, (_serves_all(candidate),)
    if decision.reason in NOT_ITS_DOING:
        return _waiting(situation, after, decision)
    return _refused(situation, after, candidate, decision), ()


def _refused(
    situation: Situation,
    after: DataProductStatus,
    candidate: Candidate,
    decision: Rollback | Inconclusive,
) -> DataProductStatus:
    """The status with what became of a candidate that isn't tried again by itself."""
    ended, reason = outcome_of(decision), decision.reason
    candidate = candidate.replace(decision_reason=str(reason), decision_message=decision.message)
    after = with_outcome(after, candidate, ended, reason)
    refused = refused_version(candidate, ended, str(reason), situation.now)
    return after.replace(history=newest_first((refused, *after.history))[:MOST_VERSIONS])


def _serves_all(candidate: Candidate) -> Told:
    if candidate.restoring:
        return Told(
            EventReason.ROLLED_BACK, "RollBack", f"{candidate.version} serves all traffic again"
        )
    return Told(EventReason.PROMOTED, "Promote", f"{candidate.version} serves all traffic")


def _waiting(
    situation: Situation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[Told, ...]]:
    """Trouble of the cluster, or of Prometheus, ended it: no verdict, no history, another try."""
    waiting = after.candidate
    assert waiting is not None
    assert waiting.retry_time is not None
    text = (
        f"{waiting.version}: {decision.message}. This is no fault of the model: the rollout is retried"
        f" at {rfc3339(waiting.retry_time)[11:19]} UTC"
    )
    told = Told(EventReason.ROLLOUT_WAITS, "Retry", text, warning=True)
    shown = decision_status(
        DecisionType.INCONCLUSIVE, DecisionReason.INFRASTRUCTURE, text, now=situation.now
    )
    return after.replace(decision=shown), (told,)


def acted(situation: Situation, status: DataProductStatus, decision: Decision) -> DataProductStatus:
    """The status after a decision was carried out."""
    return apply_decision(situation.terms, status, decision, situation.now)
