"""Evidence of blocks of paired rows: as a direct computation has it, and within its promise."""

from itertools import product
from math import comb, exp, inf, log, sqrt

import pytest

from sluicegate.stats.paired import Pairs
from sluicegate.stats.paired_blocks import (
    BlockEvidence,
    expected_blocks,
    expected_rows,
)

FEW_BLOCKS = 5
PRIOR_CORRELATION = 0.07
MARGIN = 0.03
HOLD_OUT = Pairs(430, 20, 25, 25)
BLOCKS = [
    Pairs(30, 3, 2, 5),
    Pairs(35, 2, 6, 5),
    Pairs(90, 9, 4, 10),
    Pairs(12, 0, 1, 2),
    Pairs(40, 4, 4, 4),
    Pairs(50, 1, 9, 6),
    Pairs(44, 6, 0, 3),
    Pairs(41, 2, 3, 0),
]


def gathered(blocks: list[Pairs], known: Pairs = HOLD_OUT) -> BlockEvidence:
    evidence = BlockEvidence()
    for block in blocks:
        evidence = evidence.with_block(block, MARGIN, known)
    return evidence


def correlation_of(blocks: list[Pairs]) -> float:
    """Return ρ from the list of blocks, by its definition."""
    if len(blocks) < FEW_BLOCKS:
        return PRIOR_CORRELATION
    sums = [block.only_candidate_wrong - block.only_stable_wrong for block in blocks]
    sizes = [sum(block) for block in blocks]
    mean = sum(sums) / sum(sizes)
    psi = (0.5 + sum(block.discordant for block in blocks)) / (1 + sum(sizes))
    squares = [(s - n * mean) ** 2 / (n * psi) for s, n in zip(sums, sizes, strict=True)]
    residual = sum(squares) / (len(blocks) - 1)
    upper = max(residual - 1, 0) + 4 * sqrt(2 / len(blocks)) * max(residual, 1)
    return upper / (sum(sizes) / len(blocks) - 1)


def lead_of(blocks: list[Pairs]) -> float:
    """Return the mean difference of earlier blocks, a standard error nearer to none."""
    if len(blocks) < FEW_BLOCKS:
        return 0.0
    rows = sum(map(sum, blocks))
    mean = sum(block.only_candidate_wrong - block.only_stable_wrong for block in blocks) / rows
    psi = (0.5 + sum(block.discordant for block in blocks)) / (1 + rows)
    alike = 1 + (rows / len(blocks) - 1) * correlation_of(blocks)
    error = sqrt(psi * alike / rows)
    return 0.0 if abs(mean) < error else mean - error if mean > 0 else mean + error


def capital_of(blocks: list[Pairs], direction: str) -> float:
    """Return the capital, row by row: a stake known before each block, each row's factor to its power."""
    capital = 1.0
    for place, block in enumerate(blocks):
        earlier = [HOLD_OUT, *blocks[:place]]
        psi = (0.5 + sum(one.discordant for one in earlier)) / (1 + sum(map(sum, earlier)))
        weight = 1 / (1 + (sum(block) - 1) * correlation_of(blocks[:place]))
        lead = lead_of(blocks[:place])
        same = block.both_right + block.both_wrong
        differences = [-1] * block.only_stable_wrong + [1] * block.only_candidate_wrong + [0] * same
        for difference in differences:
            if direction == "promote_evidence":
                stake = min((MARGIN + max(-lead, 0)) / psi, 0.5 / (1 - MARGIN))
                factor = 1 + stake * (MARGIN - difference)
            else:
                factor = 1 + min((MARGIN + max(lead, 0)) / psi, 0.5) * difference
            capital *= factor**weight
    return capital


BETTER = [Pairs(60, 30, 6, 4), Pairs(52, 33, 9, 6), Pairs(50, 40, 5, 5)] * 2
WORSE = [Pairs(rest, worse, better, both) for rest, better, worse, both in BETTER]


@pytest.mark.parametrize("blocks", [BLOCKS, BETTER, WORSE], ids=["alike", "better", "worse"])
@pytest.mark.parametrize("direction", ["promote_evidence", "roll_back"])
def test_evidence_from_sums_of_pairs_equals_evidence_row_by_row(direction, blocks):
    found = getattr(gathered(blocks), direction)
    assert found == pytest.approx(log(capital_of(blocks, direction)), rel=1e-9)


@pytest.mark.parametrize(
    ("blocks", "direction"), [(BETTER, "promote_evidence"), (WORSE, "roll_back")]
)
def test_a_block_has_more_evidence_if_earlier_blocks_show_the_same_difference(blocks, direction):
    """The same block after blocks that show nothing, and after those that show its like."""
    alike = gathered([Pairs(60, 18, 18, 4)] * len(blocks))
    added = [
        getattr(one.with_block(blocks[0], MARGIN), direction) - getattr(one, direction)
        for one in (alike, gathered(blocks))
    ]
    assert added[1] > 2 * added[0] > 0


