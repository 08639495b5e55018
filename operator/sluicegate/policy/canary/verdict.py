"""What to do with a candidate: one decision from what is known of it. Guards first, then numbers.

The order is the precedence of decisions: rollback, promotion, inconclusive, advance, hold. Only a
newest block that was measured, with requests of the candidate in it, lets it go on.
"""

from collections.abc import Mapping
from functools import partial
from typing import Final

from sluicegate.api.baseline import Baseline, Baselines, BaselineSource
from sluicegate.api.names import REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.rollout import Approval
from sluicegate.api.slos import CanaryEvidence, IndicatorKind
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.analysis import began
from sluicegate.policy.canary.assessment import Assessment, SloEvidence
from sluicegate.policy.canary.objections import (
    LACKING,
    against,
    basis,
    both_arms,
    can_be_judged,
    next_share,
    numbers_of,
    obstacle,
    shadow_rows,
)
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
from sluicegate.policy.model.formatting import duration, events, points
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.slo.client_errors import CLIENT_ERRORS

SILENT_BLOCKS: Final = 10
LOST_SECONDS: Final = 1800
"""Seconds without measurements after which a candidate is rolled back without a verdict."""


def decide(  # noqa: PLR0911 - one an outcome
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    assessment: Assessment,
    *,
    facts: Facts,
    now: int,
    approved: bool,
    forced: bool = False,
) -> Decision:
    """The decision about a candidate that takes traffic.

    Parameters
    ----------
    now : in seconds. approved : a person has agreed to the last step.
    forced : a person requests its promotion without evidence.
    """
    rollback = _rollback(status, candidate, assessment, facts)
    if rollback is not None:
        return rollback
    faultless = _faultless(candidate, assessment, facts)
    if faultless is not None:
        return faultless
    promote = partial(_promote, terms, status, candidate, assessment, now=now)
    if facts.stable_down:  # its requests fail, so the candidate is accepted as a first version is
        return promote(reason=Reason.STABLE_NOT_READY, because=", of which no pod is ready")
    held = obstacle(terms, status, candidate, assessment, facts=facts)
    if held is not None and forced and held.reason in LACKING:
        objection = against(status, candidate, assessment)
        if objection is None:
            because = f" as requested by {REQUEST_PROMOTE}, without evidence: {held.message}"
            return promote(reason=Reason.PROMOTE_REQUESTED, because=because, numbers=held.numbers)
        held = objection
    share = next_share(terms, candidate)
    last = share is None
    waits = last and held is None and terms.approval is Approval.MANUAL and not approved
    if last and held is None and not waits:
        text, numbers = _not_worse(assessment)
        because = f": {text}{_unheard(assessment)}"
        return promote(reason=Reason.CANARY_NOT_WORSE, because=because, numbers=numbers)
    if (
        not waits
        and (end := _inconclusive(terms, status, candidate, assessment, now=now)) is not None
    ):
        return end
    if waits:
        return _await_approval(status, candidate, assessment)
    if held is not None:
        return _unjudged(terms, status, candidate) or held
    assert share is not None
    return _advance(terms, candidate, assessment, share)


# ---- back -----------------------------------------------------------------------------------
def _rollback(
    status: DataProductStatus, candidate: Candidate, assessment: Assessment, facts: Facts
) -> Rollback | None:
    name = candidate.release.version
    if facts.canary_unhealthy:
        return _back(status, candidate, Reason.CANARY_NOT_READY, f"{name}'s pods aren't healthy")
    own = [slo for slo in assessment.slos if not (facts.canary_node_busy and _is_latency(slo))]
    worst = max(own, key=lambda s: s.evidence.roll_back - s.roll_back_at, default=None)
    if worst is not None and worst.speaks_against:
        return _back(
            status, candidate, Reason.CANARY_WORSE, _worse(name, worst), numbers=numbers_of(worst)
        )
    shadow = next((slo for slo in assessment.slos if slo.is_worse_in_shadow), None)
    if shadow is not None and shadow.shadow is not None:
        text = (
            f"{name} is worse in {shadow.terms.name}: of {shadow_rows(shadow.shadow)}; the evidence is"
            f" at {shadow.shadow.roll_back:.1f} of {shadow.roll_back_at:.1f}"
        )
        numbers = numbers_of(shadow) | {"rollBack": shadow.shadow.roll_back}
        return _back(status, candidate, Reason.SHADOW_WORSE, text, numbers=numbers)
    gauge = next((one for one in assessment.gauges if one.speaks_against), None)
    if gauge is not None and gauge.interval is not None:
        text = (
            f"{name} is worse in {gauge.terms.name}: by at least {-gauge.interval.upper:.4g} in"
            f" {gauge.pairs} blocks beside stable"
        )
        numbers = {"lower": gauge.interval.lower, "upper": gauge.interval.upper}
        return _back(status, candidate, Reason.CANARY_WORSE, text, numbers=numbers)
    if assessment.silent >= SILENT_BLOCKS:
        text = (
            f"{name} has no series in {assessment.silent} blocks in which stable had requests, at"
            f" {candidate.weight} % of the traffic"
        )
        return _back(
            status, candidate, Reason.CANARY_NO_DATA, text, numbers={"blocks": assessment.silent}
        )
    return None


