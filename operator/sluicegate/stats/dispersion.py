"""Dispersion φ: the factor by which counts scatter more than independent events would.

Failures occur in bursts. A burst of fifty bad requests is nearer to one event than to fifty, so
evidence divided by φ keeps its error rates; undivided, bursts of correlation .01 roll back 19 % of
the good canaries (decisions are simulated in tests/simulation).

Source: quasi-binomial dispersion, P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd
ed., §4.5: Pearson's χ² over its degrees of freedom.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from typing import Final, NamedTuple

from sluicegate.stats.cached_fold import Derived, fold_cached

MIN_BLOCKS: Final = 30
"""Non-empty blocks below which the estimate's own error exceeds its correction."""
MIN_BLOCKS_PER_LEVEL: Final = 5
"""Least number of blocks of a level: a single burst is no level."""
CLEAR_SHIFT: Final = 49.0
"""Square of seven standard deviations: the least distance of two levels."""
CLEARER_FACTOR: Final = 1 + 1e-9
"""Factor by which a split must be better than an earlier one, so that rounding errors don't decide."""
MAX_DISPERSION: Final = 10.0
"""Largest φ: a higher estimate has another cause, and must not suppress every alarm."""


def dispersion(
    counts: Iterable[tuple[int, int]],
    *,
    min_blocks: int = MIN_BLOCKS,
    max_dispersion: float = MAX_DISPERSION,
) -> float:
    """Estimate φ of (bad, total) by block, within [1, most]; 1 if fewer than `least` blocks hold events."""
    blocks = [(bad_events, total) for bad_events, total in counts if total > 0]
    if len(blocks) < min_blocks:
        return 1.0
    return min(max(sum(_residuals(blocks)) / (len(blocks) - 1), 1.0), max_dispersion)


ArmPair = tuple[object, tuple[int, int]]
"""Counts of one block: the candidate's, and (bad, total) of stable."""


class ScatterSums(NamedTuple):
    """Sums over blocks with events: their number, bad and all events, and squared bad events by all events."""

    blocks: int = 0
    bad_events: int = 0
    total: int = 0
    squares: float = 0.0

    @property
    def dispersion(self) -> float:
        """Return φ as `dispersion` estimates it, to ten digits."""
        if self.blocks < MIN_BLOCKS or self.bad_events in (0, self.total):
            return 1.0
        ratio = self.bad_events / self.total
        residuals = (self.squares - ratio * self.bad_events) / (ratio * (1 - ratio))
        return min(max(residuals / (self.blocks - 1), 1.0), MAX_DISPERSION)


def scatter_sums(
    earlier_sums: ScatterSums, counts: Iterable[ArmPair], _: object = None
) -> ScatterSums:
    """Add (bad, total) by block to the sums; `counts` are pairs of a candidate's and stable's."""
    blocks, all_bad, all_events, squares = earlier_sums
    for _candidate, (bad_events, total) in counts:
        if total > 0:
            blocks += 1
            all_bad += bad_events
            all_events += total
            squares += bad_events * bad_events / total
    return ScatterSums(blocks, all_bad, all_events, squares)


@dataclass(frozen=True, slots=True)
class StableScatter:
    """Counts of stable by block, whose dispersion is needed in few passes.

    Attributes
    ----------
    before : (bad, total) of the blocks before the rollout. pairs : (candidate, stable) of those since.
    """

    before: tuple[tuple[int, int], ...] = ()
    pairs: Derived[ArmPair] | tuple[ArmPair, ...] = ()

    @property
    def dispersion(self) -> float:
        """Return φ of all of them."""
        before = scatter_sums(ScatterSums(), ((None, count) for count in self.before))
        return fold_cached(scatter_sums, before, self.pairs, (0.0, 0.0)).dispersion


def successive_dispersion(counts: Iterable[tuple[int, int]]) -> float:
    """Estimate φ of (bad, total) by unit from the differences of neighbours, within [1, MOST].

    A change of the level makes one difference large and not all residuals, so the estimate holds
    across a change that is to be found. 1 if fewer than `MIN_BLOCKS` pairs hold events.

    Source: J. von Neumann, "Distribution of the ratio of the mean square successive difference to
    the variance", Ann. Math. Statist. 12 (1941) 367–395.
    """
    units = [(bad_events, total) for bad_events, total in counts if total > 0]
    total = sum(n for _, n in units)
    ratio = sum(bad_events for bad_events, _ in units) / total if total else 0.0
    variance = ratio * (1 - ratio)
    if len(units) <= MIN_BLOCKS or variance == 0:
        return 1.0
    squared_differences = [
        (x / n - y / next_total) ** 2 / (variance * (1 / n + 1 / next_total))
        for (x, n), (y, next_total) in pairwise(units)
    ]
    return min(max(sum(squared_differences) / len(squared_differences), 1.0), MAX_DISPERSION)