@pytest.mark.parametrize("count", range(len(BLOCKS) + 1))
def test_the_correlation_from_sums_equals_that_from_blocks(count):
    found = gathered(BLOCKS[:count]).correlation()
    assert found == pytest.approx(correlation_of(BLOCKS[:count]), rel=1e-9)


@pytest.mark.parametrize(
    ("chances", "margin", "direction"),
    [
        ((0.85, 0.05, 0.08, 0.02), 0.03, "promote_evidence"),
        ((0.55, 0.10, 0.25, 0.10), 0.15, "promote_evidence"),
        ((0.80, 0.10, 0.10, 0.00), 0.02, "roll_back"),
        ((0.20, 0.40, 0.40, 0.00), 0.30, "roll_back"),
        ((0.80, 0.10, 0.10, 0.00), 0.02, "better_evidence"),
        ((0.20, 0.40, 0.40, 0.00), 0.30, "better_evidence"),
    ],
)
def test_the_mean_evidence_of_paired_blocks_is_at_most_one_under_the_null_hypothesis(
    chances, margin, direction
):
    """Exact enumeration over two blocks of four rows: the second's stake follows from the first."""
    outcomes = [
        (Pairs(4 - sum(rows), *rows), chance)
        for rows in product(range(5), repeat=3)
        if sum(rows) <= 4 and (chance := _chance(Pairs(4 - sum(rows), *rows), chances)) > 0
    ]
    mean = sum(
        first_chance
        * second_chance
        * exp(
            getattr(BlockEvidence().with_block(first, margin).with_block(second, margin), direction)
        )
        for first, first_chance in outcomes
        for second, second_chance in outcomes
    )
    assert mean <= 1 + 1e-9


def _chance(pairs: Pairs, chances: tuple[float, ...]) -> float:
    ways, left = 1.0, sum(pairs)
    for count, chance in zip(pairs, chances, strict=True):
        ways *= comb(left, count) * chance**count
        left -= count
    return ways


def test_a_block_without_pairs_does_not_change_the_evidence():
    evidence = gathered(BLOCKS)
    assert evidence.with_block(Pairs(0, 0, 0, 0), MARGIN, HOLD_OUT) == evidence


def test_pairs_that_always_differ_together_have_a_correlation_of_one():
    assert gathered([Pairs(0, 2, 0, 0), Pairs(0, 0, 2, 0)] * 4).correlation() == 1


def test_a_difference_that_varies_by_day_gives_less_evidence():
    even = gathered([Pairs(80, 10, 10, 0)] * 8)
    bursts = gathered([Pairs(80, 20, 0, 0), Pairs(80, 0, 20, 0)] * 4)
    assert bursts.correlation() > 5 * even.correlation()
    block = Pairs(90, 6, 4, 0)
    added = [
        one.with_block(block, MARGIN).promote_evidence - one.promote_evidence
        for one in (even, bursts)
    ]
    assert 0 < added[1] < added[0] / 2


def test_the_number_of_single_row_blocks_needed_is_as_expected():
    """A block of one row is never discounted, so the growth of the evidence is the rule's own."""
    psi = 0.1
    evidence = BlockEvidence()
    rows = [Pairs(0, 1, 0, 0), Pairs(0, 0, 1, 0), *[Pairs(1, 0, 0, 0)] * 18]
    known = Pairs(899_999, 50_000, 50_000, 0)
    for row in rows:
        evidence = evidence.with_block(row, MARGIN, known)
    assert expected_rows(psi, MARGIN, evidence.promote_evidence) == pytest.approx(
        len(rows), rel=1e-3
    )
    assert expected_rows(psi, MARGIN, -1.0) == 0


def test_the_expected_number_of_blocks_includes_the_discount_and_may_be_infinite():
    assert expected_blocks(5_000, 732) == 6, "five blocks of 14 rows, then hundreds a block"
    assert expected_blocks(0.5, 10) == 20
    assert expected_blocks(2, 1e9) == inf
    assert expected_blocks(1, 10) == 10
    assert expected_blocks(50, 0) == 0


@pytest.mark.parametrize("rows", [2, 30, 5_000])
@pytest.mark.parametrize("needed", [1, 40, 700])
def test_planning_uses_the_correlation_measured_at_the_time_of_a_block(rows, needed):
    counted, blocks = 0.0, 0
    while counted < needed:
        correlation = 0.07 if blocks < 5 else min(4 * sqrt(2 / blocks) / (rows - 1), 1)
        counted += rows / (1 + (rows - 1) * correlation)
        blocks += 1
    assert expected_blocks(rows, needed) == blocks


def test_planning_covers_at_most_ten_thousand_blocks():
    """Of two rows each: their correlation is then 4 √(2/n)."""
    counted = sum(
        2 / (1 + min(4 * sqrt(2 / block), 1) if block >= 5 else 1.07) for block in range(10_000)
    )
    assert expected_blocks(2, counted - 1e-6) == 10_000
    assert expected_blocks(2, counted + 1e-6) == inf
    assert expected_rows(0.1, 0.0, 3.0) == inf
