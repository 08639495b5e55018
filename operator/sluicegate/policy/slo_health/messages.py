"""Verdicts in sentences for a data product manager, with indicator, value, bound and sample size."""

from collections.abc import Mapping
from math import ceil
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.baseline import BaselineSource
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.client_errors import is_implicit, share_for_people
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.views.numbers import duration, events, percent, points

_UNKNOWN_TEXTS: Final[Mapping[Reason, str]] = {
    Reason.PROMETHEUS_UNAVAILABLE: "no Prometheus (SLUICEGATE_PROMETHEUS_URL) answered for the newest block",
    Reason.PROMETHEUS_STALE: "Prometheus' newest sample is too old",
    Reason.UNREADABLE_SERIES: (
        "Prometheus can't evaluate what this product's pods expose at /metrics, or its answer is too"
        " large; fix it, or delete the pods (the Warning event UnreadableSeries has the query)"
    ),
    Reason.BACKFILLING: "its blocks are still being read, and it is judged by those after {until}",
    Reason.LOW_COVERAGE: "fewer than 80 % of the expected scrapes of the newest block exist",
    Reason.INVALID_DATA: "the newest block holds numbers that can't be counts",
    Reason.NO_DATA: "there is no such series of this version",
    Reason.NO_TRAFFIC: "no events were counted in the {window}",
    Reason.WARMING_UP: "the version was promoted a moment ago, and it is judged by its blocks after {until}",
    Reason.NO_FEEDBACK_KEY: "it can't be measured, as serving.feedback is missing:"
    " set serving.feedback.secretRef",
    Reason.NO_LABELS: "no label of this version has been counted for a day: send the outcomes of"
    " its predictions to /feedback, with their tokens",
    Reason.LABELS_SETTLING: (
        "right and wrong predictions get their labels at different times, and the traffic of this"
        " version has changed: its labels count from {until} on"
    ),
    Reason.STALE: "the newest value is older than staleAfterSeconds",
    Reason.BASELINE_TOO_SMALL: "its baseline is too small to distinguish a drop of {drop} from chance",
    Reason.INSUFFICIENT_DATA: "too few events yet to judge ({count} in the {window}){more}",
}


def window_of(blocks: int, block_seconds: int) -> str:
    """Return a number of blocks as a window for people: `last 2 h`."""
    return f"last {duration(blocks * block_seconds)}"


def describe(result: SloResult, block_seconds: int, *, degraded: bool = False) -> str:
    """Return an SLO's result as a clause; `degraded` if the SLO hasn't recovered since it was missed."""
    if result.state is SloState.UNKNOWN:
        return _describe_unknown(result, block_seconds)
    if result.gauge is not None:
        return _describe_gauge(result)
    if result.reason in {Reason.BASELINE_DROPPED, Reason.BASELINE_PROVISIONAL}:
        return _describe_drop(result, block_seconds, degraded=degraded)
    if result.reading is not None:
        return _describe_burn(result, block_seconds)
    return _describe_fine(result, block_seconds)


def _describe_unknown(result: SloResult, block_seconds: int) -> str:
    if result.left_out is not None:
        return (
            f"{result.terms.name} is unknown: its events up to {rfc3339(result.left_out)} don't count, as a cause"
            " outside the model disturbed them; it is judged by later ones"
        )
    text = _UNKNOWN_TEXTS.get(result.reason, result.reason)
    return f"{result.terms.name} is unknown: " + text.format(
        window=window_of(result.shown_blocks or result.terms.recent, block_seconds),
        drop=points(result.terms.drop),
        count=events(result.recent_count.total),
        until=rfc3339(result.until or 0),
        more=_needs_text(result, block_seconds),
    )


def _needs_text(result: SloResult, block_seconds: int) -> str:
    """Return a clause about what a verdict needs and how long that takes; empty where it is unknown."""
    if result.until is not None:
        events_text = f" and about {result.needed_events:,} events" if result.needed_events else ""
        return (
            "; it has no objective and no model.evaluation, so it is judged by its own time in"
            f" production, which needs the time until {rfc3339(result.until)}{events_text}"
        )
    if not result.needed_events:
        return ""
    text = f"; {result.needed_events:,} within {duration(result.needed_blocks * block_seconds)} are needed"
    blocks, total = result.shown_blocks or result.terms.recent, result.recent_count.total
    if not total:
        return text
    expected = total * result.needed_blocks / blocks
    if expected < result.needed_events:
        return f"{text}, and the present pace gives {expected:,.0f}"
    return f"{text}, which takes {duration(ceil(result.needed_events * blocks / total) * block_seconds)} at the present pace"


def _present_text(result: SloResult, block_seconds: int) -> str:
    window = window_of(result.shown_blocks or result.terms.recent, block_seconds)
    bad = result.recent_count.ratio
    if bad is None:
        return f"no events in the {window}"
    share = percent(share_for_people(result.terms, bad), result.terms.objective)
    return f"{share} ({events(result.recent_count.total)}, {window})"