def _faultless(candidate: Candidate, assessment: Assessment, facts: Facts) -> Inconclusive | None:
    """The end of a try that says nothing of the candidate, where nothing else speaks against it."""
    if facts.canary_lost:
        return _lost(candidate, facts.canary_lost)
    slow = next((slo for slo in assessment.slos if slo.speaks_against), None)
    return None if slow is None else _on_a_busy_node(candidate, slow)


def _lost(candidate: Candidate, why: str) -> Inconclusive:
    """No pod answers its share of the requests, so that returns at once; the cause shows later."""
    return Inconclusive(
        reason=Reason.INFRASTRUCTURE,
        message=f"{candidate.release.version} has no ready pod ({why}); its traffic returns to stable at once",
        candidate=candidate.release,
    )


def _on_a_busy_node(candidate: Candidate, slow: SloEvidence) -> Inconclusive:
    """A node that is overloaded by others makes any version slow."""
    name = candidate.release.version
    text = (
        f"{_worse(name, slow)}; but a pod of {name} waits for CPU on its node, though it uses no more"
        " than it requests; its traffic returns to stable"
    )
    return Inconclusive(
        reason=Reason.NODE_BUSY,
        message=text,
        numbers=numbers_of(slow),
        candidate=candidate.release,
    )


def _is_latency(slo: SloEvidence) -> bool:
    return slo.terms.kind is IndicatorKind.LATENCY


def _back(
    status: DataProductStatus,
    candidate: Candidate,
    reason: Reason,
    text: str,
    *,
    numbers: Mapping[str, float] | None = None,
) -> Rollback:
    assert status.stable is not None
    to = status.stable.release
    message = f"{text}; all traffic returns to {to.version}"
    return Rollback(
        reason=reason, message=message, numbers=numbers or {}, leaving=candidate.release, to=to
    )


def _worse(name: str, slo: SloEvidence) -> str:
    return (
        f"{name} is worse in {slo.terms.name}: {both_arms(slo)}; the evidence is at"
        f" {slo.evidence.roll_back:.1f} of {slo.roll_back_at:.1f}"
    )


# ---- on -------------------------------------------------------------------------------------
def _not_worse(assessment: Assessment) -> tuple[str, dict[str, float]]:
    """The numbers of the SLO with the least evidence."""
    slo = min(assessment.vouching, key=lambda slo: slo.evidence.promote, default=None)
    if slo is None:
        names = ", ".join(gauge.terms.name for gauge in assessment.counted_gauges)
        return f"not worse in {names}", {}
    text = (
        f"not worse by {points(slo.margin)} in {slo.terms.name}: {basis(slo)}, evidence"
        f" {slo.evidence.promote:.1f} of {slo.promote_at:.1f}"
    )
    return text, numbers_of(slo)


def _promote(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    assessment: Assessment,
    *,
    now: int,
    reason: Reason,
    because: str,
    numbers: Mapping[str, float] | None = None,
) -> Promote:
    """The promotion; `because` follows the names of both versions."""
    assert status.stable is not None
    replaced = status.stable.release
    return Promote(
        reason=reason,
        message=f"{candidate.release.version} replaces {replaced.version}{because}",
        numbers=numbers or {},
        candidate=candidate.release,
        replaced=replaced,
        candidate_baselines=_candidate_baselines(
            status.stable.baseline, assessment.slos, terms, now
        ),
    )


