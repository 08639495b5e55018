"""What to do with a candidate: one decision from what is known of it. Guards first, then numbers.

The order is the precedence of decisions: rollback, promotion, inconclusive, advance, hold. Only a
newest block that was measured, with requests of the candidate in it, lets it go on.
"""

from collections.abc import Mapping
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.renewal import Approval
from sluicegate.policy import probation
from sluicegate.policy.assessment import Assessment, SloEvidence
from sluicegate.policy.canary import began
from sluicegate.policy.client_errors import shown
from sluicegate.policy.decision import (
    Advance,
    Alert,
    Decision,
    Hold,
    Inconclusive,
    Promote,
    Rollback,
)
from sluicegate.policy.memory import Baseline, Candidate, Memory
from sluicegate.policy.observed import Facts
from sluicegate.policy.planning import LEAST_BLOCKS
from sluicegate.policy.terms import Terms
from sluicegate.policy.wording import duration, events, percent, points
from sluicegate.slo.blocks import Quality
from sluicegate.slo.intervals import Z95, newcombe, wilson_lower

LEAST_REQUESTS: Final = 50
"""Requests of the candidate that a step needs."""
SILENT_BLOCKS: Final = 10
INVALID_BLOCKS: Final = 10
LOST_SECONDS: Final = 1800
"""Without measurements for so long a candidate is taken back without a verdict."""
_UNMEASURED: Final = {
    Quality.UNAVAILABLE: Reason.PROMETHEUS_UNAVAILABLE,
    Quality.LOW_COVERAGE: Reason.LOW_COVERAGE,
}


def decide(  # noqa: PLR0911 - one an outcome
    terms: Terms,
    memory: Memory,
    candidate: Candidate,
    assessment: Assessment,
    *,
    facts: Facts,
    now: int,
    approved: bool,
) -> Decision:
    """The decision about a candidate that takes traffic.

    Parameters
    ----------
    now : in seconds. approved : a person has agreed to the last step.
    """
    rollback = _rollback(memory, candidate, assessment, facts)
    if rollback is not None:
        return rollback
    if facts.canary_lost:
        return _lost(candidate, facts.canary_lost)
    obstacle = _obstacle(terms, memory, candidate, assessment, facts=facts)
    last = candidate.step >= len(terms.steps)
    waits = last and obstacle is None and terms.approval is Approval.MANUAL and not approved
    if last and obstacle is None and not waits:
        return _promote(terms, memory, candidate, assessment, now=now)
    if (
        not waits
        and (end := _inconclusive(terms, memory, candidate, assessment, now=now)) is not None
    ):
        return end
    if waits:
        return _await_approval(memory, candidate, assessment)
    if obstacle is not None:
        return obstacle
    return _advance(terms, candidate, assessment)


# ---- back -----------------------------------------------------------------------------------
def _rollback(
    memory: Memory, candidate: Candidate, assessment: Assessment, facts: Facts
) -> Rollback | None:
    name = candidate.release.version
    if facts.canary_unhealthy:
        return _back(memory, candidate, Reason.CANARY_NOT_READY, f"{name}'s pods aren't healthy")
    worst = max(assessment.slos, key=lambda s: s.evidence.roll_back - s.roll_back_at, default=None)
    if worst is not None and worst.speaks_against:
        return _back(
            memory, candidate, Reason.CANARY_WORSE, _worse(name, worst), numbers=_numbers(worst)
        )
    gauge = next((one for one in assessment.gauges if one.speaks_against), None)
    if gauge is not None and gauge.interval is not None:
        text = (
            f"{name} is worse in {gauge.terms.name}: by at least {-gauge.interval.upper:.4g} in"
            f" {gauge.pairs} blocks beside stable"
        )
        numbers = {"lower": gauge.interval.lower, "upper": gauge.interval.upper}
        return _back(memory, candidate, Reason.CANARY_WORSE, text, numbers=numbers)
    if assessment.silent >= SILENT_BLOCKS:
        text = (
            f"{name} has no series in {assessment.silent} blocks in which stable had requests, at"
            f" {candidate.weight} % of the traffic"
        )
        return _back(
            memory, candidate, Reason.CANARY_NO_DATA, text, numbers={"blocks": assessment.silent}
        )
    return None


