"""Bounds on ratios, against SciPy, statsmodels and the numbers of the literature."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.stats.intervals import (
    Z95,
    min_total,
    newcombe_difference,
    quantile,
    wilson_lower,
    wilson_upper,
)

COUNTS = [(0, 1), (1, 1), (0, 30), (3, 30), (30, 30), (57, 640), (1, 10**9), (10**9 - 1, 10**9)]


@pytest.mark.slow  # to import statsmodels or SciPy takes seconds
@pytest.mark.parametrize(("bad", "total"), COUNTS)
@pytest.mark.parametrize("confidence", [0.95, 0.975, 0.99])
def test_the_wilson_interval_equals_statsmodels(bad, total, confidence):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(bad, total, alpha=2 * (1 - confidence), method="wilson")
    assert wilson_lower(bad, total, quantile(confidence)) == pytest.approx(low, abs=1e-12)
    assert wilson_upper(bad, total, quantile(confidence)) == pytest.approx(high, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((83, 1000), (100, 1000)), ((5, 56), (0, 29))],
)
def test_the_newcombe_interval_equals_statsmodels(one, other):
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(*one, *other, method="newcomb", alpha=0.1)
    difference = newcombe_difference(one, other, Z95)
    assert (difference.lower, difference.upper) == pytest.approx((low, high), abs=1e-12)


def test_the_newcombe_interval_reproduces_the_example_of_its_paper():
    # Newcombe 1998, table II, method 10, contrast (a): 56/70 − 48/80
    difference = newcombe_difference((56, 70), (48, 80), quantile(0.975))
    assert (difference.lower, difference.upper) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_confidence_bounds_contain_the_estimate_for_any_counts(one, other):
    bad, total = min(one, other), max(one, other, 1)
    lower, upper = wilson_lower(bad, total, Z95), wilson_upper(bad, total, Z95)
    assert 0.0 <= lower <= bad / total <= upper <= 1.0


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_more_bad_events_never_lower_a_confidence_bound(bad, total):
    bad = min(bad, total - 1)
    assert wilson_lower(bad + 1, total, Z95) >= wilson_lower(bad, total, Z95)


@pytest.mark.parametrize(("ratio", "least"), [(0.0144, 185), (0.006, 448), (0.1, 24), (0.05, 51)])
def test_the_least_sample_sizes_are_the_documented_ones(ratio, least):
    assert round(min_total(ratio)) == least
    assert wilson_upper(0, min_total(ratio), Z95) == pytest.approx(ratio)


def test_the_interval_of_a_ratio_without_events_is_zero_to_one():
    assert (wilson_lower(0.5, 0, Z95), wilson_upper(0.5, 0, Z95)) == (0.0, 1.0)
    assert (wilson_lower(0, 0, Z95), wilson_upper(0, 0, Z95)) == (0.0, 1.0)
