"""What a version brought, in numbers and words."""

from __future__ import annotations

import pytest

from sluicegate.stats.intervals import Z_INTERVAL, newcombe_difference
from sluicegate.views.lift import (
    arms_text,
    brought_text,
    change_text,
    fallen_markets,
    falls_text,
    headline_lift,
    lift_of,
    lift_text,
    market_texts,
    short_lift,
)


@pytest.mark.parametrize(
    ("candidate", "stable", "words", "short"),
    [
        (
            (840, 10_500),
            (2415, 10_500),
            "accuracy rose by 15.0 points [14.0, 16.0]",
            "accuracy +15.0 [14.0, 16.0]",
        ),
        (
            (2415, 10_500),
            (840, 10_500),
            "accuracy fell by 15.0 points [14.0, 16.0]",
            "accuracy -15.0 [-16.0, -14.0]",
        ),
        (
            (500, 5000),
            (500, 5000),
            "accuracy shows no proved change: 0.0 points [-1.2, +1.2]",
            "accuracy 0.0 [-1.2, 1.2]",
        ),
        (
            (9000, 1_000_000),
            (9200, 1_000_000),
            "accuracy shows no proved change: +0.020 points [-0.006, +0.046]",
            "accuracy +0.020 [-0.006, 0.046]",
        ),
    ],
)
def test_a_gain_is_positive_and_has_its_interval(candidate, stable, words, short):
    lift = lift_of("accuracy", candidate, stable)
    assert lift is not None
    assert lift_text(lift) == words
    assert short_lift(lift) == short


def test_a_latency_improves_where_another_level_rises():
    assert change_text(0.02, 0.01, 0.03, indicator="latency") == "improved by 2.0 points [1.0, 3.0]"
    assert (
        change_text(-0.02, -0.03, -0.01, indicator="latency") == "worsened by 2.0 points [1.0, 3.0]"
    )


def test_a_wide_interval_around_0_is_no_proof_of_equality():
    assert change_text(0.12, -0.03, 0.27) == "shows no proved change: +12.0 points [-3.0, +27.0]"


@pytest.mark.parametrize(
    ("gain", "lower", "upper", "words"),
    [
        (0.01, 0.0003, 0.02, "rose by 1.00 points [0.03, 2.00]"),
        (-0.01, -0.02, -0.0003, "fell by 1.00 points [0.03, 2.00]"),
        (0.01, -0.00004, 0.02, "shows no proved change: +1.0 points [0.0, +2.0]"),
        (0.01, 1e-12, 0.02, "rose by 1.0 points [0.0, 2.0]"),
    ],
)
def test_a_bound_is_printed_as_0_only_if_the_interval_includes_0(gain, lower, upper, words):
    assert change_text(gain, lower, upper) == words


def test_both_versions_have_the_digits_that_their_difference_needs():
    lift = lift_of("availability", (5, 4800), (98, 100_000))
    assert lift is not None
    assert arms_text(lift) == "99.896 % (n=4,800) against stable's 99.902 % (n=100,000)"


def test_the_interval_of_a_gain_uses_independent_events():
    lift = lift_of("accuracy", (400, 4000), (800, 4000), phi=4.0)
    assert lift is not None
    expected = newcombe_difference((100, 1000), (200, 1000), Z_INTERVAL)
    assert (lift.gain, lift.lower, lift.upper) == (
        pytest.approx(0.1), -expected.upper, -expected.lower
    )  # fmt: skip
    assert arms_text(lift) == "90.0 % (n=4,000) against stable's 80.0 % (n=4,000)"


def test_a_gain_requires_events_of_both_versions():
    assert lift_of("accuracy", (0, 0), (1, 100)) is None
    assert lift_of("accuracy", (1, 100), (0, 0)) is None


def test_the_main_change_of_a_rollout_is_of_the_slo_that_caused_it_or_the_largest_proved_change():
    equal = lift_of("availability", (0, 700), (0, 700))
    better = lift_of("accuracy", (80, 1000), (230, 1000))
    assert equal is not None
    assert better is not None
    assert headline_lift([equal, better]) is better
    assert headline_lift([equal, better], "availability") is equal
    assert headline_lift([equal]) is None


def test_a_gain_in_each_market_has_its_own_interval_and_the_worst_market_comes_first():
    counts = {"FR": (50, 1000, 100, 1000), "AT": (200, 1000, 100, 1000), "IT": (0, 0, 5, 50)}
    lift = lift_of("accuracy", (250, 2000), (205, 2050), markets=counts)
    assert lift is not None
    assert list(lift.markets) == ["FR", "AT"], (
        "a market without events of the candidate has no gain"
    )
    alone = newcombe_difference((200, 1000), (100, 1000), Z_INTERVAL)
    assert lift.markets["AT"].gain == pytest.approx(-alone.estimate)
    texts = market_texts([lift], lift)
    assert texts[0].startswith("accuracy in AT fell by 10.0 points [6.9, 13.1]: 80.0 % (n=1,000)")
    assert texts[1].startswith("accuracy in FR rose by 5.0 points")


def lift_in(markets):
    lift = lift_of("accuracy", (250, 2000), (205, 2050), markets=markets)
    assert lift is not None
    return lift


def test_a_fall_in_a_market_is_named_if_it_is_proved_over_all_markets_together():
    even, borderline = (100, 1000, 100, 1000), (128, 1000, 100, 1000)
    alone = lift_in({"AT": borderline})
    assert list(fallen_markets([alone])) == [("accuracy", "AT")], "proved at 95 % alone"
    among_six = lift_in({"AT": borderline} | dict.fromkeys(("BE", "DE", "ES", "FR", "IT"), even))
    assert among_six.markets["AT"].is_proved
    assert not fallen_markets([among_six])


def test_falls_are_named_from_the_largest_and_a_rise_is_not():
    fell, rose = (200, 1000, 100, 1000), (20, 1000, 100, 1000)
    counts = {"FR": rose, "AT": (300, 1000, 100, 1000)} | dict.fromkeys(("BE", "DE", "ES"), fell)
    lift = lift_in(counts)
    falls = list(fallen_markets([lift]).values())
    assert falls_text(falls[:1]) == "accuracy in AT fell by 20.0 points [16.6, 23.4]"
    assert falls_text(falls).startswith(
        "accuracy in AT fell by 20.0 points [16.6, 23.4], accuracy in BE"
    )
    assert falls_text(falls).endswith(" and 1 more fell")
    assert brought_text([lift], None).startswith("accuracy in AT -20.0 [-23.4, -16.6]; ")
    assert falls_text([]) == brought_text([], None) == ""
