"""Reports as Markdown, as plain data for JSON and YAML, and as CSV. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sluicegate.api.review import CheckState
from sluicegate.reporting import words
from sluicegate.reporting.brought import Brought
from sluicegate.reporting.evolution_lines import EvolutionLine
from sluicegate.reporting.facts import ActionFacts, Quantile, ReportFacts, SloFacts
from sluicegate.reporting.line_chart import mark_text, value_text
from sluicegate.reviews.periods import local_day, local_minute
from sluicegate.views.lift import lift_document
from sluicegate.views.numbers import percent
from sluicegate.views.resource_hours import row_of
from sluicegate.views.spreadsheet import csv_text, escape_cell
from sluicegate.views.words import as_words

COLUMNS = (
    "product", "period", "slo", "bad", "total", "share", "objective", "budget_left",
    "days_outside", "change", "change_estimate", "change_lower", "change_upper",
    "change_since_acceptance", "state", "digest", "pod_hours", "cpu_hours", "memory_gib_hours",
    "gpu_hours", "training_hours", "training_cpu_hours", "training_memory_gib_hours",
    "training_gpu_hours",
)  # fmt: skip


def markdown(reports: Sequence[ReportFacts]) -> str:
    """Render one section for each product; for several, the largest change comes first."""
    head = _portfolio(reports) if len(reports) > 1 else iter(())
    return "\n".join([*head, *(line for report in reports for line in (*_section(report), ""))])


def _portfolio(reports: Sequence[ReportFacts]) -> Iterator[str]:
    yield escape_markup(words.portfolio(reports))
    yield ""
    yield "| product | largest proved change | review | checks missing | open actions |"
    yield "|---|---|---|---|---|"
    for report in reports:
        cells = (
            report.name, words.move(report.move), words.standing(report),
            str(len(report.missing)), str(len(report.open_actions)),
        )  # fmt: skip
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    yield ""


def _section(report: ReportFacts) -> Iterator[str]:
    yield from _head(report)
    yield from _service_levels(report)
    yield from _evolution(report)
    yield from _api(report)
    yield from _callers(report)
    yield from _decision_lines(report)
    yield from _health_checks(report)
    yield from _people(report)


def _head(report: ReportFacts) -> Iterator[str]:
    status, period = report.review.status, report.review.spec.period
    zone = status.time_zone
    yield f"# {report.name}, {words.span(period.start, period.end, zone)}"
    yield ""
    yield escape_markup(words.sentence(report))
    yield ""
    sealed = (
        f"sealed {local_day(status.seal_time, zone)}, `{status.digest}`"
        if status.seal_time
        else "not sealed"
    )
    altered_text = (
        " **The digest does not match: the ledger was changed.**"
        if report.digest_holds is False
        else ""
    )
    yield f"State: {escape_markup(words.standing(report))} ({sealed}).{altered_text}"
    for signed in report.objections:
        yield f"**{_name(signed.username)} ({escape_markup(signed.role)}) objects.**"
    if report.missing_days:
        yield f"{report.missing_days} days could not be read and are missing in all counts."


def _service_levels(report: ReportFacts) -> Iterator[str]:
    yield ""
    yield (
        "| SLO | this period | objective | the period before | change | at acceptance | change since"
        " | error budget | days missed |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for slo in report.slos:
        cells = (
            words.subject(slo),
            words.counted(slo.count),
            percent(slo.objective),
            words.counted(slo.before),
            words.compared(slo.against_before, slo.before),
            words.counted(slo.original),
            words.compared(slo.against_original, slo.original),
            words.budget(slo.budget_left),
            str(slo.outside),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    yield from _markets(report)
    yield from _segments(report)
    yield from _first_periods(report)
    if report.quantiles:
        yield ""
        yield f"Response times (estimates): {words.response_times(report.quantiles)}."
    if report.hours is not None and report.hours.days:
        yield ""
        yield f"Reserved by serving pods: {escape_markup(words.reserved(report.hours))}."
    if report.hours is not None and report.hours.trainings:
        yield ""
        yield f"Reserved by trainings: {escape_markup(words.trained(report.hours))}."


def _evolution(report: ReportFacts) -> Iterator[str]:
    """Yield the values of each kept period; nothing with a single one."""
    lines = report.periods
    if not lines:
        return
    yield ""
    yield f"## Evolution over {len(lines[0].points)} periods"
    series = [(line, number) for line in lines for number in range(len(line.series))]
    names = [line.series[number] for line, number in series]
    yield f"| period | {' | '.join(map(escape_markup, names))} | what happened |"
    yield f"|---|{'---|' * (len(names) + 1)}"
    for place, point in enumerate(lines[0].points):
        values = [value_text(line, line.points[place].values[n]) for line, n in series]
        marks = ", ".join(
            mark_text(mark) for mark in lines[0].marks if point.first <= mark.date <= point.last
        )
        cells = (point.days, *values, marks or "–")
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    initial = [f"{line.name} {value_text(line, line.initial[0])}" for line in lines if line.initial]
    if initial:
        yield ""
        yield f"At the first acceptance: {escape_markup(', '.join(initial))}."


def _decision_lines(report: ReportFacts) -> Iterator[str]:
    status, zone = report.review.status, report.review.status.time_zone
    yield ""
    yield "## Decisions"
    for decision in status.decisions:
        decision_minute = local_minute(decision.decision_time, zone)
        yield f"- {decision_minute} {decision.type} ({as_words(decision.reason)}): {escape_markup(decision.message)}"
    if status.earlier_decisions:
        yield f"- and {sum(status.earlier_decisions.values())} earlier ones"
    if not status.decisions:
        yield "Nothing."
    yield from _result_lines(report)
    yield ""
    yield "## How new versions reach users"
    yield from (f"- {name}: {value}" for name, value in words.delivery(report.delivery))


def _api(report: ReportFacts) -> Iterator[str]:
    zone = report.review.status.time_zone
    yield ""
    yield "## API"
    rows = words.api_rows(report)
    for row in rows:
        text = f"{row.version} {as_words(row.outcome)}: {row.text}"
        yield f"- {local_minute(row.time, zone)} {escape_markup(text)}"
    if not rows:
        yield words.API_UNCHANGED
    if report.operations:
        yield ""
        yield "| operation | requests | failed | refused | p50 (before) | p95 (before) |"
        yield "|---|---|---|---|---|---|"
    for operation in report.operations:
        now, before = operation.now, operation.before
        cells = (
            now.name,
            f"{now.requests:,}",
            now.failures + (f" (before: {before.failures})" if before else ""),
            f"{now.refused:,}",
            words.beside(now.median, before.median if before else None),
            words.beside(now.p95, before.p95 if before else None),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def _callers(report: ReportFacts) -> Iterator[str]:
    if not report.callers:
        return
    yield ""
    yield "## Who calls"
    yield words.CALLERS_NOTE
    yield ""
    yield "| caller | requests (before) | share | failed (before) |"
    yield "|---|---|---|---|"
    for caller in report.callers:
        before = caller.before
        cells = (
            caller.name,
            f"{caller.count.total:,} ({before.total:,})",
            percent(caller.share),
            caller.failures + (f" (before: {caller.failures_before})" if before.total else ""),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def _result_lines(report: ReportFacts) -> Iterator[str]:
    zone = report.review.status.time_zone
    yield ""
    yield "## What new versions brought"
    for result in report.brought:
        end_minute = local_minute(result.version.end_time, zone)
        outcome_text = f"{result.version.version} {words.ended(result)}: {words.brought(result)}"
        text = f"{outcome_text}. Tried: {words.tried(result)}"
        yield f"- {end_minute} {escape_markup(text)}"
        yield from (f"  - {escape_markup(line)}" for line in words.brought_by_market(result))
    if not report.brought:
        yield "No canary ended."
    if together := words.together_text(report):
        yield f"- Together: {escape_markup(together)}"


def _health_checks(report: ReportFacts) -> Iterator[str]:
    readiness = report.review.status.readiness
    yield ""
    yield "## Objectives to reconsider"
    yield from (f"- {text}" for text in words.health(report))
    yield ""
    yield "## Readiness"
    unmet = [check for check in readiness if check.state is not CheckState.MET]
    yield from (
        f"- {as_words(check.name)} {check.state.lower()}: {escape_markup(check.message)}"
        for check in unmet
    )
    if not unmet:
        yield "All is met." if readiness else "It isn't recorded."


def _people(report: ReportFacts) -> Iterator[str]:
    yield ""
    yield "## Actions from last time"
    yield from [f"- {escape_markup(words.action(act))}" for act in report.last_actions] or ["None."]
    yield ""
    yield "## Actions, decisions, signatures"
    yield from (f"- [ ] {escape_markup(words.action(act))}" for act in report.open_actions)
    yield from (f"- Decided: {escape_markup(text)}" for text in report.review.spec.decisions)
    for signed in report.signatures:
        note = f": {escape_markup(signed.note)}" if signed.note else ""
        sign_day = local_day(signed.sign_time, report.review.status.time_zone)
        signer = f"{_name(signed.username)} ({escape_markup(signed.role)})"
        yield f"- {signer} {words.VERDICTS[signed.verdict]}, {sign_day}{note}"
    if not (report.open_actions or report.signatures or report.review.spec.decisions):
        yield "None yet."
    if report.review.spec.notes:
        yield ""
        yield escape_markup(report.review.spec.notes)


def _segments(report: ReportFacts) -> Iterator[str]:
    for segment in report.segments:
        shares = ", ".join(
            f"{name} {words.counted(count)}" for name, count in segment.slos.items() if count.total
        )
        yield ""
        yield f"{escape_markup(segment.version)} alone, {segment.first} to {segment.last}: {shares}."


def _first_periods(report: ReportFacts) -> Iterator[str]:
    for version in report.review.status.versions:
        if (period := version.first_period) is not None:
            days = f"{period.start_date} to {period.end_date}"
            text = f"{version.version} until the end of its first period, {days}: {'; '.join(words.first_period(version))}."
            yield ""
            yield escape_markup(text)


def _markets(report: ReportFacts) -> Iterator[str]:
    rows = [(slo, market) for slo in report.slos for market in slo.markets if market.count.total]
    if not rows:
        return
    yield ""
    yield "| SLO | market | this period | 95 % | required | error budget | state | missed |"
    yield "|---|---|---|---|---|---|---|---|"
    for slo, facts in rows:
        cells = (
            words.subject(slo),
            facts.market,
            words.counted(facts.count),
            words.interval(facts.interval or ()),
            percent(facts.required),
            words.budget(facts.budget_left),
            facts.state,
            words.missed_times(facts, report.review.status.time_zone),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def escape_markup(text: str) -> str:
    """Escape free text, so that it can't end a cell, or become markup; an address stays a link."""
    for mark in "\\`*_[]<>|#~&":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.splitlines())


