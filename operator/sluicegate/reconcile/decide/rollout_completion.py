"""Carries on what was decided earlier: a decision is remembered when the traffic has followed."""

from typing import assert_never

from sluicegate.api.base import rfc3339
from sluicegate.api.event_reasons import EventReason
from sluicegate.api.names import ConditionReason, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, DecisionStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.policy.model.decision import (
    NOT_ITS_DOING,
    Decision,
    Inconclusive,
    Promote,
    Rollback,
)
from sluicegate.policy.model.history import MOST_VERSIONS, newest_first
from sluicegate.policy.model.observed import Failure
from sluicegate.policy.rollout.outcome import conclude, outcome_of, without_return
from sluicegate.policy.rollout.transitions import accept_first, apply_decision
from sluicegate.reconcile.decide.api_gate import at_the_gate, comparison_of
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.retraining_attempt import with_outcome
from sluicegate.reconcile.decide.rollout_observation import RolloutMove
from sluicegate.reconcile.decide.rollout_progress import (
    Completed,
    ShareTaken,
    Unchanged,
)
from sluicegate.reconcile.decide.versions import acceptance_time, refused_version
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import FULL
from sluicegate.views.numbers import duration


def decision_status(kind: str, reason: str, message: str, *, now: int) -> DecisionStatus:
    """A decision as status shows it; `now` in seconds."""
    return DecisionStatus(type=str(kind), reason=str(reason), message=message, decision_time=now)


def advance(
    observation: Observation, status: DataProductStatus, move: RolloutMove | None
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """The status as far as the cluster has followed, and the events to emit."""
    if move is None or status.candidate is None:
        return status, ()
    found = move.found
    if status.stable is not None and status.candidate.phase is CandidatePhase.STARTING:
        found, status = at_the_gate(observation, status, found)
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
            event = EventNote(
                EventReason.CANARY_WEIGHT_INCREASED, "ShiftTraffic", text, quiet=quiet
            )
            return status, (event,)
        case Completed(done, uncounted):
            after_all, told_of = _complete(observation, status, done, move.facts.attribution)
            return after_all, (*_uncounted(observation, status, uncounted), *told_of)
        case unexpected:
            assert_never(unexpected)


def _uncounted(
    observation: Observation, status: DataProductStatus, seconds: int
) -> tuple[EventNote, ...]:
    """The event for pods that are removed although their requests couldn't be counted."""
    candidate, stable = status.candidate, status.stable
    if not seconds or candidate is None or stable is None:
        return ()
    goes = stable if candidate.phase is CandidatePhase.PROMOTING else candidate
    why = f" ({observation.observed.problem})" if observation.observed.problem else ""
    text = (
        f"{goes.version} has had no share of the traffic for {duration(seconds)}, so its pods"
        f" are removed although its requests can't be counted{why}"
    )
    return (EventNote(EventReason.DRAIN_NOT_COUNTED, "ScaleDown", text, warning=True),)


def _complete(
    observation: Observation,
    status: DataProductStatus,
    candidate: Candidate,
    attribution: Failure | None,
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """What was decided has come true: remember it."""
    stable = status.stable
    if stable is None:
        now = acceptance_time(candidate, observation.now)
        event = EventNote(ConditionReason.SERVING, "Serve", f"{candidate.version} serves")
        return accept_first(observation.terms, status, candidate, now), (event,)
    promoting = candidate.phase is CandidatePhase.PROMOTING
    if candidate.restoring and not promoting:  # stable stays
        history = without_return(status, candidate, observation.now)
        return status.replace(candidate=None, history=history), ()
    decision = conclude(status, candidate, stable, attribution)
    after = after_decision(observation, status, decision)
    if isinstance(decision, Promote) or promoting:
        after = with_outcome(after, candidate, Outcome.PROMOTED, decision.reason)
        return after, (_serves_all(candidate),)
    if decision.reason in NOT_ITS_DOING:
        return _waiting(observation, after, decision)
    return _corrected(observation, _refused(observation, after, candidate, decision), decision)


def _refused(
    observation: Observation,
    after: DataProductStatus,
    candidate: Candidate,
    decision: Rollback | Inconclusive,
) -> DataProductStatus:
    """The status with what became of a candidate that isn't tried again by itself."""
    ended, reason = outcome_of(decision), decision.reason
    candidate = candidate.replace(decision_reason=str(reason), decision_message=decision.message)
    after = with_outcome(after, candidate, ended, reason)
    refused = refused_version(candidate, ended, str(reason), observation.now)
    return after.replace(history=newest_first((refused, *after.history))[:MOST_VERSIONS])


def _corrected(
    observation: Observation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """The status and its event, where the cause was found after the traffic had begun to return."""
    known = after.decision
    if known is None or known.reason == decision.reason or known.reason not in NOT_ITS_DOING:
        return after, ()
    name = after.history[0].version
    text = f"{name} is rejected: {decision.message}; its traffic has returned to stable"
    shown = decision_status(decision.type, decision.reason, text, now=observation.now)
    event = EventNote(str(decision.reason), str(decision.type), text, warning=True)
    return after.replace(decision=shown), (event,)


def _serves_all(candidate: Candidate) -> EventNote:
    if candidate.restoring:
        return EventNote(
            EventReason.ROLLED_BACK, "RollBack", f"{candidate.version} serves all traffic again"
        )
    return EventNote(EventReason.PROMOTED, "Promote", f"{candidate.version} serves all traffic")


def _waiting(
    observation: Observation, after: DataProductStatus, decision: Rollback | Inconclusive
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """A fault of the cluster or of Prometheus ended it: no verdict, no history, another try."""
    waiting = after.candidate
    assert waiting is not None
    assert waiting.retry_time is not None
    text = (
        f"{waiting.version}: {decision.message}. This is no fault of the model: the rollout is retried"
        f" at {rfc3339(waiting.retry_time)[11:19]} UTC"
    )
    event = EventNote(EventReason.ROLLOUT_WAITS, "Retry", text, warning=True)
    shown = decision_status(DecisionType.INCONCLUSIVE, decision.reason, text, now=observation.now)
    return after.replace(decision=shown), (event,)


def after_decision(
    observation: Observation, status: DataProductStatus, decision: Decision
) -> DataProductStatus:
    """The status after a decision was carried out."""
    return apply_decision(observation.terms, status, decision, observation.now)
