"""The one entry: what is to be done about a product, given all that was read and remembered.

Judge each SLO of the stable version, remember what has to last, weigh what the candidate shows,
then let everything that applies propose a decision; the one that precedes is made. Nothing in
here waits, reads or writes, and evaluating the same block twice changes nothing.
"""

from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.rollout import Approval
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import ProductState
from sluicegate.policy import manual_requests, new_versions
from sluicegate.policy.canary import api_gate, verdict
from sluicegate.policy.canary.analysis import assess
from sluicegate.policy.canary.assessment import Assessment
from sluicegate.policy.canary.objections import can_be_judged
from sluicegate.policy.diagnosis.checks import Diagnosis
from sluicegate.policy.diagnosis.disturbances import began_anew, disturbed
from sluicegate.policy.diagnosis.remedy import Treatment, Waiting, treat, waiting
from sluicegate.policy.model.decision import (
    NOT_ITS_DOING,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Rollback,
    StartRollout,
    foremost,
)
from sluicegate.policy.model.formatting import duration
from sluicegate.policy.model.observed import Observed, Request
from sluicegate.policy.model.state import Accepted, Memory, SloMemory, alert_key
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining.preconditions import trigger_of
from sluicegate.policy.slo_health.confirmation import product_state
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.messages import capitalised, joined
from sluicegate.policy.slo_health.ratio_slo import SloResult, unknown
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count

