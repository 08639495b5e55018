"""A line as SVG: axes with dates, values and units, the objective, the initial value, and marks. Pure.

Colours are attributes, as the pages allow no styles inside; a page may replace them by its classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from math import ceil, floor, log10
from typing import Final

from sluicegate.reporting.evolution_lines import (
    INCIDENT_MARK,
    PERCENT,
    RETRAINING,
    ROLLBACK_MARK,
    VERSION,
    EvolutionLine,
    Mark,
    Point,
)
from sluicegate.views.numbers import percent

WIDTH: Final = 380
HEIGHT: Final = 165
_LEFT_MARGIN, _RIGHT_MARGIN, _TOP_MARGIN, _BOTTOM_MARGIN = 40, 52, 30, 22
_TICK_COUNT: Final = 4
_LABEL_HEIGHT: Final = 12.0
"""Least distance of the baselines of two labels."""
_LETTER_WIDTH: Final = 6.2
"""Width of a letter of a label in pixels, at most."""
_MAX_MARKS: Final = 12
_MONTHS: Final = 200
"""Days from which the dates of the axis are months."""
_OVERLAID_SERIES: Final = frozenset({"objective", "initial"})
"""Labels over lines, which have an edge of the background's colour."""
_SIGN_BY_MARK: Final = {RETRAINING: "◆", ROLLBACK_MARK: "▼", INCIDENT_MARK: "■"}
SIGN_LEGEND: Final = "a vertical line: a new stable version; ◆ a retraining; ▼ a rollback; ■ an incident; ● another decision"
"""Meaning of the marks."""
_INK_COLOUR, _FAINT_COLOUR, _GOOD_COLOUR, _BAD_COLOUR = "#1d2733", "#9aa5b1", "#1b6e53", "#b3261e"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Positions in pixels of days (as ordinals) and values."""

    first: float
    last: float
    low: float
    high: float
    left: float
    right: float
    top: float
    bottom: float

    def x(self, day: float) -> float:
        if self.last <= self.first:
            return round((self.left + self.right) / 2, 1)
        width_share = (day - self.first) / (self.last - self.first)
        return round(self.left + width_share * (self.right - self.left), 1)

    def y(self, value: float) -> float:
        height_share = (value - self.low) / (self.high - self.low)
        return round(self.bottom - height_share * (self.bottom - self.top), 1)


def line_chart(line: EvolutionLine, identity: str) -> str:
    """Draw a line as an SVG element; `identity` is unique in its page."""
    scale = _scale(
        line, (_LEFT_MARGIN, WIDTH - _RIGHT_MARGIN, _TOP_MARGIN, HEIGHT - _BOTTOM_MARGIN)
    )
    name = escape(identity)
    svg_parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">',
        f'<title id="{name}-t">{escape(line.name)} over time, in {line.unit}</title>',
        f'<desc id="{name}-d">{escape(description(line))}</desc>',
        *_value_axis(line, scale),
        *_date_axis(scale),
        *_mark_elements(line.marks, scale),
        *_bound_elements(line, scale),
    ]
    for number in range(len(line.series)):
        svg_parts += _series_elements(line, number, scale)
    svg_parts += _end_labels(line, scale)
    return "".join([*svg_parts, *_bound_label_elements(line, scale), "</svg>"])


def small_line(values: Sequence[float | None], limit_value: float | None, label: str) -> str:
    """Draw values at even distances as a small SVG element without axes; empty without a value."""
    points = tuple(
        Point(day, day, (value,), 0, limit_value)
        for day, value in (
            (date.fromordinal(1 + n).isoformat(), day_value) for n, day_value in enumerate(values)
        )
    )
    line = EvolutionLine("", PERCENT, ("",), points, (), 1)
    if not line.has_values:
        return ""
    width, height = 120, 30
    scale = _scale(line, (3, width - 5, 4, height - 4))
    return "".join(
        (
            f'<svg class="small-line" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
            f' role="img" aria-label="{escape(label)}">',
            *_objective_elements(line.points, scale),
            *_series_elements(line, 0, scale),
            "</svg>",
        )
    )


def description(line: EvolutionLine) -> str:
    """Return a line in words: its days, first and last values, and marks."""
    points = [
        point
        for point in line.points
        if any(point_value is not None for point_value in point.values)
    ]
    first_point, last_point = points[0], points[-1]
    text_parts = [f"{first_point.first} to {last_point.last}"]
    for number, series in enumerate(line.series):
        name = f"{series}: " if len(line.series) > 1 else ""
        end_values = (
            value_text(line, point_value.values[number], point_value.objective)
            for point_value in (first_point, last_point)
        )
        text_parts.append(f"{name}from {' to '.join(end_values)}")
    if last_point.objective is not None:
        points_outside = sum(point.outside for point in line.points)
        text_parts.append(
            f"objective {value_text(line, last_point.objective)}, missed at {points_outside} points"
        )
    if line.initial is not None:
        text_parts.append(f"at the first acceptance {value_text(line, line.initial[0])}")
    if line.limit is not None:
        text_parts.append(f"threshold {value_text(line, line.limit)}")
    text_parts += [
        f"{chart_mark.date}: {mark_text(chart_mark)}" for chart_mark in line.marks[-_MAX_MARKS:]
    ]
    return "; ".join(text_parts)


def value_text(line: EvolutionLine, value: float | None, reference: float | None = None) -> str:
    """Return a value of a line with its unit; `reference` is the value that is printed beside it."""
    if line.unit == PERCENT:
        share, other_share = (None if each is None else each / 100 for each in (value, reference))
        return percent(share, other_share)
    return percent(None) if value is None else f"{value:,.0f} {line.unit}"


def point_texts(line: EvolutionLine) -> Iterator[tuple[str, list[str], str, str]]:
    """Yield each point with events in words: its days, values, number of events, and objective."""
    for point in line.points:
        if not point.total:
            continue
        days = f"{point.days} (last decision)" if point.present else point.days
        values = [value_text(line, value, point.objective) for value in point.values]
        objective = value_text(line, None)
        if point.objective is not None:
            verdict = "missed" if point.outside else "met"
            objective = f"{verdict} ({value_text(line, point.objective)})"
        yield days, values, f"{point.total:,}", objective


def mark_text(chart_mark: Mark) -> str:
    """Return the text of a mark on a chart."""
    return (
        f"version {chart_mark.label}"
        if chart_mark.kind == VERSION
        else f"{chart_mark.kind} ({chart_mark.label})"
    )


def _scale(line: EvolutionLine, plot_area: tuple[float, float, float, float]) -> _Scale:
    values = [value for point in line.points for value in point.values if value is not None]
    values += [point.objective for point in line.points if point.objective is not None]
    values += [
        limit_value
        for limit_value in (line.initial and line.initial[0], line.limit)
        if limit_value is not None
    ]
    lowest_value, highest_value = min(values), max(values)
    padding = (highest_value - lowest_value) * 0.12 or max(abs(highest_value) * 0.01, 0.01)
    highest_tick = 100.0 if line.unit == PERCENT else highest_value + padding
    lowest_value, highest_value = (
        max(lowest_value - padding, 0.0),
        min(highest_value + padding, highest_tick),
    )
    days = [date.fromisoformat(day_text).toordinal() for day_text in _first_and_last(line.points)]
    left_edge, right_edge, top_edge, bottom_edge = plot_area
    return _Scale(
        days[0], days[-1], lowest_value, highest_value, left_edge, right_edge, top_edge, bottom_edge
    )


def _first_and_last(points: Sequence[Point]) -> tuple[str, str]:
    return points[0].first, points[-1].last


def _middle_day(point: Point) -> float:
    return (
        sum(date.fromisoformat(day_text).toordinal() for day_text in (point.first, point.last)) / 2
    )


def _value_axis(line: EvolutionLine, scale: _Scale) -> Iterator[str]:
    step = _nice_step((scale.high - scale.low) / _TICK_COUNT)
    digits = max(0, -floor(log10(step) + 1e-9)) if step < 1 else 0
    digits += step * 10**digits % 1 > 1e-6  # noqa: PLR2004 - 2.5 needs one more
    for number in range(ceil(scale.low / step - 1e-9), floor(scale.high / step + 1e-9) + 1):
        y = scale.y(number * step)
        yield f'<line class="grid" x1="{scale.left}" x2="{scale.right}" y1="{y}" y2="{y}" stroke="{_FAINT_COLOUR}" stroke-opacity=".4" stroke-width=".6"/>'
        yield _text_element(scale.left - 4, y + 3.5, f"{number * step:,.{digits}f}", anchor="end")
    yield _text_element(scale.left - 4, scale.top - 7, line.unit, anchor="end")


def _nice_step(min_step: float) -> float:
    """Return the least round step that isn't smaller."""
    size = 10.0 ** floor(log10(min_step))
    return next(
        step_factor * size
        for step_factor in (1, 2, 2.5, 5, 10)
        if step_factor * size >= min_step * (1 - 1e-9)
    )


