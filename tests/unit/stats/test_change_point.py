"""Has it risen since some moment? Against a baseline that is a sample itself."""

from itertools import product
from math import log

import numpy as np
import pytest

from sluicegate.stats.change_point import (
    alternative_drops,
    events_to_detect,
    min_drop,
    strongest_change,
    strongest_change_within_strata,
)
from sluicegate.stats.counts import Count

DROPS = (0.03, 0.06, 0.12)


def exact(baseline, units, drops):
    """Return S by brute force: each moment, each alternative."""
    found = 0.0
    for place in range(len(units)):
        after = np.sum(units[place:], axis=0)
        before = np.array(baseline) + np.sum(units[:place], axis=0)
        if after[1] and after[0] / after[1] >= baseline[0] / baseline[1] + min(drops) / 2:
            found = max(found, *(at_its_best(before, after, rise) for rise in drops))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_the_statistic_is_the_maximum_likelihood_ratio_over_change_points(seed):
    random = np.random.default_rng(seed)
    rates = [0.11] * 10 + [0.11 + 0.02 * seed] * 8
    units = [(int(random.binomial(300, rate)), 300) for rate in rates]
    found = strongest_change(Count(60, 500), units, DROPS)
    assert found.statistic == pytest.approx(exact((60, 500), units, DROPS), abs=0.35)
    assert found.statistic <= exact((60, 500), units, DROPS) + 1e-3


def cells_of(baseline, units, place, strata):
    """Return events before and after a moment, by stratum; those of the baseline are of none."""
    if strata is None:
        return [([baseline, *units[:place]], units[place:])]
    numbered = list(enumerate(zip(strata, units, strict=True)))
    return [
        tuple(
            [
                (0, 0),
                *(unit for at, (own, unit) in numbered if own == one and (at >= place) is side),
            ]
            for side in (False, True)
        )
        for one in set(strata)
    ]


def likeliest(baseline, units, drops, strata=None):
    """Return moment and rise of the largest Σ (D d − d²/2)/v, over strata where there are any."""
    best, more = (0.0, len(units), 0.0), 0.0 if strata is None else 0.5
    for place, drop in product(reversed(range(len(units))), drops):
        score = risen = compared = 0.0
        for early, late in cells_of(baseline, units, place, strata):
            (bad0, n0), (bad1, n1) = np.sum(early, axis=0), np.sum(late, axis=0)
            if not n0 or not n1:
                continue
            pooled = (bad0 + bad1 + more) / (n0 + n1 + 2 * more)
            rise = bad1 / n1 - bad0 / n0
            score += (rise * drop - drop * drop / 2) / (pooled * (1 - pooled) * (1 / n0 + 1 / n1))
            risen, compared = risen + rise * n1, compared + n1
        if not compared or risen <= 0:
            continue
        level = sum(bad for bad, _ in units[place:]) / sum(n for _, n in units[place:])
        if strata is not None:
            before = np.sum(units[:place], axis=0)
            level = before[0] / before[1] + risen / compared
        if level >= baseline[0] / baseline[1] + min(drops) / 2 and score > best[0] * (1 + 1e-12):
            best = (score, place, drop)
    return best


def at_its_best(before, after, rise):
    """Return the log-likelihood ratio, each side at its best p by bisection of the slope."""

    def largest(rise):
        def slope(p):
            return sum(
                (bad - n * at) / (at * (1 - at))
                for (bad, n), at in ((before, p), (after, p + rise))
            )

        low, high = 1e-9, 1 - rise - 1e-9
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) > 0 else (low, middle)
        return sum(
            b * log(at) + (n - b) * log(1 - at)
            for (b, n), at in ((before, low), (after, low + rise))
        )

    return largest(rise) - largest(0.0)