OUTAGE_ALERT_SECONDS: Final = 300
"""People are told when nothing could be measured for so long."""
MEASUREMENTS: Final = "measurements"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation found and decided.

    Attributes
    ----------
    decision : what to do.
    state : of the product.
    slos : what each SLO shows, in the order of the spec.
    diagnosis : why the product is degraded; None while it isn't.
    assessment : what the candidate shows; None while none takes traffic.
    memory : to be kept, whether or not the decision is carried out; `acts.act` adds what follows
        from carrying it out.
    training_taken_up : the result of a training that was observed is done with.
    waiting : a retraining that is due and may not start yet.
    """

    decision: Decision
    state: ProductState
    slos: tuple[SloResult, ...]
    diagnosis: Diagnosis | None
    assessment: Assessment | None
    memory: Memory
    training_taken_up: bool = False
    waiting: Waiting | None = None


def evaluate(terms: Terms, memory: Memory, observed: Observed, now: int) -> Evaluation:
    """Judge a product at the end of its newest block and decide.

    Parameters
    ----------
    terms : what it is judged by. memory : what the last evaluation left.
    observed : what was read. now : in seconds; waits and cooldowns are counted by it.
    """
    before = memory
    memory = _refreshed(terms, memory, observed, now)
    if memory.stable is None:
        return _without_stable(terms, memory)
    results, treated, memory = _judged(terms, memory, memory.stable, observed, now=now)
    state = product_state((r, memory.slo(r.terms.name)) for r in results)
    if state is not ProductState.UNKNOWN and state is not memory.last_known:
        memory = replace(memory, last_known=state)
    memory = _forget_alerts(terms, memory, observed)
    assessment = None
    if memory.candidate is not None and memory.candidate.weight > 0:
        assessment = assess(terms, memory, memory.candidate, observed)
        memory = _freeze(memory, assessment)
    case = _Case(before, memory, observed, results, assessment, state, now)
    made, diagnosis = _decide(terms, case, treated)
    return Evaluation(
        made.decision,
        state,
        results,
        diagnosis,
        assessment,
        made.memory,
        made.takes_up_training,
        waiting(terms, memory, treated),
    )


# ---- before judging -------------------------------------------------------------------------
def _refreshed(terms: Terms, memory: Memory, observed: Observed, now: int) -> Memory:
    """Take up an outage, an edited SLO, and a spec.model that names what is stable."""
    lost = observed.problem in new_versions.LOST
    if lost != (memory.outage_since is not None):
        memory = replace(memory, outage_since=now if lost else None)
    edited = {
        slo.name: _restarted(memory.slos.get(slo.name), slo, now)
        for slo in terms.slos
        if slo.name not in memory.slos or memory.slos[slo.name].terms_hash != slo.hash
    }
    if edited:
        memory = replace(memory, slos={**memory.slos, **edited})
    return new_versions.handle_unchanged_model(memory, observed, now)


def _restarted(known: SloMemory | None, slo: SloTerms, now: int) -> SloMemory:
    """An SLO that is another one now begins its evidence anew; a new SLO takes what there is."""
    if known is None or not known.terms_hash:
        return replace(known or SloMemory(), terms_hash=slo.hash)
    return SloMemory(steady_since=now, since=now, terms_hash=slo.hash)


def _judged(
    terms: Terms, memory: Memory, stable: Accepted, observed: Observed, *, now: int
) -> tuple[tuple[SloResult, ...], list[tuple[Treatment, Diagnosis]], Memory]:
    """What each SLO of the stable version shows, what it asks for, and what is remembered.

    Once more where a cause outside the model has ended: what was measured in it counts no longer.
    """
    results, memory = judge_stable(terms, memory, stable, observed)
    treated = treat(terms, memory, observed, results, now=now)
    diagnoses = (diagnosis for _, diagnosis in treated)
    after = disturbed(terms, memory, observed, results, diagnoses=diagnoses)
    if not began_anew(memory, after) or after.stable is None:
        return results, treated, after
    results, after = judge_stable(terms, after, after.stable, observed)
    return results, treat(terms, after, observed, results, now=now), after


def _without_stable(terms: Terms, memory: Memory) -> Evaluation:
    results = tuple(unknown(slo, Reason.NO_STABLE, Count(0, 0), None) for slo in terms.slos)
    hold = Hold(reason=Reason.NO_STABLE, message="No version has been accepted yet")
    return Evaluation(hold, ProductState.UNKNOWN, results, None, None, memory)


def _forget_alerts(terms: Terms, memory: Memory, observed: Observed) -> Memory:
    """Keep only what was told of troubles that are still there."""
    if not memory.alerted:
        return memory
    assert memory.stable is not None
    about = {memory.candidate.release.version} if memory.candidate else set()
    if memory.outage_since is not None:
        about.add(MEASUREMENTS)
        about |= {observed.wanted.version} if observed.wanted else set()
    for name in (*(slo.name for slo in terms.slos), CLIENT_ERRORS):
        known = memory.slo(name)
        if known.degraded:
            first = known.streak.first if known.streak else memory.stable.promoted_at
            about.add(trigger_of(terms, memory.stable.release.version, name, first))
    kept = tuple(key for key in memory.alerted if key.partition("/")[2] in about)
    return memory if kept == memory.alerted else replace(memory, alerted=kept)


def _freeze(memory: Memory, assessment: Assessment) -> Memory:
    """Keep what stable's blocks before the rollout said of bursts: they won't be read for ever."""
    candidate = memory.candidate
    if candidate is None or candidate.correlation:
        return memory
    correlation = {slo.terms.name: slo.correlation for slo in assessment.slos}
    return replace(memory, candidate=replace(candidate, correlation=correlation))


# ---- deciding -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Case:
    """What the proposals are made from."""

    before: Memory
    memory: Memory
    observed: Observed
    results: tuple[SloResult, ...]
    assessment: Assessment | None
    state: ProductState
    now: int


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A decision that applies, and what is remembered if it is made."""

    decision: Decision
    memory: Memory
    takes_up_training: bool = False


def _decide(
    terms: Terms, case: _Case, treated: list[tuple[Treatment, Diagnosis]]
) -> tuple[_Proposal, Diagnosis | None]:
    """Let everything that applies propose, and make the decision that precedes."""
    memory, observed, now = case.memory, case.observed, case.now
    asked = manual_requests.answers(terms, memory, observed, now)
    proposals = [_Proposal(answer.decision, answer.memory) for answer in asked]
    if terms.suspend:
        text = "spec.suspend is set: nothing is changed. " + _summary(terms, case)
        proposals.append(_Proposal(Hold(reason=Reason.SUSPENDED, message=text), memory))
        canary = _about_candidate(terms, case) if _is_asked(case) else None
        proposals += [canary] if canary else []
    else:
        proposals += _about_versions(terms, case)
        others = [
            *(treatment for treatment, _ in treated),
            *_about_measurements(case),
            _hold(terms, case),
        ]
        proposals += [_Proposal(decision, memory) for decision in others]
    decision = foremost(proposal.decision for proposal in proposals)
    made = next(proposal for proposal in proposals if proposal.decision is decision)
    causes = [diagnosis for treatment, diagnosis in treated if treatment is decision]
    causes += [diagnosis for _, diagnosis in treated]
    return made, causes[0] if causes else None


