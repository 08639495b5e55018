"""Numbers and times in messages."""

from __future__ import annotations

import pytest

from sluicegate.views.numbers import age, duration, events, percent, percents, points


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.842, "84.2 %"),
        (0.99, "99.0 %"),
        (0.9951, "99.51 %"),
        (0.999, "99.90 %"),
        (0.9995, "99.950 %"),
        (0.01, "1.0 %"),
        (0.0099, "0.99 %"),
        (0.0009, "0.090 %"),
        (1.0, "100 %"),
        (1 - 1e-12, "100 %"),
        (0.0, "0 %"),
        (-0.25, "-25.0 %"),
        (99.9 / 100, "99.90 %"),
        (1 - (1 - 0.99), "99.0 %"),
        (0.999996, "99.9996 %"),
        (0.000004, "0.0004 %"),
    ],
)
def test_a_percentage_has_more_digits_near_0_and_100(ratio, text):
    assert percent(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "objective", "text"),
    [
        (0.98996, 0.99, "98.996 %"),
        (0.99004, 0.99, "99.004 %"),
        (0.8796, 0.88, "87.96 %"),
        (0.88, 0.88, "88.0 %"),
        (0.842, 0.88, "84.2 %"),
        (0.9, None, "90.0 %"),
    ],
)
def test_a_share_that_differs_from_its_objective_is_not_printed_as_the_objective(
    ratio, objective, text
):
    assert percent(ratio, objective) == text


@pytest.mark.parametrize(
    ("ratios", "texts"),
    [
        ((0.999, 0.99902), ("99.900 %", "99.902 %")),
        ((0.7702, 0.7704), ("77.02 %", "77.04 %")),
        ((0.92, 0.77), ("92.0 %", "77.0 %")),
        ((1.0, 0.995), ("100 %", "99.50 %")),
        ((0.9, 0.9), ("90.0 %", "90.0 %")),
    ],
)
def test_shares_that_are_compared_have_the_same_digits_and_as_many_as_they_differ_in(ratios, texts):
    assert percents(*ratios) == texts


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.03, "3 points"), (0.004, "0.4 points"), (0.01, "1 point"), (0.012345, "1.23 points")],
)
def test_a_difference_of_percentages_is_printed_in_points(difference, text):
    assert points(difference) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.25 s"),
        (1, "1 s"),
        (60, "1 min"),
        (90, "90 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (7200, "2 h"),
        (86_400, "1 d"),
        (90_000, "25 h"),
        (216_000, "2.5 d"),
    ],
)
def test_a_duration_is_printed_in_the_largest_suitable_unit(seconds, text):
    assert duration(seconds) == text


def test_a_sample_size_has_thousands_separators():
    assert events(1000) == "n=1,000"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (119, "119s"), (300, "5m"), (310, "5m10s"), (7200, "2h"),
     (90_000, "25h"), (5 * 86_400 + 7200, "5d2h"), (40 * 86_400, "40d"), (3 * 31_536_000, "3y")],
)  # fmt: skip
def test_an_age_is_as_kubectl_prints_it(seconds, shown):
    assert age(seconds) == shown


def test_a_percentage_of_no_events_is_a_dash():
    assert percent(None) == "–"
