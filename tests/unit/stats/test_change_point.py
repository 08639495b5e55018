"""Has it risen since some moment? Against a baseline that is a sample itself."""

from math import log

import numpy as np
import pytest

from sluicegate.stats.change_point import (
    alternatives,
    events_to_see,
    least_drop,
    strongest,
    strongest_within,
)
from sluicegate.stats.counts import Count

DROPS = (0.03, 0.06, 0.12)


def ratio(before, after, rise):
    """The likelihood ratio of two samples, the best p by a general optimiser."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import binom

    def unlikely(p, rise):
        return -binom.logpmf(before[0], before[1], p) - binom.logpmf(after[0], after[1], p + rise)

    same, risen = (
        minimize_scalar(unlikely, args=(by,), bounds=(1e-6, 0.99 - by), method="bounded").fun
        for by in (0.0, rise)
    )
    return same - risen


def exact(baseline, units, drops):
    """S by brute force: each moment, each alternative."""
    found = 0.0
    for place in range(len(units)):
        after = np.sum(units[place:], axis=0)
        before = np.array(baseline) + np.sum(units[:place], axis=0)
        if after[1] and after[0] / after[1] >= baseline[0] / baseline[1] + min(drops) / 2:
            found = max(found, *(ratio(before, after, rise) for rise in drops))
    return found


@pytest.mark.slow  # to import SciPy takes seconds
@pytest.mark.parametrize("seed", range(6))
def test_the_statistic_is_the_likelihood_ratio_at_the_moment_that_speaks_most(seed):
    random = np.random.default_rng(seed)
    rates = [0.11] * 10 + [0.11 + 0.02 * seed] * 8
    units = [(int(random.binomial(300, rate)), 300) for rate in rates]
    found = strongest(Count(60, 500), units, DROPS)
    assert found.statistic == pytest.approx(exact((60, 500), units, DROPS), abs=0.35)
    assert found.statistic <= exact((60, 500), units, DROPS) + 1e-3


def test_the_moment_of_a_clear_change_is_found():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    found = strongest(Count(100, 1000), units, DROPS)
    assert found.start == 20
    assert found.after == Count(240, 1200)
    assert found.statistic > log(3 * 87_600)


def test_a_small_baseline_takes_nothing_of_the_drop_once_production_has_spoken():
    """Four points more, baseline of 500 rows: an upper bound of it would never be exceeded."""
    steady, drop = [(66, 600)] * 16, [(90, 600)] * 6
    assert strongest(Count(55, 500), steady + drop, DROPS).statistic > log(3 * 87_600)


def test_a_baseline_that_knows_little_says_little():
    assert strongest(Count(2, 20), [(200, 1000)] * 5, DROPS).statistic < 3
    assert strongest(Count(1000, 10_000), [(200, 1000)] * 5, DROPS).statistic > 100


def test_what_falls_back_to_what_was_accepted_is_no_change():
    units = [(60, 1000)] * 20 + [(100, 1000)] * 10
    assert strongest(Count(100, 1000), units, DROPS).statistic == 0


def test_dispersion_divides_the_evidence():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    once = strongest(Count(100, 1000), units, DROPS).statistic
    assert strongest(Count(100, 1000), units, DROPS, phi=4.0).statistic == pytest.approx(once / 4)


@pytest.mark.parametrize("units", [[], [(0, 0)] * 5, [(0, 10)] * 5])
def test_nothing_is_no_change(units):
    assert strongest(Count(10, 100), units, DROPS).statistic == 0
    assert strongest_within([0] * len(units), Count(10, 100), units, DROPS).statistic == 0


# ---- within strata --------------------------------------------------------------------------
def swinging(days, rise=0.0, since=0, seed=0):
    """Hours of 300 events, 5 % to 15 % of them bad, and more since some hour; drawn."""
    random = np.random.default_rng(seed)
    rates = [
        0.1 + 0.05 * np.sin(2 * np.pi * hour / 24) + rise * (hour >= since)
        for hour in range(24 * days)
    ]
    return [(int(random.binomial(300, rate)), 300) for rate in rates]


def test_one_stratum_is_no_stratum():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    known = Count(100, 1000)
    plain, within = strongest(known, units, DROPS), strongest_within([0] * 24, known, units, DROPS)
    assert within.start == plain.start
    assert within.statistic < plain.statistic, "the baseline is of no stratum"
    first = strongest_within([0] * 25, known, [known, *units], DROPS)
    assert first.statistic == pytest.approx(plain.statistic)


def test_the_statistic_is_the_sum_of_the_likelihood_ratios_of_the_strata():
    units = swinging(4, rise=0.04, since=72)
    hours = [hour % 24 for hour in range(96)]
    found = strongest_within(hours, Count(50, 500), units, (0.03,))
    assert found.start == pytest.approx(72, abs=3)
    expected = 0.0
    for hour in range(24):
        places = range(hour, 96, 24)
        before, after = (
            np.sum([units[place] for place in places if (place >= found.start) is side], axis=0)
            for side in (False, True)
        )
        if np.ndim(before) and np.ndim(after):
            expected += ratio(before, after, 0.03)
    assert found.statistic == pytest.approx(expected, abs=0.05)


def test_a_moment_with_no_stratum_on_both_sides_is_none():
    """Strata 1 and 2 end before it, and the rises that were taken away leave a float's noise."""
    units = [(1, 10), (5, 10), (3, 10), (4, 10), (1, 10), (5, 10), (5, 10)]
    found = strongest_within([0, 1, 2, 1, 2, 1, 2], Count(1, 10), units, (0.03,))
    assert found.start == 5


