"""The hold-out gate over one result, as a table."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sluicegate.api.model import Counts
from sluicegate.policy.model.formatting import events, percent, points
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.retraining.holdout_gate import GateVerdict, HoldOut, judge, judge_all
from sluicegate.reconcile.observe.training_result import Report
from sluicegate.stats.counts import Count

HEADER: Final = ("SLO", "NEW VERSION", "STABLE", "REGRESSION", "ALLOWED", "VERDICT")
WORDS: Final = {
    GateVerdict.PASSED: "passed",
    GateVerdict.TOO_SMALL: "hold-out too small",
    GateVerdict.WORSE: "worse",
}


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What the gate says of the whole result."""

    worst: HoldOut

    @property
    def is_passed(self) -> bool:
        """Whether the new version may have traffic."""
        return self.worst.verdict is GateVerdict.PASSED


def outcome(
    report: Report, margins: Mapping[str, HoldOutMargin], gated: Collection[str]
) -> GateOutcome:
    """The operator's verdict. `gated` SLOs need counts of both versions."""
    return GateOutcome(
        judge_all(
            _counts(report.evaluation),
            _counts(report.stable_evaluation),
            margins,
            gated,
            pairs=report.pairs,
        )
    )


def lines(
    report: Report, margins: Mapping[str, HoldOutMargin], gated: Collection[str]
) -> Iterator[str]:
    """The table, and the verdict in a sentence."""
    new, stable = _counts(report.evaluation), _counts(report.stable_evaluation)
    nothing = Count(0, 0)
    judged = [
        judge(
            slo,
            new.get(slo, nothing),
            stable.get(slo, nothing),
            margin,
            pairs=report.pairs.get(slo),
        )
        for slo, margin in margins.items()
        if slo in new or slo in stable or slo in gated
    ]
    rows = [HEADER, *(_row(one) for one in judged)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    yield _sentence(outcome(report, margins, gated).worst)


def _row(one: HoldOut) -> tuple[str, ...]:
    between = "–"
    if one.difference is not None:
        between = f"{points(one.difference.lower)} … {points(one.difference.upper)}"
    allowed = points(one.margin)
    return one.slo, _share(one.candidate), _share(one.stable), between, allowed, WORDS[one.verdict]


def _share(count: Count) -> str:
    return f"{percent(1 - (count.ratio or 0.0))} ({events(count.total)})" if count.total else "–"


def _sentence(worst: HoldOut) -> str:
    match worst.verdict:
        case GateVerdict.PASSED:
            return "gate: passed; the operator would start a canary"
        case GateVerdict.WORSE:
            return f"gate: rejected (WorseOnHoldOut); {worst.slo} is worse by more than the margin"
        case GateVerdict.TOO_SMALL:
            if worst.difference is None:
                which = worst.slo or "any SLO"
                return f"gate: rejected (HoldOutTooSmall); there are no counts of {which} for both"
            rows = f"about {worst.needed:,}" if worst.needed else "far more"
            return f"gate: rejected (HoldOutTooSmall); {rows} rows a version are needed"


def _counts(evaluation: Mapping[str, Counts]) -> dict[str, Count]:
    return {slo: Count(counts.bad, counts.total) for slo, counts in evaluation.items()}
