"""One step of one product, pure: from the observation to the desired state, and the events.

First what was decided earlier is carried on, then the newest blocks are judged, then the new
decision is written down. A decision is remembered as done only when the traffic has followed.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from sluicegate.api.names import OF_CHALLENGERS, DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, VersionSource
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.bounds import bounded
from sluicegate.policy.model.decision import (
    Advance,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Retrain,
    Rollback,
    StartRollout,
)
from sluicegate.policy.model.observed import RolloutObservation
from sluicegate.reconcile.decide.evaluation_status import with_figures, with_new_share
from sluicegate.reconcile.decide.events import EventNote
from sluicegate.reconcile.decide.retraining_attempt import (
    with_corrected_job,
    with_ended_training,
    with_job,
    with_pending,
    with_result,
)
from sluicegate.reconcile.decide.rollout_completion import advance, after_decision, decision_status
from sluicegate.reconcile.decide.rollout_observation import (
    RolloutMove,
    allocation,
    observe_rollout,
    with_time_held,
)
from sluicegate.reconcile.decide.rollout_progress import rolled_back
from sluicegate.reconcile.decide.shadow_phase import with_shadow
from sluicegate.reconcile.decide.versions import (
    first_candidate,
    referred_to,
    returning_candidate,
    without_twin,
)
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import Allocation, with_capacity

_ON_EVIDENCE = frozenset({DecisionReason.CANARY_NOT_WORSE})


@dataclass(frozen=True, slots=True)
class Plan:
    """What one step leads to.

    Attributes
    ----------
    status : what is, and what is remembered; conditions and summary are still the old ones.
    allocation : which versions are to live, with how many pods and which share.
    evaluation : of the newest blocks; None if they weren't evaluated.
    events : to emit.
    """

    status: DataProductStatus
    allocation: Allocation
    evaluation: Evaluation | None = None
    events: tuple[EventNote, ...] = ()


def make_plan(observation: Observation) -> Plan:
    """Compute the next status, the allocation and the events from one observation."""
    status = with_time_held(observation)
    status = _with_corrected_service(observation, status)
    status = without_twin(referred_to(status, observation.wanted))
    status = with_corrected_job(observation, status)
    if status.stable is None:
        status = status.replace(candidate=_first(observation, status))
    events: tuple[EventNote, ...] = ()
    evaluation = None
    move = observe_rollout(observation, status)
    if status.stable is not None and status.carried_out:
        status, events = _carry_out(observation, status, move)
        move = None
    if not events:
        status, events = advance(observation, status, move)
    status, more = with_shadow(observation, status)
    events += more
    if status.stable is not None and not status.carried_out:
        facts = None if move is None or events else move.facts
        evaluation = _evaluated(observation, status, facts)
        status, more = _apply_decision(observation, status, evaluation)
        events += more
        if isinstance(evaluation.decision, Advance | Promote):  # the pods may be there already
            status, more = advance(observation, status, observe_rollout(observation, status))
            events += more
            status = with_new_share(status, observation.now)
    status = bounded(observation.terms, with_ended_training(observation, status))
    status = with_capacity(observation.product, status, observation.stable_pods)
    return Plan(status, allocation(observation, status), evaluation, events)


def _with_corrected_service(
    observation: Observation, status: DataProductStatus
) -> DataProductStatus:
    """The status; what was refused for its entry service's name alone is new under another name."""
    model, wanted = status.spec_model, observation.wanted
    if model is None or model.reason != DecisionReason.SERVICE_NOT_FOUND:
        return status
    failed = next((one for one in status.history if one.revision == wanted.revision), None)
    if failed is None or failed.service == wanted.service:
        return status
    return status.replace(spec_model=None)


