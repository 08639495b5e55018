"""May a retrained version have any traffic? The hold-out says, before users do.

Both versions are scored on the same rows. A bare comparison would refuse an equal version half of
the time, and accept a worse one on a small hold-out; the bound of the difference does neither, and
says how many rows are missing when it can't tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sluicegate.slo.blocks import Count
from sluicegate.slo.intervals import Z95, Difference, newcombe, total_for_margin


class Verdict(Enum):
    """What the hold-out says of a candidate, the worst last."""

    PASSED = 0
    TOO_SMALL = 1
    WORSE = 2


@dataclass(frozen=True, slots=True)
class HoldOut:
    """What one SLO's hold-out says.

    Attributes
    ----------
    slo : name of the SLO; empty when there was nothing to compare at all.
    verdict : see `Verdict`.
    difference : candidate − stable, with one-sided 95 % bounds; None without counts of both.
    margin : what the upper bound may be.
    needed : events an arm that would tell, when the hold-out is too small; None for "not known".
    """

    slo: str
    verdict: Verdict
    candidate: Count
    stable: Count
    difference: Difference | None
    margin: float
    needed: int | None = None


def judge(slo: str, candidate: Count, stable: Count, margin: float) -> HoldOut:
    """Compare two versions on one hold-out; both bounds are one-sided at 95 %."""
    if candidate.total == 0 or stable.total == 0:
        return HoldOut(slo, Verdict.TOO_SMALL, candidate, stable, None, margin)
    difference = newcombe(candidate, stable, Z95)
    if difference.upper <= margin:
        return HoldOut(slo, Verdict.PASSED, candidate, stable, difference, margin)
    if difference.lower > margin:
        return HoldOut(slo, Verdict.WORSE, candidate, stable, difference, margin)
    pooled = (candidate.bad + stable.bad) / (candidate.total + stable.total)
    needed = total_for_margin(pooled, margin)
    return HoldOut(slo, Verdict.TOO_SMALL, candidate, stable, difference, margin, needed)


def judge_all(
    candidate: Mapping[str, Count], stable: Mapping[str, Count], margins: Mapping[str, float]
) -> HoldOut:
    """The worst of all SLOs that have a margin and counts of both; the first of equals.

    Parameters
    ----------
    candidate, stable : counts by SLO on the same rows.
    margins : allowed regression by SLO. An SLO without counts of both says nothing, but one must.
    """
    common = [slo for slo in margins if slo in candidate and slo in stable]
    verdicts = [judge(slo, candidate[slo], stable[slo], margins[slo]) for slo in common]
    if not verdicts:
        return HoldOut("", Verdict.TOO_SMALL, Count(0, 0), Count(0, 0), None, 0.0)
    return max(verdicts, key=lambda verdict: verdict.verdict.value)
