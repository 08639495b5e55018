"""Has the product moved away from what it was accepted with? A Bernoulli CUSUM bank, an e-detector.

Each alternative keeps the largest log-likelihood ratio over all starting points of "since then it
is worse". exp(S) is an e-detector under any ratio at or below the baseline's upper bound, constant
or not, so the mean time between false alarms is at least A blocks, and there is no window to
choose. An interval that is looked at hourly alarms on half of all unchanged products in a month.

Source: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential
change detection" (2023). The statistic is computed from running sums: S = max over j of
(L(n) − L(j)), which equals the recursion S ← max(0, S + d) and is several times faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import Final

HOURLY_BLOCKS: Final = 87_600
"""A for hours: ten years between false alarms."""
DAILY_BLOCKS: Final = 3_650
"""A for days: the same ten years."""
PROBATION_BLOCKS: Final = 1_000
"""A during a probation: there is a cheap way back, so it may be quicker to take it."""
FACTORS: Final = (1, 2, 4)
"""Alternatives lie this many times `maxDrop` from the baseline."""
_NEAR_CERTAIN: Final = 20
"""An alternative must leave a twentieth of the good events."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What a bad and a good event add to the log-likelihood ratio against "as accepted"."""

    ratio: float
    per_bad: float
    per_good: float


@dataclass(frozen=True, slots=True)
class Bank:
    """The alternatives that one baseline allows, and where they speak."""

    alternatives: tuple[Alternative, ...]
    bound: float
    """ln(K·A): BAD at or above it, WARN at half."""


def bank(ratio: float, upper: float, drop: float, mean_blocks: int) -> Bank | None:
    """The bank of a baseline; None when no alternative lies beyond what the baseline leaves open.

    Parameters
    ----------
    ratio : p0 of the baseline.
    upper : U0, the baseline's upper bound: the null.
    drop : d, how far the ratio may rise.
    mean_blocks : A, mean number of blocks between false alarms.
    """
    most = 1 - (1 - ratio) / _NEAR_CERTAIN
    ratios = [ratio + factor * drop for factor in FACTORS]
    kept = tuple(
        Alternative(p, log(p / upper), log((1 - p) / (1 - upper))) for p in ratios if upper < p < most
    )
    return Bank(kept, log(len(kept) * mean_blocks)) if kept else None


def statistic(bank: Bank, bad: Sequence[int], total: Sequence[int], phi: float = 1.0) -> float:
    """max over the alternatives of S after the last block; 0 without blocks.

    Parameters
    ----------
    bad, total : events by block, oldest first.
    phi : dispersion; the evidence is divided by it.
    """
    if not bad:
        return 0.0
    bads = list(accumulate(bad))
    goods = [events - wrong for events, wrong in zip(accumulate(total), bads, strict=True)]
    last_bad, last_good = bads[-1], goods[-1]
    largest = 0.0
    for alternative in bank.alternatives:
        up, down = alternative.per_bad, alternative.per_good
        least = min([wrong * up + right * down for wrong, right in zip(bads, goods, strict=True)])
        largest = max(largest, last_bad * up + last_good * down - min(least, 0.0))
    return largest / phi


def strata_statistic(
    banks: Sequence[Bank], bad: Sequence[int], total: Sequence[int], first: int, phi: float = 1.0
) -> float:
    """The same when block i is judged by bank (first + i) mod len(banks): a weekday by its own kind.

    Alternatives that some weekdays lack add nothing on those days.
    """
    largest = 0.0
    for place in range(len(FACTORS)):
        s = 0.0
        for offset, (wrong, events) in enumerate(zip(bad, total, strict=True)):
            alternatives = banks[(first + offset) % len(banks)].alternatives
            if place < len(alternatives):
                step = wrong * alternatives[place].per_bad
                step += (events - wrong) * alternatives[place].per_good
                s = max(0.0, s + step / phi)
        largest = max(largest, s)
    return largest
