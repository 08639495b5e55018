"""What to do with a candidate, as named checks in the order of precedence: the first answer counts.

Guards come first, then numbers: rollback, promotion, no verdict, wait, hold, next step. Only a newest
block that was measured, with requests of the candidate in it, lets it go on. A candidate that has
passed keeps its pass while it waits for a person: neither time nor a quiet or unmeasured block ends that
wait. Its pods do, and evidence that is sure against it. Evidence against it that is too weak for a
rollback holds it by name, also after an approval, until there is more of it, for or against.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sluicegate.api.baseline import Baseline, Baselines, BaselineSource
from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.gains import gains, market_changes_text
from sluicegate.policy.canary.objections import (
    MISSING_EVIDENCE,
    both_shares_text,
    can_be_judged,
    evidence_against,
    evidence_numbers,
    evidence_source_text,
    first_objection,
    missed_bound,
    objective_miss_text,
    promotion_hint,
    shadow_rows_text,
    unjudgeable_text,
    unless_favoured_text,
    unmeasured_consumer,
)
from sluicegate.policy.canary.slo_evidence import Assessment, MarketHarm, SloEvidence, harms_text
from sluicegate.policy.canary.steps import next_share
from sluicegate.policy.model.attended_time import attended_seconds
from sluicegate.policy.model.decision import (
    Advance,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Rollback,
    alert_key,
)
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.rollbacks import roll_back_candidate
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.slo.blocks import Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.views.numbers import duration, events

SILENT_BLOCKS: Final = 10
SILENT_REQUESTS: Final = 20
"""Requests that a candidate's share would have given it, from which on none at all has another cause."""
LOST_SECONDS: Final = 1800
"""Seconds without measurements after which a candidate is rolled back without a verdict."""
MAX_QUIET_RETRIES: Final = 3
"""Retries of a rollout, of any cause, after which another end without requests needs a person."""
OVERRULABLE: Final = MISSING_EVIDENCE | {Reason.OBJECTIVE_NOT_MET, Reason.MARKET_WORSE}
"""Objections that a person may overrule where no evidence is against the candidate."""
_OVERRULED_TEXTS: Final = {
    Reason.OBJECTIVE_NOT_MET: "although an objective is missed",
    Reason.MARKET_WORSE: "although a market is worse",
}
"""What a person knows who overrules an objection, in words."""
_UNREADABLE: Final = frozenset({Quality.UNAVAILABLE, Quality.MISSING})
"""Qualities of a newest block that is still to be read, or to be read again."""
_TRAFFIC_CHECKS: Final = frozenset(
    {
        Reason.NO_TRAFFIC,
        Reason.DWELLING,
        Reason.TRAFFIC_NOT_VERIFIED,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.ROUTING_MISMATCH,
        Reason.INVALID_DATA,
        Reason.LOW_COVERAGE,
    }
)
"""Checks of requests and blocks; where one of them holds a candidate, no number of an SLO explains its end."""
Check = Callable[[CanaryCase], Decision | None]


def decide(case: CanaryCase) -> Decision:
    """Decide about a candidate that takes traffic, by the first check that answers."""
    case = replace(case, objection=first_objection(case))
    return next(decision for check in CHECKS if (decision := check(case)) is not None)


# ---- back -----------------------------------------------------------------------------------
def pods_are_unhealthy(case: CanaryCase) -> Rollback | None:
    """Roll back if the candidate's own pods fail."""
    if not case.facts.canary_unhealthy:
        return None
    return _roll_back(case, Reason.CANARY_NOT_READY, f"{case.name}'s pods aren't healthy")


def slo_is_worse(case: CanaryCase) -> Rollback | None:
    """Roll back if an SLO is worse with the candidate beyond chance; a busy node excuses latency alone."""
    busy = case.facts.canary_node_busy
    slos = case.assessment.slos
    own_slos = [slo for slo in slos if not (busy and slo.terms.definition.explained_by_cpu)]
    worst = max(own_slos, key=lambda slo: slo.evidence.roll_back - slo.roll_back_at, default=None)
    if worst is None or not worst.is_against:
        return None
    text = _worse_text(case.name, worst)
    return _roll_back(case, Reason.CANARY_WORSE, text, numbers=evidence_numbers(worst))


