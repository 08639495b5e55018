"""Evidence that one arm is worse: few events suffice for a large difference, and equal arms are rarely called worse."""

from __future__ import annotations

import random
from math import exp, log

import pytest
from scipy.stats import binom

from sluicegate.stats.arm_harm import arm_harm_evidence
from sluicegate.stats.counts import Count
from sluicegate.stats.sequential_test import expected_ratio

CELLS = 7
BOUND = log(CELLS / 0.05)
PAST = Count(90, 1000)


def drawn(seed, ours, theirs, *, events=4, blocks=120):
    """Return blocks of both arms; the candidate has a third of the events."""
    dice = random.Random(seed)

    def count(total, ratio):
        return Count(sum(dice.random() < ratio for _ in range(total)), total)

    return [(count(events, ours), count(2 * events, theirs)) for _ in range(blocks)]


def first_called(blocks):
    """Return number of blocks after which the candidate is called worse; None if it never is."""
    return next(
        (
            n
            for n in range(1, len(blocks) + 1)
            if arm_harm_evidence(blocks[:n], PAST, margin=0.015)[0] >= BOUND
        ),
        None,
    )


def test_the_mean_evidence_factor_of_a_market_is_at_most_one_for_equal_versions():
    """All counts of one block are enumerated, for ratios around the expected one."""
    for ratio in (0.02, 0.09, 0.3, 0.6):
        mean = sum(
            binom.pmf(ours, 3, ratio)
            * binom.pmf(theirs, 5, ratio)
            * exp(arm_harm_evidence([(Count(ours, 3), Count(theirs, 5))], PAST, margin=0.015)[0])
            for ours in range(4)
            for theirs in range(6)
        )
        assert mean <= 1 + 1e-9


def test_a_market_worse_by_thirty_points_is_detected_with_dozens_of_events():
    found = sorted(first_called(drawn(seed, 0.39, 0.09)) for seed in range(15))
    assert 4 * found[7] <= 60, "events of the candidate, the median of fifteen"


def test_equal_versions_are_called_worse_in_a_market_in_at_most_one_of_twenty_rollouts():
    runs = 60
    wrong = sum(
        any(first_called(drawn(f"{run} {cell}", 0.09, 0.09, blocks=60)) for cell in range(CELLS))
        for run in range(runs)
    )
    assert wrong <= binom.ppf(0.999, runs, 0.05)


@pytest.mark.parametrize("blocks", [[], [(Count(0, 0), Count(1, 9))], [(Count(1, 2), Count(0, 0))]])
def test_a_version_without_events_is_no_evidence_of_harm(blocks):
    assert arm_harm_evidence(blocks, PAST, margin=0.015)[0] == 0


def test_the_expected_ratio_of_a_market_comes_from_earlier_blocks_only():
    (ours, theirs) = drawn(1, 0.2, 0.2, blocks=1)[0]
    evidence, candidate, stable = arm_harm_evidence([(ours, theirs)], PAST, margin=0.015)
    assert (candidate, stable) == (ours, theirs)
    assert evidence == arm_harm_evidence([(ours, theirs)], PAST, margin=0.015)[0]
    assert 0 < expected_ratio(PAST, 0.015) < 1
