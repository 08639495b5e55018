"""Objections to a candidate's next step, as named checks: missing evidence, and evidence against it.

The first check that objects holds the candidate at its share.
"""

from collections.abc import Callable
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.baseline import Baseline
from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slos import CanaryEvidence
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.slo_evidence import ConsumerGap, SloEvidence, harms_text
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.slo.blocks import Quality
from sluicegate.slo.label_ages import AGE_BOUNDS_SECONDS
from sluicegate.stats.canary_duration import MIN_BLOCKS
from sluicegate.stats.intervals import Z95, newcombe_difference, wilson_lower
from sluicegate.stats.paired_blocks import BlockEvidence
from sluicegate.views.numbers import compared_counts, duration, events, percent, percents, points

MIN_REQUESTS: Final = 50
"""Requests of the candidate that a step needs."""
INVALID_BLOCKS: Final = 10
MISSING_EVIDENCE: Final = frozenset(
    {
        Reason.PROMETHEUS_UNAVAILABLE,
        Reason.LOW_COVERAGE,
        Reason.COLLECTING_EVIDENCE,
        Reason.LOOKS_WORSE,
        Reason.NO_TRAFFIC,
        Reason.TRAFFIC_NOT_VERIFIED,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.DWELLING,
        Reason.INSUFFICIENT_DATA,
        Reason.CONSUMER_NOT_MEASURED,
    }
)
"""Reasons that say that nothing is known yet, not that something is wrong."""
_UNMEASURED: Final = {
    Quality.UNAVAILABLE: Reason.PROMETHEUS_UNAVAILABLE,
    Quality.LOW_COVERAGE: Reason.LOW_COVERAGE,
}
Objection = Callable[[CanaryCase], Hold | None]


def can_be_judged(terms: Terms) -> bool:
    """Return whether a promotion may need any SLO or gauge in favour; others favour with their events alone."""
    return any(slo.canary_evidence is not CanaryEvidence.POST_PROMOTION for slo in terms.deciding)


def unjudgeable_text(terms: Terms) -> str:
    """Return why the spec makes no SLO favour a candidate, as a clause; empty where it makes one."""
    if can_be_judged(terms):
        return ""
    if not terms.slos:
        return "no SLO can favour it: spec.slos is empty"
    verb = "favours it yet" if terms.deciding else "can favour it"
    return f"no SLO {verb}: each of spec.slos has canaryEvidence PostPromotion or onDegraded Ignore"


def promotion_hint(case: CanaryCase) -> str:
    """Return the way out of a candidate that `unjudgeable_text` is about, as a sentence without its end."""
    return f"Set {REQUEST_PROMOTE}={case.name}/<token> to promote it without evidence"


def unless_favoured_text(terms: Terms) -> str:
    """Return the exception from the end of a candidate that `unjudgeable_text` is about; empty without one."""
    if not terms.deciding:
        return ""
    return ", unless events of an SLO with PostPromotion favour it before"


def step_rule_text() -> str:
    """Return the rule that ends the present step, in words that stay valid while the step lasts."""
    return (
        f"until it has {MIN_BLOCKS} blocks and {MIN_REQUESTS} requests there, and the evidence"
        " of each required SLO"
    )


# ---- the newest block and the traffic ---------------------------------------------------------
def newest_block_is_unmeasured(case: CanaryCase) -> Hold | None:
    """Hold until the newest block is measured."""
    newest = case.assessment.newest
    if newest is Quality.COUNTED:
        return None
    text = f"{case.hold_prefix}: the newest block wasn't measured"
    if newest is Quality.MISSING:
        text = f"{case.hold_prefix} {step_rule_text()}"
    return Hold(reason=_UNMEASURED.get(newest, Reason.COLLECTING_EVIDENCE), message=text)


def blocks_hold_no_counts(case: CanaryCase) -> Hold | None:
    """Hold while counts are invalid."""
    invalid = case.assessment.invalid
    if invalid < INVALID_BLOCKS:
        return None
    text = (
        f"{case.hold_prefix}: the newest {invalid} blocks hold no counts: a pod is scraped twice, a"
        " counter isn't a number, or the candidate's pods count labels of stable's predictions"
    )
    return Hold(reason=Reason.INVALID_DATA, message=text, numbers={"blocks": invalid})


def newest_block_has_no_requests(case: CanaryCase) -> Hold | None:
    """Hold while the candidate has no requests."""
    if case.assessment.newest_requests:
        return None
    text = f"{case.hold_prefix}: it had no requests in the newest block"
    return Hold(reason=Reason.NO_TRAFFIC, message=text)


def route_is_not_accepted(case: CanaryCase) -> Hold | None:
    """Hold while a Gateway doesn't accept the route, as no request follows the new share."""
    if not case.facts.route_objection:
        return None
    text = f"{case.hold_prefix}: {case.facts.route_objection}"
    return Hold(reason=Reason.ROUTE_NOT_ACCEPTED, message=text)


