"""The entry of policy: compute the decision about a product from its observation and status. Pure.

Judge each SLO of the stable version, update the evidence that status keeps, assess the candidate,
then collect the decisions that apply; the one of highest precedence is made. Evaluating the same
block twice changes nothing.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sluicegate.api.engine import ProductState, SloRecord, TimeInterval
from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.rollout import Approval
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.policy import training_results
from sluicegate.policy.canary import rollout_defaults, verdict
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.consumer_cases import with_consumers
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.holds import CanaryHold, hold_of
from sluicegate.policy.canary.market_harm import with_harmed_markets
from sluicegate.policy.canary.objections import can_be_judged
from sluicegate.policy.canary.slo_evidence import Assessment
from sluicegate.policy.diagnosis.checks import DiagnosisResult
from sluicegate.policy.diagnosis.disturbances import evidence_restarted, with_disturbances
from sluicegate.policy.diagnosis.market_place import in_its_market
from sluicegate.policy.diagnosis.market_remedy import market_triggers, remedies_in_markets
from sluicegate.policy.diagnosis.remedy import Remedy, remedies_for, waiting
from sluicegate.policy.model.attended_time import attended_seconds, with_absences
from sluicegate.policy.model.decision import (
    ENDED_BY_FAULTS,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Proposal,
    Retrain,
    Rollback,
    StartRollout,
    alert_key,
    highest_precedence,
)
from sluicegate.policy.model.desired_model import with_spec_model
from sluicegate.policy.model.observed import ManualRequest, Observed
from sluicegate.policy.model.pending_requests import (
    approving_request,
    with_notes,
    with_request_handled,
)
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining import challenger as challengers
from sluicegate.policy.retraining import pauses
from sluicegate.policy.retraining.preconditions import WaitingRetraining, trigger_of
from sluicegate.policy.rollout import api_gate, approvals, new_versions, request_decisions
from sluicegate.policy.rollout.rollbacks import consumer_rollback
from sluicegate.policy.rollout.setbacks import setback_rollback
from sluicegate.policy.slo_health.confirmation import product_state
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.market_results import MarketStates, judge_by_market, trains_for
from sluicegate.policy.slo_health.messages import capitalised, joined_text
from sluicegate.policy.slo_health.ratio_slo import SloResult, is_suspected, unknown
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import NOTHING
from sluicegate.views.numbers import duration

OUTAGE_ALERT_SECONDS: Final = 300
"""Seconds without measurements after which an alert is emitted."""
MEASUREMENTS: Final = "measurements"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation: SLO states, diagnosis, canary evidence, decision.

    Attributes
    ----------
    decision : what to do.
    state : of the product.
    slos : what each SLO shows, in the order of the spec.
    diagnosis : why the product is degraded; None while it isn't.
    assessment : what the candidate shows; None while none takes traffic.
    status : to be kept, whether or not the decision is carried out; `rollout.decision_status` adds what follows
        from carrying it out.
    training_taken_up : the result of a training that was observed is done with.
    waiting : a retraining that is due and may not start yet.
    judged : the newest blocks were judged; not while a decision about a candidate is carried out.
    hold : the check that holds a candidate at its share; None while none does, or none is judged.
    markets : what each SLO shows by market; None while nothing new is known.
    """

    decision: Decision
    state: ProductState
    slos: tuple[SloResult, ...]
    diagnosis: DiagnosisResult | None
    assessment: Assessment | None
    status: DataProductStatus
    training_taken_up: bool = False
    waiting: WaitingRetraining | None = None
    judged: bool = True
    hold: CanaryHold | None = None
    markets: MarketStates | None = None


def evaluate(terms: Terms, status: DataProductStatus, observed: Observed, now: int) -> Evaluation:
    """Judge a product at the end of its newest block and decide.

    Parameters
    ----------
    terms : what it is judged by. status : what the last evaluation left.
    observed : what was read. now : in seconds; waits and cooldowns are counted by it.
    """
    terms = rollout_defaults.terms_for_next(terms, observed)
    evaluation = _evaluated(terms, status, observed, now)
    decision = rollout_defaults.with_derived_defaults(terms, observed, evaluation.decision)
    next_status = _without_approval(evaluation.status, observed, decision)
    # Of an abort, the note of an earlier approval is no reason.
    base_status = evaluation.status if decision.reason is Reason.ABORT_REQUESTED else next_status
    return replace(
        evaluation, decision=with_notes(decision, status, base_status, observed), status=next_status
    )


