"""Words of the pages: ages, and changes with their intervals."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader

from sluicegate.views.numbers import points, points_number
from sluicegate.web import rendering


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "now"), (45, "45 s"), (119, "119 s"), (339, "6 min"), (7_300, "2 h"), (200_000, "2 d")],
)
def test_an_age_is_printed_in_whole_units(seconds, age):
    text = rendering.Pages(lambda: 1_000_000.0 + seconds).age(1_000_000)
    assert re.sub("<[^>]*>", "", text) == age


@pytest.mark.parametrize(
    ("drop", "interval", "said"),
    [
        (0.005, (-0.004, 0.016), "no evidence of a change"),
        (0.012, (0.004, 0.020), "worse by 1.2 points"),
        (-0.012, (-0.020, -0.004), "better by 1.2 points"),
        (0.012, (None, None), "worse by 1.2 points"),
    ],
)
def test_a_change_whose_interval_contains_zero_is_shown_as_no_evidence(drop, interval, said):
    environment = Environment(
        loader=FileSystemLoader(rendering.PACKAGE_DIRECTORY / "templates"), autoescape=True
    )
    environment.filters["points"] = points
    macros: Any = environment.get_template("parts.html").module
    assert macros.drop_of(drop, *interval) == said


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((-0.004, 0.016), "[-1.6, 0.4]"),
        ((0.004, 0.021), "[0.4, 2.1]"),
        ((-0.021, -0.004), "[0.4, 2.1]"),
    ],
    ids=["no evidence of a change", "worse", "better"],
)
def test_an_interval_has_the_sign_of_the_words_before_it(interval, text):
    environment = Environment(
        loader=FileSystemLoader(rendering.PACKAGE_DIRECTORY / "templates"), autoescape=True
    )
    environment.filters["in_points"] = points_number
    macros: Any = environment.get_template("parts.html").module
    assert macros.interval_of(*interval) == text
