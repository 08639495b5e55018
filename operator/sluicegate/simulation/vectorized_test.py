"""The engine's evidence for many canaries at once; the formulas are those of stats.sequential_test.

A property test compares both block by block, so a change of one needs a change of the other.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedArms
from sluicegate.stats.canary_duration import MIN_BLOCKS, WARM_UP_BLOCKS
from sluicegate.stats.dispersion import (
    CLEAR_SHIFT,
    CLEARER_FACTOR,
    MIN_BLOCKS_PER_LEVEL,
    UPPER_SIGMAS,
)
from sluicegate.stats.dispersion import MIN_BLOCKS as MIN_CORRELATION_BLOCKS
from sluicegate.stats.intervals import Z95
from sluicegate.stats.sequential_test import ALPHA, MIN_RATIO

_NEWTON_STEPS: Final = 60
_ROOT_TOLERANCE: Final = 1e-11
LOG_BOUND: Final = float(np.log(1 / ALPHA))


def level_shift(bad_events: Floats, total: Floats) -> Ints:
    """Return where stable's blocks change level, along the first axis; as stats.dispersion.level_shift."""
    shift_block = np.zeros(bad_events.shape[1:], np.int64)
    best_distance = np.full(bad_events.shape[1:], CLEAR_SHIFT)
    for split_block in range(MIN_BLOCKS_PER_LEVEL, len(bad_events) - MIN_BLOCKS_PER_LEVEL + 1):
        split_distance = _level_distance(
            _level_of(bad_events[:split_block], total[:split_block]),
            _level_of(bad_events[split_block:], total[split_block:]),
        )
        is_clearer = split_distance > best_distance * CLEARER_FACTOR
        shift_block, best_distance = (
            np.where(is_clearer, split_block, shift_block),
            np.where(is_clearer, split_distance, best_distance),
        )
    return shift_block


class _Level(NamedTuple):
    """Blocks with one bad ratio: bad and all events, blocks with events, Pearson's squared residuals."""

    bad: Floats
    total: Floats
    filled: Floats
    residuals: Floats

    @property
    def ratio(self) -> Floats:
        """Return the bad of all events; 0 without events."""
        ratio: Floats = self.bad / np.maximum(self.total, 1)
        return ratio


def _level_of(bad_events: Floats, total: Floats) -> _Level:
    all_bad, all_events = bad_events.sum(axis=0), total.sum(axis=0)
    squared_ratios = (bad_events**2 / np.maximum(total, 1)).sum(axis=0)
    ratio = all_bad / np.maximum(all_events, 1)
    variance = ratio * (1 - ratio)
    residuals = (squared_ratios - ratio * all_bad) / np.where(variance > 0, variance, np.inf)
    return _Level(all_bad, all_events, (total > 0).sum(axis=0), residuals)


def _level_distance(early_level: _Level, late_level: _Level) -> Floats:
    bad_events, total = early_level.bad + late_level.bad, early_level.total + late_level.total
    is_too_short = np.minimum(early_level.filled, late_level.filled) < MIN_BLOCKS_PER_LEVEL
    is_undefined = is_too_short | (bad_events == 0) | (bad_events == total)
    variance = sum(
        np.maximum(level.ratio * (1 - level.ratio), 1 / np.maximum(level.total, 1))
        / np.maximum(level.total, 1)
        for level in (early_level, late_level)
    )
    within_variance = (early_level.residuals + late_level.residuals) / np.maximum(
        early_level.filled + late_level.filled - 2, 1
    )
    split_distance = (
        (early_level.ratio - late_level.ratio) ** 2 / variance / np.maximum(within_variance, 1.0)
    )
    return np.where(is_undefined, 0.0, split_distance)


