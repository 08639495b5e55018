"""A bad ratio that scatters from hour to hour, at the accepted level, at its objective, and after a drop."""

import pytest

from tests.support.decisions.noisy_hours import RATIO, Noise, first_missed

ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}}
DROP = {**ACCURACY, "maxDrop": "0.03"}
OBJECTIVE = {**ACCURACY, "objective": f"{1 - RATIO:.2f}"}
TWO_POINTS = 0.02
WEEK = 168


@pytest.mark.parametrize("slo", [DROP, OBJECTIVE], ids=["as accepted", "at the objective"])
def test_an_slo_with_hourly_noise_of_two_points_is_not_missed(slo):
    """By the dispersion of five-minute blocks, most of these were Missed within two weeks."""
    missed = [first_missed(slo, Noise(TWO_POINTS), hours=2 * WEEK, seed=seed) for seed in range(6)]
    assert missed == [None] * 6


@pytest.mark.parametrize(("sigma", "most"), [(0.0, 12), (TWO_POINTS, 72)])
def test_a_drop_of_max_drop_is_detected_within_days_with_and_without_hourly_noise(sigma, most):
    noise = Noise(sigma, drop=0.03, since=WEEK)
    for seed in range(4):
        found = first_missed(DROP, noise, hours=WEEK + most, seed=seed)
        assert found is not None
        assert found > WEEK
