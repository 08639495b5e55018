"""Two versions on the same rows: bounds, the exact test, and evidence that keeps its promise."""

from itertools import product
from math import comb, exp, isclose, log

import numpy as np
import pytest

from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.stats.intervals import Z95, newcombe_difference
from sluicegate.stats.paired import (
    Pairs,
    is_shown_better,
    paired_difference,
    paired_evidence,
    probability_of_better_by_chance,
)


@pytest.mark.slow  # to import SciPy takes seconds
@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 9), (40, 12), (300, 281)])
def test_the_p_value_of_pairs_equals_the_exact_mcnemar_test(better, worse):
    from scipy.stats import binomtest

    found = probability_of_better_by_chance(Pairs(1000, better, worse, 50))
    expected = (
        binomtest(better, better + worse, 0.5, alternative="greater").pvalue
        if better + worse
        else 1.0
    )
    assert isclose(found, expected, rel_tol=1e-9)


def test_rows_wrong_in_both_versions_cancel():
    """500 rows, 24 % bad, 11 % of them discordant: a third of what two samples leave open."""
    pairs = Pairs(353, 28, 27, 92)
    two = newcombe_difference((119, 500), (120, 500), Z95)
    one = paired_difference(pairs)
    assert (one.upper - one.lower) < 0.6 * (two.upper - two.lower)
    assert one.lower < one.estimate < one.upper


def test_bounds_without_discordant_rows_add_half_a_row_to_each_cell():
    """Agresti's and Min's: one discordant row of n + 2, so an error of 1/(n + 2)."""
    found = paired_difference(Pairs(450, 0, 0, 48))
    assert (found.estimate, found.upper) == (0, pytest.approx(Z95 / 500))
    assert found.lower == pytest.approx(-Z95 / 500)


def test_the_paired_bound_has_an_error_rate_of_about_five_percent():
    random = np.random.default_rng(1)
    chances = (0.7, 0.08, 0.11, 0.11)
    missed = sum(
        paired_difference(Pairs(*map(int, random.multinomial(400, chances)))).upper < 0.03
        for _ in range(2_000)
    )
    assert missed / 2_000 <= 0.05 + 3 * (0.05 * 0.95 / 2_000) ** 0.5


def test_an_equal_candidate_passes_at_the_margin_that_its_rows_allow():
    """Four of five, where the margin isn't cut by what the SLO may lose."""
    random = np.random.default_rng(2)
    margin, passed = HoldOutMargin(0.001, 0.5), 0
    for _ in range(1_000):
        pairs = Pairs(*map(int, random.multinomial(500, (0.7, 0.055, 0.055, 0.19))))
        passed += paired_difference(pairs).upper <= margin.for_pairs(pairs)
    assert 0.72 <= passed / 1_000 <= 0.86


def test_a_paired_margin_is_between_the_requested_and_the_allowed_margin():
    few, many = Pairs(80, 10, 10, 0), Pairs(99_000, 400, 400, 200)
    assert HoldOutMargin(0.01, 0.03).for_pairs(few) == 0.03
    assert HoldOutMargin(0.01, 0.03).for_pairs(many) == 0.01
    assert HoldOutMargin(0.02, 0.02).for_pairs(few) == 0.02, "a person chose it"
    assert HoldOutMargin(0.01, 0.03).for_pairs(None) == 0.01, "no pairs: as without them"
    assert HoldOutMargin(0.01, 0.004).for_pairs(few) == 0.01