def _date_axis(scale: _Scale) -> Iterator[str]:
    total_days = scale.last - scale.first
    y = scale.bottom
    yield f'<line class="axis" x1="{scale.left}" x2="{scale.right}" y1="{y}" y2="{y}" stroke="{_FAINT_COLOUR}"/>'
    number = min(2 if total_days < _MONTHS else 3, int(total_days))
    for tick_index in range(number + 1):
        day = scale.first + round(total_days * tick_index / number) if number else scale.first
        anchor = (
            "middle"
            if 0 < tick_index < number or not number
            else ("end" if tick_index else "start")
        )
        x = scale.x(day)
        yield f'<line class="axis" x1="{x}" x2="{x}" y1="{y}" y2="{y + 4}" stroke="{_FAINT_COLOUR}"/>'
        yield _text_element(
            x,
            y + 16,
            _day_label(date.fromordinal(int(day)), total_days, is_first=not tick_index),
            anchor=anchor,
        )


def _day_label(day: date, total_days: float, *, is_first: bool) -> str:
    if total_days >= _MONTHS:
        return f"{day:%b %Y}"
    return f"{day.day} {day:%b %Y}" if is_first else f"{day.day} {day:%b}"


def _mark_elements(marks: Sequence[Mark], scale: _Scale) -> Iterator[str]:
    """Yield the marks; a label is left out where it would be drawn over the one before."""
    next_free_x = {VERSION: 0.0, "": 0.0}
    for chart_mark in marks:
        day = date.fromisoformat(chart_mark.date).toordinal()
        if not scale.first <= day <= scale.last:
            continue
        x = scale.x(day)
        title = f"<title>{escape(chart_mark.date)}: {escape(mark_text(chart_mark))}</title>"
        if chart_mark.kind == VERSION:
            yield f'<line class="version" x1="{x}" x2="{x}" y1="{scale.top}" y2="{scale.bottom}" stroke="{_FAINT_COLOUR}" stroke-dasharray="2 2">{title}</line>'
            label = (
                chart_mark.label
                if len(chart_mark.label) <= _MAX_MARKS
                else f"{chart_mark.label[: _MAX_MARKS - 1]}…"
            )
            half_width = len(label) * _LETTER_WIDTH / 2
            label_x = min(max(x, scale.left + half_width), scale.right - half_width)
            if label_x - half_width >= next_free_x[VERSION]:
                next_free_x[VERSION] = label_x + half_width + 2
                yield _text_element(label_x, scale.top - 18, label, anchor="middle")
        elif x - 5 >= next_free_x[""]:
            next_free_x[""] = x + 5
            fill_attribute = ' fill="#b3261e"' if chart_mark.kind != RETRAINING else ""
            mark_sign = _SIGN_BY_MARK.get(chart_mark.kind, "●")
            yield f'<text class="mark {escape(chart_mark.kind)}" x="{x}" y="{scale.top - 6}" text-anchor="middle" font-size="9"{fill_attribute}>{mark_sign}{title}</text>'