def share_is_unverified(case: CanaryCase) -> Hold | None:
    """Hold until the gateways have applied the share."""
    if case.facts.split_verified:
        return None
    text = f"{case.hold_prefix}: that share isn't verified yet"
    return Hold(reason=Reason.TRAFFIC_NOT_VERIFIED, message=text)


def share_is_wrong(case: CanaryCase) -> Hold | None:
    """Hold while the measured traffic share contradicts the weight."""
    share = case.assessment.contradicting_share
    if share is None:
        return None
    text = (
        f"{case.name} gets {percent(share)} of the requests instead of {case.candidate.weight} %,"
        " in each of the last five blocks"
    )
    return Hold(reason=Reason.ROUTING_MISMATCH, message=text, numbers={"share": share})


def market_is_worse(case: CanaryCase) -> Hold | None:
    """Hold while the candidate is worse in a market beyond chance, if the spec requires markets to be equal."""
    blocking_harms = case.assessment.holding_harms
    if not blocking_harms:
        return None
    text = (
        f"{case.hold_prefix}: it is {harms_text(blocking_harms)}. markets.onCandidateWorse is Hold:"
        f" set {REQUEST_PROMOTE}={case.name}/<token> to promote it all the same, or {REQUEST_ABORT} to end"
        f" its rollout{_rollout_end_text(case)}"
    )
    worst_harm = blocking_harms[0]
    numbers = {
        "evidence": worst_harm.evidence, "bound": worst_harm.bound,
        "candidateBad": worst_harm.candidate.bad, "candidateTotal": worst_harm.candidate.total,
        "stableBad": worst_harm.stable.bad, "stableTotal": worst_harm.stable.total,
    }  # fmt: skip
    return Hold(reason=Reason.MARKET_WORSE, message=text, numbers=numbers)


def _rollout_end_text(case: CanaryCase) -> str:
    """Return a clause with the end of the rollout, for a candidate that may be promoted manually."""
    if case.has_passed:
        return ""
    return (
        f"; otherwise all traffic returns to stable at {rfc3339(case.now + case.time.remaining)}"
        " (rollout.maxDurationSeconds)"
    )


# ---- missing evidence -------------------------------------------------------------------------
def step_is_short(case: CanaryCase) -> Hold | None:
    """Hold until a step has lasted for its minimum of blocks and requests."""
    blocks, requests = case.assessment.dwell, case.assessment.requests
    if blocks >= MIN_BLOCKS and requests >= MIN_REQUESTS:
        return None
    text = (
        f"{case.hold_prefix}: {blocks} of {MIN_BLOCKS} blocks and"
        f" {requests} of {MIN_REQUESTS} requests of this step"
    )
    numbers = {"blocks": blocks, "requests": requests}
    return Hold(reason=Reason.DWELLING, message=text, numbers=numbers)


def no_slo_has_traffic(case: CanaryCase) -> Hold | None:
    """Hold without traffic in any SLO: missing evidence must not promote."""
    if case.assessment.favouring_slos or case.assessment.counted_gauges:
        return None
    text = f"{case.hold_prefix}: no SLO has enough traffic to favour it"
    if reason_text := unjudgeable_text(case.terms):
        text = f"{case.hold_prefix}: {reason_text}"
        if not case.forced:
            text += f". {promotion_hint(case)}{_rollout_end_text(case)}{unless_favoured_text(case.terms)}"
    return Hold(reason=Reason.INSUFFICIENT_DATA, message=text)


def evidence_is_missing(case: CanaryCase) -> Hold | None:
    """Hold until the evidence of each required SLO favours the candidate."""
    missing_slos = [slo for slo in case.assessment.promotion_evidence if not slo.favours]
    if not missing_slos:
        return None
    slo = min(missing_slos, key=lambda slo: slo.evidence.promote_evidence)
    text = (
        f"{case.hold_prefix}: {slo.terms.title} has {evidence_source_text(slo)}, evidence"
        f" {slo.evidence.promote_evidence:.1f} of {slo.promote_at:.1f}"
    )
    return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=evidence_numbers(slo))


def consumer_is_unmeasured(case: CanaryCase) -> Hold | None:
    """Hold at the last step while a required consumer has no valid outcomes."""
    gap = unmeasured_consumer(case) if case.is_last else None
    if gap is None:
        return None
    text = f"{case.hold_prefix}: {gap.text}{_rollout_end_text(case)}"
    return Hold(reason=Reason.CONSUMER_NOT_MEASURED, message=text)