@pytest.mark.parametrize("seed", range(5))
def test_a_swing_is_no_change_within_its_hours(seed):
    units, accepted = swinging(6, seed=seed), Count(50, 500)
    hours = [hour % 24 for hour in range(24 * 6)]
    within = max(
        strongest_within(hours[:end], accepted, units[:end], DROPS).statistic
        for end in range(24, 24 * 6)
    )
    assert within < log(3 * 87_600) / 2 + 2
    plain = max(strongest(accepted, units[:end], DROPS).statistic for end in range(24, 24 * 6))
    assert plain > log(3 * 87_600), "which it is for all hours alike"


@pytest.mark.parametrize("since", [12, 30, 60])
def test_a_rise_is_a_change_as_soon_as_its_hours_have_been_seen_before(since):
    units = swinging(4, rise=0.06, since=since)
    soon = max(since, 24) + 12
    hours = [hour % 24 for hour in range(soon)]
    found = strongest_within(hours, Count(50, 500), units[:soon], DROPS)
    assert found.statistic > log(3 * 87_600)
    assert found.start == pytest.approx(since, abs=3)


def test_what_falls_back_to_what_was_accepted_is_no_change_within_strata_either():
    units = [(60, 1000)] * 48 + [(100, 1000)] * 24
    hours = [hour % 24 for hour in range(72)]
    assert strongest_within(hours, Count(100, 1000), units, DROPS).statistic == 0
    assert strongest_within(hours, Count(60, 1000), units, DROPS).statistic > 100


def test_alternatives_leave_some_good_events():
    assert alternatives(0.1, 0.03) == pytest.approx((0.03, 0.06, 0.12))
    assert alternatives(0.9, 0.03) == pytest.approx((0.03, 0.06))


def test_the_least_drop_that_can_be_seen_is_seen_and_half_of_it_is_not():
    bound, before = log(3 * 87_600), Count(1100, 10_000)
    least = least_drop(before, 3_000, bound)
    for share, seen in ((1.15, True), (0.5, False)):
        bad = round((0.11 + share * least) * 3_000)
        found = strongest(before, [(bad, 3_000)], (share * least,))
        assert (found.statistic >= bound) is seen


def test_so_many_events_are_needed_to_see_a_drop():
    bound, before = log(3 * 87_600), Count(1100, 10_000)
    needed = events_to_see(before, 0.04, bound)
    assert needed is not None
    bad = round(0.15 * needed)
    assert strongest(before, [(bad, round(needed))], (0.04,)).statistic == pytest.approx(
        bound, rel=0.15
    )
    assert events_to_see(Count(55, 500), 0.03, bound) is None, "no number of events suffices"
