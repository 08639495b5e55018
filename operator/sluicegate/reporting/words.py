"""How a report says things: changes, shares, budgets, in words that hold up. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sluicegate.api.review import ReviewState, SignVerdict
from sluicegate.reporting.delivery import Delivery
from sluicegate.reporting.facts import (
    ActionFacts,
    MarketFacts,
    Move,
    Quantile,
    ReportFacts,
    SloFacts,
)
from sluicegate.reviews.periods import local_day
from sluicegate.reviews.resource_hours import CPU, MEMORY, ResourceHours
from sluicegate.stats.counts import Count
from sluicegate.stats.evolution import Evolution, PeriodChange
from sluicegate.views.numbers import NOTHING, duration, events, in_points, percent, points

_SAYS: Final = {
    PeriodChange.WORSE: "worse by {size} [{low}, {high}]",
    PeriodChange.BETTER: "better by {size} [{low}, {high}]",
    PeriodChange.NO_EVIDENCE: "no evidence of a change [{low}, {high}]",
    PeriodChange.TOO_FEW: "too few events",
}
_WHOLE: Final = 10
"""Hours from which on no digit after the point matters."""
BANDS: Final = (
    (0.0, "Exhausted"),
    (0.25, "Unhealthy"),
    (0.5, "Needs attention"),
    (0.75, "Observe"),
)
"""Names of what is left of an error budget, up to each share."""


VERDICTS: Final = {
    SignVerdict.AGREE: "agrees",
    SignVerdict.OBJECT: "objects",
    SignVerdict.SKIP: "skips it",
}
"""What a signer says of a period."""


def spoken(word: str) -> str:
    """A word of the API as people write it: `CanaryNotWorse` is `canary not worse`."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z]+", word)).lower()


def span(start: int, end: int, zone: str) -> str:
    """The days from one moment to another (which is no longer part of it), e.g. 1 to 30 November 2026."""
    first, last = (datetime.fromtimestamp(one, ZoneInfo(zone or "UTC")) for one in (start, end - 1))
    month = "" if (first.year, first.month) == (last.year, last.month) else f" {first:%B}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day}{month}{year} to {last.day} {last:%B %Y}"


def sentence(one: ReportFacts) -> str:
    """What there is to know first."""
    parts = [told for told in map(_said_of, one.slos) if told]
    if not parts:
        parts.append("No objective was missed, and no change is proved")
    why = {"Retrain": f" ({', '.join(spoken(cause) for cause in sorted(one.causes))})"}
    acts = [
        f"{one.decisions[kind]} {word}{'s' if one.decisions[kind] > 1 else ''}{why.get(kind, '')}"
        for kind, word in (
            ("Retrain", "retraining"),
            ("Promote", "promotion"),
            ("Rollback", "rollback"),
        )
        if one.decisions[kind]
    ]
    did = "Nothing was retrained or promoted."
    if acts:
        did = f"There {'was' if acts[0].startswith('1 ') else 'were'} {_and(acts)}."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}. {did}"


def _said_of(slo: SloFacts) -> str:
    """What of an SLO belongs into the sentence; empty where there is nothing."""
    missed = slo.budget_left is not None and slo.budget_left < 0
    parts = [f"missed its objective ({percent(slo.share)} of {percent(slo.objective)})"]
    parts = parts if missed else []
    moved = slo.against_before
    if moved.change in {PeriodChange.WORSE, PeriodChange.BETTER}:
        which = moved.change.lower()
        parts.append(f"got {which} by {points(abs(moved.estimate))}")
    elif slo.against_original.change is PeriodChange.WORSE:
        size = points(slo.against_original.estimate)
        parts.append(f"is worse by {size} than at its first acceptance")
    return f"{subject(slo)} {' and '.join(parts)}" if parts else ""


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def standing(one: ReportFacts) -> str:
    """Where the review of a report stands, and who is waited for until when."""
    status = one.review.status
    if status.seal_time is None:
        return "the period goes on, and labels of its days may still come"
    if not one.unsigned:
        told = (f"{by.username} ({VERDICTS[by.verdict]})" for by in one.signatures)
        return f"signed by {', '.join(told)}"
    if status.due_time is None:
        return "not signed: the product was deleted"
    due = local_day(status.due_time, status.time_zone)
    when = f"was due on {due}" if status.state is ReviewState.OVERDUE else f"due on {due}"
    return f"waits for a signature as {' and as '.join(one.unsigned)}, {when}"


def portfolio(reports: Sequence[ReportFacts]) -> str:
    """Several reports in one sentence."""
    moves = [one.move.evolution.change for one in reports if one.move is not None]
    missed = sum(any((slo.budget_left or 0.0) < 0 for slo in one.slos) for one in reports)
    waiting = [one for one in reports if one.review.status.due_time and one.unsigned]
    overdue = sum(one.review.status.state is ReviewState.OVERDUE for one in reports)
    actions = [act for one in reports for act in one.open_actions]
    late = sum(act.state == "late" for act in actions)
    return (
        f"{len(reports)} products: {moves.count(PeriodChange.WORSE)} got worse, {missed} missed an"
        f" objective. Reviews that wait for signatures: {len(waiting)}, {overdue} of them overdue."
        f" Open actions: {len(actions)}, {late} of them late."
    )


