"""Words of a report: changes, shares, budgets. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from sluicegate.api.outcome import Outcome
from sluicegate.api.review import ReviewState, ReviewVersion, SignVerdict
from sluicegate.reporting.api_history import ApiRow, api_history
from sluicegate.reporting.brought import (
    Brought,
    Fall,
    first_period_lift,
    largest_fall,
    total_lifts,
    total_text,
)
from sluicegate.reporting.by_market import UNKNOWN_STATE, MarketFacts
from sluicegate.reporting.delivery import Delivery
from sluicegate.reporting.facts import (
    ActionFacts,
    Quantile,
    ReportFacts,
)
from sluicegate.reporting.summary import EARLY_END_TEXTS, Move, SloChange, Summarized
from sluicegate.reviews.periods import local_day, local_minute
from sluicegate.stats.counts import Count
from sluicegate.stats.evolution import Evolution, PeriodChange
from sluicegate.views.lift import arms_text, falls_text, lift_text, market_texts
from sluicegate.views.numbers import NO_VALUE, change_numbers, duration, events, percent
from sluicegate.views.resource_hours import CPU, MEMORY, ResourceHours
from sluicegate.views.trials import tried_text
from sluicegate.views.words import as_words

_STATE_TEXTS: Final = {
    PeriodChange.WORSE: "worse by {size} points {interval}",
    PeriodChange.BETTER: "better by {size} points {interval}",
    PeriodChange.NO_EVIDENCE: "no evidence of a change {interval}",
    PeriodChange.TOO_FEW: "too few events",
}
_WHOLE_PERCENT_FROM: Final = 10
"""Hours from which they are rounded to whole hours."""
BUDGET_BANDS: Final = (
    (0.0, "Exhausted"),
    (0.25, "Nearly spent"),
    (0.5, "Half spent"),
    (0.75, "Partly spent"),
)
"""Names of the remaining error budget, up to each share."""


API_UNCHANGED: Final = "No change of the API is known."
CALLERS_NOTE: Final = (
    "A caller names itself in a header of its requests, which is not authenticated; other are all"
    " requests without one of the names of spec.rollout.consumers. Failed are responses 5xx, with the"
    " 95 % interval of their share."
)
VERDICTS: Final = {
    SignVerdict.AGREE: "agrees",
    SignVerdict.OBJECT: "objects",
    SignVerdict.SKIP: "skips it",
}
"""Words for a signer's verdict."""


def period_text(start: int, end_seconds: int, zone: str) -> str:
    """Return the days from one time to another (exclusive), e.g. 1 to 30 November 2026."""
    first_day, last_day = (
        datetime.fromtimestamp(time_seconds, ZoneInfo(zone or "UTC"))
        for time_seconds in (start, end_seconds - 1)
    )
    month = (
        ""
        if (first_day.year, first_day.month) == (last_day.year, last_day.month)
        else f" {first_day:%B}"
    )
    year = "" if first_day.year == last_day.year else f" {first_day.year}"
    return f"{first_day.day}{month}{year} to {last_day.day} {last_day:%B %Y}"


def zone_text(zone: str) -> str:
    """Return the time zone of the days and times of a report, and that of times in messages."""
    utc_text = " (with a Z: UTC)" if zone not in {"", "UTC"} else ""
    return f"times of {zone or 'UTC'}{utc_text}"


def early_end_text(report: ReportFacts) -> str:
    """Return when and why a ledger ended before its period; empty for one that did not."""
    status = report.review.status
    if status.seal_time is None or status.seal_reason not in EARLY_END_TEXTS:
        return ""
    return f"The ledger ended on {local_day(status.seal_time, status.time_zone)}: {EARLY_END_TEXTS[status.seal_reason]}."


