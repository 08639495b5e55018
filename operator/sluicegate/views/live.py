"""The live screen of a product: what moves, in lines for a terminal; the standard library alone. Pure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sluicegate.views import product as facts
from sluicegate.views.numbers import duration
from sluicegate.views.trials import tried_text
from sluicegate.views.words import as_words, label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

Body = dict[str, Any]

MAX_BAR_SIZE: Final = 24
"""Most characters of a bar."""
MIN_BAR_SIZE: Final = 4
"""Characters below which a bar is left out."""
MAX_EVENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the API server doesn't answer.

    Attributes
    ----------
    start : when the last answer ended.
    error : of the last request, in the client's words.
    end : of the first answer after it; None while the API server can't be reached.
    """

    start: datetime
    error: str = ""
    end: datetime | None = None


def outage_line(outage: Outage, now: datetime) -> str:
    """Return the begin of the API server's outage, or its end."""
    start = f"{outage.start:%H:%M:%S} UTC"
    if outage.end is not None:
        duration_text = duration(round((outage.end - outage.start).total_seconds()))
        return f"The API server is reached again, after {duration_text} from {start} on"
    duration_text = duration(round((now - outage.start).total_seconds()))
    return f"The API server can't be reached since {start}, for {duration_text}; the product is as of then: {outage.error}"


def bar_text(fraction: float, size: int = MAX_BAR_SIZE) -> str:
    """Return a bar that is full at a share of 1; empty if it is too short to read."""
    if size < MIN_BAR_SIZE:
        return ""
    filled_size = round(size * min(max(fraction, 0.0), 1.0))
    return "█" * filled_size + "·" * (size - filled_size)


def bar_size(text_columns: int, width: int) -> int:
    """Return the characters of a bar with `text_columns` columns of text in a terminal of `width`, 0 for any."""
    return min(MAX_BAR_SIZE, width - text_columns) if width else MAX_BAR_SIZE


def remaining_seconds(candidate_status: Body, now: datetime) -> int | None:
    """Return the seconds that an equal candidate still needs; None if unknown."""
    expected_seconds, start = (
        candidate_status.get("expectedSeconds"),
        candidate_status.get("firstTrafficTime"),
    )
    if (
        not isinstance(expected_seconds, int)
        or not start
        or candidate_status.get("phase") != "Stepping"
    ):
        return None
    held_seconds = int(candidate_status.get("suspendedSeconds", 0))
    passed_seconds = (now - facts.parse_time(str(start))).total_seconds() - held_seconds
    return max(0, round(expected_seconds - passed_seconds))


def screen_lines(
    product: Body,
    events: Sequence[Body],
    now: datetime,
    *,
    outage: Outage | None = None,
    width: int = 0,
) -> list[str]:
    """Return the whole screen: versions with their traffic, evidence, service levels, events.

    Parameters
    ----------
    events : of the product, the oldest first.
    outage : of the API server, now or a moment ago.
    width : columns of the terminal, 0 for any: bars become shorter before text continues below.
    """
    lines = [f"{_name(product)}  {label(facts.state_of(product))}  {now:%H:%M:%S} UTC"]
    lines += _wrapped_lines([outage_line(outage, now)], width) if outage else []
    lines += ["", *_wrapped_lines(_version_lines(product, now, width), width)]
    if candidate_status := facts.candidate(product):
        lines += [
            "",
            *_wrapped_lines(_evidence_lines(product, candidate_status, now, width), width),
        ]
    if slos := list(_slo_lines(product)):
        lines += ["", "Service levels", *slos]
    lines += [f"  {line}" for line in _training_lines(product, now)]
    if decision := facts.decision_line(product):
        decision_time = str(facts.section(product, "status", "decision").get("decisionTime", ""))
        lines += ["", f"Last decision, {facts.age(decision_time, now)} ago: {decision}"]
    if events:
        lines += ["", "Events", *(f"  {event_line(event)}" for event in events[-MAX_EVENTS:])]
    return lines


def change_lines(product: Body, now: datetime) -> dict[str, str]:
    """Return the values by subject whose change appends a line."""
    candidate_status = facts.candidate(product)
    stable = facts.section(product, "status", "stable")
    lines = {"product": f"{label(facts.state_of(product))}, stable {stable.get('version', 'none')}"}
    if candidate_status:
        lines["candidate"] = f"candidate {facts.step_line(candidate_status)}"
        lines["hold"] = facts.hold_line(candidate_status)
    for line in _count_lines(candidate_status):
        lines[f"evidence {line.split(':')[0]}"] = line
    for slo in facts.entries(product, "status", "slos"):
        lines[f"slo {slo.get('name')}"] = f"SLO {slo.get('name')}: {slo.get('state')}"
    for line in _training_lines(product, now):
        lines["training"] = line.partition(",")[0]
    lines["decision"] = facts.decision_line(product)
    return {subject: line for subject, line in lines.items() if line}


def event_line(event: Body) -> str:
    """Return an event with its time."""
    return f"{event_time(event)[11:19]} {event.get('reason')}: {event.get('note') or event.get('message', '')}"


