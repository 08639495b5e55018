"""The engine's evidence for many canaries at once; the formulas are those of stats.sequential_test.

A property test compares both block by block, so a change of one needs a change of the other.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sluicegate.simulation.traffic import Bools, Floats, Ints, SimulatedArms
from sluicegate.stats.canary_duration import LEAST_BLOCKS, WARM_UP_BLOCKS
from sluicegate.stats.dispersion import CLEAR_SHIFT, CLEARER, LEAST_LEVEL, UPPER
from sluicegate.stats.dispersion import LEAST_BLOCKS as LEAST_CORRELATION_BLOCKS
from sluicegate.stats.intervals import Z95
from sluicegate.stats.sequential_test import ALPHA, LEAST_RATIO

_NEWTON_STEPS: Final = 60
_RESOLUTION: Final = 1e-11
LOG_BOUND: Final = float(np.log(1 / ALPHA))


def level_shift(bad: Floats, total: Floats) -> Ints:
    """Return where stable's blocks change level, along the first axis; as stats.dispersion.level_shift."""
    place = np.zeros(bad.shape[1:], np.int64)
    best = np.full(bad.shape[1:], CLEAR_SHIFT)
    for split in range(LEAST_LEVEL, len(bad) - LEAST_LEVEL + 1):
        distance = _distance(_level(bad[:split], total[:split]), _level(bad[split:], total[split:]))
        clearer = distance > best * CLEARER
        place, best = np.where(clearer, split, place), np.where(clearer, distance, best)
    return place


class _Level(NamedTuple):
    """Blocks of one level: bad and all events, blocks with events, Pearson's squared residuals."""

    bad: Floats
    total: Floats
    filled: Floats
    residuals: Floats

    @property
    def ratio(self) -> Floats:
        """Bad of all events; 0 without events."""
        ratio: Floats = self.bad / np.maximum(self.total, 1)
        return ratio


def _level(bad: Floats, total: Floats) -> _Level:
    all_bad, all_events = bad.sum(axis=0), total.sum(axis=0)
    squares = (bad**2 / np.maximum(total, 1)).sum(axis=0)
    ratio = all_bad / np.maximum(all_events, 1)
    variance = ratio * (1 - ratio)
    residuals = (squares - ratio * all_bad) / np.where(variance > 0, variance, np.inf)
    return _Level(all_bad, all_events, (total > 0).sum(axis=0), residuals)


def _distance(early: _Level, late: _Level) -> Floats:
    bad, total = early.bad + late.bad, early.total + late.total
    short = np.minimum(early.filled, late.filled) < LEAST_LEVEL
    unknown = short | (bad == 0) | (bad == total)
    variance = sum(
        np.maximum(part.ratio * (1 - part.ratio), 1 / np.maximum(part.total, 1))
        / np.maximum(part.total, 1)
        for part in (early, late)
    )
    within_variance = (early.residuals + late.residuals) / np.maximum(
        early.filled + late.filled - 2, 1
    )
    distance = (early.ratio - late.ratio) ** 2 / variance / np.maximum(within_variance, 1.0)
    return np.where(unknown, 0.0, distance)


def burst_correlation(bad: Floats, total: Floats, late: Bools) -> Floats:
    """Estimate ρ from stable's blocks, along the first axis; as stats.dispersion.burst_correlation.

    Parameters
    ----------
    late : blocks on the present level; the others are compared with their own.
    """
    has_events = total > 0
    count = has_events.sum(axis=0)
    levels = (has_events & late).any(axis=0).astype(int) + (has_events & ~late).any(axis=0)
    all_events, all_bad = total.sum(axis=0), bad.sum(axis=0)
    unknown = (count < LEAST_CORRELATION_BLOCKS) | (all_bad == 0) | (all_bad == all_events)
    unknown |= all_events <= count
    ratio = np.where(late, _ratio_of(bad, total, late), _ratio_of(bad, total, ~late))
    expected = np.where(has_events, total, 1) * ratio
    variance = expected * (1 - ratio)
    has_variance = has_events & (variance > 0)
    residuals = np.where(
        has_variance, (bad - expected) ** 2 / np.where(has_variance, variance, 1.0), 0.0
    )
    blocks = np.maximum(count, 2)
    mean = residuals.sum(axis=0) / blocks
    scatter = np.sqrt(np.where(has_events, (residuals - mean) ** 2, 0.0).sum(axis=0) / blocks)
    upper = mean * blocks / np.maximum(blocks - levels, 1) + UPPER * scatter / np.sqrt(blocks)
    spread = np.where(unknown, 1.0, all_events / blocks - 1)
    return np.where(unknown, 0.0, np.clip((upper - 1) / spread, 0.0, 1.0))


def _ratio_of(bad: Floats, total: Floats, selection: Bools) -> Floats:
    """Return bad of all events of the chosen blocks."""
    events = np.where(selection, total, 0.0).sum(axis=0)
    ratio: Floats = np.where(selection, bad, 0.0).sum(axis=0) / np.maximum(events, 1)
    return ratio


def independent_share(total: Floats, correlation: Floats) -> Floats:
    """Compute the same as stats.dispersion.independent_share."""
    share: Floats = 1 / (1 + np.maximum(total - 1, 0.0) * correlation)
    return share