def burst_correlation(bad_events: Floats, total: Floats, blocks_after_shift: Bools) -> Floats:
    """Estimate ρ from stable's blocks, along the first axis; as stats.dispersion.burst_correlation.

    Parameters
    ----------
    late : blocks on the present level; the others are compared with their own.
    """
    has_events = total > 0
    count = has_events.sum(axis=0)
    level_count = (has_events & blocks_after_shift).any(axis=0).astype(int) + (
        has_events & ~blocks_after_shift
    ).any(axis=0)
    all_events, all_bad = total.sum(axis=0), bad_events.sum(axis=0)
    is_undefined = (count < MIN_CORRELATION_BLOCKS) | (all_bad == 0) | (all_bad == all_events)
    is_undefined |= all_events <= count
    ratio = np.where(
        blocks_after_shift,
        _ratio_of(bad_events, total, blocks_after_shift),
        _ratio_of(bad_events, total, ~blocks_after_shift),
    )
    expected_bad = np.where(has_events, total, 1) * ratio
    variance = expected_bad * (1 - ratio)
    has_variance = has_events & (variance > 0)
    residuals = np.where(
        has_variance, (bad_events - expected_bad) ** 2 / np.where(has_variance, variance, 1.0), 0.0
    )
    blocks = np.maximum(count, 2)
    mean_residual = residuals.sum(axis=0) / blocks
    residual_deviation = np.sqrt(
        np.where(has_events, (residuals - mean_residual) ** 2, 0.0).sum(axis=0) / blocks
    )
    upper_bound = mean_residual * blocks / np.maximum(
        blocks - level_count, 1
    ) + UPPER_SIGMAS * residual_deviation / np.sqrt(blocks)
    cluster_size = np.where(is_undefined, 1.0, all_events / blocks - 1)
    return np.where(is_undefined, 0.0, np.clip((upper_bound - 1) / cluster_size, 0.0, 1.0))


def _ratio_of(bad_events: Floats, total: Floats, selection: Bools) -> Floats:
    """Return bad of all events of the chosen blocks."""
    events = np.where(selection, total, 0.0).sum(axis=0)
    ratio: Floats = np.where(selection, bad_events, 0.0).sum(axis=0) / np.maximum(events, 1)
    return ratio


def independent_share(total: Floats, correlation: Floats) -> Floats:
    """Compute the same as stats.dispersion.independent_share."""
    independent_fraction: Floats = 1 / (1 + np.maximum(total - 1, 0.0) * correlation)
    return independent_fraction


