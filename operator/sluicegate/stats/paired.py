"""Two versions scored on the same rows: only the discordant rows distinguish them.

Rows that are difficult for both cancel, so fewer rows suffice than with independent samples: the
variance of the difference is that of the discordant rows alone.

Sources: Q. McNemar, Psychometrika 12 (1947) 153–157, exact by the binomial distribution;
A. Agresti and Y. Min, Statistics in Medicine 24 (2005) 729–740 (half a row added to each cell);
for the e-processes, I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables
by betting", JRSS B 86 (2024): a capital that bets on a mean, mixed over the size of the bet.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log, log1p, sqrt
from typing import Final, NamedTuple

from sluicegate.stats.intervals import Z95, Difference

BETTER_ALPHA: Final = 0.01
"""Significance level: share of the candidates that are no better and are accepted as better."""
_CONTINUITY: Final = 0.5
_BET_FRACTIONS: Final = (0.05, 0.1, 0.2, 0.4)
"""Stakes on one row, as shares of the largest possible stake; mixed evenly."""


class Pairs(NamedTuple):
    """Numbers of rows that both versions predicted, by which version was right."""

    both_right: int
    only_stable_wrong: int
    only_candidate_wrong: int
    both_wrong: int

    @property
    def total(self) -> int:
        """Return all rows."""
        return sum(self)

    @property
    def discordant(self) -> int:
        """Return the rows on which exactly one version is wrong."""
        return self.only_stable_wrong + self.only_candidate_wrong


def paired_difference(pairs: Pairs, z_score: float = Z95) -> Difference:
    """Compute the candidate's bad ratio minus stable's, with one-sided bounds at z (Agresti and Min)."""
    total = pairs.total + 2
    candidate_losses, candidate_gains = (
        pairs.only_candidate_wrong + _CONTINUITY,
        pairs.only_stable_wrong + _CONTINUITY,
    )
    mean_difference = (candidate_losses - candidate_gains) / total
    error = sqrt(
        max((candidate_losses + candidate_gains) / total - mean_difference * mean_difference, 0.0)
        / total
    )
    estimate = (candidate_losses - candidate_gains) / max(pairs.total, 1)
    return Difference(
        estimate,
        max(mean_difference - z_score * error, -1.0),
        min(mean_difference + z_score * error, 1.0),
    )


def probability_of_better_by_chance(pairs: Pairs) -> float:
    """Compute the probability that an equal candidate has at most this many discordant rows wrong.

    Exact McNemar, one-sided.
    """
    candidate_losses, discordant_rows = pairs.only_candidate_wrong, pairs.discordant
    if discordant_rows == 0:
        return 1.0
    log_terms = (
        lgamma(discordant_rows + 1)
        - lgamma(losses_count + 1)
        - lgamma(discordant_rows - losses_count + 1)
        - discordant_rows * log(2)
        for losses_count in range(candidate_losses + 1)
    )
    return min(sum(exp(value) for value in log_terms), 1.0)


def is_shown_better(pairs: Pairs) -> bool:
    """Return whether the candidate is better on these rows, at the significance `BETTER_ALPHA`."""
    return probability_of_better_by_chance(pairs) <= BETTER_ALPHA


@dataclass(frozen=True, slots=True)
class PairedEvidence:
    """ln E of "not worse by the margin", "worse" and "better", and the rows that were compared."""

    promote_evidence: float
    roll_back: float
    better_evidence: float
    pairs: Pairs


def paired_evidence(pairs: Pairs, margin: float) -> PairedEvidence:
    """Compute the evidence of independent rows.

    A row has D = 1 (the candidate alone is wrong), −1 (stable alone) or 0. While E[D] ≥ δ the
    capital 1 + λ(δ − D) has a mean of at most 1, for each bet λ that can't lose all of it; so has
    the mixture over bets, and by Ville's inequality it ever reaches 1/α in at most α. The same with
    D against "not worse" (E[D] ≤ 0), and with −D against "not better".
    """
    return PairedEvidence(
        promote_evidence=_bet_mixture(
            pairs.only_stable_wrong, pairs.only_candidate_wrong, pairs, margin
        ),
        roll_back=_bet_mixture(pairs.only_candidate_wrong, pairs.only_stable_wrong, pairs, 0.0),
        better_evidence=_bet_mixture(
            pairs.only_stable_wrong, pairs.only_candidate_wrong, pairs, 0.0
        ),
        pairs=pairs,
    )


def _bet_mixture(gains: int, losses: int, pairs: Pairs, margin: float) -> float:
    """Compute ln of the mean over bets of the product of 1 + λ(δ + 1), 1 + λ(δ − 1) and 1 + λδ."""
    concordant_rows = pairs.both_right + pairs.both_wrong
    max_bet = 1 / (1 - margin)
    log_terms = []
    for bet_fraction in _BET_FRACTIONS:
        bet_size = bet_fraction * max_bet
        log_terms.append(
            gains * log1p(bet_size * (1 + margin))
            + losses * log1p(-bet_size * (1 - margin))
            + concordant_rows * log1p(bet_size * margin)
        )
    peak = max(log_terms)
    return peak + log(sum(exp(value - peak) for value in log_terms) / len(log_terms))