def report_sentence(report: Summarized) -> str:
    """Return the summary of a period."""
    text_parts = [text for text in map(_slo_sentence, report.slos) if text]
    text_parts += [
        f"{slo} was missed in {_join_with_and(markets)}"
        for slo, markets in report.missed_markets.items()
    ]
    text_parts += _fall_texts(report.falls)
    text_parts = text_parts or [_no_finding_text(report)]
    cause_texts = {"Retrain": f" ({', '.join(as_words(cause) for cause in sorted(report.causes))})"}
    action_texts = [
        f"{number} {word}{'s' if number > 1 else ''}{cause_texts.get(kind, '')}"
        for kind, word in (
            ("Retrain", "retraining"),
            ("Promote", "promotion"),
            ("Rollback", "rollback"),
        )
        if (number := report.decisions.get(kind, 0))
    ]
    no_change_text = "Nothing was retrained or promoted."
    if action_texts:
        no_change_text = f"There {'was' if action_texts[0].startswith('1 ') else 'were'} {_join_with_and(action_texts)}."
    if report.gains:
        no_change_text += f" {'; '.join(report.gains)}."
    text = "; ".join(text_parts)
    return f"{text[0].upper()}{text[1:]}. {no_change_text}"


def _fall_texts(falls: Sequence[Fall]) -> list[str]:
    """Return the proved falls in markets, in a clause for each version."""
    return [
        f"with {version} {falls_text([fall.lift for fall in version_falls])}"
        for version, version_falls in groupby(falls, key=lambda fall: fall.version)
    ]


def _no_finding_text(report: Summarized) -> str:
    """Return the summary of SLOs without a finding; days that aren't read are unknown."""
    if not report.slos:
        return "There is no SLO that counts events"
    if report.is_open and not report.read_days:
        return "No day of this period is read yet, so its service levels are not known"
    if not any(slo.count.total for slo in report.slos):
        return "No event of any SLO was counted, so the service levels are not known"
    no_finding = "no objective was missed, and no change is proved"
    if report.is_open and report.read_days < report.whole_days:
        return f"In the {report.read_days} of {report.whole_days} days that are read, {no_finding}"
    return no_finding


def health(report: ReportFacts) -> list[str]:
    """Return the objectives to reconsider, in sentences; none before a day is read."""
    if report.is_open and not report.read_days:
        return ["No day of this period is read yet."]
    problems = [f"{slo_subject(slo)} {slo.health}" for slo in report.slos if slo.health]
    return problems or ["There are none."]


def brought_text(version: Brought) -> str:
    """Return a version's result by SLO; the subject of its rollout comes first."""
    lifts = sorted(version.lifts, key=lambda lift: lift is not version.main)
    return (
        "; ".join(f"{lift_text(lift)}: {arms_text(lift)}" for lift in lifts)
        or "no events beside stable"
    )


def brought_by_market(version: Brought) -> tuple[str, ...]:
    """Return a version's result in each market, of the SLO that its rollout was about."""
    return market_texts(version.lifts, version.main)


def first_period(version: ReviewVersion) -> tuple[str, ...]:
    """Return the events of a version in its first period, and of the version before it, by SLO.

    The days differ, so the change is not that of the version alone.
    """
    if version.first_period is None:
        return ()
    return tuple(
        f"{lift_text(lift)}: {arms_text(lift, 'the version before:')}"
        if lift is not None
        else f"{slo.name} {count_text(slo.counts)}"
        for slo in version.first_period.slos
        for lift in (first_period_lift(slo),)
    )


def absent_first_period(report: ReportFacts, version: ReviewVersion) -> str:
    """Return why a version has no events of a first period; empty for one that has them."""
    status, period = report.review.status, report.review.spec.period
    if version.first_period is not None:
        return ""
    if version.promotion_time < period.start:
        return "it became stable before this period"
    if status.seal_time is None:
        end_text = local_day(period.end - 1, status.time_zone)
        return f"not known yet: the period ends on {end_text}"
    return "none: it had been stable earlier and was restored, or was stable on no whole day alone"


def trial_text(version: Brought) -> str:
    """Return a version's trial in the words of its author; else its origin."""
    return tried_text(version.version.to_dict())


