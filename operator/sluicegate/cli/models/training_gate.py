"""The hold-out gate over one result, as a table."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sluicegate.api.model import counts_of
from sluicegate.cli.printing.terminal import aligned
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.retraining.holdout_gate import GateVerdict, HoldOut, judge, judge_all
from sluicegate.reconcile.observe.training_result import Report
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.views.numbers import events, percent, points

HEADER: Final = ("SLO", "NEW VERSION", "STABLE", "REGRESSION", "ALLOWED", "VERDICT")
WORDS: Final = {
    GateVerdict.PASSED: "passed",
    GateVerdict.TOO_SMALL: "hold-out too small",
    GateVerdict.WORSE: "worse",
}


def worst(report: Report, margins: Mapping[str, HoldOutMargin], gated: Collection[str]) -> HoldOut:
    """The operator's verdict, by the worst SLO. `gated` SLOs need counts of both versions."""
    return judge_all(
        counts_of(report.evaluation),
        counts_of(report.stable_evaluation),
        margins,
        gated,
        pairs=report.pairs,
    )


def lines(
    report: Report, margins: Mapping[str, HoldOutMargin], gated: Collection[str]
) -> Iterator[str]:
    """The table, and the verdict in a sentence."""
    new, stable = counts_of(report.evaluation), counts_of(report.stable_evaluation)
    judged = [
        judge(
            slo,
            new.get(slo, NOTHING),
            stable.get(slo, NOTHING),
            margin,
            pairs=report.pairs.get(slo),
        )
        for slo, margin in margins.items()
        if slo in new or slo in stable or slo in gated
    ]
    rows = [HEADER, *(_row(one) for one in judged)]
    yield from aligned(rows)
    yield _sentence(worst(report, margins, gated))


def _row(one: HoldOut) -> tuple[str, ...]:
    between = "–"
    if one.difference is not None:
        between = f"{points(one.difference.lower)} … {points(one.difference.upper)}"
    allowed = points(one.margin)
    return one.slo, _share(one.candidate), _share(one.stable), between, allowed, WORDS[one.verdict]


def _share(count: Count) -> str:
    return f"{percent(1 - (count.ratio or 0.0))} ({events(count.total)})" if count.total else "–"


def _sentence(one: HoldOut) -> str:
    match one.verdict:
        case GateVerdict.PASSED:
            return "gate: passed; the operator would start a canary"
        case GateVerdict.WORSE:
            return f"gate: rejected (WorseOnHoldOut); {one.slo} is worse by more than the margin"
        case GateVerdict.TOO_SMALL:
            if one.difference is None:
                which = one.slo or "any SLO"
                return f"gate: rejected (HoldOutTooSmall); there are no counts of {which} for both"
            rows = f"about {one.needed:,}" if one.needed else "far more"
            return f"gate: rejected (HoldOutTooSmall); {rows} rows a version are needed"
