"""The hold-out gate for one result, as a table."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from sluicegate.api.model import counts_of
from sluicegate.cli.printing.terminal import aligned
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.retraining.holdout_gate import (
    GateVerdict,
    HoldOut,
    judge,
    judge_all,
    no_remedy,
)
from sluicegate.reconcile.observe.training_result import Report
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.views.numbers import events, percent, points

HEADER: Final = ("SLO", "NEW VERSION", "STABLE", "REGRESSION", "ALLOWED", "VERDICT")
WORDS: Final = {
    GateVerdict.PASSED: "not worse",
    GateVerdict.TOO_SMALL: "hold-out too small",
    GateVerdict.WORSE: "worse",
}


def worst(
    report: Report, margins: Mapping[str, HoldOutMargin], gated_slos: Collection[str]
) -> HoldOut:
    """Return the operator's verdict, by the worst SLO. `gated_slos` SLOs need counts of both versions."""
    return judge_all(
        counts_of(report.evaluation),
        counts_of(report.stable_evaluation),
        margins,
        gated_slos,
        pairs=report.pairs,
    )


def objection(report: Report, slo: str) -> str:
    """Return why a version that passes the gate gets no canary; empty if it gets one.

    Parameters
    ----------
    slo : the SLO that is degraded; empty where a person asks.
    """
    return no_remedy(report.pairs, [slo] if slo else [])


def lines(
    report: Report, margins: Mapping[str, HoldOutMargin], gated_slos: Collection[str], slo: str = ""
) -> Iterator[str]:
    """Yield the table and the verdict as a sentence; `slo` is the degraded SLO."""
    new, stable = counts_of(report.evaluation), counts_of(report.stable_evaluation)
    results = [
        judge(
            slo,
            new.get(slo, NOTHING),
            stable.get(slo, NOTHING),
            margin,
            pairs=report.pairs.get(slo),
        )
        for slo, margin in margins.items()
        if slo in new or slo in stable or slo in gated_slos
    ]
    rows = [HEADER, *(_row(result) for result in results)]
    yield from aligned(rows)
    result = worst(report, margins, gated_slos)
    if result.verdict is GateVerdict.PASSED and (objection_text := objection(report, slo)):
        yield f"gate: rejected (NotShownBetter); {objection_text}"
    else:
        yield _sentence(result)


def _row(result: HoldOut) -> tuple[str, ...]:
    between = "–"
    if result.difference is not None:
        between = f"{points(result.difference.lower)} … {points(result.difference.upper)}"
    allowed = points(result.margin)
    return (
        result.slo,
        _share(result.candidate),
        _share(result.stable),
        between,
        allowed,
        WORDS[result.verdict],
    )


def _share(count: Count) -> str:
    return f"{percent(1 - (count.ratio or 0.0))} ({events(count.total)})" if count.total else "–"


def _sentence(result: HoldOut) -> str:
    match result.verdict:
        case GateVerdict.PASSED:
            return "gate: passed; the operator would start a canary"
        case GateVerdict.WORSE:
            return f"gate: rejected (WorseOnHoldOut); {result.slo} is worse by more than the margin"
        case GateVerdict.TOO_SMALL:
            if result.difference is None:
                slo_name = result.slo or "any SLO"
                return (
                    f"gate: rejected (HoldOutTooSmall); there are no counts of {slo_name} for both"
                )
            rows = f"about {result.needed:,}" if result.needed else "far more"
            return f"gate: rejected (HoldOutTooSmall); {rows} rows a version are needed"