@pytest.mark.parametrize(
    ("chances", "margin", "evidence"),
    [
        ((0.85, 0.05, 0.08, 0.02), 0.03, "promote_evidence"),
        ((0.55, 0.10, 0.25, 0.10), 0.15, "promote_evidence"),
        ((0.80, 0.10, 0.10, 0.00), 0.02, "better_evidence"),
        ((0.80, 0.10, 0.10, 0.00), 0.02, "roll_back"),
    ],
)
def test_the_mean_paired_evidence_is_at_most_one_under_the_null_hypothesis(
    chances, margin, evidence
):
    """Exact enumeration over all outcomes of eight rows, at the edge of each null."""
    mean = 0.0
    for rows in product(range(9), repeat=3):
        if sum(rows) > 8:
            continue
        pairs = Pairs(8 - sum(rows), *rows)
        ways, left = 1.0, 8
        for count, chance in zip(pairs, chances, strict=True):
            ways *= comb(left, int(count)) * chance**count
            left -= int(count)
        mean += ways * exp(getattr(paired_evidence(pairs, margin), evidence))
    assert mean <= 1 + 1e-9


def test_paired_evidence_grows_only_with_the_observed_difference():
    better = paired_evidence(Pairs(400, 60, 20, 20), 0.03)
    assert better.promote_evidence > log(20)
    assert better.better_evidence > log(20)
    assert better.roll_back < 0
    worse = paired_evidence(Pairs(400, 20, 60, 20), 0.03)
    assert worse.roll_back > log(20)
    assert worse.promote_evidence < 0
    assert paired_evidence(Pairs(0, 0, 0, 0), 0.03).promote_evidence == pytest.approx(
        0.0, abs=1e-12
    )


@pytest.mark.parametrize(("only", "shown"), [(6, False), (7, True)])
def test_pairs_prove_a_version_better_at_the_one_percent_level(only, shown):
    """Each of so many discordant rows is for the candidate: by chance in one of 2ⁿ."""
    assert probability_of_better_by_chance(Pairs(50, only, 0, 3)) == pytest.approx(0.5**only)
    assert is_shown_better(Pairs(50, only, 0, 3)) is shown
    assert probability_of_better_by_chance(Pairs(50, 0, 0, 3)) == 1.0
    assert probability_of_better_by_chance(Pairs(50, 0, only, 3)) == 1.0
    assert probability_of_better_by_chance(Pairs(50, 2, 1, 3)) == pytest.approx(4 / 8)


@pytest.mark.parametrize("margin", [0.03, 0.2])
def test_paired_evidence_is_the_mean_capital_of_four_bets(margin):
    pairs = Pairs(40, 6, 2, 5)

    def capital(gains, losses, margin):
        bets = [share / (1 - margin) for share in (0.05, 0.1, 0.2, 0.4)]
        return sum(
            (1 + bet * (margin + 1)) ** gains
            * (1 + bet * (margin - 1)) ** losses
            * (1 + bet * margin) ** 45
            for bet in bets
        ) / len(bets)  # fmt: skip

    found = paired_evidence(pairs, margin)
    assert exp(found.promote_evidence) == pytest.approx(capital(6, 2, margin))
    assert exp(found.roll_back) == pytest.approx(capital(2, 6, 0.0))
    assert exp(found.better_evidence) == pytest.approx(capital(6, 2, 0.0))
    assert found.pairs == pairs


def test_bounds_of_a_paired_difference_are_those_of_agresti_and_min():
    found, z = paired_difference(Pairs(40, 6, 2, 5), 2.0), 2.0
    mean, share = -4 / 55, 9 / 55
    error = ((share - mean**2) / 55) ** 0.5
    assert found.estimate == pytest.approx(-4 / 53)
    assert (found.lower, found.upper) == pytest.approx((mean - z * error, mean + z * error))
    assert paired_difference(Pairs(0, 0, 0, 0)).estimate == 0.0
    assert paired_difference(Pairs(0, 9, 0, 0), 9.0).lower == -1.0
    assert paired_difference(Pairs(0, 0, 9, 0), 9.0).upper == 1.0


def test_proving_a_version_better_takes_more_evidence_than_not_worse():
    assert is_shown_better(Pairs(400, 60, 20, 20))
    assert not is_shown_better(Pairs(400, 21, 20, 20))
    assert not is_shown_better(Pairs(500, 0, 0, 0))
