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

BAR: Final = 24
"""Most characters of a bar."""
SHORTEST_BAR: Final = 4
"""Characters below which a bar is left out."""
MOST_EVENTS: Final = 8


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


def bar(share: float, size: int = BAR) -> str:
    """Return a bar that is full at a share of 1; empty if it is too short to read."""
    if size < SHORTEST_BAR:
        return ""
    filled_size = round(size * min(max(share, 0.0), 1.0))
    return "█" * filled_size + "·" * (size - filled_size)


def bar_size(other_columns: int, width: int) -> int:
    """Return the characters of a bar with `other_columns` columns of text in a terminal of `width`, 0 for any."""
    return min(BAR, width - other_columns) if width else BAR


def needed_seconds(trial: Body, now: datetime) -> int | None:
    """Return the seconds that an equal candidate still needs; None if unknown."""
    expected, start = trial.get("expectedSeconds"), trial.get("firstTrafficTime")
    if not isinstance(expected, int) or not start or trial.get("phase") != "Stepping":
        return None
    held_seconds = int(trial.get("suspendedSeconds", 0))
    passed_seconds = (now - facts.parse_time(str(start))).total_seconds() - held_seconds
    return max(0, round(expected - passed_seconds))


def screen(
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
    lines += _fitted([outage_line(outage, now)], width) if outage else []
    lines += ["", *_fitted(_versions(product, now, width), width)]
    if trial := facts.candidate(product):
        lines += ["", *_fitted(_evidence(product, trial, now, width), width)]
    if slos := list(_slos(product)):
        lines += ["", "Service levels", *slos]
    lines += [f"  {line}" for line in _training(product, now)]
    if decision := facts.decision_line(product):
        decision_time = str(facts.part(product, "status", "decision").get("decisionTime", ""))
        lines += ["", f"Last decision, {facts.age(decision_time, now)} ago: {decision}"]
    if events:
        lines += ["", "Events", *(f"  {event_line(event)}" for event in events[-MOST_EVENTS:])]
    return lines


def changes(product: Body, now: datetime) -> dict[str, str]:
    """Return the values by subject whose change appends a line."""
    trial = facts.candidate(product)
    stable = facts.part(product, "status", "stable")
    lines = {"product": f"{label(facts.state_of(product))}, stable {stable.get('version', 'none')}"}
    if trial:
        lines["candidate"] = f"candidate {facts.step_line(trial)}"
        lines["hold"] = facts.hold_line(trial)
    for line in _weighed(trial):
        lines[f"evidence {line.split(':')[0]}"] = line
    for slo in facts.entries(product, "status", "slos"):
        lines[f"slo {slo.get('name')}"] = f"SLO {slo.get('name')}: {slo.get('state')}"
    for line in _training(product, now):
        lines["training"] = line.partition(",")[0]
    lines["decision"] = facts.decision_line(product)
    return {subject: line for subject, line in lines.items() if line}


def event_line(event: Body) -> str:
    """Return an event with its time."""
    return f"{event_time(event)[11:19]} {event.get('reason')}: {event.get('note') or event.get('message', '')}"


def event_time(event: Body) -> str:
    """Return the time at which an event was seen last, as the API has it."""
    series = facts.part(event, "series")
    times = (series.get("lastObservedTime"), event.get("eventTime"), event.get("deprecatedLastTimestamp"))  # fmt: skip
    return str(next((time for time in times if time), ""))


def _name(product: Body) -> str:
    meta = product["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def _fitted(lines: Iterable[str], width: int) -> Iterator[str]:
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


def _versions(product: Body, now: datetime, width: int) -> Iterator[str]:
    status, trial = facts.part(product, "status"), facts.candidate(product)
    stable = facts.part(status, "stable")
    share = int(trial.get("weight", 0))
    version_lines = []
    if stable:
        since = facts.age(str(stable.get("promotionTime", "")), now)
        version_lines.append((100 - share, f"stable {stable.get('version')}, for {since}"))
    if trial:
        since = facts.age(str(trial.get("startTime", "")), now)
        phase = as_words(str(trial.get("phase", "")))
        version_lines.append((share, f"candidate {trial.get('version')}, {phase}, for {since}"))
    lines = [(percent, f"{percent:3} %  {text}") for percent, text in version_lines]
    size = bar_size(max((len(text) for _, text in lines), default=0) + 3, width)
    for percent, text in lines:
        yield f"  {bar(percent / 100, size)} {text}"
    if not trial:
        if not stable:
            yield "  no version serves yet"
        return
    yield f"  tried: {tried_text(trial)}"
    if (target := trial.get("target")) is not None and target != share:
        yield f"  {target} % are decided, and apply once the pods for them are ready"
    if hold := facts.hold_line(trial):
        yield f"  {hold}"
    seconds_left = needed_seconds(trial, now)
    if seconds_left is not None:
        expected_text = duration(int(trial["expectedSeconds"]))
        more = (
            f"about {duration(seconds_left)} more" if seconds_left else "longer than that already"
        )
        yield f"  an equal version takes about {expected_text} of traffic: {more}"


def _evidence(product: Body, trial: Body, now: datetime, width: int) -> Iterator[str]:
    refreshed = str(facts.part(product, "status").get("lastRefreshTime", ""))
    as_of = f", refreshed {facts.age(refreshed, now)} ago" if refreshed else ""
    weighed = facts.entries(trial, "evidence")
    if not weighed:
        yield "No evidence yet"
        return
    yield f"Evidence{as_of}"
    column = max(len(str(row.get("slo"))) for row in weighed)
    lines = []
    for row in weighed:
        for word, value, bound in (("for", "promote", "promoteAt"), ("against", "rollBack", "rollBackAt")):  # fmt: skip
            number, needed = _number(row.get(value)), _number(row.get(bound))
            name = str(row.get("slo")) if word == "for" else ""
            share = number / needed if needed > 0 else 0.0
            lines.append((f"  {name:{column}}  {word:7}", share, f"{number:.1f} of {needed:.1f}"))
    size = bar_size(max(len(before) + len(after) for before, _, after in lines) + 2, width)
    for before, share, after in lines:
        yield " ".join(part for part in (before, bar(share, size), after) if part)
    yield from (f"  {line}" for line in _weighed(trial))


def _weighed(trial: Body) -> Iterator[str]:
    for row in facts.entries(trial, "evidence"):
        arms = (facts.arm(row, "candidate"), facts.arm(row, "stable"))
        yield f"{row.get('slo')}: bad {arms[0]} of the candidate, {arms[1]} of stable"


def _slos(product: Body) -> Iterator[str]:
    for slo in facts.entries(product, "status", "slos"):
        text = f"  {slo.get('name')}: {label(slo.get('state'))} {slo.get('message', '')}"
        yield text.rstrip()


def _training(product: Body, now: datetime) -> Iterator[str]:
    retraining = facts.part(product, "status", "retraining")
    if trigger := facts.part(retraining, "trigger"):
        since = facts.age(str(retraining.get("startTime") or trigger.get("triggerTime", "")), now)
        yield f"training for {as_words(str(trigger.get('cause', '')))}, attempt {retraining.get('attempt', 1)}, for {since}"
    elif pending := facts.part(retraining, "pending"):
        since = facts.age(str(pending.get("triggerTime", "")), now)
        yield f"training waits ({as_words(str(retraining.get('waitingFor', '')))}), for {since}"


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