def move(one: Move | None) -> str:
    """The largest proved change of a product."""
    if one is None:
        return "no evidence of a change"
    return f"{one.slo.name} {change(one.evolution)} {one.since}"


def compared(one: Evolution, with_what: Count) -> str:
    """A change; a dash where there is nothing to compare with."""
    return change(one) if with_what.total else NOTHING


def response_times(quantiles: Sequence[Quantile]) -> str:
    """Estimates of the times within which shares of the responses were given."""
    return "; ".join(
        f"{one.share * 100:.0f} % of the responses {_within(one.seconds)}"
        + ("" if one.before is None else f" (before: {milliseconds(one.before)})")
        for one in quantiles
    )


def _within(seconds: float | None) -> str:
    if seconds is None:
        return "without an estimate, as it is above the histogram's last bound"
    return f"within {milliseconds(seconds)}"


def market(slo: SloFacts, one: MarketFacts) -> str:
    """A market's share of good events, and what can be said of it."""
    if slo.objective is None:
        return counted(one.count)
    told = "too few events" if one.state == "Unknown" else one.state.lower()
    return f"{counted(one.count)}: {told}"


def change(one: Evolution) -> str:
    """A change in percentage points with its 95 % interval, as bad events of all events."""
    sign = -1 if one.change is PeriodChange.BETTER else 1
    low, high = sorted((sign * one.lower, sign * one.upper))
    return _SAYS[one.change].format(
        size=points(abs(one.estimate)), low=in_points(low), high=in_points(high)
    )


def budget(left: float | None) -> str:
    """What is left of an error budget, and how that is called."""
    if left is None:
        return NOTHING
    name = next((word for bound, word in BANDS if left <= bound), "Healthy")
    if left < 0:
        return f"overspent by {-left * 100:.0f} % ({name})"
    return f"{left * 100:.0f} % left ({name})"


def subject(slo: SloFacts) -> str:
    """What an SLO is called."""
    if slo.threshold_milliseconds is None:
        return slo.name
    return f"{slo.name} (within {slo.threshold_milliseconds} ms)"


def counted(count: Count) -> str:
    """A share of good events with its size, e.g. 88.1 % (n=9,064); a dash without any."""
    if not count.total:
        return NOTHING
    return f"{percent(1 - count.bad / count.total)} ({events(count.total)})"


def reserved(one: ResourceHours) -> str:
    """What pods reserved, e.g. 168 pod hours: 84 core hours, 168 GiB hours of memory."""
    return f"{hours(one.pods)} pod hours{_resources(one.reserved)}"


def trained(one: ResourceHours) -> str:
    """What trainings reserved, e.g. 2.5 hours in 3 trainings: 10 core hours."""
    some = "1 training" if one.trainings == 1 else f"{one.trainings} trainings"
    told = hours(one.training)
    return f"{told} hour{'' if told == '1' else 's'} in {some}{_resources(one.trained)}"


def _resources(reserved: Mapping[str, float]) -> str:
    named = {CPU: "core hours", MEMORY: "GiB hours of memory"}
    told = [
        f"{hours(value)} {named.get(name, f'hours of {name}')}" for name, value in reserved.items()
    ]
    return f": {', '.join(told)}" if told else ", without requests"


def hours(value: float) -> str:
    """A number of hours, with as many digits as it needs."""
    return f"{value:,.0f}" if value >= _WHOLE or not value else f"{value:.2g}"


def delivery(one: Delivery) -> list[tuple[str, str]]:
    """DORA's five, by name, and how many promotions were of challengers."""
    some = one.promotions
    return [
        ("Promotion frequency", f"{some} in the period, {one.per_week:.2g} a week"),
        ("Lead time", _time(one.lead_seconds, "from a retraining or a commit to its promotion")),
        ("Change-fail rate", _of(one.failed, some, "rolled back after the promotion")),
        ("Recovery time", _time(one.recovery_seconds, "from such a promotion to its rollback")),
        ("Rework rate", _of(one.reworked, some, "made necessary by a decayed model or a rollback")),
        ("Challengers", _of(one.challengers, some, "trained although no service level was missed")),
    ]


def _time(seconds: float | None, what: str) -> str:
    return NOTHING if seconds is None else f"median {duration(seconds)} {what}"


def _of(some: int, every: int, what: str) -> str:
    return f"{some} of {every} {what}" if every else NOTHING


def action(one: ActionFacts) -> str:
    """An action, with what became of it."""
    return f"{one.title} – {one.owner} – due {one.due_date} – {one.state}"


def milliseconds(seconds: float | None) -> str:
    """A latency estimate."""
    return NOTHING if seconds is None else f"{seconds * 1000:,.0f} ms"
