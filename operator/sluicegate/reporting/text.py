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
    head_lines = _portfolio(reports) if len(reports) > 1 else iter(())
    return "\n".join(
        [*head_lines, *(line for report in reports for line in (*_section(report), ""))]
    )


def _portfolio(reports: Sequence[ReportFacts]) -> Iterator[str]:
    yield escape_markup(words.portfolio_sentence(reports))
    yield ""
    yield "| product | largest proved change | review | checks missing | open actions |"
    yield "|---|---|---|---|---|"
    for report in reports:
        cells = (
            report.name, words.move_text(report.move, report.falls, read_days=report.read_days), words.signing_text(report),
            str(len(report.missing)), str(len(report.open_actions)),
        )  # fmt: skip
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    yield ""


def _section(report: ReportFacts) -> Iterator[str]:
    yield from _head_lines(report)
    yield from _service_levels(report)
    yield from _evolution_lines(report)
    yield from _api_lines(report)
    yield from _caller_lines(report)
    yield from _decision_lines(report)
    yield from _health_checks(report)
    yield from _people_lines(report)


def _head_lines(report: ReportFacts) -> Iterator[str]:
    status, period = report.review.status, report.review.spec.period
    zone = status.time_zone
    yield f"# {report.name}, {words.period_text(period.start, period.end, zone)}"
    yield ""
    yield escape_markup(words.report_sentence(report))
    yield ""
    sealed_text = (
        f"sealed {local_day(status.seal_time, zone)}, `{status.digest}`"
        if status.seal_time
        else "not sealed"
    )
    altered_text = (
        " **The digest does not match: the ledger was changed.**"
        if report.digest_holds is False
        else ""
    )
    yield f"State: {escape_markup(words.signing_text(report))} ({sealed_text}).{altered_text}"
    yield f"Days and {words.zone_text(zone)}."
    for signature in report.objections:
        yield f"**{_name(signature.username)} ({escape_markup(signature.role)}) objects.**"
    if ended_early_text := words.early_end_text(report):
        yield ended_early_text
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
            words.slo_subject(slo),
            words.count_text(slo.count, slo.objective),
            percent(slo.objective),
            words.count_text(slo.before),
            words.comparison_text(slo.against_before, slo.before),
            words.count_text(slo.original),
            words.comparison_text(slo.against_original, slo.original),
            words.budget_text(slo.budget_left),
            str(slo.outside),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    yield from _markets(report)
    yield from _segment_lines(report)
    yield from _first_periods(report)
    if report.quantiles:
        yield ""
        yield f"Response times (estimates): {words.response_times(report.quantiles)}."
    if report.hours is not None and report.hours.days:
        yield ""
        yield f"Reserved by serving pods: {escape_markup(words.reserved_text(report.hours))}."
    if report.hours is not None and report.hours.trainings:
        yield ""
        yield f"Reserved by trainings: {escape_markup(words.trained_text(report.hours))}."


def _evolution_lines(report: ReportFacts) -> Iterator[str]:
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
    for point_index, point in enumerate(lines[0].points):
        values = [value_text(line, line.points[point_index].values[n]) for line, n in series]
        marks = ", ".join(
            mark_text(chart_mark)
            for chart_mark in lines[0].marks
            if point.first <= chart_mark.date <= point.last
        )
        cells = (point.days, *values, marks or "–")
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"
    initial_texts = [
        f"{line.name} {value_text(line, line.initial[0])}" for line in lines if line.initial
    ]
    if initial_texts:
        yield ""
        yield f"At the first acceptance: {escape_markup(', '.join(initial_texts))}."


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
    yield from (f"- {name}: {value}" for name, value in words.delivery_rows(report.delivery))


