"""Reports as Markdown, as plain data for JSON and YAML, and as CSV. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from sluicegate.api.review import CheckState
from sluicegate.reporting import words
from sluicegate.reporting.facts import ActionFacts, Quantile, ReportFacts, SloFacts
from sluicegate.reviews.periods import local_day, local_minute
from sluicegate.reviews.resource_hours import row_of
from sluicegate.views.numbers import percent

COLUMNS = (
    "product", "period", "slo", "bad", "total", "share", "objective", "budget_left",
    "days_outside", "change", "change_estimate", "change_lower", "change_upper",
    "change_since_acceptance", "state", "digest", "pod_hours", "cpu_hours", "memory_gib_hours",
    "gpu_hours", "training_hours", "training_cpu_hours", "training_memory_gib_hours",
    "training_gpu_hours",
)  # fmt: skip


def markdown(reports: Sequence[ReportFacts]) -> str:
    """One section a product; before those of several, what moved most."""
    head = _portfolio(reports) if len(reports) > 1 else iter(())
    return "\n".join([*head, *(line for one in reports for line in (*_section(one), ""))])


def _portfolio(reports: Sequence[ReportFacts]) -> Iterator[str]:
    yield escaped(words.portfolio(reports))
    yield ""
    yield "| product | largest proved change | review | checks missing | open actions |"
    yield "|---|---|---|---|---|"
    for one in reports:
        cells = (
            one.name, words.move(one.move), words.standing(one),
            str(len(one.missing)), str(len(one.open_actions)),
        )  # fmt: skip
        yield "| " + " | ".join(map(escaped, cells)) + " |"
    yield ""


def _section(one: ReportFacts) -> Iterator[str]:
    yield from _head(one)
    yield from _service_levels(one)
    yield from _decided(one)
    yield from _to_look_at(one)
    yield from _people(one)


def _head(one: ReportFacts) -> Iterator[str]:
    status, period = one.review.status, one.review.spec.period
    zone = status.time_zone
    yield f"# {one.name}, {words.span(period.start, period.end, zone)}"
    yield ""
    yield escaped(words.sentence(one))
    yield ""
    sealed = (
        f"sealed {local_day(status.seal_time, zone)}, `{status.digest}`"
        if status.seal_time
        else "not sealed"
    )
    broken = (
        " **The digest does not match: the ledger was changed.**"
        if one.digest_holds is False
        else ""
    )
    yield f"State: {escaped(words.standing(one))} ({sealed}).{broken}"
    for signed in one.objections:
        yield f"**{escaped(signed.username)} ({signed.role}) objects.**"
    if one.missing_days:
        yield f"{one.missing_days} days could not be read and are missing in all counts."


def _service_levels(one: ReportFacts) -> Iterator[str]:
    yield ""
    yield (
        "| SLO | this period | objective | the period before | change | at acceptance | change since"
        " | error budget | days missed |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for slo in one.slos:
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
        yield "| " + " | ".join(map(escaped, cells)) + " |"
    yield from _markets(one.slos)
    yield from _segments(one)
    if one.quantiles:
        yield ""
        yield f"Response times (estimates): {words.response_times(one.quantiles)}."
    if one.hours is not None and one.hours.days:
        yield ""
        yield f"Reserved by serving pods: {escaped(words.reserved(one.hours))}."
    if one.hours is not None and one.hours.trainings:
        yield ""
        yield f"Reserved by trainings: {escaped(words.trained(one.hours))}."


def _decided(one: ReportFacts) -> Iterator[str]:
    status, zone = one.review.status, one.review.status.time_zone
    yield ""
    yield "## Decisions"
    for made in status.decisions:
        when = local_minute(made.decision_time, zone)
        yield f"- {when} {made.type} ({words.spoken(made.reason)}): {escaped(made.message)}"
    if status.earlier_decisions:
        yield f"- and {sum(status.earlier_decisions.values())} earlier ones"
    if not status.decisions:
        yield "Nothing."
    yield ""
    yield "## How new versions reach users"
    yield from (f"- {name}: {value}" for name, value in words.delivery(one.delivery))


def _to_look_at(one: ReportFacts) -> Iterator[str]:
    readiness = one.review.status.readiness
    yield ""
    yield "## Objectives to reconsider"
    health = [f"- {words.subject(slo)} {slo.health}" for slo in one.slos if slo.health]
    yield from health or ["There are none."]
    yield ""
    yield "## Readiness"
    unmet = [check for check in readiness if check.state is not CheckState.MET]
    yield from (
        f"- {words.spoken(check.name)} {check.state.lower()}: {escaped(check.message)}"
        for check in unmet
    )
    if not unmet:
        yield "All is met." if readiness else "It isn't recorded."


def _people(one: ReportFacts) -> Iterator[str]:
    yield ""
    yield "## Actions from last time"
    yield from [f"- {escaped(words.action(act))}" for act in one.last_actions] or ["None."]
    yield ""
    yield "## Actions, decisions, signatures"
    yield from (f"- [ ] {escaped(words.action(act))}" for act in one.open_actions)
    yield from (f"- Decided: {escaped(text)}" for text in one.review.spec.decisions)
    for signed in one.signatures:
        note = f": {escaped(signed.note)}" if signed.note else ""
        when = local_day(signed.sign_time, one.review.status.time_zone)
        yield f"- {signed.username} ({signed.role}) {words.VERDICTS[signed.verdict]}, {when}{note}"
    if not (one.open_actions or one.signatures or one.review.spec.decisions):
        yield "None yet."
    if one.review.spec.notes:
        yield ""
        yield escaped(one.review.spec.notes)


def _segments(one: ReportFacts) -> Iterator[str]:
    for segment in one.segments:
        told = ", ".join(
            f"{name} {words.counted(count)}" for name, count in segment.slos.items() if count.total
        )
        yield ""
        yield f"{escaped(segment.version)} alone, {segment.first} to {segment.last}: {told}."


def _markets(slos: Sequence[SloFacts]) -> Iterator[str]:
    for slo in slos:
        if slo.markets:
            told = ", ".join(
                f"{one.market} {words.market(slo, one)}" for one in slo.markets if one.count.total
            )
            yield ""
            yield f"{words.subject(slo)} by market: {told}."


def escaped(text: str) -> str:
    """Free text that can't end a cell, nor become a link or a page's own markup."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")


