"""Error rates over lives are judged by exact bounds: bad luck breaks no promise, a defect does."""

from __future__ import annotations

import pytest
from scipy import stats

from tests.support.lives.rates import PROMISES, Rates, bounds, tail

WORSE = "promoted though worse by the margin"


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (1, 30), (7, 40), (30, 30), (60, 2000)])
def test_the_rate_bounds_equal_clopper_pearson(hits, trials):
    low, high = bounds(hits, trials)
    exact = stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "trials", "rate"), [(1, 30, 0.05), (9, 60, 0.05), (120, 2000, 0.05)]
)
def test_the_binomial_tail_is_exact(hits, trials, rate):
    assert tail(hits, trials, rate) == pytest.approx(stats.binom.sf(hits - 1, trials, rate))


def test_a_single_failed_life_violates_no_documented_rate():
    rates = Rates()
    rates.add({WORSE: True})
    assert not rates.broken()
    assert "1 of 1" in str(rates)


def test_a_documented_rate_is_violated_once_chance_does_not_explain_the_excess():
    rates = Rates()
    for _ in range(5):
        rates.add({WORSE: True})
    assert [one.partition(":")[0] for one in rates.broken()] == [WORSE]


def test_a_rate_equal_to_the_documented_rate_is_accepted():
    rates = Rates()
    for number in range(2000):
        rates.add({WORSE: number % 20 == 0})
    assert not rates.broken()


def test_a_documented_rate_per_time_uses_the_elapsed_time():
    """An alarm in twenty years: one in a week isn't one of twenty lives."""
    rates = Rates()
    for number in range(100):
        rates.add({"retrained though healthy": number < 3}, {"retrained though healthy": 0.05 / 52})
    assert rates.broken()


def test_an_undocumented_rate_is_not_checked():
    rates = Rates()
    rates.add({"something else": True})
    assert not rates.broken()
    assert "something else" not in PROMISES