def _about_versions(terms: Terms, case: _Case) -> list[_Proposal]:
    memory, observed, now = case.memory, case.observed, case.now
    superseded = new_versions.back_to_stable(case.before, memory)
    if superseded is not None:
        return [_Proposal(superseded, memory)]
    found: list[_Proposal] = []
    changed = new_versions.model_changed(terms, memory, observed)
    if changed is not None:
        found.append(_Proposal(changed, memory))
    again = new_versions.retry_due(terms, memory, observed, now)
    if again is not None and changed is None:
        found.append(_Proposal(again, memory))
    arrival = new_versions.training_ended(terms, memory, observed, now)
    if arrival is not None:
        found.append(_Proposal(arrival.decision, arrival.memory, arrival.taken_up))
    canary = _about_candidate(terms, case)
    if canary is not None and not (
        isinstance(changed, StartRollout) and not isinstance(canary.decision, Rollback)
    ):
        found.append(canary)
    return found


def _is_asked(case: _Case) -> bool:
    """Whether a person wants the candidate to go on, although the product is suspended."""
    candidate = case.memory.candidate
    approved = manual_requests.approves(case.memory, case.observed) is not None
    return candidate is not None and (candidate.requested or approved)


def _about_candidate(terms: Terms, case: _Case) -> _Proposal | None:
    memory, observed = case.memory, case.observed
    held = api_gate.objection(memory, observed)
    if held is not None:
        return _Proposal(held, memory)
    if memory.candidate is None or case.assessment is None:
        return None
    approval = manual_requests.approves(memory, observed)
    decision = verdict.decide(
        terms,
        memory,
        memory.candidate,
        case.assessment,
        facts=observed.facts,
        now=case.now,
        approved=approval is not None,
        forced=approval is not None and _is_forced(terms, approval),
    )
    ended = isinstance(decision, Promote | Rollback | Inconclusive)
    over = approval is not None and ended and decision.reason not in NOT_ITS_DOING
    return _Proposal(
        decision, manual_requests.handled(memory, approval) if over and approval else memory
    )


def _is_forced(terms: Terms, approval: Request) -> bool:
    """Whether a person names the version that is to be promoted, whatever is known of it.

    Where the last step needs an approval it is that, unless nothing could ever speak for a version.
    """
    automatic = terms.approval is Approval.AUTOMATIC
    return bool(approval.version) and (automatic or not can_be_judged(terms))


def _about_measurements(case: _Case) -> list[Alert]:
    """Tell people once when nothing could be measured for five minutes."""
    since = case.memory.outage_since
    if since is None or case.now - since < OUTAGE_ALERT_SECONDS:
        return []
    reason = case.observed.problem or Reason.PROMETHEUS_UNAVAILABLE
    if alert_key(reason, MEASUREMENTS) in case.memory.alerted:
        return []
    lasts = duration(case.now - since)
    return [
        Alert(
            reason=reason,
            message=f"Nothing could be measured for {lasts} ({reason}); nothing is changed meanwhile",
            numbers={"seconds": case.now - since},
            about=MEASUREMENTS,
        )
    ]


def _hold(terms: Terms, case: _Case) -> Hold:
    """Nothing to do: say how things are."""
    running = case.memory.retraining.under_way
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
        lasts = duration(max(case.now - running.started_at, 0))
        text += f"; retraining has run for {lasts}"
        return Hold(reason=Reason.ALREADY_RETRAINING, message=text)
    if case.state is ProductState.DEGRADING:
        return Hold(reason=Reason.NOT_CONFIRMED, message=text)
    return Hold(reason=Reason.HEALTHY, message=text)


def _summary(terms: Terms, case: _Case) -> str:
    troubled = [
        r for r in case.results if r.terms.deciding and r.state in {SloState.WARN, SloState.BAD}
    ]
    shown = troubled or [result for result in case.results if result.terms.deciding]
    return capitalised(joined(shown, terms.block_seconds)) or "No SLO is set"