def unmeasured_consumer(case: CanaryCase) -> ConsumerGap | None:
    """Return the first required consumer without valid outcomes; None if all have some."""
    silent_consumers = {slo.terms.consumer for slo in case.assessment.required if not slo.favours}
    return next(
        (gap for gap in case.assessment.gaps if gap.unread or gap.consumer in silent_consumers),
        None,
    )


def gauge_evidence_is_missing(case: CanaryCase) -> Hold | None:
    """Hold at the last step until each required gauge favours the candidate."""
    for gauge in case.assessment.gauges if case.is_last else ():
        if gauge.required and not gauge.favours:
            text = (
                f"{case.hold_prefix}: {gauge.terms.name} has {gauge.pairs} blocks of both versions, and"
                f" is not yet shown to be within {gauge.terms.margin:.4g} of stable's"
            )
            numbers = {"blocks": gauge.pairs}
            return Hold(reason=Reason.COLLECTING_EVIDENCE, message=text, numbers=numbers)
    return None


# ---- evidence against it ----------------------------------------------------------------------
def few_events_look_worse(case: CanaryCase) -> Hold | None:
    """Hold at the last step while an SLO looks worse but has too few events for a verdict."""
    slo_against = next((slo for slo in case.assessment.slos if slo.leans_against), None)
    return _few_events_hold(case, slo_against) if slo_against is not None and case.is_last else None


def events_look_worse(case: CanaryCase) -> Hold | None:
    """Hold while the counts of an SLO are likelier under a worse than under an equal candidate."""
    worse_slo = next((slo for slo in case.assessment.slos if slo.looks_worse), None)
    return None if worse_slo is None else _few_events_hold(case, worse_slo)


def _few_events_hold(case: CanaryCase, slo: SloEvidence) -> Hold:
    """Return the hold for an SLO that looks worse on few events: missing evidence is no approval (docs/adr/0004)."""
    text = (
        f"{case.hold_prefix}: {slo.terms.title} has too few"
        f" events for a verdict, and they point to a regression: {evidence_source_text(slo)}"
    )
    return Hold(reason=Reason.LOOKS_WORSE, message=text, numbers=evidence_numbers(slo))


def is_below_standard(case: CanaryCase) -> Hold | None:
    """Hold a candidate at the last step if it misses the objective or the original baseline."""
    if not case.is_last:
        return None
    holds = (
        _misses_objective(case, slo) or _misses_original_baseline(case, slo)
        for slo in case.assessment.slos
    )
    return next(filter(None, holds), None)


def is_below_stable(case: CanaryCase) -> Hold | None:
    """Hold a candidate that misses an objective which stable meets, or that is worse than the original baseline."""
    holds = (
        (None if _is_as_good(slo) else _misses_objective(case, slo))
        or _misses_original_baseline(case, slo)
        for slo in case.assessment.slos
    )
    return next(filter(None, holds), None)


OBJECTIONS: Final[tuple[Objection, ...]] = (
    newest_block_is_unmeasured,
    blocks_hold_no_counts,
    route_is_not_accepted,
    newest_block_has_no_requests,
    share_is_unverified,
    share_is_wrong,
    market_is_worse,
    step_is_short,
    no_slo_has_traffic,
    consumer_is_unmeasured,
    evidence_is_missing,
    few_events_look_worse,
    gauge_evidence_is_missing,
    is_below_standard,
)
"""Checks before each step, in their order."""
CONTRARY_CHECKS: Final[tuple[Objection, ...]] = (share_is_wrong, events_look_worse, is_below_stable)
"""Checks that a person can't overrule."""


def first_objection(case: CanaryCase) -> Hold | None:
    """Return the first objection against the next step; None without one."""
    return next(filter(None, (check(case) for check in OBJECTIONS)), None)


def evidence_against(case: CanaryCase) -> Hold | None:
    """Return the objection by evidence against a candidate, which no manual request overrules; None without one."""
    return next(filter(None, (check(case) for check in CONTRARY_CHECKS)), None)


# ---- standards --------------------------------------------------------------------------------
def missed_bound(slo: SloEvidence) -> float | None:
    """Return the lower bound of the candidate's bad share if it misses the objective beyond chance; else None."""
    allowed = slo.terms.allowed_bad_ratio
    if allowed is None:
        return None
    lower_bound = wilson_lower(*slo.independent_count, Z95)
    return lower_bound if lower_bound > allowed else None


def _misses_objective(case: CanaryCase, slo: SloEvidence) -> Hold | None:
    """Hold a candidate that misses an objective, unless it is better than stable beyond chance."""
    lower_bound = missed_bound(slo)
    if lower_bound is None or slo.terms.allowed_bad_ratio is None or slo.shows_better:
        return None
    text = f"{case.hold_prefix}: {objective_miss_text(slo, lower_bound)}; it isn't shown to be better than stable: {evidence_source_text(slo)}"
    numbers = {"lowerBound": lower_bound, "limit": slo.terms.allowed_bad_ratio}
    return Hold(reason=Reason.OBJECTIVE_NOT_MET, message=text, numbers=numbers)