def _carry_out(
    observation: Observation, status: DataProductStatus, move: RolloutMove | None
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Go on with what was decided, unless something ends it."""
    evaluation = _evaluated(observation, status, move.facts if move else None)
    if not isinstance(evaluation.decision, Hold):
        return _apply_decision(observation, status, evaluation)
    return advance(observation, status, move)


def _first(observation: Observation, status: DataProductStatus) -> Candidate | None:
    """The version that is to serve first; none while suspend forbids to start one."""
    if observation.is_frozen(status):
        return None
    begun = observation.now if observation.begun is None else observation.begun
    return first_candidate(
        observation.product, status, observation.wanted, begun, claims=not observation.lost
    )


# ---- deciding -------------------------------------------------------------------------------
def _evaluated(
    observation: Observation, status: DataProductStatus, rollout: RolloutObservation | None
) -> Evaluation:
    observed = replace(observation.observed, rollout=rollout)
    return evaluate(observation.terms, status, observed, observation.now)


def _apply_decision(
    observation: Observation, status: DataProductStatus, evaluation: Evaluation
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Write a decision down: what it asks for begins, what takes time is remembered later."""
    decision = evaluation.decision
    status = _record_evaluation(observation, status, evaluation)
    match decision:
        case Hold():
            return status, ()
        case Alert():
            status = after_decision(observation, status, decision)
        case Retrain():
            status = with_job(observation, after_decision(observation, status, decision))
        case StartRollout():
            status = _start(observation, status, decision)
        case Advance():
            if status.candidate and status.candidate.target == decision.weight:
                return status, ()  # the share was decided already: its pods are on their way
            status = status.with_candidate(
                step=decision.step,
                target=decision.weight,
                wait_start_time=observation.now,
            )
        case Promote():
            status = _promote(observation, status, decision)
        case Rollback():
            status = _roll_back(observation, status, decision)
        case Inconclusive():
            status = _turn_back(observation, status, decision.reason, decision.message)
        case _:
            assert_never(decision)
    return _with_decision(observation, status, decision)


def _record_evaluation(
    observation: Observation, status: DataProductStatus, evaluation: Evaluation
) -> DataProductStatus:
    """What an evaluation found, whatever it decided."""
    if not evaluation.judged:
        return evaluation.status
    status = with_figures(
        evaluation.status,
        evaluation,
        block_seconds=observation.terms.block_seconds,
        now=observation.now,
    )
    status = with_pending(observation, status, evaluation.waiting)
    if evaluation.training_taken_up:
        status = with_result(observation, status, evaluation.decision)
    return status


def _promote(
    observation: Observation, status: DataProductStatus, decision: Promote
) -> DataProductStatus:
    """Begin to give it all traffic; the baselines of its probation are fixed now."""
    status = status.with_engine(candidate_baselines=dict(decision.candidate_baselines))
    return status.with_candidate(
        phase=CandidatePhase.PROMOTING,
        wait_start_time=observation.now,
        decision_reason="" if decision.reason in _ON_EVIDENCE else str(decision.reason),
        decision_message=decision.message,
        hold=None,
        requested=observation.product.spec.suspend,
    )


def _start(
    observation: Observation, status: DataProductStatus, decision: StartRollout
) -> DataProductStatus:
    """Begin a rollout; a candidate that has traffic gives it back first."""
    before = status.candidate
    if before is not None and before.phase is not CandidatePhase.PARKED and before.shares:
        return _superseded(observation, status, decision.message)
    return after_decision(observation, status, decision)


def _superseded(
    observation: Observation, status: DataProductStatus, message: str
) -> DataProductStatus:
    """The candidate gives its traffic back; the decision is made again after that.

    So a request that led to it isn't handled yet.
    """
    handled = observation.product.status.last_handled
    waiting = status.replace(last_handled=handled)
    return _turn_back(observation, waiting, DecisionReason.SUPERSEDED, message)


def _roll_back(
    observation: Observation, status: DataProductStatus, decision: Rollback
) -> DataProductStatus:
    candidate = status.candidate
    if candidate is not None and candidate.release == decision.leaving:
        return _turn_back(observation, status, decision.reason, decision.cause or decision.message)
    if candidate is not None and candidate.shares and candidate.phase is not CandidatePhase.PARKED:
        return _superseded(observation, status, decision.message)
    back = returning_candidate(status, decision.to, observation.now)
    if back is None:
        return status
    reasons = {"decision_reason": str(decision.reason), "decision_message": decision.message}
    return status.replace(candidate=back.replace(**reasons))


def _turn_back(
    observation: Observation, status: DataProductStatus, reason: DecisionReason, message: str
) -> DataProductStatus:
    assert status.candidate is not None
    held = status.candidate.replace(hold=None)
    back = rolled_back(held, reason, message, observation.now)
    return status.replace(candidate=back)


def _has_its_event_with_the_traffic(decision: Decision) -> bool:
    """Return whether the event is emitted only once the traffic has shifted."""
    pushed = isinstance(decision, StartRollout) and decision.source is VersionSource.SPEC
    return pushed or isinstance(decision, Advance | Promote)


def _with_decision(
    observation: Observation, status: DataProductStatus, decision: Decision
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status with the decision that it shows, and the event of the decision."""
    shown = decision_status(decision.type, decision.reason, decision.message, now=observation.now)
    unproved = isinstance(decision, Promote) and decision.reason not in _ON_EVIDENCE
    remedy = isinstance(decision, Retrain) and decision.reason not in OF_CHALLENGERS
    warning = unproved or remedy or isinstance(decision, Alert | Rollback | Inconclusive)
    event = EventNote(
        str(decision.reason),
        str(decision.type),
        decision.message,
        warning=warning,
        quiet=not unproved and _has_its_event_with_the_traffic(decision),
    )
    return status.replace(decision=shown), (event,)