def _api_lines(report: ReportFacts) -> Iterator[str]:
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
        now, earlier_period = operation.now, operation.before
        cells = (
            now.name,
            f"{now.requests:,}",
            now.failures + (f" (before: {earlier_period.failures})" if earlier_period else ""),
            f"{now.refused:,}",
            words.change_in_words(now.median, earlier_period.median if earlier_period else None),
            words.change_in_words(now.p95, earlier_period.p95 if earlier_period else None),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def _caller_lines(report: ReportFacts) -> Iterator[str]:
    if not report.callers:
        return
    yield ""
    yield "## Who calls"
    yield words.CALLERS_NOTE
    yield ""
    yield "| caller | requests (before) | share | failed (before) |"
    yield "|---|---|---|---|"
    for caller in report.callers:
        earlier_period = caller.before
        cells = (
            caller.name,
            f"{caller.count.total:,} ({earlier_period.total:,})",
            percent(caller.share),
            caller.failures
            + (f" (before: {caller.failures_before})" if earlier_period.total else ""),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def _result_lines(report: ReportFacts) -> Iterator[str]:
    zone = report.review.status.time_zone
    yield ""
    yield "## What new versions brought"
    for result in report.brought:
        end_minute = local_minute(result.version.end_time, zone)
        outcome_text = (
            f"{result.version.version} {words.ended_text(result)}: {words.brought_text(result)}"
        )
        text = f"{outcome_text}. Tried: {words.trial_text(result)}"
        yield f"- {end_minute} {escape_markup(text)}"
        yield from (f"  - {escape_markup(line)}" for line in words.brought_by_market(result))
    if not report.brought:
        yield "No canary ended."
    if together_line := words.together_text(report):
        yield f"- Together: {escape_markup(together_line)}"


def _health_checks(report: ReportFacts) -> Iterator[str]:
    readiness_checks = report.review.status.readiness
    yield ""
    yield "## Objectives to reconsider"
    yield from (f"- {text}" for text in words.health(report))
    yield ""
    yield "## Readiness"
    unmet_checks = [check for check in readiness_checks if check.state is not CheckState.MET]
    yield from (
        f"- {as_words(check.name)} {check.state.lower()}: {escape_markup(check.message)}"
        for check in unmet_checks
    )
    if not unmet_checks:
        yield "All is met." if readiness_checks else "It isn't recorded."


def _people_lines(report: ReportFacts) -> Iterator[str]:
    yield ""
    yield "## Actions from earlier reviews"
    yield from [
        f"- {escape_markup(words.action_text(action))} – agreed in {action.agreed_in}"
        for action in report.last_actions
    ] or ["None."]
    yield ""
    yield "## Actions, decisions, signatures"
    yield from (
        f"- [ ] {escape_markup(words.action_text(action))}" for action in report.open_actions
    )
    yield from (f"- Decided: {escape_markup(text)}" for text in report.review.spec.decisions)
    for signature in report.signatures:
        note = f": {escape_markup(signature.note)}" if signature.note else ""
        sign_day = local_day(signature.sign_time, report.review.status.time_zone)
        signer = f"{_name(signature.username)} ({escape_markup(signature.role)})"
        yield f"- {signer} {words.VERDICTS[signature.verdict]}, {sign_day}{note}"
    if not (report.open_actions or report.signatures or report.review.spec.decisions):
        yield "None yet."
    if report.review.spec.notes:
        yield ""
        yield escape_markup(report.review.spec.notes)


def _segment_lines(report: ReportFacts) -> Iterator[str]:
    for version_segment in report.segments:
        shares = ", ".join(
            f"{name} {words.count_text(count)}"
            for name, count in version_segment.slos.items()
            if count.total
        )
        yield ""
        yield f"{escape_markup(version_segment.version)} alone, {version_segment.first} to {version_segment.last}: {shares}."


def _first_periods(report: ReportFacts) -> Iterator[str]:
    for version in report.review.status.versions:
        if (period := version.first_period) is not None:
            days = f"{period.start_date} to {period.end_date}"
            text = f"{version.version} until the end of its first period, {days}: {'; '.join(words.first_period(version))}."
            yield ""
            yield escape_markup(text)
        elif version.promotion_time >= report.review.spec.period.start:
            absence = words.absent_first_period(report, version)
            yield ""
            yield escape_markup(f"{version.version} until the end of its first period: {absence}.")


def _markets(report: ReportFacts) -> Iterator[str]:
    rows = [(slo, market) for slo in report.slos for market in slo.markets if market.count.total]
    if not rows:
        return
    yield ""
    yield "| SLO | market | this period | 95 % | required | error budget | state | missed |"
    yield "|---|---|---|---|---|---|---|---|"
    for slo, facts in rows:
        cells = (
            words.slo_subject(slo),
            facts.market,
            words.count_text(facts.count, facts.required),
            words.interval_text(facts.interval or (), facts.required),
            percent(facts.required),
            words.budget_text(facts.budget_left),
            facts.state,
            words.missed_time_texts(facts, report.review.status.time_zone),
        )
        yield "| " + " | ".join(map(escape_markup, cells)) + " |"


def escape_markup(text: str) -> str:
    """Escape free text, so that it can't end a cell, or become markup; an address stays a link."""
    for special_character in "\\`*_[]<>|#~&":
        text = text.replace(special_character, f"\\{special_character}")
    return " ".join(text.splitlines())


def _name(text: str) -> str:
    """Escape a name, which isn't a link either."""
    return re.sub(r"(?i)(:)(?=//)|(?<=www)(\.)|(@)", r"\\\g<0>", escape_markup(text))


def documents(reports: Sequence[ReportFacts]) -> list[dict[str, Any]]:
    """Return the reports for JSON and YAML."""
    return [_json_document(report) for report in reports]


def _json_document(report: ReportFacts) -> dict[str, Any]:
    status = report.review.status
    return {
        "product": report.name,
        "period": report.review.spec.period.to_dict(),
        "sentence": words.report_sentence(report),
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
        "delivery": {_camel_case(name): value for name, value in asdict(report.delivery).items()},
        "segments": [
            {
                "version": version_segment.version,
                "first": version_segment.first,
                "last": version_segment.last,
                "slos": {
                    name: {"bad": count.bad, "total": count.total}
                    for name, count in version_segment.slos.items()
                },
            }
            for version_segment in report.segments
        ],
        "firstPeriods": [
            {"version": version.version, **version.first_period.to_dict()}
            for version in status.versions
            if version.first_period is not None
        ],
        "api": [row.document() for row in words.api_rows(report)],
        "brought": [_json_brought(brought_lift) for brought_lift in report.brought],
        "readiness": [check.to_dict() for check in status.readiness],
        "lastActions": [_action_document(action) for action in report.last_actions],
        "openActions": [_action_document(action) for action in report.open_actions],
        "signOffs": [signature.to_dict() for signature in report.signatures],
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
            {
                "date": chart_mark.date,
                "kind": chart_mark.kind,
                "label": chart_mark.label,
                "message": chart_mark.text,
            }
            for chart_mark in line.marks
        ],
    }


def response_times(quantiles: Sequence[Quantile]) -> list[dict[str, float | None]]:
    """Return response times for JSON."""
    return [
        {"quantile": quantile.share, "secondsEstimate": quantile.seconds, "before": quantile.before}
        for quantile in quantiles
    ]


def _action_document(action: ActionFacts) -> dict[str, str]:
    return {_camel_case(name): value for name, value in asdict(action).items()}


def _camel_case(name: str) -> str:
    first_word, *other_words = name.split("_")
    return first_word + "".join(map(str.capitalize, other_words))


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