def _without_approval(
    status: DataProductStatus, observed: Observed, decision: Decision
) -> DataProductStatus:
    """Remove a candidate's approval after its promotion or the end of its rollout.

    It would otherwise start the rollout again that a person aborted, or that evidence ended. A
    rollout that a fault of the cluster ended is retried with it.
    """
    trial, request = status.trial, approving_request(status, observed)
    if trial is None or request is None or decision.reason in ENDED_BY_FAULTS:
        return status
    match decision:
        case Inconclusive():
            approval_ends = True
        case Promote():
            approval_ends = decision.candidate == trial.release
        case Rollback():
            approval_ends = decision.leaving == trial.release
        case _:
            approval_ends = False
    return with_request_handled(status, request) if approval_ends else status


def _evaluated(terms: Terms, status: DataProductStatus, observed: Observed, now: int) -> Evaluation:
    if status.stable is not None and status.carried_out:
        return _promotion_end(terms, status, observed, now)
    status = _refreshed(terms, status, observed, now)
    if status.stable is None:
        return _without_stable(terms, status)
    judged_slos, remedies, status = _judged(terms, status, status.stable, observed, now=now)
    results = judged_slos.results
    state = product_state((result, status.engine.slo(result.terms.name)) for result in results)
    if state is not ProductState.UNKNOWN and state is not status.engine.last_known_state:
        status = status.with_engine(last_known_state=state)
    status = _without_ended_alerts(terms, status, observed)
    status = rollout_defaults.with_longer_duration(terms, status, observed)
    current, assessment = rollout_defaults.terms_for_current(terms, status, observed), None
    if status.trial is not None and status.trial.weight > 0:
        assessment = assess(current, status, status.trial, observed)
        assessment = with_harmed_markets(current, status.trial, observed, assessment)
        assessment = with_consumers(current, status, status.trial, observed, assessment=assessment)
        status = _with_stored_correlation(status, assessment)
    case = _Case(status, observed, results, assessment, state, now, current)
    case = replace(case, canary=_candidate_proposals(case))
    challenger = _challenger(terms, case)
    decision, diagnosis = _decide(terms, case, remedies, challenger)
    if decision.takes_up_training:  # what is due next follows from how it ended
        status = decision.status
        remedies = _remedies(terms, status, observed, judged_slos, now=now)
        diagnosis = next((cause for _, cause in remedies), None)
    waiting_retraining = waiting(terms, status, remedies)
    if waiting_retraining is None and isinstance(challenger, WaitingRetraining):
        waiting_retraining = challenger
    return Evaluation(
        decision.decision,
        state,
        results,
        diagnosis,
        assessment,
        decision.status,
        decision.takes_up_training,
        waiting_retraining,
        hold=_present_hold(terms, case),
        markets=judged_slos.markets,
    )