def objective_miss_text(slo: SloEvidence, lower_bound: float) -> str:
    """Return the difference between the candidate's share and the objective, as text."""
    return (
        f"in {slo.terms.name} at least {percent(lower_bound)} are bad"
        f" ({events(slo.arms[0].total)}), {percent(slo.terms.allowed_bad_ratio or 0.0)} are allowed"
    )


def _is_as_good(slo: SloEvidence) -> bool:
    """Return whether the candidate's bad share is at most stable's in the same blocks."""
    candidate_arm, stable_arm = slo.arms
    return (
        stable_arm.total > 0
        and candidate_arm.bad * stable_arm.total <= stable_arm.bad * candidate_arm.total
    )


def original_baseline(status: DataProductStatus, slo: str) -> Baseline | None:
    """Return the first baseline that was ever accepted for this SLO."""
    original = status.engine.original_baseline
    if original is not None and slo in original.slos:
        return original.slos[slo]
    return status.stable.baseline.get(slo) if status.stable else None


def _misses_original_baseline(case: CanaryCase, slo: SloEvidence) -> Hold | None:
    """Hold a candidate that is worse than the first accepted version, so that small losses can't accumulate.

    A candidate that beats stable may pass although it doesn't reach the first: the world moved.
    """
    original = original_baseline(case.status, slo.terms.name)
    candidate_arm, stable_arm = slo.arms
    if (
        original is None
        or original.count.total == 0
        or not candidate_arm.total
        or not stable_arm.total
    ):
        return None
    if candidate_arm.bad * stable_arm.total < stable_arm.bad * candidate_arm.total:
        return None
    difference = newcombe_difference(slo.independent_count, original.count, Z95)
    if difference.lower <= slo.terms.margin:
        return None
    candidate_text, original_text = percents(
        1 - (candidate_arm.ratio or 0.0), 1 - (original.count.ratio or 0.0)
    )
    text = (
        f"{case.hold_prefix}: in {slo.terms.name} it is at"
        f" least {points(difference.lower)} worse than the first version that was accepted"
        f" ({candidate_text} against {original_text});"
        f" up to {points(slo.terms.margin)} is allowed"
    )
    numbers = {"lowerBound": difference.lower, "limit": slo.terms.margin}
    return Hold(reason=Reason.WORSE_THAN_ORIGINAL, message=text, numbers=numbers)


# ---- words ------------------------------------------------------------------------------------
def both_shares_text(slo: SloEvidence) -> str:
    """Return the good shares of candidate and stable in the same blocks, as text."""
    is_of_errors = is_implicit(slo.terms)
    candidate_text, stable_text = compared_counts(
        *(
            (count.total - count.bad if is_of_errors else count.bad, count.total)
            for count in slo.arms
        )
    )
    return (
        f"{candidate_text} against stable's {stable_text} in the same blocks{_label_ages_text(slo)}"
    )


def _label_ages_text(slo: SloEvidence) -> str:
    """Return a clause about the ages of the compared labels; empty where labels of any age are compared."""
    if slo.labels is None:
        return ""
    if not slo.labels.classes:
        return (
            f", as labels compare from {duration(AGE_BOUNDS_SECONDS[0])} after the share was given"
        )
    seconds = slo.labels.seconds
    if seconds is None:
        return ""
    estimated = "estimated from" if slo.is_estimated else "of"
    return f", {estimated} labels of the same ages, now up to {duration(seconds)}"


def evidence_source_text(slo: SloEvidence) -> str:
    """Return the source of an SLO's evidence as text: shadow phase rows, else the blocks of both versions."""
    return both_shares_text(slo) if slo.shadow is None else shadow_rows_text(slo.shadow)


def shadow_rows_text(shadow: BlockEvidence) -> str:
    """Return the number of rows that both versions were scored on after the training, as text."""
    rows = shadow.pairs
    if not rows.total:
        return "no rows that were labelled after the training"
    return (
        f"{rows.total:,} rows that were labelled after the training: {rows.only_candidate_wrong:,}"
        f" wrong of the candidate alone, {rows.only_stable_wrong:,} of stable alone"
    )


def evidence_numbers(slo: SloEvidence) -> dict[str, float]:
    """Return the evidence values of one SLO by name, for a status's numbers."""
    candidate_arm, stable_arm = slo.arms
    return {
        "promote": slo.evidence.promote_evidence,
        "promoteAt": slo.promote_at,
        "rollBack": slo.evidence.roll_back,
        "rollBackAt": slo.roll_back_at,
        "candidateBad": candidate_arm.bad,
        "candidateTotal": candidate_arm.total,
        "stableBad": stable_arm.bad,
        "stableTotal": stable_arm.total,
    }
