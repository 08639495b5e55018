"""Figures of lines that the page keeps: by their content, within a bound of memory."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from sluicegate.reporting.evolution_lines import PERCENT, EvolutionLine, Mark, Point
from sluicegate.web.figure_cache import FigureCache

LINE = EvolutionLine(
    "accuracy", PERCENT, ("accuracy",),
    tuple(Point(f"2026-10-{day:02}", f"2026-10-{day:02}", (90.0 + day / 10,), 1000, 88.0) for day in range(1, 31)),
    (Mark("2026-10-05", "Version", "v2", "v2 is stable"),), 1, (92.0, 500),
)  # fmt: skip
OTHERS = {
    "name": "accuracy in AT", "unit": "ms", "series": ("AT",), "points": LINE.points[:-1], "marks": (),
    "step": 7, "initial": None, "limit": 250.0,
}  # fmt: skip


class Rendered:
    """A renderer that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, line, identity):
        self.calls += 1
        return f"<figure>{identity} {line.name} {line.points[-1].values}</figure>" * 50


def test_an_equal_line_is_rendered_once():
    rendered = Rendered()
    cache = FigureCache(rendered)
    first = cache.figure(LINE, "line-1")
    assert cache.figure(replace(LINE, points=(*LINE.points,)), "line-1") == first
    assert rendered.calls == 1


@pytest.mark.parametrize("name", [field.name for field in fields(EvolutionLine)])
def test_a_line_that_differs_in_one_field_is_rendered_again(name):
    rendered = Rendered()
    cache = FigureCache(rendered)
    cache.figure(LINE, "line-1")
    cache.figure(replace(LINE, **{name: OTHERS[name]}), "line-1")
    assert rendered.calls == 2


def test_a_changed_value_of_one_day_is_rendered_again():
    rendered = Rendered()
    cache = FigureCache(rendered)
    cache.figure(LINE, "line-1")
    changed = replace(LINE.points[-1], values=(12.5,))
    assert "12.5" in cache.figure(replace(LINE, points=(*LINE.points[:-1], changed)), "line-1")


def test_the_kept_figures_never_exceed_their_bytes_and_the_newest_remain():
    rendered = Rendered()
    cache = FigureCache(rendered, max_bytes=2_000)
    for number in range(200):
        cache.figure(LINE, f"line-{number}")
        assert cache.size <= 2_000
    cache.figure(LINE, "line-199")
    assert rendered.calls == 200
    cache.figure(LINE, "line-0")
    assert rendered.calls == 201