def _unheard(assessment: Assessment) -> str:
    """A clause about the SLOs without whose evidence a candidate is promoted, by what lets it."""
    clauses = []
    for lets in (CanaryEvidence.IF_AVAILABLE, CanaryEvidence.POST_PROMOTION):
        silent = [
            f"{slo.terms.name} ({events(slo.evidence.candidate.total)})"
            for slo in assessment.slos
            if slo.terms.canary_evidence is lets
            and not (slo.required or slo.speaks_for or is_implicit(slo.terms))
        ]
        clauses += (
            [f"; without enough evidence in {' and '.join(silent)}, {lets}"] if silent else []
        )
    return "".join(clauses)


def _candidate_baselines(
    accepted: Baselines, evidence: tuple[SloEvidence, ...], terms: Terms, now: int
) -> dict[str, Baseline]:
    """The baselines of the candidate's probation: those of the previous version.

    If that one was worse beside the candidate than at its acceptance, the later result counts: a
    rollback would be no remedy. The dispersion comes from the same blocks; if they counted as
    independent, bursts of ρ = .01 would fail the probation of every eighth equal version.
    """
    held = dict(accepted)
    for slo in evidence:
        count = slo.evidence.stable
        baseline = accepted.get(slo.terms.name)
        if count.total < slo.terms.least_events(ratio_of(count)):
            continue
        if baseline is None or ratio_of(count) > ratio_of(baseline.count):
            held[slo.terms.name] = Baseline.of(
                count,
                now,
                now,
                BaselineSource.PRODUCTION,
                phi=max(slo.dispersion, 1.0 if baseline is None else baseline.phi),
                indicator_hash=slo.terms.indicator_hash,
            )
    names = (*(slo.name for slo in terms.slos), CLIENT_ERRORS)
    return {name: held[name] for name in names if name in held}


def _unjudged(terms: Terms, status: DataProductStatus, candidate: Candidate) -> Alert | None:
    """That no evidence can ever come, told at once; None where some can, or it was told."""
    name = candidate.release.version
    told = alert_key(Reason.INSUFFICIENT_DATA, name) in status.engine.emitted_alerts
    if told or can_be_judged(terms):
        return None
    why = (
        "each of spec.slos has canaryEvidence PostPromotion or onDegraded Ignore"
        if terms.slos
        else "spec.slos is empty"
    )
    text = (
        f"{name} stays at {candidate.weight} %: no SLO can favour it: {why}. Set"
        f" {REQUEST_PROMOTE}={name}/<token> to promote it without evidence; otherwise it is rolled"
        f" back after {duration(terms.max_duration_seconds)}"
    )
    return Alert(reason=Reason.INSUFFICIENT_DATA, message=text, about=name)


def _advance(terms: Terms, candidate: Candidate, assessment: Assessment, weight: int) -> Advance:
    text, numbers = _not_worse(assessment)
    return Advance(
        reason=Reason.CANARY_NOT_WORSE,
        message=f"{candidate.release.version} goes from {candidate.weight} to {weight} %: {text}",
        numbers=numbers,
        candidate=candidate.release,
        step=terms.steps.index(weight) + 1,
        weight=weight,
    )


def _await_approval(
    status: DataProductStatus, candidate: Candidate, assessment: Assessment
) -> Alert | Hold:
    text, numbers = _not_worse(assessment)
    name = candidate.release.version
    message = f"{name} has passed and needs approval by sluicegate.dev/promote: {text}"
    if alert_key(Reason.AWAITING_APPROVAL, name) in status.engine.emitted_alerts:
        return Hold(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers)
    return Alert(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers, about=name)


def _inconclusive(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    assessment: Assessment,
    *,
    now: int,
) -> Inconclusive | None:
    name = candidate.release.version
    outage = 0 if status.engine.outage_start_time is None else now - status.engine.outage_start_time
    if outage >= LOST_SECONDS:
        text = f"nothing could be measured for {duration(outage)}, so {name} is rolled back without a verdict"
        return Inconclusive(
            reason=Reason.METRICS_LOST,
            message=text,
            numbers={"seconds": outage},
            candidate=candidate.release,
        )
    took = now - began(candidate) - candidate.suspended_seconds
    if took < terms.max_duration_seconds:
        return None
    text = f"{name} has no verdict after {duration(took)}"
    silent = min(assessment.slos, key=lambda slo: slo.evidence.promote, default=None)
    if silent is not None:
        text += (
            f": {silent.terms.name} has {basis(silent)}, evidence {silent.evidence.promote:.1f} of"
        )
        text += f" {silent.promote_at:.1f}"
    return Inconclusive(
        reason=Reason.MAX_DURATION,
        message=text,
        numbers=numbers_of(silent) if silent else {},
        candidate=candidate.release,
    )
