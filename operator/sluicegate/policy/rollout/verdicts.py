"""The verdict that a version keeps of its canary: the decision, and the events of both versions."""

from sluicegate.api.verdict import LONGEST_VERDICT, ArmCounts, CanaryVerdict
from sluicegate.api.versions import FULL, Candidate, PastVersion
from sluicegate.policy.model.decision import Inconclusive, Promote, Rollback
from sluicegate.policy.model.terms import Terms
from sluicegate.stats.counts import Count


def verdict_of(
    terms: Terms, candidate: Candidate, decision: Promote | Rollback | Inconclusive, now: int
) -> CanaryVerdict:
    """Return what a version keeps of its canary; client errors, which only ever veto, aren't in it.

    Parameters
    ----------
    now : end of the canary, in seconds.
    """
    first = candidate.first_traffic_time
    shares = [share.weight for share in candidate.shares if share.weight < FULL]
    indicators = {slo.name: str(slo.kind) for slo in terms.slos}
    return CanaryVerdict(
        type=str(decision.type),
        reason=str(decision.reason),
        message=decision.message[:LONGEST_VERDICT],
        weight=max(shares, default=0),
        traffic_seconds=0 if first is None else max(now - first, 0),
        slos=tuple(
            ArmCounts(
                name=one.slo,
                indicator=indicators[one.slo],
                candidate=Count(one.candidate_bad, one.candidate_total),
                stable=Count(one.stable_bad, one.stable_total),
                phi=one.phi,
            )
            for one in candidate.evidence
            if one.slo in indicators and (one.candidate_total or one.stable_total)
        ),
    )


def verdict_of_return(entry: PastVersion, decision: Rollback) -> CanaryVerdict:
    """Return the verdict of a version that replaces a later one: the rollback, with its own canary."""
    own = entry.verdict or CanaryVerdict(type=str(decision.type), reason=str(decision.reason))
    return own.replace(
        type=str(decision.type),
        reason=str(decision.reason),
        message=decision.message[:LONGEST_VERDICT],
    )
