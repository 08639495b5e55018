"""Two versions on the same rows, block after block: evidence that is valid after every block.

A row has D = 1 (the candidate alone is wrong), −1 (stable alone is) or 0. While the mean of D is δ
or more in each block, given the blocks before, the product of 1 + λ(δ − D) over independent rows
has a mean of at most 1, if the stake λ is known before the block; so by Ville's inequality it ever
reaches 1/α in at most α. The same with D against "not worse", and with −D against "not better". The
null may change from block to block within its bounds, and the number of blocks and rows may depend
on earlier results.

Rows of one block are not independent if the difference of the models varies from day to day. So a
block counts as n/(1 + (n − 1) ρ) rows, as in the canary (docs/adr/0004); ρ is of the differences,
of the blocks before. docs/adr/0018 has the derivation, and a simulation of the discount.

Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 86 (2024): the capital of a bet on a mean, with a predictable stake.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import copysign, inf, log1p, sqrt
from typing import Final

from sluicegate.stats.dispersion import UPPER_SIGMAS, independent_share
from sluicegate.stats.paired import Pairs

FEW_BLOCKS: Final = 5
"""Number of blocks from which on their scatter and their mean are estimated."""
PRIOR_CORRELATION: Final = 0.07
"""ρ before that: the largest on whole days of published streams (docs/adr/0018)."""
MAX_STAKE: Final = 0.5
"""Largest stake, as a share of the stake of which a single row could lose all."""
MAX_BLOCKS: Final = 10_000
"""Most blocks that `expected_blocks` plans ahead."""
NO_ROWS: Final = Pairs(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """Evidence of all blocks so far.

    Ln E of "not worse by δ", "worse" and "better", and the state for the next.

    Attributes
    ----------
    pairs : rows of all blocks. blocks : number of those with rows.
    squares : the sum of S²/n over blocks, S = only the candidate wrong − only stable wrong.
    promote, roll_back, better : ln E.
    """

    pairs: Pairs = NO_ROWS
    blocks: int = 0
    squared_shifts: float = 0.0
    promote_evidence: float = 0.0
    roll_back: float = 0.0
    better_evidence: float = 0.0

    def correlation(self) -> float:
        """Estimate an upper bound on the correlation of two rows of one block, within [0, 1].

        The mean squared residual, plus four of its standard errors. These grow with the residuals:
        errors as of independent rows let 11 % of the candidates worse by δ pass with blocks of
        5,000 rows and ρ = .1, these 2 % (docs/adr/0018).
        """
        rows_per_block = self.pairs.total / self.blocks if self.blocks else 0.0
        if self.blocks < FEW_BLOCKS or rows_per_block <= 1:
            return PRIOR_CORRELATION
        shift = _difference(self.pairs)
        excess_squares = max(self.squared_shifts - shift * shift / self.pairs.total, 0.0)
        block_dispersion = excess_squares / discordance(self.pairs) / (self.blocks - 1)
        error = UPPER_SIGMAS * sqrt(2 / self.blocks) * max(block_dispersion, 1.0)
        return min((max(block_dispersion - 1, 0.0) + error) / (rows_per_block - 1), 1.0)

    def _mean_difference(self) -> float:
        """Return the mean difference so far, shrunk by one standard error towards 0, at most to 0.

        The stake with the fastest growth is near (δ − μ)/ψ: for a far better candidate it is many
        times that of an equal one, so a fraction of the labels suffices.
        """
        if self.blocks < FEW_BLOCKS:
            return 0.0
        independent_fraction = independent_share(self.pairs.total / self.blocks, self.correlation())
        error = sqrt(discordance(self.pairs) / (independent_fraction * self.pairs.total))
        raw_difference = _difference(self.pairs) / self.pairs.total
        return copysign(max(abs(raw_difference) - error, 0.0), raw_difference)

    def with_block(
        self, block: Pairs, margin: float, earlier_pairs: Pairs = NO_ROWS
    ) -> BlockEvidence:
        """Return the evidence after another block; a block without rows changes nothing.

        Parameters
        ----------
        margin : δ, within (0, 1). earlier : rows before the first block, for the stake alone.
        """
        if not block.total:
            return self
        independent_part = independent_share(block.total, self.correlation())
        discordant_ratio, earlier_difference = (
            discordance(add_pairs(self.pairs, earlier_pairs)),
            self._mean_difference(),
        )
        gains, losses = block.only_stable_wrong, block.only_candidate_wrong
        promote_stake = min(
            (margin + max(-earlier_difference, 0.0)) / discordant_ratio, MAX_STAKE / (1 - margin)
        )
        stake_against = min((margin + max(earlier_difference, 0.0)) / discordant_ratio, MAX_STAKE)
        promote_evidence = gains * log1p(promote_stake * (1 + margin)) + losses * log1p(
            -promote_stake * (1 - margin)
        )
        promote_evidence += (block.both_right + block.both_wrong) * log1p(promote_stake * margin)
        roll_back = losses * log1p(stake_against) + gains * log1p(-stake_against)
        better_stake = min((margin + max(-earlier_difference, 0.0)) / discordant_ratio, MAX_STAKE)
        better_evidence = gains * log1p(better_stake) + losses * log1p(-better_stake)
        return BlockEvidence(
            add_pairs(self.pairs, block),
            self.blocks + 1,
            self.squared_shifts + _difference(block) ** 2 / block.total,
            self.promote_evidence + independent_part * promote_evidence,
            self.roll_back + independent_part * roll_back,
            self.better_evidence + independent_part * better_evidence,
        )


def expected_rows(discordant_ratio: float, margin: float, ln_evidence: float) -> float:
    """Compute the mean number of rows until an equal candidate has this much evidence, by single rows.

    0 if it has the evidence already; infinite without a margin.

    Parameters
    ----------
    psi : ψ, share of discordant rows, within (0, 1).
    margin : δ. ln_evidence : the missing part of ln E.
    """
    stake = min(margin / discordant_ratio, MAX_STAKE / (1 - margin))
    growth_per_row = (
        discordant_ratio / 2 * (log1p(stake * (1 + margin)) + log1p(-stake * (1 - margin)))
    )
    growth_per_row += (1 - discordant_ratio) * log1p(stake * margin)
    return max(ln_evidence, 0.0) / growth_per_row if growth_per_row > 0 else inf


@lru_cache(maxsize=2**10)
def expected_blocks(rows: float, needed_evidence: float) -> float:
    """Return the number of blocks until correlated rows count as `needed_evidence` independent rows; infinite beyond `MAX_BLOCKS`.

    Parameters
    ----------
    rows : of a block, above 0. needed : independent rows.
    """
    if rows <= 1:
        return needed_evidence / rows
    independent_rows, blocks = 0.0, 0
    while independent_rows < needed_evidence:
        if blocks >= MAX_BLOCKS:
            return inf
        error = (
            UPPER_SIGMAS * sqrt(2 / blocks) / (rows - 1)
            if blocks >= FEW_BLOCKS
            else PRIOR_CORRELATION
        )
        independent_rows += rows * independent_share(rows, min(error, 1.0))
        blocks += 1
    return blocks


def discordance(pairs: Pairs) -> float:
    """Estimate ψ, the share of discordant rows; ½ without any rows."""
    return (0.5 + pairs.discordant) / (1 + pairs.total)


def add_pairs(first_pairs: Pairs, second_pairs: Pairs) -> Pairs:
    """Add up the rows of two sets of pairs."""
    return Pairs(
        *(
            first_rows + second_rows
            for first_rows, second_rows in zip(first_pairs, second_pairs, strict=True)
        )
    )


def _difference(pairs: Pairs) -> int:
    return pairs.only_candidate_wrong - pairs.only_stable_wrong