def _lost(candidate: Candidate, why: str) -> Inconclusive:
    """Nobody answers its share of the requests, so it goes at once; whose doing it is shows later."""
    return Inconclusive(
        reason=Reason.INFRASTRUCTURE,
        message=f"{candidate.release.version} has no ready pod ({why}); its traffic goes back at once",
        candidate=candidate.release,
    )


def _back(
    memory: Memory,
    candidate: Candidate,
    reason: Reason,
    text: str,
    *,
    numbers: Mapping[str, float] | None = None,
) -> Rollback:
    assert memory.stable is not None
    to = memory.stable.release
    message = f"{text}; all traffic goes back to {to.version}"
    return Rollback(
        reason=reason, message=message, numbers=numbers or {}, leaving=candidate.release, to=to
    )


def _worse(name: str, slo: SloEvidence) -> str:
    return (
        f"{name} is worse in {slo.terms.name}: {_both(slo)}; the evidence is at"
        f" {slo.evidence.roll_back:.1f} of {slo.roll_back_at:.1f}"
    )


def _both(slo: SloEvidence) -> str:
    ours, theirs = slo.evidence.candidate, slo.evidence.stable
    return (
        f"{percent(shown(slo.terms, ours.ratio or 0.0))} ({events(ours.total)}) against stable's"
        f" {percent(shown(slo.terms, theirs.ratio or 0.0))} ({events(theirs.total)}) in the same blocks"
    )


# ---- what stands in the way of the next step ------------------------------------------------
def _obstacle(
    terms: Terms, memory: Memory, candidate: Candidate, assessment: Assessment, *, facts: Facts
) -> Hold | None:
    name = candidate.release.version
    if assessment.newest is not Quality.COUNTED:
        text = f"{name} stays at {candidate.weight} %: the newest block wasn't measured"
        return Hold(
            reason=_UNMEASURED.get(assessment.newest, Reason.COLLECTING_EVIDENCE), message=text
        )
    if assessment.invalid >= INVALID_BLOCKS:
        text = f"{name} stays at {candidate.weight} %: {assessment.invalid} blocks held no counts"
        return Hold(reason=Reason.INVALID_DATA, message=text)
    if assessment.newest_requests == 0:
        text = f"{name} stays at {candidate.weight} %: it had no requests in the newest block"
        return Hold(reason=Reason.NO_TRAFFIC, message=text)
    if not facts.split_verified:
        text = f"{name} stays at {candidate.weight} %: that share isn't verified yet"
        return Hold(reason=Reason.TRAFFIC_NOT_VERIFIED, message=text)
    if assessment.mismatch is not None:
        text = (
            f"{name} gets {percent(assessment.mismatch)} of the requests instead of"
            f" {candidate.weight} %, in each of the last five blocks"
        )
        return Hold(
            reason=Reason.ROUTING_MISMATCH, message=text, numbers={"share": assessment.mismatch}
        )
    return _not_yet(candidate, assessment) or _too_bad(terms, memory, candidate, assessment)


def _not_yet(candidate: Candidate, assessment: Assessment) -> Hold | None:
    name = candidate.release.version
    if assessment.dwell < LEAST_BLOCKS or assessment.requests < LEAST_REQUESTS:
        text = (
            f"{name} stays at {candidate.weight} %: {assessment.dwell} of {LEAST_BLOCKS} blocks and"
            f" {assessment.requests} of {LEAST_REQUESTS} requests of this step"
        )
        numbers = {"blocks": assessment.dwell, "requests": assessment.requests}
        return Hold(reason=Reason.DWELLING, message=text, numbers=numbers)
    if not assessment.vouching and not assessment.counted_gauges:
        text = f"{name} stays at {candidate.weight} %: no SLO has traffic enough to speak for it"
        return Hold(reason=Reason.INSUFFICIENT_DATA, message=text)
    silent = [slo for slo in assessment.counted if not slo.speaks_for]
    if silent:
        slo = min(silent, key=lambda slo: slo.evidence.promote)
        text = (
            f"{name} stays at {candidate.weight} %: {slo.terms.name} has {_both(slo)}, evidence"
            f" {slo.evidence.promote:.1f} of {slo.promote_at:.1f}"
        )
        return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=_numbers(slo))
    return None