def _bound_elements(line: EvolutionLine, scale: _Scale) -> Iterator[str]:
    yield from _objective_elements(line.points, scale)
    for value, kind, style in (
        (line.limit, "objective", f'stroke="{_GOOD_COLOUR}" stroke-dasharray="5 3"'),
        (
            line.initial and line.initial[0],
            "initial",
            f'stroke="{_INK_COLOUR}" stroke-dasharray="1 3"',
        ),
    ):
        if value is not None:
            y = scale.y(value)
            line_ends = f'x1="{scale.left}" x2="{scale.right}" y1="{y}" y2="{y}"'
            yield f'<line class="{kind}" {line_ends} {style}/>'


def _bound_label_elements(line: EvolutionLine, scale: _Scale) -> Iterator[str]:
    """Yield the labels of the bounds, over the lines."""
    last_bound = line.points[-1].objective if line.limit is None else line.limit
    if last_bound is not None:
        name = "objective" if line.limit is None else "threshold"
        text, y = (
            f"{name} {value_text(line, last_bound)}",
            _label_height(scale, scale.y(last_bound)),
        )
        yield _text_element(
            scale.right - 2, y, text, anchor="end", kind="objective", fill=_GOOD_COLOUR
        )
    if line.initial is not None:
        text = f"initial {value_text(line, line.initial[0])}"
        y = _label_height(scale, scale.y(line.initial[0]))
        yield _text_element(scale.left + 3, y, text, anchor="start", kind="initial")