def candidate_is_worse_in_shadow(case: CanaryCase) -> Rollback | None:
    """Roll back if rows that were labelled after the training show that the candidate is worse."""
    slo = next((slo for slo in case.assessment.slos if slo.is_worse_in_shadow), None)
    if slo is None or slo.shadow is None:
        return None
    text = (
        f"{case.name} is worse in {slo.terms.name}: of {shadow_rows_text(slo.shadow)}; the evidence is"
        f" at {slo.shadow.roll_back:.1f} of {slo.roll_back_at:.1f}"
    )
    numbers = evidence_numbers(slo) | {"rollBack": slo.shadow.roll_back}
    return _roll_back(case, Reason.SHADOW_WORSE, text, numbers=numbers)


def gauge_is_worse(case: CanaryCase) -> Rollback | None:
    """Roll back if a gauge is worse with the candidate beyond chance."""
    gauge = next((gauge for gauge in case.assessment.gauges if gauge.is_against), None)
    if gauge is None or gauge.interval is None:
        return None
    text = (
        f"{case.name} is worse in {gauge.terms.name}: by at least {-gauge.interval.upper:.4g} in"
        f" {gauge.pairs} blocks beside stable"
    )
    numbers = {"lower": gauge.interval.lower, "upper": gauge.interval.upper}
    return _roll_back(case, Reason.CANARY_WORSE, text, numbers=numbers)


def candidate_has_no_series(case: CanaryCase) -> Rollback | None:
    """Roll back a candidate without series whose traffic share implies requests.

    At little traffic a small share gives a candidate no request in many blocks.
    """
    silent = case.assessment.silent
    if silent.number < SILENT_BLOCKS or silent.expected < SILENT_REQUESTS:
        return None
    text = (
        f"{case.name} has no series in {silent.number} blocks in which stable had requests, though"
        f" {case.candidate.weight} % of the traffic would have been {silent.expected:,.0f} requests"
    )
    numbers = {"blocks": silent.number, "expected": silent.expected}
    return _roll_back(case, Reason.CANARY_NO_DATA, text, numbers=numbers)


def no_pod_is_ready(case: CanaryCase) -> Inconclusive | None:
    """Roll back at once a candidate without a ready pod; the cause is attributed later."""
    if not case.facts.canary_lost:
        return None
    return Inconclusive(
        reason=Reason.INFRASTRUCTURE,
        message=f"{case.name} has no ready pod ({case.facts.canary_lost});"
        " its traffic returns to stable at once",
    )


def candidate_node_is_busy(case: CanaryCase) -> Inconclusive | None:
    """End the rollout without a verdict while other pods overload the candidate's node."""
    slow = next((slo for slo in case.assessment.slos if slo.is_against), None)
    if slow is None:
        return None
    text = (
        f"{_worse_text(case.name, slow)}; but a pod of {case.name} waits for CPU on its node, though it"
        " uses no more than it requests; its traffic returns to stable"
    )
    return Inconclusive(
        reason=Reason.NODE_BUSY,
        message=text,
        numbers=evidence_numbers(slow),
    )


def _roll_back(
    case: CanaryCase, reason: Reason, text: str, *, numbers: Mapping[str, float] | None = None
) -> Rollback:
    assert case.status.stable is not None
    message = f"{text}{_harmed_too_text(case.assessment)}; all traffic returns to {case.status.stable.release.version}"
    return roll_back_candidate(case.status, reason, message, numbers=numbers or {})


def _worse_text(name: str, slo: SloEvidence) -> str:
    return (
        f"{name} is worse in {slo.terms.title}: {both_shares_text(slo)}; the evidence is at"
        f" {slo.evidence.roll_back:.1f} of {slo.roll_back_at:.1f}"
    )


# ---- on -------------------------------------------------------------------------------------
def stable_is_down(case: CanaryCase) -> Promote | None:
    """Promote the candidate as a first version while stable's requests fail."""
    if not case.facts.stable_down:
        return None
    return _promote(case, Reason.STABLE_NOT_READY, ", of which no pod is ready")


def replaces_failed_stable(decision: object) -> bool:
    """Return whether a candidate is promoted because no pod of stable is ready.

    Such a promotion precedes another spec.model: that one is compared with the version that answers,
    and the requests keep its pods until then.
    """
    return isinstance(decision, Promote) and decision.reason is Reason.STABLE_NOT_READY


