"""Objections to a candidate's next step: missing evidence, and evidence against it."""

from typing import Final

from sluicegate.api.baseline import Baseline
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slos import CanaryEvidence
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.assessment import Assessment, SloEvidence
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.model.formatting import events, percent, points
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.client_errors import shown
from sluicegate.slo.blocks import Quality
from sluicegate.stats.canary_duration import LEAST_BLOCKS
from sluicegate.stats.intervals import Z95, newcombe, wilson_lower
from sluicegate.stats.paired_blocks import BlockEvidence

LEAST_REQUESTS: Final = 50
"""Requests of the candidate that a step needs."""
INVALID_BLOCKS: Final = 10
LACKING: Final = frozenset(
    {
        Reason.PROMETHEUS_UNAVAILABLE,
        Reason.LOW_COVERAGE,
        Reason.COLLECTING_EVIDENCE,
        Reason.NO_TRAFFIC,
        Reason.TRAFFIC_NOT_VERIFIED,
        Reason.DWELLING,
        Reason.INSUFFICIENT_DATA,
    }
)
"""Reasons that say that nothing is known yet, not that something is wrong."""
_UNMEASURED: Final = {
    Quality.UNAVAILABLE: Reason.PROMETHEUS_UNAVAILABLE,
    Quality.LOW_COVERAGE: Reason.LOW_COVERAGE,
}


def can_be_judged(terms: Terms) -> bool:
    """Whether any SLO can ever favour a candidate."""
    return any(slo.canary_evidence is not CanaryEvidence.POST_PROMOTION for slo in terms.deciding)


def obstacle(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    assessment: Assessment,
    *,
    facts: Facts,
) -> Hold | None:
    """Why a candidate stays at its share; None when it may go on."""
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
        return _mismatched(candidate, assessment.mismatch)
    return _not_yet(candidate, assessment) or _too_bad(terms, status, candidate, assessment)


def _mismatched(candidate: Candidate, share: float) -> Hold:
    text = (
        f"{candidate.release.version} gets {percent(share)} of the requests instead of"
        f" {candidate.weight} %, in each of the last five blocks"
    )
    return Hold(reason=Reason.ROUTING_MISMATCH, message=text, numbers={"share": share})


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
        text = f"{name} stays at {candidate.weight} %: no SLO has enough traffic to favour it"
        return Hold(reason=Reason.INSUFFICIENT_DATA, message=text)
    silent = [slo for slo in assessment.counted if not slo.speaks_for]
    if silent:
        slo = min(silent, key=lambda slo: slo.evidence.promote)
        text = (
            f"{name} stays at {candidate.weight} %: {slo.terms.name} has {basis(slo)}, evidence"
            f" {slo.evidence.promote:.1f} of {slo.promote_at:.1f}"
        )
        return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=numbers_of(slo))
    return None


def _too_bad(
    terms: Terms, status: DataProductStatus, candidate: Candidate, assessment: Assessment
) -> Hold | None:
    """At the last step: no candidate below the objective or the first acceptance is promoted."""
    if next_share(terms, candidate) is not None:
        return None
    leaning = next((slo for slo in assessment.slos if slo.leans_against), None)
    if leaning is not None:
        return _leaning(candidate, leaning)
    for gauge in assessment.gauges:
        if gauge.required and not gauge.speaks_for:
            text = (
                f"{candidate.release.version} stays at {candidate.weight} %: {gauge.terms.name} has"
                f" {gauge.pairs} blocks of both versions, and is not yet shown to be within"
                f" {gauge.terms.margin:.4g} of stable's yet"
            )
            return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text)
    return _below_standard(status, candidate, assessment)


def against(status: DataProductStatus, candidate: Candidate, assessment: Assessment) -> Hold | None:
    """Evidence against a candidate, even too little for a rollback: a person can't overrule it."""
    if assessment.mismatch is not None:
        return _mismatched(candidate, assessment.mismatch)
    worse = next((slo for slo in assessment.slos if slo.looks_worse), None)
    if worse is not None:
        return _leaning(candidate, worse)
    return _below_standard(status, candidate, assessment)


def _below_standard(
    status: DataProductStatus, candidate: Candidate, assessment: Assessment
) -> Hold | None:
    held = (
        _misses_objective(candidate, slo) or _walks_away(status, candidate, slo)
        for slo in assessment.slos
    )
    return next(filter(None, held), None)


def _leaning(candidate: Candidate, slo: SloEvidence) -> Hold:
    """Too few events for an answer aren't an approval while they look worse (docs/adr/0004)."""
    text = (
        f"{candidate.release.version} stays at {candidate.weight} %: {slo.terms.name} has too few"
        f" events for a verdict, and they point to a regression: {basis(slo)}"
    )
    return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=numbers_of(slo))


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


def first_accepted(status: DataProductStatus, slo: str) -> Baseline | None:
    """The first baseline that was ever accepted for this SLO."""
    original = status.engine.original_baseline
    if original is not None and slo in original.slos:
        return original.slos[slo]
    return status.stable.baseline.get(slo) if status.stable else None


def _walks_away(status: DataProductStatus, candidate: Candidate, slo: SloEvidence) -> Hold | None:
    """A chain of versions, each a little worse than the last, ends here.

    A candidate that beats stable may pass although it doesn't reach the first: the world moved.
    """
    original = first_accepted(status, slo.terms.name)
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


def next_share(terms: Terms, candidate: Candidate) -> int | None:
    """The share of the step after the one it has, in percent; None at the last one or beyond it.

    Steps may have been edited since it took its share, which never leads to one that is smaller.
    """
    return next((share for share in terms.steps if share > candidate.weight), None)


def both_arms(slo: SloEvidence) -> str:
    """How both versions did in the same blocks, in words."""
    ours, theirs = slo.evidence.candidate, slo.evidence.stable
    return (
        f"{percent(shown(slo.terms, ours.ratio or 0.0))} ({events(ours.total)}) against stable's"
        f" {percent(shown(slo.terms, theirs.ratio or 0.0))} ({events(theirs.total)}) in the same blocks"
    )


def basis(slo: SloEvidence) -> str:
    """What its evidence rests on, in words: the rows of a shadow phase, else both arms."""
    return both_arms(slo) if slo.shadow is None else shadow_rows(slo.shadow)


def shadow_rows(shadow: BlockEvidence) -> str:
    """The rows that both versions were scored on after the training, in words."""
    rows = shadow.pairs
    if not rows.total:
        return "no rows that were labelled after the training"
    return (
        f"{rows.total:,} rows that were labelled after the training: {rows.only_candidate_wrong:,}"
        f" wrong of the candidate alone, {rows.only_stable_wrong:,} of stable alone"
    )


def numbers_of(slo: SloEvidence) -> dict[str, float]:
    """The evidence of one SLO by name."""
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
