"""Lines of `explain` on the evidence by consumers' SLOs in the newest blocks of a canary."""

from collections.abc import Iterator
from typing import Any

from sluicegate.policy.canary.slo_evidence import Assessment, SloEvidence
from sluicegate.stats.counts import Count
from sluicegate.views.numbers import events, percent


def consumer_lines(assessment: Assessment | None) -> Iterator[str]:
    """Yield a line for each SLO of consumers, and for each consumer without valid outcomes."""
    for case in _cases(assessment):
        evidence = case.evidence
        yield (
            f"  candidate in {case.terms.name}: {_share(evidence.candidate)} against stable's"
            f" {_share(evidence.stable)}; for it {evidence.promote_evidence:.1f} of {case.promote_at:.1f}, against it"
            f" {evidence.roll_back:.1f} of {case.roll_back_at:.1f}"
        )
    for gap in () if assessment is None else assessment.gaps:
        yield f"  no evidence: {gap.text}"


def consumers_as_object(assessment: Assessment | None) -> dict[str, Any]:
    """Return the field with the evidence by SLOs of consumers; no field without any."""
    rows = [
        {
            "slo": case.terms.name,
            "candidate": case.evidence.candidate._asdict(),
            "stable": case.evidence.stable._asdict(),
            "promote": case.evidence.promote_evidence,
            "promoteAt": case.promote_at,
            "rollBack": case.evidence.roll_back,
            "rollBackAt": case.roll_back_at,
        }
        for case in _cases(assessment)
    ]
    return {"consumers": rows} if rows else {}


def _cases(assessment: Assessment | None) -> Iterator[SloEvidence]:
    if assessment is not None:
        yield from (slo for slo in assessment.slos if slo.terms.consumer)


def _share(count: Count) -> str:
    return (
        f"{percent(1 - count.bad / count.total)} ({events(count.total)})" if count.total else "none"
    )
