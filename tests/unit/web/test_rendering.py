"""Words of the pages: ages, and changes with their intervals."""

from __future__ import annotations

import re

import pytest

from sluicegate.web import rendering


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0, "now"), (45, "45 s"), (119, "119 s"), (339, "6 min"), (7_300, "2 h"), (200_000, "2 d")],
)
def test_an_age_is_printed_in_whole_units(seconds, age):
    text = rendering.Pages(lambda: 1_000_000.0 + seconds).age(1_000_000)
    assert re.sub("<[^>]*>", "", text) == age