def ended_text(version: Brought) -> str:
    """Return how a canary ended; a promoted version may have been rolled back since."""
    candidate = version.version
    is_promoted = candidate.outcome == Outcome.PROMOTED
    rollback_text = ", rolled back later" if is_promoted and not version.kept else ""
    return f"{as_words(candidate.outcome)} ({as_words(candidate.reason)}){rollback_text}"


def api_rows(report: ReportFacts) -> Sequence[ApiRow]:
    """Return the versions that changed the API in the period, the oldest first."""
    return api_history(report.review)


def together_text(report: ReportFacts) -> str:
    """Return the summed gains of a period's versions; empty for fewer than two."""
    if sum(brought_lift.kept for brought_lift in report.brought) < 2:  # noqa: PLR2004 - there is nothing to add up
        return ""
    return "; ".join(total_text(lift) for lift in total_lifts(report.brought))


def _slo_sentence(slo: SloChange) -> str:
    """Return an SLO's part of the summary; empty without a finding."""
    is_missed = slo.budget_left is not None and slo.budget_left < 0
    text_parts = [
        f"missed its objective ({percent(slo.share, slo.objective)} of {percent(slo.objective)})"
    ]
    text_parts = text_parts if is_missed else []
    evolution = slo.against_before
    if evolution.change in {PeriodChange.WORSE, PeriodChange.BETTER}:
        text_parts.append(f"got {change_text(evolution)}")
    elif slo.against_original.change is PeriodChange.WORSE:
        size_text, interval_text = _evolution_numbers(slo.against_original)
        text_parts.append(
            f"is worse by {size_text} points {interval_text} than at its first acceptance"
        )
    return f"{slo_subject(slo)} {' and '.join(text_parts)}" if text_parts else ""


def _join_with_and(text_parts: Sequence[str]) -> str:
    return " and ".join(
        [", ".join(text_parts[:-1]), text_parts[-1]] if len(text_parts) > 1 else text_parts
    )


def signing_text(report: ReportFacts) -> str:
    """Return the state of a report's review, with missing signatures and due date."""
    status = report.review.status
    if status.seal_time is None:
        return "the period goes on, and labels of its days may still come"
    if not report.unsigned:
        signers = (
            f"{signature.username} ({VERDICTS[signature.verdict]})"
            for signature in report.signatures
        )
        return f"signed by {', '.join(signers)}"
    if status.due_time is None:
        return "not signed: the product was deleted"
    due_date = local_day(status.due_time, status.time_zone)
    due_text = (
        f"was due on {due_date}" if status.state is ReviewState.OVERDUE else f"due on {due_date}"
    )
    return f"waits for a signature as {' and as '.join(report.unsigned)}, {due_text}"


def portfolio_sentence(reports: Sequence[ReportFacts]) -> str:
    """Return a summary of several reports."""
    worse_text = _with_markets(
        "got worse",
        [(move_state(report.move) == PeriodChange.WORSE, bool(report.falls)) for report in reports],
    )
    missed_text = _with_markets(
        "missed an objective",
        [
            (any((slo.budget_left or 0.0) < 0 for slo in report.slos), bool(report.missed_markets))
            for report in reports
        ],
    )
    waiting_reports = [
        report for report in reports if report.review.status.due_time and report.unsigned
    ]
    overdue_count = sum(report.review.status.state is ReviewState.OVERDUE for report in reports)
    actions = [action_facts for report in reports for action_facts in report.open_actions]
    late_count = sum(action_facts.state == "late" for action_facts in actions)
    return (
        f"{len(reports)} products: {worse_text}, {missed_text}. Reviews that wait for signatures: {len(waiting_reports)}, {overdue_count} of them overdue."
        f" Open actions: {len(actions)}, {late_count} of them late."
    )


def _with_markets(verb: str, findings: Sequence[tuple[bool, bool]]) -> str:
    """Return the number of products with a finding, and of those that have it in a market alone.

    Parameters
    ----------
    findings : for each product, whether it has it as a whole, and in a market.
    """
    whole = sum(as_whole for as_whole, _ in findings)
    in_market = sum(market and not as_whole for as_whole, market in findings)
    return f"{whole} {verb}" + (f" and {in_market} more in a market" if in_market else "")