def event_time(event: Body) -> str:
    """Return the time at which an event was seen last, as the API has it."""
    series = facts.section(event, "series")
    times = (series.get("lastObservedTime"), event.get("eventTime"), event.get("deprecatedLastTimestamp"))  # fmt: skip
    return str(next((time for time in times if time), ""))


def _name(product: Body) -> str:
    meta = product["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def _wrapped_lines(lines: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines that fit into a terminal: a text continues below its first line, indented."""
    for line in lines:
        if not width or len(line) <= width:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line.lstrip(),
            max(width, len(indent) + 6),
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
        )


def _version_lines(product: Body, now: datetime, width: int) -> Iterator[str]:
    status, candidate_status = facts.section(product, "status"), facts.candidate(product)
    stable = facts.section(status, "stable")
    candidate_weight = facts.share_in_force(candidate_status)
    version_lines = []
    if stable:
        age_text = facts.age(str(stable.get("promotionTime", "")), now)
        version_lines.append(
            (100 - candidate_weight, f"stable {stable.get('version')}, for {age_text}")
        )
    if candidate_status:
        age_text = facts.age(str(candidate_status.get("startTime", "")), now)
        phase = as_words(str(candidate_status.get("phase", "")))
        version_lines.append(
            (
                candidate_weight,
                f"candidate {candidate_status.get('version')}, {phase}, for {age_text}",
            )
        )
    lines = [(percent, f"{percent:3} %  {text}") for percent, text in version_lines]
    size = bar_size(max((len(text) for _, text in lines), default=0) + 3, width)
    for percent, text in lines:
        yield f"  {bar_text(percent / 100, size)} {text}"
    if not candidate_status:
        if not stable:
            yield "  no version serves yet"
        return
    yield f"  tried: {tried_text(candidate_status)}"
    target = candidate_status.get("target")
    is_growing = candidate_status.get("phase") not in {"RollingBack", "Parked"}
    if is_growing and target is not None and target != candidate_weight:
        yield f"  {target} % are decided, and apply once the pods for them are ready"
    if hold_text := facts.hold_line(candidate_status):
        yield f"  {hold_text}"
    seconds_left = remaining_seconds(candidate_status, now)
    if seconds_left is not None:
        expected_text = duration(int(candidate_status["expectedSeconds"]))
        remaining_text = (
            f"about {duration(seconds_left)} more" if seconds_left else "longer than that already"
        )
        yield f"  an equal version takes about {expected_text} of traffic: {remaining_text}"


def _evidence_lines(
    product: Body, candidate_status: Body, now: datetime, width: int
) -> Iterator[str]:
    refresh_time = str(facts.section(product, "status").get("lastRefreshTime", ""))
    as_of = f", refreshed {facts.age(refresh_time, now)} ago" if refresh_time else ""
    evidence_rows = facts.entries(candidate_status, "evidence")
    if not evidence_rows:
        yield "No evidence yet"
        return
    yield f"Evidence{as_of}"
    column = max(len(str(row.get("slo"))) for row in evidence_rows)
    lines = []
    for row in evidence_rows:
        for word, value_key, bound_key in (("for", "promote", "promoteAt"), ("against", "rollBack", "rollBackAt")):  # fmt: skip
            number, required_evidence = _number(row.get(value_key)), _number(row.get(bound_key))
            name = str(row.get("slo")) if word == "for" else ""
            fraction = number / required_evidence if required_evidence > 0 else 0.0
            lines.append(
                (
                    f"  {name:{column}}  {word:7}",
                    fraction,
                    f"{number:.1f} of {required_evidence:.1f}",
                )
            )
    size = bar_size(
        max(len(row_label) + len(numbers_text) for row_label, _, numbers_text in lines) + 2, width
    )
    for row_label, fraction, numbers_text in lines:
        yield " ".join(text for text in (row_label, bar_text(fraction, size), numbers_text) if text)
    yield from (f"  {line}" for line in _count_lines(candidate_status))


def _count_lines(candidate_status: Body) -> Iterator[str]:
    for row in facts.entries(candidate_status, "evidence"):
        arm_texts = (facts.arm_text(row, "candidate"), facts.arm_text(row, "stable"))
        yield f"{row.get('slo')}: {arm_texts[0]} of the candidate, {arm_texts[1]} of stable"


def _slo_lines(product: Body) -> Iterator[str]:
    for slo in facts.entries(product, "status", "slos"):
        text = f"  {slo.get('name')}: {label(slo.get('state'))} {slo.get('message', '')}"
        yield text.rstrip()


def _training_lines(product: Body, now: datetime) -> Iterator[str]:
    retraining = facts.section(product, "status", "retraining")
    if trigger := facts.section(retraining, "trigger"):
        age_text = facts.age(
            str(retraining.get("startTime") or trigger.get("triggerTime", "")), now
        )
        yield f"training for {as_words(str(trigger.get('cause', '')))}, attempt {retraining.get('attempt', 1)}, for {age_text}"
    elif pending_trigger := facts.section(retraining, "pending"):
        age_text = facts.age(str(pending_trigger.get("triggerTime", "")), now)
        yield f"training waits ({as_words(str(retraining.get('waitingFor', '')))}), for {age_text}"


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