def _name(text: str) -> str:
    """Escape a name, which isn't a link either."""
    return re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)|(@)", r"\\\g<0>", escape_markup(text))


def documents(reports: Sequence[ReportFacts]) -> list[dict[str, Any]]:
    """Return the reports for JSON and YAML."""
    return [_json(report) for report in reports]


def _json(report: ReportFacts) -> dict[str, Any]:
    status = report.review.status
    return {
        "product": report.name,
        "period": report.review.spec.period.to_dict(),
        "sentence": words.sentence(report),
        "state": str(status.state),
        "digest": status.digest,
        "digestHolds": report.digest_holds,
        "missingDays": report.missing_days,
        "slos": [_json_slo(slo) for slo in report.slos],
        "responseTimes": response_times(report.quantiles),
        "evolution": [line_document(line) for line in report.evolution or report.lines],
        "operations": [
            {
                "name": operation.now.name,
                "requests": operation.now.requests,
                "failed": operation.now.failed,
                "refused": operation.now.refused,
                "p50Seconds": operation.now.median,
                "p95Seconds": operation.now.p95,
                "failedBefore": operation.before and operation.before.failed,
                "requestsBefore": operation.before and operation.before.requests,
            }
            for operation in report.operations
        ],
        "callers": [caller.document() for caller in report.callers],
        "resourceHours": report.hours and report.hours.document(),
        "decisions": dict(sorted(report.decisions.items())),
        "retrainingCauses": dict(sorted(report.causes.items())),
        "delivery": {_camel(name): value for name, value in asdict(report.delivery).items()},
        "segments": [
            {
                "version": segment.version,
                "first": segment.first,
                "last": segment.last,
                "slos": {
                    name: {"bad": count.bad, "total": count.total}
                    for name, count in segment.slos.items()
                },
            }
            for segment in report.segments
        ],
        "firstPeriods": [
            {"version": version.version, **version.first_period.to_dict()}
            for version in status.versions
            if version.first_period is not None
        ],
        "api": [row.document() for row in words.api_rows(report)],
        "brought": [_json_brought(brought_lift) for brought_lift in report.brought],
        "readiness": [check.to_dict() for check in status.readiness],
        "lastActions": [_action(act) for act in report.last_actions],
        "openActions": [_action(act) for act in report.open_actions],
        "signOffs": [signed.to_dict() for signed in report.signatures],
    }