def nearest_null(canary: Floats, stable: Floats, ratio: Floats, margin: Floats) -> Floats:
    """Find s*, as stats.sequential_test.nearest_null, by Newton's method instead of halving."""
    # The slope times all denominators, which are positive: a cubic that is concave enough for
    # Newton's steps; a step that would leave the bracket is replaced by halving. A root that is
    # found is a bound of its bracket, so rounding may put the next step outside of it.
    lowest_null, highest_null = np.maximum(0.0, ratio - margin), ratio + np.zeros_like(canary)
    null_ratio = (canary * np.maximum(0.0, ratio - margin) + stable * ratio) / (canary + stable)
    for _ in range(_NEWTON_STEPS):
        shifted_ratio = null_ratio + margin
        null_variance, shifted_variance = (
            null_ratio * (1 - null_ratio),
            shifted_ratio * (1 - shifted_ratio),
        )
        value = (
            canary * (ratio - shifted_ratio) * null_variance
            + stable * (ratio - null_ratio) * shifted_variance
        )
        lowest_null, highest_null = (
            np.where(value > 0, null_ratio, lowest_null),
            np.where(value > 0, highest_null, null_ratio),
        )
        slope = canary * ((ratio - shifted_ratio) * (1 - 2 * null_ratio) - null_variance)
        slope += stable * ((ratio - null_ratio) * (1 - 2 * shifted_ratio) - shifted_variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = value / slope
        next_ratio = null_ratio - step
        is_root = np.abs(step) <= _ROOT_TOLERANCE * null_ratio
        is_inside = (next_ratio > lowest_null) & (next_ratio < highest_null)
        null_ratio = np.where(is_root | is_inside, next_ratio, (lowest_null + highest_null) / 2)
        if np.all(is_root):
            break
    return null_ratio


def expected_ratio(bad_events: Floats, total: Floats, margin: Floats) -> Floats:
    """Compute the same as stats.sequential_test.expected_ratio."""
    ratio: Floats = np.clip((bad_events + 0.5) / (total + 1), MIN_RATIO, 1 - margin - MIN_RATIO)
    return ratio


def block_factors(
    arm_counts: SimulatedArms, ratio: Floats, margin: Floats, correlation: Floats
) -> tuple[Floats, Floats, Floats]:
    """Compute the factors of one block as logarithms, as stats.sequential_test.block_factor."""
    both_have_events = (arm_counts.canary > 0) & (arm_counts.stable > 0)
    canary_share, stable_share = (
        independent_share(total, correlation) for total in (arm_counts.canary, arm_counts.stable)
    )
    canary = np.where(both_have_events, arm_counts.canary * canary_share, 1.0)
    stable = np.where(both_have_events, arm_counts.stable * stable_share, 1.0)
    null_ratio = nearest_null(canary, stable, ratio, margin)
    promote_factor = canary_share * _log_likelihood_ratio(
        arm_counts.canary_bad, arm_counts.canary, ratio, null_ratio + margin
    )
    promote_factor += stable_share * _log_likelihood_ratio(
        arm_counts.stable_bad, arm_counts.stable, ratio, null_ratio
    )

    def factor_against(alternative: Floats) -> Floats:
        pooled_ratio = (canary * alternative + stable * ratio) / (canary + stable)
        factor = canary_share * _log_likelihood_ratio(
            arm_counts.canary_bad, arm_counts.canary, alternative, pooled_ratio
        )
        factor += stable_share * _log_likelihood_ratio(
            arm_counts.stable_bad, arm_counts.stable, ratio, pooled_ratio
        )
        return np.where(both_have_events, factor, 0.0)

    better_factor = factor_against(np.maximum(ratio - margin, ratio / 2))
    return (
        np.where(both_have_events, promote_factor, 0.0),
        factor_against(ratio + margin),
        better_factor,
    )


def _log_likelihood_ratio(
    bad_events: Floats, total: Floats, ratio: Floats, null_ratio: Floats
) -> Floats:
    log_likelihood_ratios: Floats = bad_events * np.log(ratio / null_ratio) + (
        total - bad_events
    ) * np.log((1 - ratio) / (1 - null_ratio))
    return log_likelihood_ratios


def expected_blocks(
    steps: tuple[int, ...], events: Floats, *, ratio: Floats, margin: Floats, correlation: Floats
) -> Floats:
    """Compute the blocks until an equal candidate has passed all steps.

    As stats.canary_duration.expected_seconds.

    Parameters
    ----------
    steps : shares in percent. events : of both arms together, in a block.
    """
    clipped_ratio = np.clip(ratio, MIN_RATIO, 1 - margin - MIN_RATIO)
    evidence_per_step = LOG_BOUND / len(steps)
    blocks = np.zeros(np.broadcast(clipped_ratio, events).shape)
    for weight in steps:
        canary, stable = events * weight / 100, events * (1 - weight / 100)
        canary = canary * independent_share(canary, correlation)
        stable = stable * independent_share(stable, correlation)
        null_ratio = nearest_null(np.where(events > 0, canary, 1.0), stable, clipped_ratio, margin)
        evidence_per_block = canary * _kl_divergence(
            clipped_ratio, null_ratio + margin
        ) + stable * _kl_divergence(clipped_ratio, null_ratio)
        with np.errstate(divide="ignore"):
            gathering_blocks = np.where(
                evidence_per_block > 0, evidence_per_step / evidence_per_block, np.inf
            )
        blocks += np.maximum(gathering_blocks, MIN_BLOCKS) + WARM_UP_BLOCKS
    return blocks


def _kl_divergence(first_ratio: Floats, second_ratio: NDArray[np.float64]) -> Floats:
    divergence_nats: Floats = first_ratio * np.log(first_ratio / second_ratio) + (
        1 - first_ratio
    ) * np.log((1 - first_ratio) / (1 - second_ratio))
    return divergence_nats


def wilson_lower(bad_events: Floats, total: Floats, z_score: float = Z95) -> Floats:
    """Compute the one-sided lower bound, as stats.intervals.wilson_lower; 0 without events."""
    n = np.maximum(total, 1e-9)
    bad_ratio, z_squared = bad_events / n, z_score * z_score
    half_width = np.sqrt(np.maximum(bad_ratio * (1 - bad_ratio) / n + z_squared / (4 * n * n), 0.0))
    lower_bound = (bad_ratio + z_squared / (2 * n) - z_score * half_width) / (1 + z_squared / n)
    lower_bounds: Floats = np.where(total > 0, np.maximum(lower_bound, 0.0), 0.0)
    return lower_bounds
