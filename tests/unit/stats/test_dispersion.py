"""How much more counts scatter than chance lets them: McCullagh's and Nelder's formula, and its limits.

The numbers of the documentation are written here as numbers.
"""

from __future__ import annotations

import random
from math import sqrt

import numpy as np
import pytest

from sluicegate.stats.dispersion import (
    ScatterSums,
    burst_correlation,
    dispersion,
    independent_share,
    level_shift,
    scatter_sums,
    successive_dispersion,
)

RANDOM = np.random.default_rng(5)
EVENTS = RANDOM.integers(40, 400, size=60)
BURSTS = [(int(RANDOM.binomial(n, RANDOM.beta(3, 27))), int(n)) for n in EVENTS]
CALM = [(int(RANDOM.binomial(n, 0.1)), int(n)) for n in EVENTS]


def pearson(counts):
    """Return χ² of each block about the ratio of all."""
    bad, total = np.array([count for count in counts if count[1]], dtype=float).T
    ratio = bad.sum() / total.sum()
    return (bad - total * ratio) ** 2 / (total * ratio * (1 - ratio))


@pytest.mark.parametrize("counts", [BURSTS, BURSTS[:30], [(0, 0), *BURSTS[:30]]])
def test_the_dispersion_is_chi_square_per_degree_of_freedom(counts):
    squares = pearson(counts)
    assert 1 < dispersion(counts) < 10
    assert dispersion(counts) == pytest.approx(squares.sum() / (len(squares) - 1), rel=1e-12)
    assert dispersion(counts[-29:]) == 1.0, "fewer than thirty blocks with events"


@pytest.mark.parametrize("counts", [
    BURSTS, CALM, BURSTS[:30], BURSTS[:29], [(0, 0), *BURSTS[:30]], [(0, 1000), (1000, 1000)] * 20,
    [(0, 9)] * 40, [(9, 9)] * 40, [(1, 10**9), (30_000, 10**9)] * 20,
])  # fmt: skip
def test_the_dispersion_of_sums_is_that_of_their_blocks(counts):
    middle = len(counts) // 2
    sums = scatter_sums(ScatterSums(), ((None, count) for count in counts[:middle]))
    sums = scatter_sums(sums, ((None, count) for count in counts[middle:]))
    assert sums.dispersion == pytest.approx(dispersion(counts), rel=1e-10)


def test_the_dispersion_lies_between_one_and_ten():
    assert dispersion([(10, 100)] * 40) == 1.0
    assert dispersion([(0, 1000), (1000, 1000)] * 20) == 10.0
    assert dispersion([(0, 1000), (1000, 1000)] * 20, max_dispersion=50.0) == 50.0
    assert dispersion([(5, 5)] * 40) == 1.0


def upper_correlation(*levels):
    """Return ρ of its definition: four standard errors above the mean residual, for the mean block."""
    squares = np.concatenate([pearson(level) for level in levels])
    blocks, events = len(squares), sum(n for level in levels for _, n in level)
    mean = squares.sum() / (blocks - len(levels)) + 4 * squares.std() / sqrt(blocks)
    return (mean - 1) / (events / blocks - 1)


@pytest.mark.parametrize("counts", [BURSTS, CALM, BURSTS[:30], [(0, 0), *BURSTS[:30], (0, 0)]])
def test_the_burst_correlation_is_an_upper_confidence_bound(counts):
    found = burst_correlation(counts)
    assert found == pytest.approx(
        upper_correlation([count for count in counts if count[1]]), rel=1e-12
    )


