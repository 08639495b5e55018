"""Text on a candidate's gain: the SLO that its rollout should improve, and the SLO with the least evidence."""

from collections.abc import Sequence
from dataclasses import replace

from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.objections import (
    both_shares_text,
    evidence_numbers,
    evidence_source_text,
)
from sluicegate.policy.canary.slo_evidence import (
    Assessment,
    MarketCounts,
    MarketHarm,
    SloEvidence,
    harms_text,
    is_own,
)
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.stats.intervals import Z_INTERVAL
from sluicegate.stats.paired import paired_difference
from sluicegate.views.lift import (
    Lift,
    arms_text,
    fallen_markets,
    falls_text,
    lift_of,
    lift_text,
)
from sluicegate.views.numbers import points


def gains(candidate: Candidate, assessment: Assessment) -> tuple[str, dict[str, float]]:
    """Return the gain of a candidate that has passed, with the numbers of the weakest evidence.

    First comes the SLO that its training is for; without one, the SLO with the largest proved gain.
    Then comes the SLO with the least evidence that the candidate isn't worse.
    """
    slos = [slo for slo in assessment.promotion_evidence if not is_implicit(slo.terms)]
    weakest = min(slos, key=lambda slo: slo.evidence.promote_evidence, default=None)
    subject = _subject(candidate, assessment)
    lift = None if subject is None else _lift(subject)
    lead_text = _hold_out_text(candidate) if lift is None else lift_text(lift)
    if weakest is None:
        names = ", ".join(gauge.terms.name for gauge in assessment.counted_gauges)
        return "; ".join(filter(None, (lead_text, f"not worse in {names}"))), {}
    evidence = f"evidence {weakest.evidence.promote_evidence:.1f} of {weakest.promote_at:.1f}"
    numbers = evidence_numbers(weakest)
    if lift is not None:
        numbers |= {"gain": lift.gain, "gainLower": lift.lower, "gainUpper": lift.upper}
    if weakest is subject and lift is not None and lift.lower > 0:
        return f"{lead_text}: {evidence_source_text(weakest)}, {evidence}", numbers
    weakest_text = f"not worse by {points(weakest.margin)} in {weakest.terms.title}: {evidence_source_text(weakest)}, {evidence}"
    if lift is None or subject is None or weakest is subject:
        return "; ".join(filter(None, (lead_text, weakest_text))), numbers
    return f"{lead_text}: {both_shares_text(subject)}; {weakest_text}", numbers


def market_changes_text(assessment: Assessment, named_harms: Sequence[MarketHarm] = ()) -> str:
    """Return the markets in which a version that is promoted is worse, or fell by the events of its whole canary.

    The bound of the former holds after any number of blocks, that of the latter only at its end.

    Parameters
    ----------
    named_harms : those that the sentence names already.
    """
    harmed = {(harm.slo.name, harm.market) for harm in assessment.harmed}
    lifts = [
        lift
        for slo in assessment.slos
        if (lift := _lift(slo, assessment.by_market.get(slo.terms.name, {})))
    ]
    falls = [lift for cell, lift in fallen_markets(lifts).items() if cell not in harmed]
    harms = [harm for harm in assessment.harmed if harm not in named_harms]
    return "; ".join(filter(None, (harms_text(harms), falls_text(falls))))


def _subject(candidate: Candidate, assessment: Assessment) -> SloEvidence | None:
    """Return the SLO that the rollout is about; None for a version that shows no gain."""
    if candidate.cause_slo:
        of_cause = (slo for slo in assessment.slos if slo.terms.name == candidate.cause_slo)
        return next(of_cause, None)
    spec_slos = [slo for slo in assessment.slos if is_own(slo.terms)]
    proved_gains = [
        (lift.gain, slo) for slo in spec_slos if (lift := _lift(slo)) and lift.lower > 0
    ]
    return max(proved_gains, key=lambda pair: pair[0])[1] if proved_gains else None


def _lift(slo: SloEvidence, by_market: MarketCounts | None = None) -> Lift | None:
    """Return the change of an SLO in the blocks of the canary; None without events of both versions."""
    return lift_of(
        slo.terms.name,
        *slo.arms,
        phi=slo.dispersion,
        indicator=str(slo.terms.kind),
        markets={market: (*arms[0], *arms[1]) for market, arms in (by_market or {}).items()},
    )


def _hold_out_text(candidate: Candidate) -> str:
    """Return the hold-out change of the SLO that caused the training, else the largest one; empty without counts."""
    names = [candidate.cause_slo] if candidate.cause_slo else sorted(candidate.evaluation)
    lifts = [lift for name in names if (lift := _hold_out_lift(candidate, name)) is not None]
    lift = max(lifts, key=lambda lift: lift.gain, default=None)
    return "" if lift is None else f"{lift_text(lift)}: {arms_text(lift)}"


def _hold_out_lift(candidate: Candidate, slo: str) -> Lift | None:
    """Return the change of an SLO on the hold-out; None without counts of both versions."""
    rows, stable_rows = candidate.evaluation.get(slo), candidate.stable_evaluation.get(slo)
    if not rows or not stable_rows:
        return None
    lift = lift_of(slo, rows, stable_rows, hold_out=True)
    if lift is not None and (pairs := candidate.pairs.get(slo)) is not None:
        difference = paired_difference(pairs, Z_INTERVAL)
        lift = replace(
            lift, gain=-difference.estimate, lower=-difference.upper, upper=-difference.lower
        )
    return lift
