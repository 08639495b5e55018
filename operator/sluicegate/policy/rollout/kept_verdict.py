"""The verdict that a version keeps of its canary: the decision, and the events of both versions."""

from sluicegate.api.verdict import LONGEST_VERDICT, ArmCounts, CanaryVerdict
from sluicegate.api.versions import FULL_WEIGHT, Candidate, Evidence, PastVersion
from sluicegate.policy.model.decision import Inconclusive, Promote, Rollback
from sluicegate.policy.model.terms import Terms
from sluicegate.stats.counts import Count


def verdict_of(
    terms: Terms, candidate: Candidate, decision: Promote | Rollback | Inconclusive, now: int
) -> CanaryVerdict:
    """Return the canary verdict that a version keeps; without client errors, which are never evidence in favour.

    Parameters
    ----------
    now : end of the canary, in seconds.
    """
    first = candidate.first_traffic_time
    shares = [share.weight for share in candidate.shares if share.weight < FULL_WEIGHT]
    indicators = {slo.name: str(slo.kind) for slo in terms.slos}
    return CanaryVerdict(
        type=str(decision.type),
        reason=str(decision.reason),
        message=decision.message[:LONGEST_VERDICT],
        weight=max(shares, default=0),
        traffic_seconds=0 if first is None else max(now - first, 0),
        slos=tuple(
            counts
            for evidence in candidate.evidence
            if evidence.slo in indicators
            and (counts := _counts(candidate, evidence, indicators[evidence.slo]))
        ),
    )


def _counts(candidate: Candidate, evidence: Evidence, indicator: str) -> ArmCounts | None:
    """Return the events of both versions, else their hold-out rows; None without either."""
    slo = evidence.slo
    rows, stable_rows = candidate.evaluation.get(slo), candidate.stable_evaluation.get(slo)
    if rows and stable_rows and not (evidence.candidate_total and evidence.stable_total):
        return ArmCounts(
            name=slo, indicator=indicator, candidate=rows, stable=stable_rows, hold_out=True
        )
    if not (evidence.candidate_total or evidence.stable_total):
        return None
    return ArmCounts(
        name=slo,
        indicator=indicator,
        candidate=Count(evidence.candidate_bad, evidence.candidate_total),
        stable=Count(evidence.stable_bad, evidence.stable_total),
        markets=evidence.markets,
        phi=evidence.phi,
    )


def verdict_of_return(entry: PastVersion, decision: Rollback) -> CanaryVerdict:
    """Return the verdict of a restored version: of its own canary, with the rollback."""
    own_verdict = entry.verdict or CanaryVerdict(
        type=str(decision.type), reason=str(decision.reason)
    )
    return own_verdict.replace(
        type=str(decision.type),
        reason=str(decision.reason),
        message=decision.message[:LONGEST_VERDICT],
    )
