"""Labels that come late: both arms' odds at the same ages, as e-values, by exact enumeration."""

from __future__ import annotations

from itertools import product
from math import comb, exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.late_labels import (
    MIN_LABELS,
    REMEMBERED_LABELS,
    LabelledBlock,
    label_evidence,
    log_mean,
    log_ratios,
    odds_ratio,
    table_factor,
)


def evidence_of(*blocks_and_past, **rule):
    return label_evidence(*blocks_and_past, **rule)[0]


KNOWN = (300.0, 3000.0)
MARGIN = 0.02


def distribution(n, m, bad, ratio):
    """Return probability of each number of the candidate's wrong labels, by Fisher's noncentral formula."""
    low, high = max(0, bad - m), min(n, bad)
    weights = {x: comb(n, x) * comb(m, bad - x) * ratio**x for x in range(low, high + 1)}
    return {x: weight / sum(weights.values()) for x, weight in weights.items()}


@given(
    n=st.integers(1, 40),
    m=st.integers(1, 40),
    bad=st.integers(0, 80),
    log_ratio=st.floats(-4, 4),
)
def test_the_table_normaliser_equals_the_enumeration(n, m, bad, log_ratio):
    bad = min(bad, n + m)
    central = distribution(n, m, bad, 1.0)
    mean = sum(share * exp(x * log_ratio) for x, share in central.items())
    assert log_mean(n, m, bad, log_ratio) == pytest.approx(log(mean), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("n", "m", "bad"), [(5_000, 120_000, 12_000), (90_000, 1_000, 80_000)])
def test_the_normaliser_of_a_large_table_approximates_a_normal_distribution(n, m, bad):
    total, log_ratio = n + m, 0.05
    mean = n * bad / total
    variance = mean * (total - n) * (total - bad) / total / (total - 1)
    expected = mean * log_ratio + variance * log_ratio**2 / 2
    assert log_mean(n, m, bad, log_ratio) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("n", "m", "bad"), list(product((1, 7, 30), (1, 12, 60), (1, 5, 20))))
def test_a_candidate_worse_by_the_margin_gains_no_evidence_on_average(n, m, bad):
    bad = min(bad, n + m - 1)
    tested = exp(log_ratios(KNOWN, MARGIN)[0])
    for ratio in (tested, 1.1 * tested, 3 * tested):
        factors = (
            share * exp(table_factor(Count(x, n), Count(bad - x, m), KNOWN, MARGIN).promote_factor)
            for x, share in distribution(n, m, bad, ratio).items()
        )
        assert sum(factors) <= 1 + 1e-9


@pytest.mark.parametrize(("n", "m", "bad"), list(product((1, 7, 30), (1, 12, 60), (1, 5, 20))))
def test_an_equal_or_better_candidate_gains_no_evidence_against_it_on_average(n, m, bad):
    bad = min(bad, n + m - 1)
    for ratio in (1.0, 0.8, 0.1):
        factors = [
            (share, table_factor(Count(x, n), Count(bad - x, m), KNOWN, MARGIN))
            for x, share in distribution(n, m, bad, ratio).items()
        ]
        assert sum(share * exp(one.roll_back) for share, one in factors) <= 1 + 1e-9
    better = sum(
        share * exp(table_factor(Count(x, n), Count(bad - x, m), KNOWN, MARGIN).better_factor)
        for x, share in distribution(n, m, bad, 1.0).items()
    )
    assert better <= 1 + 1e-9


@pytest.mark.parametrize(
    "known", [(300.0, 3000.0), (5.0, 50.0), (0.0, 0.0), (2900.0, 3000.0), (1500.0, 3000.0)]
)
def test_promotions_are_tested_against_the_smallest_odds_ratio_of_an_uncertain_share(known):
    least, estimated, better = log_ratios(known, MARGIN)
    assert 0 < least <= estimated
    assert better < 0


def test_delays_of_right_and_wrong_answers_cancel_in_the_odds_ratio():
    # 20 % of the wrong and 90 % of the right answers are known by this age, of either version.
    wrong, right = 0.2, 0.9
    candidate = Count(round(1200 * wrong), round(1200 * wrong + 8800 * right))
    stable = Count(round(1000 * wrong), round(1000 * wrong + 9000 * right))
    odds = [one.bad / (one.total - one.bad) for one in (candidate, stable)]
    assert odds[0] / odds[1] == pytest.approx(odds_ratio(0.1, 0.02), rel=1e-3)


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [
        (Count(0, 50), Count(0, 80)),
        (Count(50, 50), Count(80, 80)),
        (Count(3, 50), Count(0, 0)),
        (Count(0, 0), Count(3, 50)),
    ],
    ids=["only right answers", "only wrong answers", "one version", "the other version"],
)
def test_labels_with_a_single_outcome_or_of_a_single_version_are_no_evidence(candidate, stable):
    assert table_factor(candidate, stable, KNOWN, MARGIN) == (0.0, 0.0, 0.0)


