"""The promise of the shadow phase: wrong in at most 5 % both ways, bursts of differences included.

Rows are drawn block by block from a Dirichlet distribution, so that two differences of one block
are correlated by ρ. A rollout ends with the first bound that is reached (docs/adr/0018). What is
marked `grid` is left out where nothing of this was changed.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sluicegate.stats.paired import Pairs
from sluicegate.stats.paired_blocks import BlockEvidence
from sluicegate.stats.sequential_test import promotion_bound, rollback_bound

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

RUNS = 300
BAR = 0.05 + 3 * sqrt(0.05 * 0.95 / RUNS)
DISCORDANT = 0.11
MOST = {20: 200, 100: 100, 500: 60, 5_000: 40}
"""Blocks of a rollout by the rows of each."""
LONG = pytest.mark.grid
BLOCKS = [pytest.param(20, marks=LONG), 100, pytest.param(500, marks=LONG), 5_000]
CORRELATIONS = [0.0, pytest.param(0.01, marks=LONG), pytest.param(0.05, marks=LONG), 0.1]


def drawn(rows: int, correlation: float, mean: float, seed: int) -> NDArray[np.int64]:
    """(only stable wrong, only the candidate wrong, neither or both) by run and block."""
    random = np.random.default_rng(seed)
    shares = np.array([(DISCORDANT - mean) / 2, (DISCORDANT + mean) / 2, 1 - DISCORDANT])
    size = (RUNS, MOST[rows])
    if correlation:
        chances = random.dirichlet(shares * (1 - correlation) / correlation, size=size)
    else:
        chances = np.broadcast_to(shares, (*size, 3))
    return random.multinomial(rows, chances)


def ends(
    rows: int, correlation: float, *, margin: float, worse: float = 0.0, few: int | None = None
) -> tuple[float, float]:
    """Shares of the rollouts that are promoted and rolled back; `few` ends them after so many blocks."""
    outcomes = [
        _end(blocks[:few], margin)
        for blocks in drawn(rows, correlation, worse, seed=rows + round(1e4 * worse)).tolist()
    ]
    return outcomes.count("promoted") / RUNS, outcomes.count("rolled back") / RUNS


def _end(blocks: list[list[int]], margin: float) -> str:
    evidence = BlockEvidence()
    for better, only_ours, rest in blocks:
        evidence = evidence.with_block(Pairs(rest, better, only_ours, 0), margin)
        if evidence.promote_evidence >= promotion_bound(1, 1):
            return "promoted"
        if evidence.roll_back >= rollback_bound(1):
            return "rolled back"
    return "open"


@pytest.mark.parametrize("margin", [pytest.param(0.015, marks=LONG), 0.03])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("rows", BLOCKS)
def test_a_candidate_judged_by_shadow_rows_gets_a_wrong_verdict_in_at_most_5_percent_of_cases(
    rows, correlation, margin
):
    _, rolled_back = ends(rows, correlation, margin=margin)
    promoted, _ = ends(rows, correlation, margin=margin, worse=margin)
    assert rolled_back <= BAR
    assert promoted <= BAR


@pytest.mark.parametrize("rows", BLOCKS)
def test_the_error_rate_holds_in_blocks_before_the_dispersion_is_known(rows):
    assert ends(rows, 0.1, margin=0.03, few=5)[1] <= BAR
    assert ends(rows, 0.1, margin=0.03, worse=0.03, few=5)[0] <= BAR


@pytest.mark.parametrize("rows", [100, 5_000])
def test_a_few_days_of_independent_rows_decide_a_shadow_phase(rows):
    """Three points: within two weeks of 5,000 rows a day, in 100 blocks of 100 rows."""
    days = 14 if rows == 5_000 else 100
    promoted, _ = ends(rows, 0.0, margin=0.03, few=days)
    assert promoted >= 0.95