def _describe_drop(result: SloResult, block_seconds: int, *, degraded: bool) -> str:
    baseline, drift = result.baseline, result.drift
    assert baseline is not None
    assert drift is not None
    stretch_text = (
        "at acceptance" if baseline.source is BaselineSource.EVALUATION else "when it was accepted"
    )
    share = percent(share_for_people(result.terms, ratio_of(baseline.count)))
    baseline_text = f"{share} ({events(baseline.count.total)}, {stretch_text})"
    reference_text = " against the version before" if result.probation else ""
    direction = "rose" if is_implicit(result.terms) else "fell"
    text = f"{result.terms.subject} {direction} from {baseline_text} to {_drop_counts_text(result, drift, block_seconds)}"
    if result.state is SloState.AT_RISK and drift.statistic < drift.bound / 2:
        return f"{text}; it is judged once there are events of a whole hour"
    evidence = f"the evidence of a drop (maxDrop {points(result.terms.drop)}){reference_text} is {drift.statistic:.1f}"
    if degraded and drift.statistic < drift.bound:
        return f"{text}; {evidence} now, below the {drift.bound:.1f} at which it was missed"
    return f"{text}; {evidence}, of the {drift.bound:.1f} that are needed"


def _drop_counts_text(result: SloResult, drift: Drift, block_seconds: int) -> str:
    """Return the counts of a drop as text: of the blocks with the evidence, and of the newest ones if they differ."""
    bad = drift.count_after.ratio
    if bad is None:
        return _present_text(result, block_seconds)
    drop_duration = duration(drift.blocks * block_seconds)
    text = f"{percent(share_for_people(result.terms, bad))} ({events(drift.count_after.total)}, {drop_duration} of evidence)"
    window = window_of(result.shown_blocks or result.terms.recent, block_seconds)
    recent = result.recent_count
    if recent.ratio is None:
        return f"{text}, no events in the {window}"
    share = percent(share_for_people(result.terms, recent.ratio))
    return f"{text}, {share} ({events(recent.total)}) in the {window}"


def _describe_burn(result: SloResult, block_seconds: int) -> str:
    reading = result.reading
    assert reading is not None
    row, long = reading.threshold.row, reading.long
    share = percent(1 - (long.ratio or 0.0), result.terms.objective)
    allowed = percent(reading.threshold.ratio)
    if row.burn_rate != 1:
        allowed += f" ({row.burn_rate:g} times the error budget)"
    return (
        f"{result.terms.subject} is at {share} ({events(long.total)},"
        f" {window_of(reading.blocks, block_seconds)}) against an objective of"
        f" {percent(result.terms.objective or 0.0)}: at least {percent(reading.lower_bound)} are bad,"
        f" {100 * row.confidence:.7g}% sure, and more than {allowed} is too much"
    )


def _describe_gauge(result: SloResult) -> str:
    baseline, drift = result.baseline, result.drift
    text = f"{result.terms.name} is at {result.gauge:.4g}"
    if baseline is not None:
        text += f", {baseline.mean:.4g} ± {baseline.deviation:.3g} when it was accepted"
    if drift is not None:
        text += f"; the evidence for a drop is at {drift.statistic:.1f} of {drift.bound:.1f}"
    return text


def _describe_fine(result: SloResult, block_seconds: int) -> str:
    text = f"{result.terms.subject} is at {_present_text(result, block_seconds)}"
    if result.terms.objective is not None:
        text = f"{text}, objective {percent(result.terms.objective)}"
    elif result.baseline is not None:
        text = f"{text}, {percent(1 - ratio_of(result.baseline.count))} when it was accepted"
    return f"{text}{_growing_evidence_text(result, block_seconds)}"


def _growing_evidence_text(result: SloResult, block_seconds: int) -> str:
    """Return the evidence of a drop beyond `maxDrop` that isn't shown yet, as a clause; else an empty text."""
    drift, baseline, recent = result.drift, result.baseline, result.recent_count.ratio
    if drift is None or drift.recovery_block is not None or baseline is None or recent is None:
        return ""
    if recent - ratio_of(baseline.count) <= result.terms.drop:
        return ""
    return (
        f"; the evidence of a drop (maxDrop {points(result.terms.drop)}) is {drift.statistic:.1f}, of the"
        f" {drift.bound:.1f} that are needed, and it grows at the end of each {duration(drift.unit * block_seconds)}"
    )


def numbers_of(result: SloResult) -> dict[str, float]:
    """Return the numbers of the sentence, by name."""
    numbers: dict[str, float] = {"bad": result.recent_count.bad, "total": result.recent_count.total}
    if result.baseline is not None:
        numbers |= {
            "baselineBad": result.baseline.count.bad,
            "baselineTotal": result.baseline.count.total,
        }
    if result.drift is not None:
        numbers |= {"statistic": result.drift.statistic, "statisticBound": result.drift.bound}
        if result.drift.count_after.total:
            numbers |= {
                "evidenceBad": result.drift.count_after.bad,
                "evidenceTotal": result.drift.count_after.total,
            }
    if result.reading is not None:
        numbers |= {
            "windowBad": result.reading.long.bad,
            "windowTotal": result.reading.long.total,
            "lowerBound": result.reading.lower_bound,
            "limit": result.reading.threshold.ratio,
        }
    return numbers


def joined_text(results: list[SloResult], block_seconds: int) -> str:
    """Join the results of several SLOs into one sentence."""
    return "; ".join(describe(result, block_seconds) for result in results)


def capitalised(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]