def move_text(largest_move: Move | None, falls: Sequence[Fall] = (), *, read_days: int) -> str:
    """Return the largest proved change of a product, else its largest fall in a market, in words.

    It is not known before a day of the period is read.
    """
    if largest_move is None and falls:
        return moved_text(largest_fall(falls))
    if not read_days:
        return "not known yet"
    return "no evidence of a change" if largest_move is None else moved_text(largest_move)


def move_state(largest_move: Move | None, falls: Sequence[Fall] = ()) -> str:
    """Return the direction of the change that `move_text` states; empty without one."""
    if largest_move is not None:
        return moved_state(largest_move)
    return PeriodChange.WORSE if falls else ""


def moved_text(change: Move | Fall) -> str:
    """Return a proved change, of an SLO or of it in one market, in words."""
    if isinstance(change, Fall):
        return f"{lift_text(change.lift)} with {change.version}"
    return f"{change.slo.name} {change_text(change.evolution)} {change.since}"


def moved_state(change: Move | Fall) -> str:
    """Return the direction of a proved change."""
    return PeriodChange.WORSE if isinstance(change, Fall) else change.evolution.change


def comparison_text(evolution: Evolution, with_what: Count) -> str:
    """Return a change in words; a dash without a comparison."""
    return change_text(evolution) if with_what.total else NO_VALUE


def response_times(quantiles: Sequence[Quantile]) -> str:
    """Return estimates of response times with their shares."""
    return "; ".join(
        f"{quantile.share * 100:.0f} % of the responses {_duration_text(quantile.seconds)}"
        + ("" if quantile.before is None else f" (before: {milliseconds(quantile.before)})")
        for quantile in quantiles
    )


def change_in_words(now: float | None, earlier_value: float | None) -> str:
    """Return an estimate of a response time, with that of the period before in brackets."""
    text = milliseconds(now)
    return text if earlier_value is None else f"{text} ({milliseconds(earlier_value)})"


def _duration_text(seconds: float | None) -> str:
    if seconds is None:
        return "without an estimate, as it is above the histogram's last bound"
    return f"within {milliseconds(seconds)}"


def market(facts: MarketFacts) -> str:
    """Return a market's share of good events with its interval, and its state."""
    if facts.interval is None:
        return "no events"
    state = "no verdict" if facts.state == UNKNOWN_STATE else facts.state.lower()
    return f"{count_text(facts.count, facts.required)}, 95 %: {interval_text(facts.interval, facts.required)}: {state}"


def interval_text(share_bounds: Sequence[float], required: float | None = None) -> str:
    """Return the bounds of a share, e.g. 84.1 % to 88.9 %; their digits show on which side of `required` they lie."""
    return " to ".join(percent(share_bound, required) for share_bound in share_bounds)


def missed_time_texts(facts: MarketFacts, zone: str) -> str:
    """Return the times in which a market was missed; a dash without one."""
    times = []
    for missed_market in facts.missed:
        start = local_minute(missed_market.start_time, zone)
        end_text = (
            None if missed_market.end_time is None else local_minute(missed_market.end_time, zone)
        )
        times.append(f"since {start}" if end_text is None else f"{start} to {end_text}")
    return "; ".join(times) or NO_VALUE


def change_text(evolution: Evolution) -> str:
    """Return a change in percentage points with its 95 % interval, which is of a gain where it includes 0."""
    size_text, interval_text = _evolution_numbers(evolution)
    return _STATE_TEXTS[evolution.change].format(size=size_text, interval=interval_text)


def _evolution_numbers(evolution: Evolution) -> tuple[str, str]:
    return change_numbers(-evolution.estimate, -evolution.upper, -evolution.lower)


