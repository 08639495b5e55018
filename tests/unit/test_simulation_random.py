"""Random numbers of the path without NumPy follow the laws they are named after."""

from itertools import pairwise
from random import Random

import pytest
from scipy import stats

from sluicegate.simulation.plain import binomial, poisson

DRAWS = 4000


def _differs(drawn, law):
    """p-value of Pearson's χ² over cells of at least fifty expected draws."""
    bounds = sorted({int(law.ppf(share)) for share in (k / 20 for k in range(1, 20))})
    cells = [-1, *bounds, 10**9]
    expected = [DRAWS * (law.cdf(b) - law.cdf(a)) for a, b in pairwise(cells)]
    seen = [sum(a < value <= b for value in drawn) for a, b in pairwise(cells)]
    pairs = [(s, e) for s, e in zip(seen, expected, strict=True) if e > 0]
    chi2 = sum((s - e) ** 2 / e for s, e in pairs)
    return float(stats.chi2.sf(chi2, len(pairs) - 1)) if len(pairs) > 1 else 1.0


@pytest.mark.parametrize(
    ("trials", "ratio"), [(1, 0.5), (30, 0.1), (570, 0.01), (10_000, 0.3), (5_000, 0.97)]
)
def test_binomial_draws_follow_the_binomial_law(trials, ratio):
    random = Random(1)
    assert (
        _differs(
            [binomial(random, trials, ratio) for _ in range(DRAWS)], stats.binom(trials, ratio)
        )
        > 1e-4
    )


@pytest.mark.parametrize("mean", [0.2, 5.0, 29.0, 570.0, 50_000.0])
def test_poisson_draws_follow_the_poisson_law(mean):
    random = Random(2)
    assert _differs([poisson(random, mean) for _ in range(DRAWS)], stats.poisson(mean)) > 1e-4


@pytest.mark.parametrize(("trials", "ratio", "hits"), [(0, 0.5, 0), (7, 0.0, 0), (7, 1.0, 7)])
def test_certain_outcomes_are_certain(trials, ratio, hits):
    assert binomial(Random(3), trials, ratio) == hits
