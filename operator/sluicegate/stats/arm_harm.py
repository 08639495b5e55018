"""Evidence that one arm of a canary is worse, by a mixture of alternatives.

The canary's own test looks for a difference by the margin. In a market with few events a version may be
worse by far more, and that is found sooner by alternatives that are far away: the mean of the evidence
for several alternatives is evidence, too, as each has a mean of at most 1 while the arm isn't worse.

Source: as in sequential_test.py, for the simple alternative against the pooled ratio; the method of
mixtures of H. Robbins (1970).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import exp, log
from typing import Final

from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.sequential_test import expected_ratio, log_factor_against

ODDS: Final = (1.5, 2.0, 4.0)
"""Factors of the odds of a bad event that are looked for beside the margin."""


def arm_harm_evidence(
    blocks: Iterable[tuple[Count, Count]],
    earlier_counts: Count,
    *,
    margin: float,
    correlation: float = 0.0,
) -> tuple[float, Count, Count]:
    """Return ln E of "the candidate is worse", and the (candidate, stable) events that were counted for it.

    Parameters
    ----------
    blocks : (candidate, stable), oldest first. past : stable's events before them.
    margin : δ, the least difference that counts. correlation : ρ of two events of one block.
    """
    reference, arm_counts = earlier_counts, (NOTHING, NOTHING)
    log_factor_sums = [0.0] * (1 + len(ODDS))
    for candidate, stable in blocks:
        ratio = expected_ratio(reference, margin)
        reference = summed((reference, stable))
        arm_counts = summed((arm_counts[0], candidate)), summed((arm_counts[1], stable))
        if candidate.total and stable.total:
            odds_factors = _odds_factors(candidate, stable, ratio, margin, correlation=correlation)
            log_factor_sums = [
                total + factor for total, factor in zip(log_factor_sums, odds_factors, strict=True)
            ]
    return _log_mean(log_factor_sums), *arm_counts


@lru_cache(maxsize=2**14)
def _odds_factors(
    candidate: Count, stable: Count, ratio: float, margin: float, *, correlation: float
) -> tuple[float, ...]:
    """Return ln of one block's factor for each alternative; cached, as each evaluation repeats the blocks."""
    odds = ratio / (1 - ratio)
    raised_ratios = (factor * odds / (1 + factor * odds) for factor in ODDS)
    return tuple(
        log_factor_against(candidate, stable, alternative, ratio, correlation=correlation)
        for alternative in (ratio + margin, *raised_ratios)
    )


def _log_mean(log_values: Sequence[float]) -> float:
    """Return the logarithm of the mean of numbers with these logarithms."""
    largest_log = max(log_values)
    return largest_log + log(
        sum(exp(value - largest_log) for value in log_values) / len(log_values)
    )