def budget_text(budget_left: float | None) -> str:
    """Return the remaining error budget, with its name."""
    if budget_left is None:
        return NO_VALUE
    name = next((word for band_bound, word in BUDGET_BANDS if budget_left <= band_bound), "Ample")
    if budget_left < 0:
        return f"overspent by {-budget_left * 100:.0f} % ({name})"
    return f"{budget_left * 100:.0f} % left ({name})"


def slo_subject(slo: SloChange) -> str:
    """Return the name of an SLO."""
    if slo.threshold_milliseconds is None:
        return slo.name
    return f"{slo.name} (within {slo.threshold_milliseconds} ms)"


def count_text(count: Count, reference: float | None = None) -> str:
    """Return a share of good events with its number of events, e.g. 88.1 % (n=9,064); a dash without any.

    `reference` is the share that is printed beside it, such as its objective.
    """
    if not count.total:
        return NO_VALUE
    return f"{percent(1 - count.bad / count.total, reference)} ({events(count.total)})"


def reserved_text(resource_hours: ResourceHours) -> str:
    """Return the resources that pods reserved, e.g. 168 pod hours: 84 core hours, 168 GiB hours of memory."""
    return f"{hours(resource_hours.pods)} pod hours{_resource_text(resource_hours.reserved)}"


def trained_text(resource_hours: ResourceHours) -> str:
    """Return the resources that trainings reserved, e.g. 2.5 hours in 3 trainings: 10 core hours."""
    trainings_text = (
        "1 training" if resource_hours.trainings == 1 else f"{resource_hours.trainings} trainings"
    )
    number = hours(resource_hours.training)
    return f"{number} hour{'' if number == '1' else 's'} in {trainings_text}{_resource_text(resource_hours.trained)}"


def _resource_text(reserved_hours: Mapping[str, float]) -> str:
    resource_names = {CPU: "core hours", MEMORY: "GiB hours of memory"}
    text_parts = [
        f"{hours(value)} {resource_names.get(name, f'hours of {name}')}"
        for name, value in reserved_hours.items()
    ]
    return f": {', '.join(text_parts)}" if text_parts else ", without requests"


def hours(value: float) -> str:
    """Return a number of hours, with as many digits as it needs."""
    return f"{value:,.0f}" if value >= _WHOLE_PERCENT_FROM or not value else f"{value:.2g}"


def delivery_rows(delivery_measures: Delivery) -> list[tuple[str, str]]:
    """Return DORA's five measures by name, and the number of promoted challengers."""
    promotions = delivery_measures.promotions
    return [
        (
            "Promotion frequency",
            f"{promotions} in the period, {delivery_measures.per_week:.2g} a week",
        ),
        (
            "Lead time",
            _time(delivery_measures.lead_seconds, "from a retraining or a commit to its promotion"),
        ),
        (
            "Change-fail rate",
            _share_text(delivery_measures.failed, promotions, "rolled back after the promotion"),
        ),
        (
            "Recovery time",
            _time(delivery_measures.recovery_seconds, "from such a promotion to its rollback"),
        ),
        (
            "Rework rate",
            _share_text(
                delivery_measures.reworked,
                promotions,
                "made necessary by a decayed model or a rollback",
            ),
        ),
        (
            "Challengers",
            _share_text(
                delivery_measures.challengers,
                promotions,
                "trained although no service level was missed",
            ),
        ),
    ]


def _time(seconds: float | None, subject_text: str) -> str:
    return NO_VALUE if seconds is None else f"median {duration(seconds)} {subject_text}"


def _share_text(number: int, total: int, subject_text: str) -> str:
    return f"{number} of {total} {subject_text}" if total else NO_VALUE


def action_text(planned_action: ActionFacts) -> str:
    """Return an action with its state."""
    return f"{planned_action.title} – {planned_action.owner} – due {planned_action.due_date} – {planned_action.state}"


def milliseconds(seconds: float | None) -> str:
    """Return an estimate of a response time."""
    return NO_VALUE if seconds is None else f"{seconds * 1000:,.0f} ms"