def _too_bad(
    terms: Terms, memory: Memory, candidate: Candidate, assessment: Assessment
) -> Hold | None:
    """At the last step: nobody is promoted who misses the objective, or the first acceptance."""
    if candidate.step < len(terms.steps):
        return None
    leaning = next((slo for slo in assessment.slos if slo.leans_against), None)
    if leaning is not None:
        return _leaning(candidate, leaning)
    for gauge in assessment.gauges:
        if gauge.required and not gauge.speaks_for:
            text = (
                f"{candidate.release.version} stays at {candidate.weight} %: {gauge.terms.name} has"
                f" {gauge.pairs} blocks of both versions, and isn't surely within"
                f" {gauge.terms.margin:.4g} of stable's yet"
            )
            return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text)
    for slo in assessment.slos:
        held = _misses_objective(candidate, slo) or _walks_away(memory, candidate, slo)
        if held is not None:
            return held
    return None


def _leaning(candidate: Candidate, slo: SloEvidence) -> Hold:
    """Too few events for an answer aren't an approval while they look worse (docs/adr/0004)."""
    text = (
        f"{candidate.release.version} stays at {candidate.weight} %: {slo.terms.name} has too few"
        f" events for an answer, and they look worse: {_both(slo)}"
    )
    return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=_numbers(slo))


def _misses_objective(candidate: Candidate, slo: SloEvidence) -> Hold | None:
    allowed, count = slo.terms.allowed_bad, slo.evidence.candidate
    if allowed is None:
        return None
    lower = wilson_lower(*slo.independent, Z95)
    if lower <= allowed:
        return None
    text = (
        f"{candidate.release.version} stays at {candidate.weight} %: in {slo.terms.name} at least"
        f" {percent(lower)} are bad ({events(count.total)}), {percent(allowed)} are allowed"
    )
    return Hold(
        reason=Reason.OBJECTIVE_NOT_MET,
        message=text,
        numbers={"lowerBound": lower, "limit": allowed},
    )


def first_accepted(memory: Memory, slo: str) -> Baseline | None:
    """The first baseline that was ever accepted for this SLO."""
    if slo in memory.original:
        return memory.original[slo]
    return memory.stable.baselines.get(slo) if memory.stable else None


def _walks_away(memory: Memory, candidate: Candidate, slo: SloEvidence) -> Hold | None:
    """A chain of versions, each a little worse than the last, ends here.

    A candidate that beats stable may pass although it doesn't reach the first: the world moved.
    """
    original = first_accepted(memory, slo.terms.name)
    ours, theirs = slo.evidence.candidate, slo.evidence.stable
    if original is None or original.count.total == 0 or not ours.total or not theirs.total:
        return None
    if ours.bad * theirs.total < theirs.bad * ours.total:
        return None
    difference = newcombe(slo.independent, original.count, Z95)
    if difference.lower <= slo.terms.margin:
        return None
    text = (
        f"{candidate.release.version} stays at {candidate.weight} %: in {slo.terms.name} it is at"
        f" least {points(difference.lower)} worse than the first version that was accepted"
        f" ({percent(1 - (ours.ratio or 0.0))} against {percent(1 - (original.count.ratio or 0.0))});"
        f" up to {points(slo.terms.margin)} is allowed"
    )
    numbers = {"lowerBound": difference.lower, "limit": slo.terms.margin}
    return Hold(reason=Reason.WORSE_THAN_ORIGINAL, message=text, numbers=numbers)


