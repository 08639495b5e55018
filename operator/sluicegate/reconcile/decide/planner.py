"""One step of one product, pure: from the observation to the desired state, and the events.

First what was decided earlier is carried on, then the newest blocks are judged, then the new
decision is written down. A decision is remembered as done only when the traffic has followed.
"""

from dataclasses import dataclass, replace

from sluicegate.api.names import CHALLENGER_CAUSES, DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import CandidatePhase, VersionSource
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
from sluicegate.policy.model.observed import RolloutProgress
from sluicegate.policy.rollout.decision_status import begin_decision
from sluicegate.reconcile.decide.evaluation_status import (
    with_answers,
    with_figures,
    with_new_share,
    with_removed_answers,
)
from sluicegate.reconcile.decide.events import EventNote, decision_status
from sluicegate.reconcile.decide.layout import allocation, with_returning
from sluicegate.reconcile.decide.retraining_attempt import (
    with_admission,
    with_corrected_job,
    with_ended_training,
    with_job,
    with_pending,
    with_result,
)
from sluicegate.reconcile.decide.rollout import (
    advance,
    progress_of,
    with_time_held,
)
from sluicegate.reconcile.decide.shadow_phase import with_shadow
from sluicegate.reconcile.decide.versions import (
    with_corrected_service,
    with_first_candidate,
    with_names_of_spec,
)
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.traffic.allocation import Allocation, with_capacity


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one decision step: next status, allocation, events.

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
    status = with_corrected_service(observation, status)
    status = with_names_of_spec(status, observation.desired)
    status = with_corrected_job(observation, with_admission(observation, status))
    if status.stable is None:
        status = with_first_candidate(observation, status)
    events: tuple[EventNote, ...] = ()
    evaluation = None
    progress = progress_of(observation, status)
    if status.stable is not None and status.carried_out:
        status, events = _carry_out(observation, status, progress)
        progress = None
    if not events:
        status, events = advance(observation, status, progress)
    status, shadow_events = with_shadow(observation, status)
    events += shadow_events
    if status.stable is not None and not status.carried_out:
        status = with_answers(observation, status)  # a decision keeps those that it is made by
        evaluation, removal_events = with_removed_answers(
            observation, _evaluated(observation, status, None if events else progress)
        )
        status, shadow_events = _apply_decision(observation, status, evaluation)
        events += removal_events + shadow_events
        if isinstance(evaluation.decision, Advance | Promote):  # the pods may be there already
            status, shadow_events = advance(observation, status, progress_of(observation, status))
            events += shadow_events
            status = with_new_share(status, observation.now)
    status = with_answers(observation, status)
    status = bounded(observation.terms, with_ended_training(observation, status))
    status = with_capacity(observation.product, status, observation.stable_pods)
    status = with_returning(observation, status)
    return Plan(status, allocation(observation, status), evaluation, events)


def _carry_out(
    observation: Observation, status: DataProductStatus, progress: RolloutProgress | None
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Continue or end the decided rollout."""
    evaluation = _evaluated(observation, status, progress)
    if not isinstance(evaluation.decision, Hold):
        return _apply_decision(observation, status, evaluation)
    return advance(observation, status, progress)


# ---- deciding -------------------------------------------------------------------------------
def _evaluated(
    observation: Observation, status: DataProductStatus, progress: RolloutProgress | None
) -> Evaluation:
    observed = replace(observation.observed, rollout=progress)
    return evaluate(observation.terms, status, observed, observation.now)


def _apply_decision(
    observation: Observation, status: DataProductStatus, evaluation: Evaluation
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status with the decision: start what it requests, and record what takes time."""
    decision = evaluation.decision
    status = _record_evaluation(observation, status, evaluation)
    candidate = status.candidate
    weight_decided = (
        isinstance(decision, Advance) and candidate and candidate.target == decision.weight
    )
    if isinstance(decision, Hold) and evaluation.training_taken_up:
        return status, (EventNote(str(decision.reason), str(decision.type), decision.message),)
    if isinstance(decision, Hold) or weight_decided:  # the pods for its share are on their way
        return status, ()
    handled_requests = observation.product.status.last_handled
    status = begin_decision(
        observation.terms, status, decision, observation.now, handled=handled_requests
    )
    if isinstance(decision, Retrain):
        status = with_job(observation, status)
    return _with_decision(observation, status, decision)


def _record_evaluation(
    observation: Observation, status: DataProductStatus, evaluation: Evaluation
) -> DataProductStatus:
    """Return the status with the figures of an evaluation, for any decision."""
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


def _is_emitted_with_traffic(decision: Decision) -> bool:
    """Return whether the event of a decision waits until the traffic has shifted."""
    is_from_spec = isinstance(decision, StartRollout) and decision.source is VersionSource.SPEC
    return is_from_spec or isinstance(decision, Advance | Promote)


def _with_decision(
    observation: Observation, status: DataProductStatus, decision: Decision
) -> tuple[DataProductStatus, tuple[EventNote, ...]]:
    """Return the status with the decision, and the event of the decision."""
    decision_shown = decision_status(
        decision.type, decision.reason, decision.message, now=observation.now
    )
    lacks_evidence = isinstance(decision, Promote) and not decision.on_evidence
    remedy = isinstance(decision, Retrain) and decision.reason not in CHALLENGER_CAUSES
    warning = lacks_evidence or remedy or isinstance(decision, Alert | Rollback | Inconclusive)
    candidate = status.candidate
    supersedes = (
        isinstance(decision, StartRollout)
        and candidate is not None
        and candidate.phase is CandidatePhase.ROLLING_BACK
    )
    event = EventNote(
        str(DecisionReason.SUPERSEDED if supersedes else decision.reason),
        str(decision.type),
        decision.message,
        warning=warning,
        log_only=not (lacks_evidence or supersedes) and _is_emitted_with_traffic(decision),
    )
    return status.replace(decision=decision_shown), (event,)
