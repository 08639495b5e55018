"""Gate of a retrained version on the hold-out, before it gets traffic.

Both versions are scored on the same rows. A bare comparison would refuse an equal version half of
the time, and accept a worse one on a small hold-out; the bound of the difference does neither, and
gives the number of missing rows if there is no verdict. If the training reports which of both was
right on each row, the rows that both got right or wrong cancel, and a third of the rows suffices
(docs/adr/0013).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from math import ceil
from typing import Final

from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.intervals import Z95, Difference, newcombe_difference
from sluicegate.stats.paired import (
    BETTER_ALPHA,
    Pairs,
    is_shown_better,
    paired_difference,
    probability_of_better_by_chance,
)
from sluicegate.views.numbers import percent

_MAX_TIMES: Final = 30
"""A hold-out that is a thousand times as large is out of reach."""


class GateVerdict(Enum):
    """The verdict of the hold-out gate, the worst last."""

    PASSED = 0
    TOO_SMALL = 1
    WORSE = 2


@dataclass(frozen=True, slots=True)
class HoldOut:
    """The hold-out counts of an SLO.

    Attributes
    ----------
    slo : name of the SLO; empty when there was nothing to compare at all.
    verdict : see `GateVerdict`.
    difference : candidate − stable, with one-sided 95 % bounds; None without counts of both.
    margin : what the upper bound may be.
    needed : events per version for a verdict, if the hold-out is too small; None if unknown.
    """

    slo: str
    verdict: GateVerdict
    candidate: Count
    stable: Count
    difference: Difference | None
    margin: float
    needed: int | None = None
    pairs: Pairs | None = None

    @property
    def is_better(self) -> bool:
        """Return whether the candidate is shown to be better, not only no worse; this needs pairs."""
        has_passed = self.verdict is GateVerdict.PASSED
        return has_passed and self.pairs is not None and is_shown_better(self.pairs)


def judge(
    slo: str,
    candidate: Count,
    stable: Count,
    margin: HoldOutMargin,
    *,
    pairs: Pairs | None = None,
) -> HoldOut:
    """Compare two versions on the same hold-out; both bounds are one-sided at 95 %."""
    allowed = margin.for_pairs(pairs)
    if candidate.total == 0 or stable.total == 0:
        return HoldOut(slo, GateVerdict.TOO_SMALL, candidate, stable, None, allowed)
    interval = (
        newcombe_difference(candidate, stable, Z95) if pairs is None else paired_difference(pairs)
    )
    verdict = GateVerdict.TOO_SMALL
    needed = None
    if interval.upper <= allowed:
        verdict = GateVerdict.PASSED
    elif interval.lower > allowed:
        verdict = GateVerdict.WORSE
    else:
        needed = _needed(interval, allowed, candidate.total)
    return HoldOut(slo, verdict, candidate, stable, interval, allowed, needed, pairs)


def _needed(difference: Difference, margin: float, rows: int) -> int | None:
    """Return the rows at which this difference is decided, as the bounds' distance falls with their root."""
    gap = margin - difference.estimate
    distance = (
        difference.upper - difference.estimate
        if gap >= 0
        else difference.estimate - difference.lower
    )
    if abs(gap) * _MAX_TIMES <= distance:
        return None
    return ceil(rows * (distance / gap) ** 2)


def judge_all(
    candidate: Mapping[str, Count],
    stable: Mapping[str, Count],
    margins: Mapping[str, HoldOutMargin],
    gated_slos: Collection[str] = (),
    *,
    pairs: Mapping[str, Pairs] | None = None,
) -> HoldOut:
    """Return the worst verdict of all SLOs; the first of equals.

    Parameters
    ----------
    candidate, stable : counts by SLO on the same rows.
    margins : allowed regression by SLO.
    pairs : the same rows by which of both was right, by SLO, where that is known.
    gated_slos : SLOs that need counts of both; another one without them says nothing. One must speak.
    """
    verdicts = [
        judge(
            slo,
            candidate.get(slo, NOTHING),
            stable.get(slo, NOTHING),
            margin,
            pairs=(pairs or {}).get(slo),
        )
        for slo, margin in margins.items()
        if slo in gated_slos or (slo in candidate and slo in stable)
    ]
    if not verdicts:
        return HoldOut("", GateVerdict.TOO_SMALL, NOTHING, NOTHING, None, 0.0)
    worst = max(verdicts, key=lambda verdict: verdict.verdict.value)
    if worst.verdict is GateVerdict.PASSED:  # then the one that says most for it speaks
        return next((verdict for verdict in verdicts if verdict.is_better), worst)
    return worst


def no_remedy(pairs: Mapping[str, Pairs], degraded: Collection[str]) -> str:
    """Return why a version that isn't worse doesn't remedy the degradation, as a clause; empty if it may.

    A version that is only as good as a degraded one is no remedy, and its promotion would accept
    the degraded level. A version that is wrong in the same rows as stable changes nothing, also
    where a person asked for it. What the rows don't show, such as a latency, may be remedied all the same.

    Parameters
    ----------
    pairs : rows by which of both versions was right, by SLO. degraded : the SLOs to remedy.
    """
    if any(slo not in pairs for slo in degraded):
        return ""
    if pairs and not any(rows.discordant for rows in pairs.values()):
        number = max(rows.total for rows in pairs.values())
        return (
            "it can't help, as it is right and wrong in the same rows of the hold-out as stable, in"
            f" all {number:,}"
        )
    if degraded and not any(is_shown_better(pairs[slo]) for slo in degraded):
        return f"it isn't shown to be a remedy: {_chance_text(pairs, degraded)}"
    return ""


def _chance_text(pairs: Mapping[str, Pairs], degraded: Collection[str]) -> str:
    """Return how likely an equal version is to do as well, of the SLO that is nearest to a remedy."""
    slo = min(degraded, key=lambda name: probability_of_better_by_chance(pairs[name]))
    rows, chance = pairs[slo], probability_of_better_by_chance(pairs[slo])
    return (
        f"of {rows.discordant:,} rows in which one version alone is right in {slo} it is right in"
        f" {rows.only_stable_wrong:,}, as an equal version is with a probability of {percent(chance)};"
        f" a remedy has at most {percent(BETTER_ALPHA)}"
    )
