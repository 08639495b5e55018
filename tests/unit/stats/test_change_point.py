"""Has it risen since some moment? Against a baseline that is a sample itself."""

from math import log

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from sluicegate.stats.change_point import alternatives, events_to_see, least_drop, strongest
from sluicegate.stats.counts import Count

DROPS = (0.03, 0.06, 0.12)


def exact(baseline, units, drops):
    """S by brute force: each moment, each alternative, the best p by a general optimiser."""
    found = 0.0
    for place in range(len(units)):
        after = np.sum(units[place:], axis=0)
        before = np.array(baseline) + np.sum(units[:place], axis=0)
        if not after[1] or after[0] / after[1] < baseline[0] / baseline[1] + min(drops) / 2:
            continue

        def unlikely(p, rise, before=before, after=after):
            return -binom.logpmf(before[0], before[1], p) - binom.logpmf(
                after[0], after[1], p + rise
            )

        same = -minimize_scalar(unlikely, args=(0.0,), bounds=(1e-6, 0.99), method="bounded").fun
        for rise in drops:
            best = minimize_scalar(
                unlikely, args=(rise,), bounds=(1e-6, 0.99 - rise), method="bounded"
            )
            found = max(found, -best.fun - same)
    return found


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