def _json_brought(result: Brought) -> dict[str, Any]:
    return result.version.to_dict() | {
        "kept": result.kept,
        "lifts": {lift.slo: lift_document(lift) for lift in result.lifts},
    }


def line_document(line: EvolutionLine) -> dict[str, Any]:
    """Return a line for JSON."""
    return {
        "name": line.name,
        "unit": line.unit,
        "initial": line.initial and {"value": line.initial[0], "events": line.initial[1]},
        "points": [
            {
                "firstDay": point.first,
                "lastDay": point.last,
                "values": dict(zip(line.series, point.values, strict=True)),
                "events": point.total,
                "objective": point.objective,
                "present": point.present,
            }
            for point in line.points
        ],
        "marks": [
            {"date": mark.date, "kind": mark.kind, "label": mark.label, "message": mark.text}
            for mark in line.marks
        ],
    }


def response_times(quantiles: Sequence[Quantile]) -> list[dict[str, float | None]]:
    """Return response times for JSON."""
    return [
        {"quantile": quantile.share, "secondsEstimate": quantile.seconds, "before": quantile.before}
        for quantile in quantiles
    ]


def _action(act: ActionFacts) -> dict[str, str]:
    return {_camel(name): value for name, value in asdict(act).items()}


def _camel(name: str) -> str:
    first, *other_words = name.split("_")
    return first + "".join(map(str.capitalize, other_words))


