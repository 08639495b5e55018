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
from sluicegate.stats.sequential_test import against, expected_ratio

ODDS: Final = (1.5, 2.0, 4.0)
"""Factors of the odds of a bad event that are looked for beside the margin."""


def harm(
    blocks: Iterable[tuple[Count, Count]], past: Count, *, margin: float, correlation: float = 0.0
) -> tuple[float, Count, Count]:
    """Return ln E of "the candidate is worse", and the events of (candidate, stable) that it rests on.

    Parameters
    ----------
    blocks : (candidate, stable), oldest first. past : stable's events before them.
    margin : δ, the least difference that counts. correlation : ρ of two events of one block.
    """
    reference, arms = past, (NOTHING, NOTHING)
    sums = [0.0] * (1 + len(ODDS))
    for candidate, stable in blocks:
        ratio = expected_ratio(reference, margin)
        reference = summed((reference, stable))
        arms = summed((arms[0], candidate)), summed((arms[1], stable))
        if candidate.total and stable.total:
            factors = _factors(candidate, stable, ratio, margin, correlation=correlation)
            sums = [total + factor for total, factor in zip(sums, factors, strict=True)]
    return _log_mean(sums), *arms


@lru_cache(maxsize=2**14)
def _factors(
    candidate: Count, stable: Count, ratio: float, margin: float, *, correlation: float
) -> tuple[float, ...]:
    """Return ln of one block's factor for each alternative; cached, as each evaluation repeats the blocks."""
    odds = ratio / (1 - ratio)
    raised_ratios = (factor * odds / (1 + factor * odds) for factor in ODDS)
    return tuple(
        against(candidate, stable, alternative, ratio, correlation=correlation)
        for alternative in (ratio + margin, *raised_ratios)
    )


def _log_mean(logarithms: Sequence[float]) -> float:
    """Return the logarithm of the mean of numbers with these logarithms."""
    largest = max(logarithms)
    return largest + log(sum(exp(value - largest) for value in logarithms) / len(logarithms))