def drawn(seed):
    """Return units of uneven size, some of them empty, whose ratio rises somewhere."""
    random = np.random.default_rng(seed)
    count, since, rise = (
        int(random.integers(2, 16)),
        random.integers(0, 16),
        random.uniform(0, 0.15),
    )
    sizes = random.integers(0, 4, size=count) * random.integers(5, 200)
    return [
        (int(random.binomial(n, 0.1 + rise * (i >= since))), int(n)) for i, n in enumerate(sizes)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_change_point_maximises_the_likelihood_ratio(seed):
    units, known = drawn(seed), Count(*((11, 100), (90, 1000), (3, 60))[seed % 3])
    _, place, drop = likeliest(known, units, DROPS)
    found = strongest_change(known, units, DROPS)
    assert found.start == place
    assert found.after == (tuple(np.sum(units[place:], axis=0)) if units[place:] else (0, 0))
    if drop:
        before, after = np.sum([known, *units[:place]], axis=0), found.after
        exact_ratio = at_its_best(before, after, drop)
        assert found.statistic == pytest.approx(max(exact_ratio, 0), rel=2e-3, abs=1e-6)
        assert found.statistic <= max(exact_ratio, 0) + 1e-9, "what is left of the way is missing"
    else:
        assert found.statistic == 0


@pytest.mark.parametrize(
    ("known", "units"),
    [
        (Count(0, 1000), [(0, 200), (20, 200)]),
        (Count(10, 100), [(30, 30)]),
        (Count(0, 50), [(40, 40)]),
        (Count(300, 300), [(0, 400), (300, 400)]),
    ],
    ids=["nothing bad before", "nothing good after", "neither", "nothing good at first"],
)
def test_the_likelihood_is_finite_without_bad_or_without_good_events(known, units):
    _, place, drop = likeliest(known, units, (0.06,))
    found = strongest_change(known, units, (0.06,))
    assert found.start == place
    if drop:
        before = np.sum([known, *units[:place]], axis=0)
        assert found.statistic == pytest.approx(at_its_best(before, found.after, drop), rel=0.02)


@pytest.mark.parametrize("seed", range(40, 80))
def test_the_change_point_within_strata_maximises_the_joint_likelihood(seed):
    units, known = drawn(seed), Count(*((11, 100), (90, 1000), (3, 60))[seed % 3])
    strata = [place % (2 + seed % 3) for place in range(len(units))]
    _, place, drop = likeliest(known, units, DROPS, strata)
    found = strongest_change_within_strata(strata, known, units, DROPS, phi=2.0)
    assert found.start == place
    assert found.after == (tuple(np.sum(units[place:], axis=0)) if units[place:] else (0, 0))
    exact_ratio = 0.0
    for early, late in cells_of(known, units, place, strata):
        before, after = np.sum(early, axis=0), np.sum(late, axis=0)
        if before[1] and after[1]:
            exact_ratio += at_its_best(before, after, drop)
    assert found.statistic == pytest.approx(max(exact_ratio / 2, 0), rel=1e-2, abs=1e-6)


@pytest.mark.parametrize(
    ("strata", "known", "units"),
    [
        ([0, 0, 1, 1, 0], (0, 10), [(2, 2), (0, 2), (19, 20), (5, 10), (3, 5)]),
        ([1, 0, 0, 1], (1, 10), [(0, 2), (19, 20), (3, 10), (9, 20)]),
        ([1, 0, 0, 1], (5, 10), [(0, 10), (1, 10), (3, 5), (2, 5)]),
        ([1, 0, 0, 1, 1], (1, 10), [(7, 10), (4, 20), (8, 10), (0, 5), (4, 10)]),
        ([0, 0, 1, 0, 0], (0, 10), [(8, 20), (13, 20), (2, 2), (3, 20), (1, 2)]),
        ([0, 0, 1, 0, 0], (1, 10), [(14, 20), (2, 5), (2, 10), (0, 2), (6, 10)]),
        ([1, 0, 1, 1], (5, 10), [(7, 10), (0, 10), (2, 2), (3, 5)]),
        ([0, 1, 0, 1], (5, 10), [(7, 10), (9, 10), (14, 20), (10, 10)]),
        ([0, 0], (5, 10), [(1, 10), (1, 2)]),
        ([1, 0, 1], (5, 10), [(0, 5), (5, 10), (1, 5)]),
    ],
)
def test_the_change_point_of_few_events_maximises_the_likelihood(strata, known, units):
    _, place, _ = likeliest(known, units, (0.03, 0.06), strata)
    assert strongest_change_within_strata(strata, Count(*known), units, (0.03, 0.06)).start == place


def test_a_stratum_without_earlier_bad_events_contributes_evidence():
    units = [(0, 100), (2, 100), (9, 100), (12, 100)]
    found = strongest_change_within_strata([0, 1, 0, 1], Count(0, 100), units, (0.06,))
    expected = at_its_best((0, 100), (9, 100), 0.06) + at_its_best((2, 100), (12, 100), 0.06)
    assert found.start == 2
    assert found.statistic == pytest.approx(expected, rel=0.02)


def test_the_change_point_of_a_clear_change_is_detected():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    found = strongest_change(Count(100, 1000), units, DROPS)
    assert found.start == 20
    assert found.after == Count(240, 1200)
    assert found.statistic > log(3 * 87_600)


def test_a_small_baseline_does_not_hide_a_drop_from_production_counts():
    """Four points more, baseline of 500 rows: an upper bound of it would never be exceeded."""
    steady, drop = [(66, 600)] * 16, [(90, 600)] * 6
    assert strongest_change(Count(55, 500), steady + drop, DROPS).statistic > log(3 * 87_600)


def test_a_small_baseline_gives_little_evidence():
    assert strongest_change(Count(2, 20), [(200, 1000)] * 5, DROPS).statistic < 3
    assert strongest_change(Count(1000, 10_000), [(200, 1000)] * 5, DROPS).statistic > 100


def test_a_return_to_the_accepted_level_is_no_change_point():
    units = [(60, 1000)] * 20 + [(100, 1000)] * 10
    assert strongest_change(Count(100, 1000), units, DROPS).statistic == 0


def test_the_dispersion_divides_the_change_point_evidence():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    once = strongest_change(Count(100, 1000), units, DROPS).statistic
    assert strongest_change(Count(100, 1000), units, DROPS, phi=4.0).statistic == pytest.approx(
        once / 4
    )


@pytest.mark.parametrize("units", [[], [(0, 0)] * 5, [(0, 10)] * 5])
def test_units_without_events_have_no_change_point(units):
    assert strongest_change(Count(10, 100), units, DROPS) == (0, len(units), (0, 0))
    assert (
        strongest_change_within_strata([0] * len(units), Count(10, 100), units, DROPS).statistic
        == 0
    )


def test_a_change_of_less_than_half_an_alternative_is_no_evidence():
    units = [(105, 1000), (116, 1000)]
    assert strongest_change(Count(100, 1000), units, (0.03,)).start == 2
    assert strongest_change_within_strata([0, 0], Count(100, 1000), units, (0.03,)).start == 2
    assert strongest_change(Count(100, 1000), [(105, 1000), (120, 1000)], (0.03,)).start == 1


@pytest.mark.parametrize(
    ("accepted", "start"), [(Count(0, 0), 20), (Count(0, 1), 20), (Count(1, 1), 24)]
)
def test_a_change_point_is_found_for_a_baseline_of_almost_no_events(accepted, start):
    units = [(30, 300)] * 20 + [(240, 300)] * 4
    assert strongest_change(accepted, units, DROPS).start == start
    assert strongest_change_within_strata([0] * 24, accepted, units, DROPS).start == start


# ---- within strata --------------------------------------------------------------------------
def swinging(days, rise=0.0, since=0, seed=0):
    """Return hours of 300 events, 5 % to 15 % of them bad, and more since some hour; drawn."""
    random = np.random.default_rng(seed)
    rates = [
        0.1 + 0.05 * np.sin(2 * np.pi * hour / 24) + rise * (hour >= since)
        for hour in range(24 * days)
    ]
    return [(int(random.binomial(300, rate)), 300) for rate in rates]


def test_a_single_stratum_gives_the_change_point_of_no_strata():
    units = [(30, 300)] * 20 + [(60, 300)] * 4
    known = Count(100, 1000)
    plain, within = (
        strongest_change(known, units, DROPS),
        strongest_change_within_strata([0] * 24, known, units, DROPS),
    )
    assert within.start == plain.start
    assert within.statistic < plain.statistic, "the baseline is of no stratum"
    first = strongest_change_within_strata([0] * 25, known, [known, *units], DROPS)
    assert first.statistic == pytest.approx(plain.statistic)


def test_a_change_point_requires_a_stratum_on_both_sides():
    """Strata 1 and 2 end before it, and the rises that were taken away leave a float's noise."""
    units = [(1, 10), (5, 10), (3, 10), (4, 10), (1, 10), (5, 10), (5, 10)]
    found = strongest_change_within_strata([0, 1, 2, 1, 2, 1, 2], Count(1, 10), units, (0.03,))
    assert found.start == 5


@pytest.mark.parametrize("seed", range(5))
def test_a_daily_pattern_is_no_change_within_hourly_strata(seed):
    units, accepted = swinging(6, seed=seed), Count(50, 500)
    hours = [hour % 24 for hour in range(24 * 6)]
    within = max(
        strongest_change_within_strata(hours[:end], accepted, units[:end], DROPS).statistic
        for end in range(24, 24 * 6)
    )
    assert within < log(3 * 87_600) / 2 + 2
    plain = max(
        strongest_change(accepted, units[:end], DROPS).statistic for end in range(24, 24 * 6)
    )
    assert plain > log(3 * 87_600), "which it is for all hours alike"


@pytest.mark.parametrize("since", [12, 30, 60])
def test_a_change_is_detected_once_its_hours_occurred_before(since):
    units = swinging(4, rise=0.06, since=since)
    soon = max(since, 24) + 12
    hours = [hour % 24 for hour in range(soon)]
    found = strongest_change_within_strata(hours, Count(50, 500), units[:soon], DROPS)
    assert found.statistic > log(3 * 87_600)
    assert found.start == pytest.approx(since, abs=3)


def test_a_return_to_the_accepted_level_is_no_change_within_strata():
    units = [(60, 1000)] * 48 + [(100, 1000)] * 24
    hours = [hour % 24 for hour in range(72)]
    assert strongest_change_within_strata(hours, Count(100, 1000), units, DROPS).statistic == 0
    assert strongest_change_within_strata(hours, Count(60, 1000), units, DROPS).statistic > 100


def test_drop_alternatives_leave_some_good_events():
    assert alternative_drops(0.1, 0.03) == pytest.approx((0.03, 0.06, 0.12))
    assert alternative_drops(0.9, 0.03) == pytest.approx((0.03, 0.06))
    assert alternative_drops(0.8, 0.1898) == pytest.approx((0.1898,))
    assert alternative_drops(0.8, 0.1902) == (), "a twentieth of them"


def test_the_least_detectable_drop_is_detected_and_half_of_that_drop_is_not():
    bound, before = log(3 * 87_600), Count(1100, 10_000)
    least = min_drop(before, 3_000, bound)
    for share, seen in ((1.15, True), (0.5, False)):
        bad = round((0.11 + share * least) * 3_000)
        found = strongest_change(before, [(bad, 3_000)], (share * least,))
        assert (found.statistic >= bound) is seen


@pytest.mark.parametrize(("before", "after", "phi"), [((110, 1000), 3000, 1.0), ((0, 50), 20, 2.5)])
def test_the_least_detectable_drop_has_evidence_equal_to_the_bound(before, after, phi):
    """d² n/(2 p (1 − p) φ), n = n₀ n₁/(n₀ + n₁), p with half an event of each kind."""
    bad, total = before
    p, n = (bad + 0.5) / (total + 1), total * after / (total + after)
    drop = min_drop(Count(*before), after, 1.5, phi)
    assert min_drop(Count(*before), after, 1.5) == min_drop(Count(*before), after, 1.5, 1.0)
    assert drop**2 * n / (2 * p * (1 - p) * phi) == pytest.approx(1.5)


def test_without_enough_events_the_least_detectable_drop_is_100_percent():
    assert min_drop(Count(0, 0), 100, 1.0) == 1.0
    assert min_drop(Count(1, 10), 0, 1.0) == 1.0
    assert min_drop(Count(5, 10), 10, 100.0) == 1.0


@pytest.mark.parametrize(
    ("bad", "raised"), [(110, 0.110389610 + 0.02), (490, 0.5), (700, 0.7 - 0.000199800)]
)
def test_events_after_a_drop_reach_the_bound(bad, raised):
    """The ratio is that between before and after, but nearer to ½ where that is between them."""
    needed = events_to_detect(Count(bad, 1000), 0.04, 0.5, 2.0)
    events = 1000 * needed / (1000 + needed)
    assert events == pytest.approx(2 * 0.5 * 2.0 * raised * (1 - raised) / 0.04**2, rel=1e-6)
    assert events_to_detect(Count(bad // 10, 100), 0.04, 0.5, 2.0) is None


def test_with_too_few_earlier_events_no_number_of_later_events_suffices():
    assert events_to_detect(Count(50, 100), 0.5, 50.0) is None
    assert events_to_detect(Count(50, 101), 0.5, 50.0) is not None


def test_the_number_of_events_needed_to_detect_a_drop_is_computed():
    bound, before = log(3 * 87_600), Count(1100, 10_000)
    needed = events_to_detect(before, 0.04, bound)
    assert needed is not None
    bad = round(0.15 * needed)
    assert strongest_change(before, [(bad, round(needed))], (0.04,)).statistic == pytest.approx(
        bound, rel=0.15
    )
    assert events_to_detect(Count(55, 500), 0.03, bound) is None, "no number of events suffices"
