"""A canary that waits for a person for two weeks costs a read of its newest block, not of all."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.stats.sequential_test import block_factor
from tests.support.decisions.judged import (
    CANARY,
    START,
    both_arms,
    candidate,
    judged_by,
    observed,
    serving,
)
from tests.support.decisions.scenarios import ACCURACY

FORTNIGHT = 14 * 86_400 // CANARY
TERMS = judged_by(ACCURACY)


@pytest.mark.slow
def test_an_evaluation_after_fourteen_days_computes_evidence_of_new_blocks_only():
    """All were computed again in each reconcile, seconds of them, once a minute."""
    one = candidate(5)
    status = serving(candidate=one)
    blocks = [
        block
        for number in range(FORTNIGHT + 2)
        for block in both_arms(
            {"accuracy": (number % 7, 100)},
            {"accuracy": (number % 5, 1900)},
            1,
            begin=START + number * CANARY,
        )
    ]
    known = assess(TERMS, status, one, observed(blocks[:-1]))
    before = block_factor.cache_info().misses
    after = assess(TERMS, status, one, observed(blocks))
    computed = block_factor.cache_info().misses
    assert after.slos[0].blocks == known.slos[0].blocks + 1 > FORTNIGHT - 10
    assert computed - before == 1