def nearest_null(canary: Floats, stable: Floats, ratio: Floats, margin: Floats) -> Floats:
    """Find s*, as stats.sequential_test.nearest_null, by Newton's method: four times faster than halving."""
    # The slope times all denominators, which are positive: a cubic that is concave enough for
    # Newton's steps; a step that would leave the bracket is replaced by halving.
    low, high = np.maximum(0.0, ratio - margin), ratio + np.zeros_like(canary)
    s = (canary * np.maximum(0.0, ratio - margin) + stable * ratio) / (canary + stable)
    for _ in range(_NEWTON_STEPS):
        t = s + margin
        spread, shifted = s * (1 - s), t * (1 - t)
        value = canary * (ratio - t) * spread + stable * (ratio - s) * shifted
        low, high = np.where(value > 0, s, low), np.where(value > 0, high, s)
        slope = canary * ((ratio - t) * (1 - 2 * s) - spread)
        slope += stable * ((ratio - s) * (1 - 2 * t) - shifted)
        with np.errstate(divide="ignore", invalid="ignore"):
            following = s - value / slope
        inside = (following > low) & (following < high)
        following = np.where(inside, following, (low + high) / 2)
        if np.all(np.abs(following - s) <= _RESOLUTION * following):
            return following
        s = following
    return s


def expected_ratio(bad: Floats, total: Floats, margin: Floats) -> Floats:
    """Compute the same as stats.sequential_test.expected_ratio."""
    ratio: Floats = np.clip((bad + 0.5) / (total + 1), LEAST_RATIO, 1 - margin - LEAST_RATIO)
    return ratio


def block_factors(
    arms: SimulatedArms, ratio: Floats, margin: Floats, correlation: Floats
) -> tuple[Floats, Floats, Floats]:
    """Compute the factors of one block as logarithms, as stats.sequential_test.block_factor."""
    both_have_events = (arms.canary > 0) & (arms.stable > 0)
    canary_share, stable_share = (
        independent_share(total, correlation) for total in (arms.canary, arms.stable)
    )
    canary = np.where(both_have_events, arms.canary * canary_share, 1.0)
    stable = np.where(both_have_events, arms.stable * stable_share, 1.0)
    null = nearest_null(canary, stable, ratio, margin)
    promote = canary_share * _likelihood(arms.canary_bad, arms.canary, ratio, null + margin)
    promote += stable_share * _likelihood(arms.stable_bad, arms.stable, ratio, null)

    def against(alternative: Floats) -> Floats:
        pooled = (canary * alternative + stable * ratio) / (canary + stable)
        factor = canary_share * _likelihood(arms.canary_bad, arms.canary, alternative, pooled)
        factor += stable_share * _likelihood(arms.stable_bad, arms.stable, ratio, pooled)
        return np.where(both_have_events, factor, 0.0)

    better = against(np.maximum(ratio - margin, ratio / 2))
    return np.where(both_have_events, promote, 0.0), against(ratio + margin), better


def _likelihood(bad: Floats, total: Floats, ratio: Floats, null: Floats) -> Floats:
    ratios: Floats = bad * np.log(ratio / null) + (total - bad) * np.log((1 - ratio) / (1 - null))
    return ratios


def expected_blocks(
    steps: tuple[int, ...], events: Floats, *, ratio: Floats, margin: Floats, correlation: Floats
) -> Floats:
    """Compute the blocks until an equal candidate has passed all steps.

    As stats.canary_duration.expected_seconds.

    Parameters
    ----------
    steps : shares in percent. events : of both arms together, in a block.
    """
    p = np.clip(ratio, LEAST_RATIO, 1 - margin - LEAST_RATIO)
    needed = LOG_BOUND / len(steps)
    blocks = np.zeros(np.broadcast(p, events).shape)
    for weight in steps:
        canary, stable = events * weight / 100, events * (1 - weight / 100)
        canary = canary * independent_share(canary, correlation)
        stable = stable * independent_share(stable, correlation)
        null = nearest_null(np.where(events > 0, canary, 1.0), stable, p, margin)
        speed = canary * _divergence(p, null + margin) + stable * _divergence(p, null)
        with np.errstate(divide="ignore"):
            gathering = np.where(speed > 0, needed / speed, np.inf)
        blocks += np.maximum(gathering, LEAST_BLOCKS) + WARM_UP_BLOCKS
    return blocks


def _divergence(p: Floats, q: NDArray[np.float64]) -> Floats:
    nats: Floats = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return nats


def wilson_lower(bad: Floats, total: Floats, z: float = Z95) -> Floats:
    """Compute the one-sided lower bound, as stats.intervals.wilson_lower; 0 without events."""
    n = np.maximum(total, 1e-9)
    p, z2 = bad / n, z * z
    root = np.sqrt(np.maximum(p * (1 - p) / n + z2 / (4 * n * n), 0.0))
    bound = (p + z2 / (2 * n) - z * root) / (1 + z2 / n)
    lower: Floats = np.where(total > 0, np.maximum(bound, 0.0), 0.0)
    return lower