def person_overrules(case: CanaryCase) -> Promote | None:
    """Promote at the request of a person, if evidence is missing and none is against the candidate."""
    present_hold = case.objection
    if present_hold is None or evidence_against(case) is not None:
        return None
    reason = _OVERRULED_TEXTS.get(present_hold.reason)
    is_agreed = case.approved and case.is_last and reason is not None
    if not (is_agreed or (case.forced and present_hold.reason in OVERRULABLE)):
        return None
    overruled_text = reason or "without evidence"
    requesters = REQUEST_PROMOTE if case.approvals is None else "its parties"
    stays_text = f"{case.candidate.version} stays at {case.candidate.weight} %: "
    state_text = present_hold.message.removeprefix(stays_text)  # the promotion ends the stay
    held_harms = case.assessment.holding_harms if present_hold.reason is Reason.MARKET_WORSE else ()
    market_text = _market_text(case.assessment, held_harms)
    reason_text = f" as requested by {requesters}, {overruled_text}: {state_text}{market_text}{_agreement_text(case)}"
    return _promote(case, Reason.PROMOTE_REQUESTED, reason_text, numbers=present_hold.numbers)


def candidate_has_passed(case: CanaryCase) -> Promote | None:
    """Promote if all required evidence favours the candidate, and each required party agrees."""
    if not case.is_last or case.needs_approval:
        return None
    if case.objection is not None and not _still_passes(case):
        return None
    text, numbers = gains(case.candidate, case.assessment)
    clauses = (
        _unmeasured_text(case.assessment),
        _missed_objectives_text(case.assessment),
        _market_text(case.assessment),
    )
    reason_text = f": {text}{''.join(clauses)}{_agreement_text(case)}"
    return _promote(case, Reason.CANARY_NOT_WORSE, reason_text, numbers=numbers)


def _still_passes(case: CanaryCase) -> bool:
    """Return whether an earlier pass remains valid without new evidence in the newest block.

    What isn't read yet may hold evidence against the candidate, so that is waited for.
    """
    only_lacks_evidence = case.objection is None or case.objection.reason in MISSING_EVIDENCE
    newest_is_read = case.assessment.newest not in _UNREADABLE
    return (
        case.has_passed
        and only_lacks_evidence
        and newest_is_read
        and evidence_against(case) is None
    )


def _missed_objectives_text(assessment: Assessment) -> str:
    """Return a clause about objectives that the candidate misses although it is better than stable."""
    clauses = [
        f"; {objective_miss_text(slo, lower_bound)}: the objective is still missed, and stable is surely worse"
        for slo in assessment.slos
        if slo.shows_better and (lower_bound := missed_bound(slo)) is not None
    ]
    return "".join(clauses)


def _market_text(assessment: Assessment, named_harms: Sequence[MarketHarm] = ()) -> str:
    """Return a clause about markets that lose by a promotion, without those that the sentence names already."""
    text = market_changes_text(assessment, named_harms)
    return f"; but {text}" if text else ""


def _harmed_text(assessment: Assessment) -> str:
    """Return a clause about markets in which a candidate is worse beyond chance."""
    return f"; but {harms_text(assessment.harmed)}" if assessment.harmed else ""


def _harmed_too_text(assessment: Assessment) -> str:
    """Return a clause about harmed markets of a candidate that is rolled back for another reason."""
    return f"; it is {harms_text(assessment.harmed)}" if assessment.harmed else ""


def _promote(
    case: CanaryCase,
    reason: Reason,
    reason_text: str,
    *,
    numbers: Mapping[str, float] | None = None,
) -> Promote:
    """Return the promotion; `reason_text` follows the names of both versions."""
    assert case.status.stable is not None
    replaced_release = case.status.stable.release
    baselines = _candidate_baselines(
        case.status.stable.baseline, case.assessment.slos, case.terms, case.now
    )
    return Promote(
        reason=reason,
        message=f"{case.name} replaces {replaced_release.version}{reason_text}",
        numbers=numbers or {},
        candidate=case.candidate.release,
        candidate_baselines=baselines,
    )


def _unmeasured_text(assessment: Assessment) -> str:
    """Return a clause about SLOs without evidence at a promotion, and why they need none."""
    clauses = []
    for exemption in (CanaryEvidence.IF_AVAILABLE, CanaryEvidence.POST_PROMOTION):
        exempt_slos = [
            f"{slo.terms.title} ({events(slo.arms[0].total)})"
            for slo in assessment.slos
            if slo.terms.canary_evidence is exemption
            and not (slo.required or slo.favours or is_implicit(slo.terms))
        ]
        clauses += (
            [f"; without enough evidence in {' and '.join(exempt_slos)}, {exemption}"]
            if exempt_slos
            else []
        )
    return "".join(clauses)