def documents(reports: Sequence[ReportFacts]) -> list[dict[str, Any]]:
    """What JSON and YAML have."""
    return [_json(one) for one in reports]


def _json(one: ReportFacts) -> dict[str, Any]:
    status = one.review.status
    return {
        "product": one.name,
        "period": one.review.spec.period.to_dict(),
        "sentence": words.sentence(one),
        "state": str(status.state),
        "digest": status.digest,
        "digestHolds": one.digest_holds,
        "missingDays": one.missing_days,
        "slos": [_json_slo(slo) for slo in one.slos],
        "responseTimes": response_times(one.quantiles),
        "resourceHours": one.hours and one.hours.document(),
        "decisions": dict(sorted(one.decisions.items())),
        "retrainingCauses": dict(sorted(one.causes.items())),
        "delivery": {_camel(name): value for name, value in asdict(one.delivery).items()},
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
            for segment in one.segments
        ],
        "readiness": [check.to_dict() for check in status.readiness],
        "lastActions": [_action(act) for act in one.last_actions],
        "openActions": [_action(act) for act in one.open_actions],
        "signOffs": [signed.to_dict() for signed in one.signatures],
    }


def response_times(quantiles: Sequence[Quantile]) -> list[dict[str, float | None]]:
    """Response times for JSON."""
    return [
        {"quantile": one.share, "secondsEstimate": one.seconds, "before": one.before}
        for one in quantiles
    ]


def _action(act: ActionFacts) -> dict[str, str]:
    return {_camel(name): value for name, value in asdict(act).items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


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
                "change": str(one.change),
                "estimate": one.estimate,
                "interval": [one.lower, one.upper],
                "dispersion": one.phi,
            }
            for name, one in (("before", slo.against_before), ("original", slo.against_original))
        },
        "markets": {
            one.market: {"bad": one.count.bad, "total": one.count.total, "state": one.state}
            for one in slo.markets
        },
    }


def as_csv(reports: Sequence[ReportFacts]) -> str:
    """A row a product and SLO."""
    return csv_text((_row(one, slo) for one in reports for slo in one.slos), COLUMNS)


def _row(one: ReportFacts, slo: SloFacts) -> tuple[object, ...]:
    status, moved = one.review.status, slo.against_before
    return (
        one.name, local_day(one.review.spec.period.start, status.time_zone), cell(slo.name),
        slo.count.bad, slo.count.total, _number(slo.share), _number(slo.objective),
        _number(slo.budget_left), slo.outside, moved.change, _number(moved.estimate),
        _number(moved.lower), _number(moved.upper), slo.against_original.change,
        status.state, status.digest, *map(_number, row_of(one.hours)),
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def csv_text(rows: Iterable[Iterable[object]], columns: Sequence[str]) -> str:
    """CSV of these rows below the names of their columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def cell(value: object) -> object:
    """Text that a spreadsheet doesn't take for a formula; a value that is no text stays."""
    begins = value.lstrip(" ")[:1] if isinstance(value, str) else ""
    return f"'{value}" if begins and begins in _FORMULAS else value


_FORMULAS: Final = frozenset("=+-@\t\r\n|%")
