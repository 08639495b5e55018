"""May a retrained version have any traffic? The hold-out says, before users do.

Both versions are scored on the same rows. A bare comparison would refuse an equal version half of
the time, and accept a worse one on a small hold-out; the bound of the difference does neither, and
says how many rows are missing when it can't tell.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, Difference, newcombe, total_for_margin


class GateVerdict(Enum):
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
    verdict : see `GateVerdict`.
    difference : candidate − stable, with one-sided 95 % bounds; None without counts of both.
    margin : what the upper bound may be.
    needed : events an arm that would tell, when the hold-out is too small; None for "not known".
    """

    slo: str
    verdict: GateVerdict
    candidate: Count
    stable: Count
    difference: Difference | None
    margin: float
    needed: int | None = None


def judge(slo: str, candidate: Count, stable: Count, margin: float) -> HoldOut:
    """Compare two versions on one hold-out; both bounds are one-sided at 95 %."""
    if candidate.total == 0 or stable.total == 0:
        return HoldOut(slo, GateVerdict.TOO_SMALL, candidate, stable, None, margin)
    difference = newcombe(candidate, stable, Z95)
    if difference.upper <= margin:
        return HoldOut(slo, GateVerdict.PASSED, candidate, stable, difference, margin)
    if difference.lower > margin:
        return HoldOut(slo, GateVerdict.WORSE, candidate, stable, difference, margin)
    pooled = (candidate.bad + stable.bad) / (candidate.total + stable.total)
    needed = total_for_margin(pooled, margin)
    return HoldOut(slo, GateVerdict.TOO_SMALL, candidate, stable, difference, margin, needed)


def judge_all(
    candidate: Mapping[str, Count],
    stable: Mapping[str, Count],
    margins: Mapping[str, float],
    gated: Collection[str] = (),
) -> HoldOut:
    """The worst of all SLOs; the first of equals.

    Parameters
    ----------
    candidate, stable : counts by SLO on the same rows.
    margins : allowed regression by SLO.
    gated : SLOs that need counts of both; another one without them says nothing. One must speak.
    """
    nothing = Count(0, 0)
    verdicts = [
        judge(slo, candidate.get(slo, nothing), stable.get(slo, nothing), margin)
        for slo, margin in margins.items()
        if slo in gated or (slo in candidate and slo in stable)
    ]
    if not verdicts:
        return HoldOut("", GateVerdict.TOO_SMALL, nothing, nothing, None, 0.0)
    return max(verdicts, key=lambda verdict: verdict.verdict.value)
