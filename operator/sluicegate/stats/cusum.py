"""A bank of Bernoulli CUSUMs (an e-detector) for a ratio that rises above its baseline.

Each alternative keeps the largest log-likelihood ratio over all possible moments of the change.
exp(S) is an e-detector under any ratio at or below the baseline's upper bound, constant or not, so
the mean time between false alarms is at least A blocks, and no window has to be chosen. An interval
that is checked hourly alarms on half of all unchanged products in a month.

Source: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential
change detection" (2023).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Final

from sluicegate.stats.change_point import alternative_drops

HOURLY_BLOCKS: Final = 87_600
"""A for hours: ten years between false alarms."""
DAILY_BLOCKS: Final = 3_650
"""A for days: the same ten years."""
PROBATION_BLOCKS: Final = 1_000
"""A during a probation: a false alarm costs only a rollback, so the detector may be faster."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Increments of the log-likelihood ratio of a bad and of a good event, against "as accepted"."""

    ratio: float
    per_bad: float
    per_good: float


@dataclass(frozen=True, slots=True)
class Bank:
    """A null ratio, the alternative ratios that are tested against it, and the bound that raises the alarm."""

    alternatives: tuple[Alternative, ...]
    alarm_bound: float
    """ln(K·A): Missed at or above it, AtRisk at half."""


@lru_cache(maxsize=2**16)
def cusum_bank(
    ratio: float, upper_ratio: float, ratio_drop: float, mean_blocks: int
) -> Bank | None:
    """Return the bank of a baseline; None if the baseline's own uncertainty covers all alternatives.

    Parameters
    ----------
    ratio : p0 of the baseline.
    upper : U0, the baseline's upper bound: the null.
    drop : d, how far the ratio may rise.
    mean_blocks : A, mean number of blocks between false alarms.
    """
    risen_ratios = [ratio + ratio_rise for ratio_rise in alternative_drops(ratio, ratio_drop)]
    testable_ratios = [
        alternative_ratio for alternative_ratio in risen_ratios if alternative_ratio > upper_ratio
    ]
    return (
        cusum_bank_against(upper_ratio, testable_ratios, mean_blocks) if testable_ratios else None
    )


def cusum_bank_against(
    null_ratio: float, alternative_ratios: Sequence[float], mean_blocks: float
) -> Bank:
    """Return the bank that tests these alternative ratios, at least one, against a null ratio.

    Parameters
    ----------
    null, ratios : in (0, 1); each alternative is above the null.
    mean_blocks : A, mean number of blocks between false alarms.
    """
    tested = tuple(
        Alternative(
            alternative_ratio,
            log(alternative_ratio / null_ratio),
            log((1 - alternative_ratio) / (1 - null_ratio)),
        )
        for alternative_ratio in alternative_ratios
    )
    return Bank(tested, log(len(tested) * mean_blocks))


@dataclass(frozen=True, slots=True)
class Progress:
    """The statistic after some block, with the state that the next block needs.

    Attributes
    ----------
    values : S of each alternative.
    zeros : index of the block that comes after the last 0 of S, by alternative.
    start : index of the first block.
    next : index of the block that comes next.
    """

    values: tuple[float, ...]
    zero_positions: tuple[int, ...]
    start: int
    next_block: int

    @property
    def statistic(self) -> float:
        """Return the largest CUSUM statistic of the bank's alternatives."""
        return max(self.values)

    def can_continue_to(self, first_block: int, last_block: int) -> bool:
        """Return whether continuing from here to `last` gives the same result as a start at `first`.

        Two recursions agree once the one that began earlier has reached 0: so a sliding window
        needs no new computation, unless S has been above 0 since its start.
        """
        return (
            self.start <= first_block
            and self.next_block <= last_block + 1
            and min(self.zero_positions) >= first_block
        )


def begin_cusum(cusum_bank: Bank, first_block: int) -> Progress:
    """Return the state before the first block."""
    count = len(cusum_bank.alternatives)
    return Progress((0.0,) * count, (first_block,) * count, first_block, first_block)


def advance_cusum(
    progress: Progress, cusum_bank: Bank, counts: Iterable[tuple[int, int]], phi: float = 1.0
) -> Progress:
    """Update S ← max(0, S + [x ln(p/U0) + (n − x) ln((1 − p)/(1 − U0))]/φ), block by block.

    Parameters
    ----------
    counts : (bad, total) of the blocks from `progress.next` on.
    phi : dispersion; the evidence is divided by it.
    """
    blocks = [(bad_events, total - bad_events) for bad_events, total in counts]
    values, zero_positions = [], []
    for alternative_index, alternative in enumerate(cusum_bank.alternatives):
        bad_step, good_step = alternative.per_bad / phi, alternative.per_good / phi
        statistic, zero_position, index = (
            progress.values[alternative_index],
            progress.zero_positions[alternative_index],
            progress.next_block,
        )
        for bad_events, good_events in blocks:
            index += 1
            statistic += bad_events * bad_step + good_events * good_step
            if statistic <= 0.0:
                statistic, zero_position = 0.0, index
        values.append(statistic)
        zero_positions.append(zero_position)
    return Progress(
        tuple(values), tuple(zero_positions), progress.start, progress.next_block + len(blocks)
    )


def advance_strata(
    progress: Progress,
    banks: Sequence[Bank],
    counts: Iterable[tuple[int, int]],
    phi: float = 1.0,
) -> Progress:
    """Update the CUSUM statistics; block i uses bank i mod len(banks), such as one bank for each weekday.

    All banks must hold the same number of alternatives.
    """
    if len(banks) == 1:
        return advance_cusum(progress, banks[0], counts, phi)
    for count in counts:
        progress = advance_cusum(progress, banks[progress.next_block % len(banks)], (count,), phi)
    return progress