# ---- before judging -------------------------------------------------------------------------
def _refreshed(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> DataProductStatus:
    """Update the status by an outage, an edited SLO, and a spec.model that equals stable."""
    since, measurements_lost = (
        status.engine.outage_start_time,
        observed.problem in new_versions.LOST_REASONS,
    )
    ended_outages = (
        ()
        if measurements_lost or since is None or since >= now
        else (TimeInterval(begin=since, end=now),)
    )
    status = with_absences(status, (*observed.absences, *ended_outages), now)
    if measurements_lost != (status.engine.outage_start_time is not None):
        status = status.with_engine(outage_start_time=now if measurements_lost else None)
    edited = {
        slo.name: _restarted(status.engine.slos.get(slo.name), slo, now)
        for slo in terms.slos
        if slo.name not in status.engine.slos
        # Records of earlier releases hash the margins, too.
        or status.engine.slos[slo.name].terms_hash not in {slo.indicator_hash, slo.hash}
    }
    if edited:
        status = status.with_engine(slos={**status.engine.slos, **edited})
    degraded = any(slo.degraded for slo in status.engine.slos.values()) or trains_for(terms, status)
    status = pauses.with_corrected_pauses(
        terms, status, now=now, degraded=degraded, withheld=observed.withheld
    )
    return with_spec_model(status, observed.desired, now)


def _restarted(record: SloRecord | None, slo: SloTerms, now: int) -> SloRecord:
    """Restart the evidence of an edited indicator; a new SLO uses all blocks.

    Objective and margins are what the same evidence is compared with, so another one of these takes nothing away.
    """
    if record is None or not record.terms_hash:
        return (record or SloRecord(steady_start_time=0)).replace(terms_hash=slo.indicator_hash)
    return SloRecord(steady_start_time=now, since=now, terms_hash=slo.indicator_hash)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The results of the stable version's SLOs, in total and by market; None for SLOs that weren't judged."""

    results: tuple[SloResult, ...]
    markets: MarketStates | None


def _judged(
    terms: Terms, status: DataProductStatus, stable: Version, observed: Observed, *, now: int
) -> tuple[_Judged, list[tuple[Remedy, DiagnosisResult]], DataProductStatus]:
    """Return the results of the stable version's SLOs, their remedies, and the state to keep.

    Once more where a cause outside the model has ended: what was measured in it counts no longer.
    """
    judged_slos, status = _judge(terms, status, stable, observed)
    remedies = _remedies(terms, status, observed, judged_slos, now=now)
    diagnoses = (diagnosis for _, diagnosis in remedies)
    next_status = with_disturbances(
        terms, status, observed, judged_slos.results, diagnoses=diagnoses
    )
    if not evidence_restarted(status, next_status) or next_status.stable is None:
        return judged_slos, remedies, next_status
    judged_slos, next_status = _judge(terms, next_status, next_status.stable, observed)
    return judged_slos, _remedies(terms, next_status, observed, judged_slos, now=now), next_status


def _judge(
    terms: Terms, status: DataProductStatus, stable: Version, observed: Observed
) -> tuple[_Judged, DataProductStatus]:
    results, status = judge_stable(terms, status, stable, observed)
    markets, status = judge_by_market(terms, status, stable, observed=observed, results=results)
    return _Judged(results, markets), status


def _remedies(
    terms: Terms, status: DataProductStatus, observed: Observed, judged_slos: _Judged, *, now: int
) -> list[tuple[Remedy, DiagnosisResult]]:
    """Return the remedies of degraded SLOs, then those of markets that alone miss an SLO."""
    markets = judged_slos.markets or {}
    assert status.stable is not None
    add_market = partial(in_its_market, stable=status.stable, observed=observed, markets=markets)
    return [
        *remedies_for(terms, status, observed, judged_slos.results, now=now, place=add_market),
        *remedies_in_markets(
            terms, status, observed, judged_slos.results, markets=markets, now=now
        ),
    ]


def _without_stable(terms: Terms, status: DataProductStatus) -> Evaluation:
    results = tuple(unknown(slo, Reason.NO_STABLE, NOTHING, None) for slo in terms.slos)
    hold = Hold(reason=Reason.NO_STABLE, message="No version has been accepted yet")
    return Evaluation(hold, ProductState.UNKNOWN, results, None, None, status)


def _without_ended_alerts(
    terms: Terms, status: DataProductStatus, observed: Observed
) -> DataProductStatus:
    """Remove recorded alerts whose problem has ended."""
    if not status.engine.emitted_alerts:
        return status
    assert status.stable is not None
    subjects = {status.trial.release.version} if status.trial else set()
    if status.engine.outage_start_time is not None:
        subjects.add(MEASUREMENTS)
        subjects |= {observed.desired.version} if observed.desired else set()
    subjects |= set(market_triggers(terms, status))
    for name in (*(slo.name for slo in terms.slos), CLIENT_ERRORS):
        record = status.engine.slo(name)
        if record.degraded:
            first = record.streak.first if record.streak else status.stable.promotion_time
            subjects.add(trigger_of(terms, status.stable.release.version, name, first))
    kept_keys = tuple(
        key for key in status.engine.emitted_alerts if key.partition("/")[2] in subjects
    )
    return (
        status
        if kept_keys == status.engine.emitted_alerts
        else status.with_engine(emitted_alerts=kept_keys)
    )


def _with_stored_correlation(
    status: DataProductStatus, assessment: Assessment
) -> DataProductStatus:
    """Store the correlation of stable's blocks before the rollout, and the settling time of stable's labels.

    These blocks are dropped later. A class of age is added once labels show it.
    """
    settling_before = status.engine.label_settling if status.engine.correlation else {}
    settling = {
        slo.terms.name: seconds
        for slo in assessment.slos
        if not slo.terms.consumer
        and (seconds := slo.settle_seconds(settling_before.get(slo.terms.name, 0)))
    }
    if settling != status.engine.label_settling:
        status = status.with_engine(label_settling=settling)
    if status.engine.correlation:
        return status
    own_slos = [slo for slo in assessment.slos if not slo.terms.consumer]
    correlation = {slo.terms.name: slo.correlation for slo in own_slos}
    return status.with_engine(correlation=correlation)


# ---- while a decision is carried out --------------------------------------------------------
def _promotion_end(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Evaluation:
    """Return the decision that ends a promotion in progress: by a request, a new spec.model, failing pods or traffic."""
    proposals = request_decisions.request_decisions(terms, status, observed, now)
    decisions = (
        setback_rollback(status, observed),
        new_versions.overtaking_decision(terms, status, observed),
    )
    proposals += [Proposal(decision, status) for decision in decisions if decision is not None]
    text = "the last decision about the candidate is being carried out"
    proposals.append(Proposal(Hold(reason=Reason.CANARY_IN_PROGRESS, message=text), status))
    proposal = highest_precedence(proposals)
    state = status.state or ProductState.UNKNOWN
    return Evaluation(proposal.decision, state, (), None, None, proposal.status, judged=False)


# ---- deciding -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Case:
    """The input of the proposals; `current` are the terms of the present rollout."""

    status: DataProductStatus
    observed: Observed
    results: tuple[SloResult, ...]
    assessment: Assessment | None
    state: ProductState
    now: int
    current: Terms
    canary: Proposal | None = None


def _challenger(terms: Terms, case: _Case) -> Retrain | WaitingRetraining | None:
    """Return the challenger that is due; none while spec.suspend is set."""
    if terms.suspend:
        return None
    is_suspect = any(is_suspected(result) for result in case.results)
    return challengers.due_challenger(
        terms, case.status, case.observed, suspected=is_suspect, now=case.now
    )


def _decide(
    terms: Terms,
    case: _Case,
    remedies: list[tuple[Remedy, DiagnosisResult]],
    challenger: Retrain | WaitingRetraining | None,
) -> tuple[Proposal, DiagnosisResult | None]:
    """Collect the proposals of all rules, and return the decision that precedes."""
    status, observed, now = case.status, case.observed, case.now
    proposals = request_decisions.request_decisions(terms, status, observed, now)
    rollbacks = (
        setback_rollback(status, observed),
        approvals.objection(terms, status, observed, now),
    )
    proposals += [Proposal(decision, status) for decision in rollbacks if decision is not None]
    if terms.suspend:
        text = "spec.suspend is set: nothing is changed. " + _summary(terms, case)
        proposals.append(Proposal(Hold(reason=Reason.SUSPENDED, message=text), status))
        proposals += [case.canary] if case.canary and _is_approval_requested(terms, case) else []
    else:
        proposals += _version_proposals(terms, case)
        other_proposals = [
            *(remedy for remedy, _ in remedies),
            *filter(None, (consumer_rollback(terms, status, observed, now),)),
            *_outage_alert(case),
            _hold(terms, case),
        ]
        proposals += [Proposal(decision, status) for decision in other_proposals]
        proposals += [Proposal(challenger, status)] if isinstance(challenger, Retrain) else []
    proposal = highest_precedence(proposals)
    causes = [diagnosis for remedy, diagnosis in remedies if remedy is proposal.decision]
    causes += [diagnosis for _, diagnosis in remedies]
    return proposal, causes[0] if causes else None


def _version_proposals(terms: Terms, case: _Case) -> list[Proposal]:
    status, observed, now = case.status, case.observed, case.now
    if case.canary is not None and verdict.replaces_failed_stable(case.canary.decision):
        return [case.canary]  # another spec.model is tried against what answers
    changed = new_versions.decision_of_spec(terms, status, observed)
    if isinstance(changed, Rollback):
        return [Proposal(changed, status)]
    proposals: list[Proposal] = []
    if changed is not None:
        proposals.append(Proposal(changed, status))
    retry = new_versions.retry_due(terms, status, observed, now)
    if retry is not None and changed is None:
        proposals.append(Proposal(retry, status))
    arrival = training_results.process_training_result(terms, status, observed, now)
    if arrival is not None:
        proposals.append(arrival)
    canary = case.canary
    if canary is not None and not (
        isinstance(changed, StartRollout) and not isinstance(canary.decision, Rollback)
    ):
        proposals.append(canary)
    return proposals


@dataclass(frozen=True, slots=True)
class _Consent:
    """The agreement to the last step.

    Attributes
    ----------
    given : each does, or silence counts so. requested : people do, without any silence.
    named : they name the version. request : the request of the one person who suffices; None where
        parties have to agree, or none has asked.
    state : of the parties; None where the spec names none.
    """

    given: bool
    requested: bool
    named: bool
    request: ManualRequest | None
    state: approvals.ApprovalState | None

    @property
    def text(self) -> str:
        """Return the awaited approval as a clause for another hold's message; empty without one."""
        if self.request is not None:
            return f"{self.request.annotation}={self.request.value}"
        return f"{REQUEST_PROMOTE} by the parties" if self.given else ""


def _consent(terms: Terms, case: _Case) -> _Consent:
    """Return the approval state: of the parties in the spec, else of one person."""
    state = approvals.approval_state(terms, case.status, case.observed, case.now)
    if state is not None:
        return _Consent(state.agreed, state.requested, named=True, request=None, state=state)
    request = approving_request(case.status, case.observed)
    is_given = request is not None
    return _Consent(is_given, is_given, bool(request and request.version), request, None)


def _is_approval_requested(terms: Terms, case: _Case) -> bool:
    """Return whether a person requests the candidate's next step although the product is suspended."""
    candidate = case.status.trial
    return candidate is not None and (candidate.requested or _consent(terms, case).requested)


def _candidate_proposals(case: _Case) -> Proposal | None:
    status, observed = case.status, case.observed
    api_hold = api_gate.objection(status, observed)
    if api_hold is not None:
        return Proposal(api_hold, status)
    if status.trial is None or case.assessment is None:
        return None
    consent = _consent(case.current, case)
    canary = CanaryCase(
        case.current,
        status,
        status.trial,
        case.assessment,
        facts=observed.facts,
        now=case.now,
        approved=consent.given,
        approvals=consent.state,
        forced=consent.given and _is_forced(case.current, consent),
        blocks_unread=case.now - observed.term < verdict.LOST_SECONDS,
    )
    return Proposal(verdict.decide(canary), status)


def _present_hold(terms: Terms, case: _Case) -> CanaryHold | None:
    """Return the check that holds a candidate with traffic, and the pending request for it."""
    candidate, canary = case.status.trial, case.canary
    if candidate is None or canary is None or case.assessment is None:
        return None
    if terms.suspend and not _is_approval_requested(terms, case):
        return None
    request = _consent(case.current, case).text
    return hold_of(candidate, canary.decision, case.observed, now=case.now, request=request)


def _is_forced(terms: Terms, consent: _Consent) -> bool:
    """Return whether a person requests the promotion without evidence, by the version's name.

    If the last step needs an approval, it is that, unless no SLO can ever favour a version.
    """
    automatic = terms.approval is Approval.AUTOMATIC
    return consent.named and (automatic or not can_be_judged(terms))


def _outage_alert(case: _Case) -> list[Alert]:
    """Return an alert, emitted once, after five minutes without measurements."""
    since = case.status.engine.outage_start_time
    if since is None:
        return []
    lasted_seconds = attended_seconds(case.status, since, case.now)
    if lasted_seconds < OUTAGE_ALERT_SECONDS:
        return []
    reason = case.observed.problem or Reason.PROMETHEUS_UNAVAILABLE
    if alert_key(reason, MEASUREMENTS) in case.status.engine.emitted_alerts:
        return []
    lasted_text = duration(lasted_seconds)
    return [
        Alert(
            reason=reason,
            message=f"Nothing could be measured for {lasted_text} ({reason}); nothing is changed meanwhile",
            numbers={"seconds": lasted_seconds},
            about=MEASUREMENTS,
        )
    ]


def _hold(terms: Terms, case: _Case) -> Hold:
    """Return a hold whose message describes the present state."""
    running = case.status.training
    text = _summary(terms, case)
    if case.state is ProductState.UNKNOWN:
        unknown_ones = [
            result
            for result in case.results
            if result.terms.deciding and result.state is SloState.UNKNOWN
        ]
        reason = unknown_ones[0].reason if unknown_ones else Reason.UNKNOWN
        return Hold(reason=reason, message=text)
    if running is not None:
        lasted_seconds = (
            case.status.retraining.seconds_run(case.now) if case.status.retraining else 0
        )
        lasted_text = duration(max(lasted_seconds or 0, 0))
        text += f"; retraining has run for {lasted_text}"
        return Hold(reason=Reason.ALREADY_RETRAINING, message=text)
    if case.state is ProductState.DEGRADING:
        return Hold(reason=Reason.NOT_CONFIRMED, message=text)
    return Hold(reason=Reason.HEALTHY, message=text)


def _summary(terms: Terms, case: _Case) -> str:
    unmet = [
        result
        for result in case.results
        if result.terms.deciding and result.state in {SloState.AT_RISK, SloState.MISSED}
    ]
    results = unmet or [result for result in case.results if result.terms.deciding]
    return capitalised(joined_text(results, terms.block_seconds)) or "No SLO is set"