def _label_height(scale: _Scale, y: float) -> float:
    """Return the height of a label above a line, or below one at the top."""
    return y - 3 if y - 12 > scale.top else y + 11


def _objective_elements(points: Sequence[Point], scale: _Scale) -> Iterator[str]:
    """Yield the objectives as steps, as they may change from period to period."""
    path: list[str] = []
    previous_objective: float | None = None
    for point_index, point in enumerate(points):
        if point.objective is None:
            previous_objective = None
            continue
        y = scale.y(point.objective)
        edge = (
            scale.left if not point_index else scale.x(date.fromisoformat(point.first).toordinal())
        )
        line_end = scale.right if point_index == len(points) - 1 else scale.x(_middle_day(point))
        path.append(f"M{edge},{y}" if previous_objective is None else f"H{edge}V{y}")
        path.append(f"H{line_end}")
        previous_objective = point.objective
    if path:
        yield f'<path class="objective" d="{"".join(path)}" fill="none" stroke="{_GOOD_COLOUR}" stroke-dasharray="5 3"/>'


def _series_elements(line: EvolutionLine, number: int, scale: _Scale) -> Iterator[str]:
    """Yield one series with a gap where days have no value, and its points outside the objective."""
    runs: list[list[tuple[float, float]]] = [[]]
    previous_x = 0.0
    for point in line.points:
        value = point.values[number]
        first_ordinal, last_ordinal = (
            date.fromisoformat(date_text).toordinal() for date_text in (point.first, point.last)
        )
        if value is None or first_ordinal > previous_x + 1:
            runs.append([])
        if value is not None:
            runs[-1].append((scale.x(_middle_day(point)), scale.y(value)))
        previous_x = last_ordinal
    dash_attribute = ' stroke-dasharray="6 2"' if number < len(line.series) - 1 else ""
    for run in filter(None, runs):
        if len(run) == 1:
            yield f'<circle class="value" cx="{run[0][0]}" cy="{run[0][1]}" r="2" fill="{_INK_COLOUR}"/>'
            continue
        path = " ".join(f"{x},{y}" for x, y in run)
        yield f'<polyline class="value" points="{path}" fill="none" stroke="{_INK_COLOUR}" stroke-width="1.5" stroke-linejoin="round"{dash_attribute}/>'
    for point in line.points:
        value = point.values[number]
        if value is None:
            continue
        x, y = scale.x(_middle_day(point)), scale.y(value)
        if point.outside:
            yield f'<path class="outside" d="M{x} {y + 4}l3.2-5.5h-6.4z" fill="{_BAD_COLOUR}"/>'
        if point.present:
            yield f'<circle class="present" cx="{x}" cy="{y}" r="3" fill="none" stroke="{_INK_COLOUR}"/>'


def _end_labels(line: EvolutionLine, scale: _Scale) -> Iterator[str]:
    """Yield the last value of each series beside its point; labels of near values are moved apart."""
    labels: list[tuple[float, str]] = []
    for number, series in enumerate(line.series):
        values = [value for point in line.points if (value := point.values[number]) is not None]
        if values:
            text = value_text(line, values[-1]).removesuffix(f" {line.unit}")
            name = f"{series} " if len(line.series) > 1 else ""
            labels.append((scale.y(values[-1]) + 3.5, f"{name}{text}"))
    labels.sort()
    lowest = scale.bottom + 3.5 - _LABEL_HEIGHT * (len(labels) - 1)
    previous_y = float("-inf")
    for index, (y, text) in enumerate(labels):
        label_y = min(max(y, previous_y + _LABEL_HEIGHT), lowest + _LABEL_HEIGHT * index)
        yield _text_element(scale.right + 4, label_y, text, anchor="start", kind="end")
        previous_y = label_y


def _text_element(
    x: float, y: float, text: str, *, anchor: str, kind: str = "label", fill: str = _INK_COLOUR
) -> str:
    halo_attribute = (
        ' stroke="#fff" stroke-width="3" paint-order="stroke"' if kind in _OVERLAID_SERIES else ""
    )
    return (
        f'<text class="{kind}" x="{x}" y="{round(y, 1)}" text-anchor="{anchor}" font-size="10.5"'
        f' fill="{fill}"{halo_attribute}>{escape(text)}</text>'
    )