def _candidate_baselines(
    accepted: Baselines, evidence: tuple[SloEvidence, ...], terms: Terms, now: int
) -> dict[str, Baseline]:
    """Return the baselines of the candidate's probation, taken from the previous version.

    If that one was worse beside the candidate than at its acceptance, the later result counts: a
    rollback would be no remedy. The dispersion comes from the same blocks; if they counted as
    independent, bursts of ρ = .01 would fail the probation of every eighth equal version.
    """
    probation_baselines = dict(accepted)
    for slo in evidence:
        count = slo.arms[1]
        baseline = accepted.get(slo.terms.name)
        if count.total < slo.terms.min_events(ratio_of(count)):
            continue
        if baseline is None or ratio_of(count) > ratio_of(baseline.count):
            probation_baselines[slo.terms.name] = Baseline.of(
                count,
                now,
                now,
                BaselineSource.PRODUCTION,
                phi=max(slo.dispersion, 1.0 if baseline is None else baseline.phi),
                indicator_hash=slo.terms.indicator_hash,
            )
    names = (*(slo.name for slo in terms.slos), CLIENT_ERRORS)
    return {name: probation_baselines[name] for name in names if name in probation_baselines}


# ---- waits and ends -------------------------------------------------------------------------
def candidate_waits_for_approval(case: CanaryCase) -> Alert | Hold | None:
    """Hold a candidate that passed, now or earlier, until a manual approval.

    A weekend isn't a verdict: neither time nor a quiet or an unmeasured block ends this wait.
    """
    if not case.is_last or (case.objection is not None and not case.has_passed):
        return None
    if case.objection is not None:
        return _hold_after_pass(case, case.objection)
    text, numbers = gains(case.candidate, case.assessment)
    clauses = f"{_missed_objectives_text(case.assessment)}{_harmed_text(case.assessment)}"
    message = f"{_awaited_approval_text(case)}: {text}{clauses}"
    if case.has_passed:
        return Hold(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers)
    return Alert(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers)


def _hold_after_pass(case: CanaryCase, present_hold: Hold) -> Hold:
    """Return the hold of a candidate that passed: by evidence against it, a missing approval, or missing measurements."""
    objection = evidence_against(case)
    if objection is not None:
        return objection
    if present_hold.reason not in MISSING_EVIDENCE or not case.needs_approval:
        return present_hold
    return Hold(reason=Reason.AWAITING_APPROVAL, message=_awaited_approval_text(case))


def _awaited_approval_text(case: CanaryCase) -> str:
    if case.approvals is not None:
        return f"{case.name} has passed and {case.approvals.wait}"
    return f"{case.name} has passed and needs approval by {REQUEST_PROMOTE}"


def _agreement_text(case: CanaryCase) -> str:
    """Return a clause about the parties that agreed; empty if none had to."""
    agreement = case.approvals.agreement if case.approvals is not None else ""
    return f"; {agreement}" if agreement else ""


def measurements_are_lost(case: CanaryCase) -> Inconclusive | None:
    """End the rollout after half an hour without measurements.

    Time before its first share doesn't count: a person may start a rollout while nothing is measured.
    """
    begin = case.status.engine.outage_start_time
    since = case.now if begin is None else max(begin, case.candidate.rollout_start_time)
    outage = attended_seconds(case.status, since, case.now)
    if outage < LOST_SECONDS:
        return None
    text = (
        f"nothing could be measured for {duration(outage)}, so {case.name} is rolled back without"
        " a verdict"
    )
    return Inconclusive(
        reason=Reason.METRICS_LOST,
        message=text,
        numbers={"seconds": outage},
    )


