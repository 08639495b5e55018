"""How much sums scatter: on each scale, about the levels before and after a change."""

import math

import numpy as np
import pytest

from sluicegate.stats.batch_means import (
    NO_SCATTER,
    Scatter,
    likeliest_shift,
    residuals_around_hours,
    residuals_around_levels,
    scatter,
    successive_scatter,
)

EVENTS = 600


def hours(count, *, sigma=0.0, drop=0.0, since=0, swing=0.0, seed=1):
    """Return hours of 600 events, 10 % of them bad, whose ratio scatters by sigma from hour to hour."""
    random = np.random.default_rng(seed)
    number = np.arange(count)
    ratio = 0.1 + sigma * random.normal(size=count) + drop * (number >= since)
    ratio += swing * np.sin(2 * np.pi * number / 24)
    bad = random.binomial(EVENTS, np.clip(ratio, 0.001, 0.999))
    return [(int(one), EVENTS) for one in bad]


def true(sigma):
    """Return the dispersion of an hour: binomial, and that of the ratio."""
    return 1 + (EVENTS * sigma) ** 2 / (EVENTS * 0.09)


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.02, 0.03])
def test_the_dispersion_of_hourly_noise_is_estimated_correctly(sigma):
    found = scatter(residuals_around_levels(hours(336, sigma=sigma), 100))
    assert true(sigma) * 0.8 < found.phi < true(sigma) * 1.6
    assert found.degrees_of_freedom == NO_SCATTER.degrees_of_freedom + 334


def test_a_single_drop_does_not_increase_the_dispersion():
    units = hours(200, drop=0.1, since=150)
    assert scatter(residuals_around_levels(units, 150)).phi < 1.6
    assert scatter(residuals_around_levels(units, 0)).phi > 5


def test_a_half_day_pattern_increases_the_dispersion_at_that_scale():
    units = hours(336, swing=0.03)
    assert (
        scatter(residuals_around_levels(units, 0)).phi
        > 3 * scatter(residuals_around_levels(units, 0), batch_sizes=(1,)).phi
    )


def test_a_daily_pattern_does_not_increase_the_dispersion_of_the_same_hours():
    units, strata = hours(336, swing=0.05), [hour % 24 for hour in range(336)]
    rest, count = residuals_around_hours(strata, units, 200)
    assert count == 24
    assert scatter(rest, strata_count=count).phi < 1.6


def test_the_dispersion_of_neighbours_excludes_slow_patterns_and_drops():
    assert successive_scatter(hours(336, swing=0.05)).phi < 1.5
    assert successive_scatter(hours(336, drop=0.1, since=100)).phi < 1.7
    assert successive_scatter(hours(336, sigma=0.02)).phi == pytest.approx(true(0.02), rel=0.3)


def test_hours_without_events_do_not_affect_the_dispersion():
    gaps = [unit for hour in hours(100, sigma=0.02) for unit in (hour, (0, 0))]
    without = scatter(residuals_around_levels(hours(100, sigma=0.02), 40), batch_sizes=(1,))
    assert (
        scatter(residuals_around_levels(gaps, 80), batch_sizes=(1,)).degrees_of_freedom
        == without.degrees_of_freedom
    )
    assert successive_scatter(gaps) == successive_scatter(hours(100, sigma=0.02))


@pytest.mark.parametrize("units", [[], [(0, 0)] * 5, [(3, 10)], [(0, 10)] * 40])
def test_units_without_information_leave_the_prior_of_the_dispersion(units):
    assert scatter(residuals_around_levels(units, len(units) // 2)) in {
        NO_SCATTER,
        Scatter(1.0, 46.0),
    }
    assert successive_scatter(units) == NO_SCATTER


def test_the_maximum_likelihood_shift_is_at_the_change_of_level():
    assert likeliest_shift([(10, 100)] * 7 + [(30, 100)] * 5) == 7
    assert likeliest_shift([(10, 100)] * 5) == 5


@pytest.mark.parametrize("degrees", [20, 60, 300])
def test_divided_evidence_reaches_the_bound_at_the_same_point_as_students_t(degrees):
    bound = 12.5
    divided = bound * Scatter(3.7, degrees).divisor(bound, min_degrees=1.0) / 3.7
    assert (degrees + 1) / 2 * math.log1p(2 * divided / degrees) == pytest.approx(bound)


def test_a_dispersion_with_few_degrees_of_freedom_uses_the_least_degrees():
    assert Scatter(2.0, 3.0).divisor(10.0, 20.0) == Scatter(2.0, 20.0).divisor(10.0, 20.0)
    assert Scatter(2.0, 10**9).divisor(10.0, 20.0) == pytest.approx(2.0)


def test_a_slow_decay_does_not_increase_the_dispersion():
    units = [(60 + hour // 2, EVENTS) for hour in range(72)]
    assert scatter(residuals_around_levels(units, 40), batch_sizes=(1,)).phi == 1.0