def block(candidate, stable, within=3):
    every = Count(candidate.bad + stable.bad, candidate.total + stable.total)
    return LabelledBlock(within, candidate, stable, every)


def test_blocks_with_few_labels_are_combined_into_one_table():
    few = block(Count(1, 4), Count(0, 4))
    assert 2 * 8 < MIN_LABELS <= 3 * 8
    two, three = (evidence_of([few] * number, Count(300, 3000), margin=MARGIN) for number in (2, 3))
    assert (two.promote_evidence, two.candidate) == (0.0, NOTHING)
    one = table_factor(Count(3, 12), Count(0, 12), KNOWN, MARGIN)
    assert three.promote_evidence == pytest.approx(one.promote_factor)
    assert three.candidate == Count(3, 12)


def test_a_label_table_ends_at_the_age_class_of_older_labels():
    blocks = [block(Count(1, 4), Count(0, 4)), block(Count(1, 30), Count(2, 30), within=4)]
    found = evidence_of(blocks, Count(300, 3000), margin=MARGIN)
    assert found.candidate == Count(2, 34)


def test_a_block_without_evidence_changes_only_the_expected_share():
    idle = LabelledBlock(0, NOTHING, NOTHING, Count(900, 3000))
    then = block(Count(5, 60), Count(4, 60))
    with_it, without = (
        evidence_of(blocks, Count(300, 3000), margin=MARGIN) for blocks in ([idle, then], [then])
    )
    assert with_it.candidate == without.candidate
    assert with_it.promote_evidence != without.promote_evidence


def test_bursts_reduce_the_evidence_of_a_label_table():
    blocks = [block(Count(2, 60), Count(9, 60))] * 5
    alone, in_bursts = (
        evidence_of(blocks, Count(300, 3000), margin=MARGIN, correlation=rho) for rho in (0.0, 0.05)
    )
    assert 0 < in_bursts.promote_evidence < alone.promote_evidence / 2


def test_the_expected_share_follows_a_changing_stable_version():
    before = Count(REMEMBERED_LABELS, 10 * REMEMBERED_LABELS)
    changed = LabelledBlock(0, NOTHING, NOTHING, Count(100, 200))
    then = block(Count(50, 100), Count(50, 100))
    after_change = evidence_of([*[changed] * 100, then], before, margin=MARGIN)
    settled = table_factor(Count(50, 100), Count(50, 100), (1500.0, 3000.0), MARGIN)
    assert after_change.promote_evidence == pytest.approx(settled.promote_factor, rel=0.1)


def test_the_odds_ratio_combines_tables_of_equal_label_ages_and_not_their_sums():
    """After a change of the share the candidate has mostly young labels, which are of one kind."""
    young = block(Count(90, 100), Count(90, 100), within=1)
    older = block(Count(20, 100), Count(400, 2000), within=4)
    evidence, ratio, _ = label_evidence(
        [young] * 30 + [older] * 10, Count(600, 3000), margin=MARGIN
    )
    ours, theirs = (
        count.bad / (count.total - count.bad) for count in (evidence.candidate, evidence.stable)
    )
    assert ours / theirs > 3
    assert ratio.estimate == pytest.approx(1.0)
    assert ratio.fisher_information > 0


def test_the_odds_ratio_requires_a_table_with_both_outcomes():
    right_alone = [block(Count(0, 50), Count(0, 50))] * 5
    assert label_evidence(right_alone, Count(300, 3000), margin=MARGIN)[1] is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=100, max_size=200))
def test_evidence_does_not_depend_on_how_often_it_was_computed(bads):
    blocks = [block(Count(ours, 9), Count(theirs, 9)) for ours, theirs in bads]
    whole = evidence_of(blocks, Count(300, 3000), margin=MARGIN)
    for end in (64, 99):
        evidence_of(blocks[:end], Count(300, 3000), margin=MARGIN)
    assert evidence_of(blocks, Count(300, 3000), margin=MARGIN) == whole
    assert whole.promote_evidence < inf