def rollout_time_is_over(case: CanaryCase) -> Inconclusive | None:
    """End the rollout without a verdict after the longest duration, in observed time."""
    if case.time.remaining:
        return None
    if case.blocks_unread and case.assessment.newest is Quality.MISSING:
        return None
    text = f"{case.name} has no verdict after {duration(case.time.observed)}"
    if case.time.silent:
        text += f", {duration(case.time.silent)} of them without requests"
    if case.objection is not None and case.objection.reason is Reason.MARKET_WORSE:
        text += f": it is {harms_text(case.assessment.harmed)}"
        return Inconclusive(
            reason=Reason.MAX_DURATION, message=text, numbers=case.objection.numbers
        )
    gap = unmeasured_consumer(case) if case.is_last else None
    if gap is not None:
        return Inconclusive(reason=Reason.MAX_DURATION, message=f"{text}: {gap.text}")
    if case.objection is not None and case.objection.reason in _TRAFFIC_CHECKS:
        text += f": {_hold_text(case, case.objection)}{_harmed_too_text(case.assessment)}"
        reason = Reason.NO_TRAFFIC if _ended_in_a_pause(case) else Reason.MAX_DURATION
        return Inconclusive(reason=reason, message=text, numbers=case.objection.numbers)
    slo = min(case.assessment.slos, key=lambda slo: slo.evidence.promote_evidence, default=None)
    if slo is not None:
        text += f": {slo.terms.title} has {evidence_source_text(slo)}, evidence {slo.evidence.promote_evidence:.1f} of"
        text += f" {slo.promote_at:.1f}"
    text += _harmed_too_text(case.assessment)
    return Inconclusive(
        reason=Reason.MAX_DURATION,
        message=text,
        numbers=evidence_numbers(slo) if slo else {},
    )


def _ended_in_a_pause(case: CanaryCase) -> bool:
    """Return whether neither version has requests at the end of the time, and retries remain."""
    named_hold = case.candidate.hold
    is_quiet = named_hold is not None and named_hold.check == Reason.NO_TRAFFIC
    return is_quiet and case.assessment.is_quiet and case.candidate.retries < MAX_QUIET_RETRIES


def _hold_text(case: CanaryCase, present_hold: Hold) -> str:
    """Return the check that held the candidate when its time ended, with its start and numbers, as text."""
    named_hold = case.candidate.hold
    is_named = named_hold is not None and named_hold.check == present_hold.reason
    since = (
        ""
        if named_hold is None or not is_named
        else f" for {duration(case.now - named_hold.start_time)}"
    )
    clause = present_hold.message.removeprefix(f"{case.hold_prefix}: ")
    return f"{present_hold.reason} has held it at {case.candidate.weight} %{since}: {clause}"


def candidate_cannot_be_judged(case: CanaryCase) -> Alert | None:
    """Alert once about a candidate for which no evidence can ever arrive."""
    name, terms = case.name, case.terms
    was_emitted = alert_key(Reason.INSUFFICIENT_DATA, name) in case.status.engine.emitted_alerts
    if was_emitted or can_be_judged(terms) or case.objection is None:
        return None
    text = (
        f"{case.hold_prefix}: {unjudgeable_text(terms)}. {promotion_hint(case)}; otherwise it is"
        f" rolled back after {duration(terms.max_duration_seconds)}{unless_favoured_text(terms)}"
    )
    return Alert(reason=Reason.INSUFFICIENT_DATA, message=text, about=name)


def candidate_is_held(case: CanaryCase) -> Hold | None:
    """Hold by the first objection; a manual promotion is held only by evidence against the candidate."""
    present_hold = case.objection
    if present_hold is not None and case.forced and present_hold.reason in OVERRULABLE:
        return evidence_against(case) or present_hold
    return present_hold


def candidate_advances(case: CanaryCase) -> Advance | None:
    """Advance if all evidence that this step needs favours the candidate."""
    weight = next_share(case.candidate, case.terms.steps)
    if weight is None:
        return None
    text, numbers = gains(case.candidate, case.assessment)
    return Advance(
        reason=Reason.CANARY_NOT_WORSE,
        message=f"{case.name} goes from {case.candidate.weight} to {weight} %:"
        f" {text}{_harmed_text(case.assessment)}",
        numbers=numbers,
        step=case.terms.steps.index(weight) + 1,
        weight=weight,
    )


CHECKS: Final[tuple[Check, ...]] = (
    pods_are_unhealthy,
    slo_is_worse,
    candidate_is_worse_in_shadow,
    gauge_is_worse,
    candidate_has_no_series,
    no_pod_is_ready,
    candidate_node_is_busy,
    stable_is_down,
    person_overrules,
    candidate_has_passed,
    candidate_waits_for_approval,
    measurements_are_lost,
    rollout_time_is_over,
    candidate_cannot_be_judged,
    candidate_is_held,
    candidate_advances,
)
"""In the order of precedence; one of the last two always answers."""