UPPER_SIGMAS: Final = 4.0
"""Standard errors that are added to the mean residual. Rare bursts make the residuals so skew that
2.3 (a normal 99 %) promotes 8.5 % of the candidates worse by δ where .1 % are bad and ρ is .05;
with 4 it is 5.4 %, and a canary with bursts of ρ = .01 takes 47 minutes instead of 40
(docs/adr/0004)."""


def burst_correlation(counts: Iterable[tuple[int, int]], *, shift: int = 0) -> float:
    """Estimate ρ of (bad, total) by block: the correlation of two events of one block, within [0, 1].

    It is an upper bound, from mean and scatter of the squared residuals. Unlike φ it doesn't depend
    on the number of events in a block, so an estimate from stable's full traffic holds for a canary
    with a twentieth of it (docs/adr/0004). 0 if fewer than 30 blocks hold events.

    Parameters
    ----------
    shift : blocks before this one are on another level (`level_shift`), and compared with that.
    """
    counts = list(counts)
    level_blocks = [
        [block_count for block_count in blocks_of_level if block_count[1] > 0]
        for blocks_of_level in (counts[:shift], counts[shift:])
    ]
    filled_levels = [blocks_of_level for blocks_of_level in level_blocks if blocks_of_level]
    total = sum(n for blocks_of_level in filled_levels for _, n in blocks_of_level)
    total_bad = sum(
        bad_events for blocks_of_level in filled_levels for bad_events, _ in blocks_of_level
    )
    count = sum(map(len, filled_levels))
    if count < MIN_BLOCKS or total_bad in (0, total) or total <= count:
        return 0.0
    residuals = [
        block_residual
        for blocks_of_level in filled_levels
        for block_residual in _residuals(blocks_of_level)
    ]
    mean_residual = sum(residuals) / count
    residual_deviation = sqrt(
        sum((block_residual - mean_residual) ** 2 for block_residual in residuals) / count
    )
    upper_bound = mean_residual * count / (
        count - len(filled_levels)
    ) + UPPER_SIGMAS * residual_deviation / sqrt(count)
    return min(max((upper_bound - 1) / (total / count - 1), 0.0), 1.0)


def _residuals(blocks: Sequence[tuple[int, int]]) -> list[float]:
    """Compute Pearson's squared residuals about the blocks' own ratio; zeros if that is 0 or 1."""
    ratio = sum(bad_events for bad_events, _ in blocks) / sum(total for _, total in blocks)
    variance = ratio * (1 - ratio)
    if variance == 0:
        return [0.0] * len(blocks)
    return [(bad_events - n * ratio) ** 2 / (n * variance) for bad_events, n in blocks]


@lru_cache(maxsize=2**10)
def level_shift(blocks: tuple[tuple[int, int], ...]) -> int:
    """Return the index of the block from which the bad ratio differs; 0 if it is constant.

    A model that decays an hour before the canary of its successor changes its level once. If that
    counted as bursts, it would reduce the canary's evidence a hundredfold: a candidate six points
    worse had no verdict after four hours. Bursts scatter on both sides of any split, so they are no
    shift: the difference has to be seven of its own standard deviations, scatter within both
    included.
    """
    best_distance, best_split = CLEAR_SHIFT, 0
    for split_position in range(MIN_BLOCKS_PER_LEVEL, len(blocks) - MIN_BLOCKS_PER_LEVEL + 1):
        split_distance = _level_distance(blocks[:split_position], blocks[split_position:])
        if split_distance > best_distance * CLEARER_FACTOR:
            best_distance, best_split = split_distance, split_position
    return best_split


def _level_distance(
    early_blocks: Sequence[tuple[int, int]], late_blocks: Sequence[tuple[int, int]]
) -> float:
    """Compute the squared difference of two blocks' bad ratios, divided by the variance of that difference."""
    level_blocks = [
        [block_count for block_count in blocks_of_level if block_count[1] > 0]
        for blocks_of_level in (early_blocks, late_blocks)
    ]
    if min(map(len, level_blocks)) < MIN_BLOCKS_PER_LEVEL:
        return 0.0
    level_sums = [
        (sum(bad_events for bad_events, _ in blocks_of_level), sum(n for _, n in blocks_of_level))
        for blocks_of_level in level_blocks
    ]
    bad_events, total = level_sums[0][0] + level_sums[1][0], level_sums[0][1] + level_sums[1][1]
    if bad_events in (0, total):
        return 0.0
    level_ratios = [block_count / level_total for block_count, level_total in level_sums]
    variance = sum(
        max(ratio * (1 - ratio), 1 / n) / n
        for ratio, (_, n) in zip(level_ratios, level_sums, strict=True)
    )
    within_variance = sum(sum(_residuals(blocks_of_level)) for blocks_of_level in level_blocks) / (
        sum(map(len, level_blocks)) - 2
    )
    return (level_ratios[0] - level_ratios[1]) ** 2 / variance / max(within_variance, 1.0)


def independent_share(total: float, correlation: float) -> float:
    """Return the share of a block's events that counts as independent: 1/(1 + (n − 1)ρ)."""
    return 1 / (1 + max(total - 1, 0) * correlation)
