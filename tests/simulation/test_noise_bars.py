"""Noise from hour to hour: how often a healthy product is Missed, and how soon a drop is found.

`pytest tests/simulation/test_noise_bars.py --whole -s` prints the table of docs/adr/0013-healing.md. A few
products of it are in tests/unit/policy/slo_health/test_noise_from_hour_to_hour.py.
"""

from __future__ import annotations

from statistics import median

import pytest

from tests.support.decisions.noisy_hours import RATIO, Noise, first_missed

pytestmark = [pytest.mark.heavy, pytest.mark.grid, pytest.mark.timeout(1800)]
ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}}
DROP = {**ACCURACY, "maxDrop": "0.03"}
OBJECTIVE = {**ACCURACY, "objective": f"{1 - RATIO:.2f}"}
MONTH, BEGUN = 720, 240
"""Hours."""


@pytest.mark.parametrize("slo", [DROP, OBJECTIVE], ids=["as accepted", "at the objective"])
@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.02, 0.03])
def test_healthy_products_with_hourly_noise_are_rarely_missed_in_their_first_month(slo, sigma):
    runs = 40
    missed = sum(
        first_missed(slo, Noise(sigma), hours=MONTH, seed=seed) is not None for seed in range(runs)
    )
    assert missed <= runs // 20


@pytest.mark.parametrize(
    ("sigma", "half", "nearly_all"),
    [(0.0, 8, 16), (0.01, 12, 24), (0.02, 24, 48), (0.03, 48, 120)],
)
def test_a_drop_of_max_drop_is_detected_within_the_time_of_the_table(sigma, half, nearly_all):
    runs = 40
    delays = []
    for seed in range(900, 900 + runs):
        noise = Noise(sigma, drop=0.03, since=BEGUN)
        found = first_missed(DROP, noise, hours=BEGUN + 660, seed=seed)
        delays.append(float("inf") if found is None else found - BEGUN)
    wrongly = sum(delay <= 0 for delay in delays)
    assert wrongly <= runs // 20
    delays = sorted(delay for delay in delays if delay > 0)
    print(sigma, "median", median(delays), "95 of 100", delays[int(0.95 * len(delays))])
    assert median(delays) <= half
    assert delays[int(0.95 * len(delays))] <= nearly_all