def test_blocks_of_two_levels_have_the_dispersion_around_their_own_level():
    high = [(bad + n // 4, n) for bad, n in BURSTS[20:]]
    found = burst_correlation([*BURSTS[:20], *high], shift=20)
    assert found == pytest.approx(upper_correlation(BURSTS[:20], high), rel=1e-12)
    assert burst_correlation([*BURSTS[:20], *high]) > 2 * found


@pytest.mark.parametrize(
    "counts",
    [[], BURSTS[:29], [(0, 9)] * 40, [(9, 9)] * 40, [(0, 1), (1, 1)] * 20],
    ids=["none", "29 blocks", "nothing bad", "all bad", "one event a block"],
)
def test_the_burst_correlation_requires_thirty_informative_blocks(counts):
    assert burst_correlation(counts) == 0.0


def test_the_burst_correlation_is_at_most_one_and_zero_for_equal_blocks():
    assert burst_correlation([(0, 100), (100, 100)] * 20) == 1.0
    assert burst_correlation([(10, 100)] * 40) == 0.0
    assert burst_correlation([(1, 2), *[(0, 1)] * 39]) == 1.0


def squared_distance(early, late):
    """Return the difference of two levels in its standard deviations, squared, scatter within included."""
    (bad0, n0), (bad1, n1) = (np.sum(part, axis=0) for part in (early, late))
    variances = [max(b / n * (1 - b / n), 1 / n) / n for b, n in ((bad0, n0), (bad1, n1))]
    within = sum(pearson(part).sum() if np.sum(part, axis=0)[0] else 0 for part in (early, late))
    degrees = len(early) + len(late) - 2
    return (bad0 / n0 - bad1 / n1) ** 2 / sum(variances) / max(within / degrees, 1)


def naive_shift(blocks):
    distances = {
        split: squared_distance(blocks[:split], blocks[split:])
        for split in range(5, len(blocks) - 4)
    }
    split = max(distances, key=distances.__getitem__, default=0)
    return split if distances and distances[split] > 49 else 0


@pytest.mark.parametrize("rise", range(0, 60, 3))
@pytest.mark.parametrize("place", [5, 17, 55])
@pytest.mark.parametrize("drawn", [CALM, BURSTS], ids=["calm", "bursts"])
def test_a_level_shift_is_at_least_seven_standard_deviations(drawn, rise, place):
    blocks = [*drawn[:place], *((min(bad + n * rise // 100, n), n) for bad, n in drawn[place:])]
    assert level_shift(tuple(blocks)) == naive_shift(blocks)


def test_a_level_shift_needs_five_blocks_with_events_on_each_side():
    low, high = [(0, 1000)], [(500, 1000)]
    assert level_shift((*low * 5, *high * 5)) == 5
    assert level_shift((*low * 4, *high * 5)) == 0, "a level has five blocks"
    assert level_shift((*low * 5, *high * 4)) == 0
    assert level_shift((*low * 4, (0, 0), *high * 4, (0, 0))) == 0, "that hold events"
    assert level_shift(tuple(low * 20)) == 0
    assert level_shift(tuple([(7, 7)] * 20)) == 0
    assert level_shift(()) == 0


@pytest.mark.parametrize(("requests", "place"), [(3, 5), (2, 0)])
def test_a_level_without_bad_events_has_the_uncertainty_of_one_event(requests, place):
    """Fifteen good events, then half of thousands bad: 7.1 standard deviations; ten are 5.0."""
    blocks = ((0, requests),) * 5 + ((500, 1000),) * 5
    assert level_shift(blocks) == place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("total", "ratio", "rho"),
    [(600, 0.1, 0.0), (600, 0.01, 0.01), (6000, 0.001, 0.05), (60, 0.3, 0.05)],
)
def test_bursts_are_no_level_shift(total, ratio, rho):
    source = np.random.default_rng(2)
    for _ in range(200):
        inverse = 1 / rho - 1 if rho else None
        rates = source.beta(ratio * inverse, (1 - ratio) * inverse, 60) if inverse else [ratio] * 60
        blocks = tuple((int(source.binomial(total, rate)), total) for rate in rates)
        assert level_shift(blocks) == 0


def test_the_first_of_two_equal_splits_is_the_level_shift():
    assert level_shift((*[(0, 1000)] * 9, (0, 0), (0, 0), *[(500, 1000)] * 9)) == 9


@pytest.mark.parametrize(
    ("total", "correlation", "share"),
    [(0, 0.5, 1), (1, 0.5, 1), (11, 0.1, 0.5), (101, 0.01, 0.5), (100, 0, 1)],
)
def test_correlated_events_of_a_block_count_as_fewer_independent_events(total, correlation, share):
    assert independent_share(total, correlation) == share


# ---- by the differences of neighbours -------------------------------------------------------------
def test_a_level_shift_does_not_increase_the_dispersion_between_neighbours():
    source = random.Random(3)
    units = [
        (sum(source.random() < (0.1 if unit < 100 else 0.4) for _ in range(40)), 40)
        for unit in range(200)
    ]
    assert successive_dispersion(units) < 1.3 < dispersion(units)


def test_units_with_more_variance_than_binomial_counts_are_overdispersed():
    units = [(2, 40), (14, 40)] * 40
    assert successive_dispersion(units) > 5
    assert successive_dispersion(units[:30]) == 1.0, "too few to estimate it"
    assert successive_dispersion([(0, 40)] * 80) == 1.0
