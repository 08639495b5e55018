"""The story of a demonstration as a picture: the accuracy of both products, and what the operator did.

`python -m demo.picture demo-report.json docs/demo-story.svg` draws it again from a report. Pure but for that.
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo.terminal import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WIDTH: Final = 880
HEIGHT: Final = 330
LEFT: Final = 56.0
RIGHT: Final = 770.0
TOP: Final = 76.0
BOTTOM: Final = 290.0
LOWEST: Final = 0.6
"""Accuracy at the foot of the picture, if none is lower."""
TICK_SECONDS: Final = 60
INK: Final = "#24292f"
SOFT: Final = "#57606a"
LINES: Final = ("#0b5394", "#b45f06")
"""Colours of the products; the second line is dashed, too."""
_LOOK: Final = 'role="img" aria-labelledby="t d" font-family="sans-serif" font-size="12"'
MARKS: Final = {
    "shifted": "diesel prices fall",
    "degraded": "degraded",
    "proved": "v2 passes the gate",
    "promoted": "v2 promoted",
    "recovered": "recovered",
}
"""What is written at a moment of the story."""


def picture(report: Mapping[str, Any]) -> str:
    """Draw a report (demo-report.json) as SVG; it has the numbers of the report alone."""
    levels: Sequence[Mapping[str, Any]] = report.get("levels", ())
    moments = {name: at for name, at in report["moments"].items() if name in MARKS}
    times = [one["at"] for one in levels] + list(moments.values())
    first, last = (min(times), max(times)) if times else (0.0, 1.0)
    low = min([LOWEST, *(one["accuracy"] for one in levels)])
    scale = _Scale(first, max(last, first + 1), low)
    products = list(dict.fromkeys(one["product"] for one in levels))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_LOOK}>',
        '<title id="t">The accuracy of both products in the demonstration, over time</title>',
        f'<desc id="d">{escape(description(report))}</desc>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_axes(scale),
        *_moments(moments, scale),
    ]
    values = {
        product: [(one["at"], one["accuracy"]) for one in levels if one["product"] == product]
        for product in products
    }
    for number, product in enumerate(products):
        parts.append(_line(values[product], scale, number))
    parts += _names(values, scale)
    return "\n".join([*parts, "</svg>", ""])


def description(report: Mapping[str, Any]) -> str:
    """Return the picture in words."""
    moments = [
        f"{text} at {clock(report['moments'][name])}"
        for name, text in MARKS.items()
        if name in report["moments"]
    ]
    shares = [
        f"{product}: "
        + ", ".join(
            f"{one['accuracy']:.1%} {span} (n={one['judged']:,})"
            for span, one in spans.items()
            if one["accuracy"] is not None
        )
        for product, spans in report["accuracy"].items()
    ]
    return ". ".join([*shares, "; ".join(moments)]) + "."


class _Scale:
    """Places of times and accuracies."""

    def __init__(self, first: float, last: float, low: float) -> None:
        self.first, self.last, self.low = first, last, low

    def x(self, at: float) -> float:
        return round(LEFT + (at - self.first) / (self.last - self.first) * (RIGHT - LEFT), 1)

    def y(self, accuracy: float) -> float:
        return round(BOTTOM - (accuracy - self.low) / (1 - self.low) * (BOTTOM - TOP), 1)


def _axes(scale: _Scale) -> Iterator[str]:
    for tenth in range(10 + 1):
        share = tenth / 10
        if share >= scale.low:
            y = scale.y(share)
            yield f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}" stroke="#d0d7de"/>'
            yield _text(LEFT - 8, y + 4, f"{share:.0%}", anchor="end")
    for at in range(0, int(scale.last) + 1, TICK_SECONDS):
        if at >= scale.first:
            yield _text(scale.x(at), BOTTOM + 18, clock(at), anchor="middle")
    yield _text(
        RIGHT,
        BOTTOM + 34,
        "accuracy of the last 15 s; minutes:seconds since the products were applied",
        anchor="end",
    )


def _moments(moments: Mapping[str, float], scale: _Scale) -> Iterator[str]:
    """Yield the moments; each text in a row of its own, so that neighbours don't cover each other."""
    for row, (name, at) in enumerate(sorted(moments.items(), key=lambda one: one[1])):
        x, y = scale.x(at), 16 + 12 * row
        yield f'<line x1="{x}" x2="{x}" y1="{y + 3}" y2="{BOTTOM}" stroke="{SOFT}" stroke-dasharray="2 3"/>'
        right = x > (LEFT + RIGHT) / 2
        yield _text(x, y, f"{MARKS[name]} {clock(at)}", anchor="end" if right else "start")


def _line(values: Sequence[tuple[float, float]], scale: _Scale, number: int) -> str:
    dashes = ' stroke-dasharray="6 3"' if number else ""
    points = " ".join(f"{scale.x(at)},{scale.y(share)}" for at, share in values)
    colour = LINES[number % len(LINES)]
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>'


def _names(values: Mapping[str, Sequence[tuple[float, float]]], scale: _Scale) -> Iterator[str]:
    """Yield the names of the products at the ends of their lines, each in a row of its own."""
    ends = [
        (scale.y(line[-1][1]), number, name) for number, (name, line) in enumerate(values.items())
    ]
    free = 0.0
    for y, number, name in sorted(ends):
        free = max(y + 4, free)
        yield _text(RIGHT + 6, free, name, anchor="start", fill=LINES[number % len(LINES)])
        free += 14


def _text(x: float, y: float, text: str, *, anchor: str, fill: str = INK) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(picture(json.loads(source.read_text("utf-8"))), encoding="utf-8")
