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

SHOWN_BETTER: Final = 0.01
"""Significance level: share of the candidates that are no better and are accepted as better."""
_HALF: Final = 0.5
_BETS: Final = (0.05, 0.1, 0.2, 0.4)
"""Stakes on one row, as shares of the largest possible stake; mixed evenly."""


class Pairs(NamedTuple):
    """Rows that two versions were scored on, by which of them was right."""

    both_right: int
    only_stable_wrong: int
    only_candidate_wrong: int
    both_wrong: int

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self)

    @property
    def discordant(self) -> int:
        """Rows on which exactly one version is wrong."""
        return self.only_stable_wrong + self.only_candidate_wrong


def difference(pairs: Pairs, z: float = Z95) -> Difference:
    """Compute the candidate's bad ratio minus stable's, with one-sided bounds at z (Agresti and Min)."""
    total = pairs.total + 2
    worse, better = pairs.only_candidate_wrong + _HALF, pairs.only_stable_wrong + _HALF
    mean = (worse - better) / total
    error = sqrt(max((worse + better) / total - mean * mean, 0.0) / total)
    estimate = (worse - better) / max(pairs.total, 1)
    return Difference(estimate, max(mean - z * error, -1.0), min(mean + z * error, 1.0))


def better_by_chance(pairs: Pairs) -> float:
    """Compute the probability that a candidate no better has so few discordant rows wrong.

    Exact McNemar, one-sided.
    """
    worse, all_ = pairs.only_candidate_wrong, pairs.discordant
    if all_ == 0:
        return 1.0
    logs = (
        lgamma(all_ + 1) - lgamma(k + 1) - lgamma(all_ - k + 1) - all_ * log(2)
        for k in range(worse + 1)
    )
    return min(sum(exp(value) for value in logs), 1.0)


def is_shown_better(pairs: Pairs) -> bool:
    """Return whether the candidate is better on these rows, at the level `SHOWN_BETTER`."""
    return better_by_chance(pairs) <= SHOWN_BETTER


@dataclass(frozen=True, slots=True)
class PairedEvidence:
    """ln E of "not worse by δ", of "worse" and of "better", with the rows they are computed from."""

    promote: float
    roll_back: float
    better: float
    pairs: Pairs


def weigh(pairs: Pairs, margin: float) -> PairedEvidence:
    """Compute the evidence of independent rows.

    A row has D = 1 (the candidate alone is wrong), −1 (stable alone) or 0. While E[D] ≥ δ the
    capital 1 + λ(δ − D) has a mean of at most 1, for each bet λ that can't lose all of it; so has
    the mixture over bets, and by Ville's inequality it ever reaches 1/α in at most α. The same with
    D against "not worse" (E[D] ≤ 0), and with −D against "not better".
    """
    return PairedEvidence(
        promote=_mixture(pairs.only_stable_wrong, pairs.only_candidate_wrong, pairs, margin),
        roll_back=_mixture(pairs.only_candidate_wrong, pairs.only_stable_wrong, pairs, 0.0),
        better=_mixture(pairs.only_stable_wrong, pairs.only_candidate_wrong, pairs, 0.0),
        pairs=pairs,
    )


def _mixture(gains: int, losses: int, pairs: Pairs, margin: float) -> float:
    """Compute ln of the mean over bets of the product of 1 + λ(δ + 1), 1 + λ(δ − 1) and 1 + λδ."""
    concordant = pairs.both_right + pairs.both_wrong
    most_bet = 1 / (1 - margin)
    logs = []
    for share in _BETS:
        bet = share * most_bet
        logs.append(
            gains * log1p(bet * (1 + margin))
            + losses * log1p(-bet * (1 - margin))
            + concordant * log1p(bet * margin)
        )
    peak = max(logs)
    return peak + log(sum(exp(value - peak) for value in logs) / len(logs))