def _json_slo(slo: SloFacts) -> dict[str, Any]:
    return {
        "name": slo.name,
        "bad": slo.count.bad,
        "total": slo.count.total,
        "share": slo.share,
        "objective": slo.objective,
        "budgetLeft": slo.budget_left,
        "daysOutside": slo.outside,
        "health": slo.health,
        "changes": {
            name: {
                "change": str(evolution.change),
                "estimate": evolution.estimate,
                "interval": [evolution.lower, evolution.upper],
                "dispersion": evolution.phi,
            }
            for name, evolution in (
                ("before", slo.against_before),
                ("original", slo.against_original),
            )
        },
        "markets": {
            market.market: {
                "bad": market.count.bad,
                "total": market.count.total,
                "state": market.state,
                "interval": market.interval and list(market.interval),
                "required": market.required,
                "budgetLeft": market.budget_left,
                "missed": [
                    {
                        name: value
                        for name, value in times.to_dict().items()
                        if name.endswith("Time")
                    }
                    for times in market.missed
                ],
            }
            for market in slo.markets
        },
        "marketEvolution": [line_document(line) for line in slo.market_lines],
    }


def as_csv(reports: Sequence[ReportFacts]) -> str:
    """Render a row for each product and SLO."""
    return csv_text((_row(report, slo) for report in reports for slo in report.slos), COLUMNS)


def _row(report: ReportFacts, slo: SloFacts) -> tuple[object, ...]:
    status, evolution = report.review.status, slo.against_before
    return (
        report.name, local_day(report.review.spec.period.start, status.time_zone), escape_cell(slo.name),
        slo.count.bad, slo.count.total, _number(slo.share), _number(slo.objective),
        _number(slo.budget_left), slo.outside, evolution.change, _number(evolution.estimate),
        _number(evolution.lower), _number(evolution.upper), slo.against_original.change,
        status.state, status.digest, *map(_number, row_of(report.hours)),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