# ---- on -------------------------------------------------------------------------------------
def _numbers(slo: SloEvidence) -> dict[str, float]:
    ours, theirs = slo.evidence.candidate, slo.evidence.stable
    return {
        "promote": slo.evidence.promote,
        "promoteAt": slo.promote_at,
        "rollBack": slo.evidence.roll_back,
        "rollBackAt": slo.roll_back_at,
        "candidateBad": ours.bad,
        "candidateTotal": ours.total,
        "stableBad": theirs.bad,
        "stableTotal": theirs.total,
    }


def _not_worse(assessment: Assessment) -> tuple[str, dict[str, float]]:
    """The SLO that was least sure speaks for all."""
    slo = min(assessment.vouching, key=lambda slo: slo.evidence.promote, default=None)
    if slo is None:
        names = ", ".join(gauge.terms.name for gauge in assessment.counted_gauges)
        return f"not worse in {names}", {}
    text = (
        f"not worse by {points(slo.terms.margin)} in {slo.terms.name}: {_both(slo)}, evidence"
        f" {slo.evidence.promote:.1f} of {slo.promote_at:.1f}"
    )
    return text, _numbers(slo)


def _promote(
    terms: Terms, memory: Memory, candidate: Candidate, assessment: Assessment, *, now: int
) -> Promote:
    assert memory.stable is not None
    text, numbers = _not_worse(assessment)
    replaced = memory.stable.release
    return Promote(
        reason=Reason.CANARY_NOT_WORSE,
        message=f"{candidate.release.version} replaces {replaced.version}: {text}",
        numbers=numbers,
        candidate=candidate.release,
        replaced=replaced,
        held_against=probation.begin(memory.stable.baselines, assessment.slos, terms, now),
    )


def _advance(terms: Terms, candidate: Candidate, assessment: Assessment) -> Advance:
    text, numbers = _not_worse(assessment)
    weight = terms.steps[candidate.step]
    return Advance(
        reason=Reason.CANARY_NOT_WORSE,
        message=f"{candidate.release.version} goes from {candidate.weight} to {weight} %: {text}",
        numbers=numbers,
        candidate=candidate.release,
        step=candidate.step + 1,
        weight=weight,
    )


def _await_approval(memory: Memory, candidate: Candidate, assessment: Assessment) -> Alert | Hold:
    text, numbers = _not_worse(assessment)
    name = candidate.release.version
    message = f"{name} has passed and waits for sluicegate.dev/promote: {text}"
    if alert_key(Reason.AWAITING_APPROVAL, name) in memory.alerted:
        return Hold(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers)
    return Alert(reason=Reason.AWAITING_APPROVAL, message=message, numbers=numbers, about=name)


def alert_key(reason: Reason, about: str) -> str:
    """What is remembered of an alert, so that people are told once."""
    return f"{reason}/{about}"


def _inconclusive(
    terms: Terms, memory: Memory, candidate: Candidate, assessment: Assessment, *, now: int
) -> Inconclusive | None:
    name = candidate.release.version
    outage = 0 if memory.outage_since is None else now - memory.outage_since
    if outage >= LOST_SECONDS:
        text = f"nothing could be measured for {duration(outage)}, so {name} is taken back without a verdict"
        return Inconclusive(
            reason=Reason.METRICS_LOST,
            message=text,
            numbers={"seconds": outage},
            candidate=candidate.release,
        )
    took = now - began(candidate)
    if took < terms.max_duration_seconds:
        return None
    text = f"{name} has no verdict after {duration(took)}"
    silent = min(assessment.slos, key=lambda slo: slo.evidence.promote, default=None)
    if silent is not None:
        text += (
            f": {silent.terms.name} has {_both(silent)}, evidence {silent.evidence.promote:.1f} of"
        )
        text += f" {silent.promote_at:.1f}"
    return Inconclusive(
        reason=Reason.MAX_DURATION,
        message=text,
        numbers=_numbers(silent) if silent else {},
        candidate=candidate.release,
    )
