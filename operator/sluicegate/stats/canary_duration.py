"""Expected duration of a canary, and whether there is enough traffic for a verdict.

The result decides only whether an SLO must favour a candidate; evidence against it counts for every
SLO with events. Expected growth of the evidence is summed over the steps, each at its own share:
the formula for a canary far smaller than stable gives half the real time near equal shares.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import ceil, inf, log
from typing import Final

from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.sequential_test import ALPHA, LEAST_RATIO, nearest_null

LEAST_BLOCKS: Final = 5
"""Least number of blocks of evidence in a step."""
WARM_UP_BLOCKS: Final = 2
"""Blocks after a change of weight that aren't evidence: caches fill, counters span the change."""


def warmed_up(accepted_at: float, block_seconds: int) -> int:
    """Return the index of the last block in which a version warms up; later blocks are evidence.

    Parameters
    ----------
    accepted_at : in seconds since 1970.
    """
    return ceil(accepted_at / block_seconds) + WARM_UP_BLOCKS


def divergence(p: float, q: float) -> float:
    """Compute KL(p‖q) of two Bernoulli variables, in nats; p within [0, 1], q within (0, 1)."""
    first = p * log(p / q) if p > 0 else 0.0
    return first + ((1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0)


@lru_cache(maxsize=2**12)
def growth(weight: float, ratio: float, margin: float) -> float:
    """Compute the mean ln E_P that one event of either arm adds if the candidate equals stable.

    Parameters
    ----------
    weight : the candidate's share, within (0, 1).
    ratio : both arms' bad ratio.
    margin : δ.
    """
    p = min(max(ratio, LEAST_RATIO), 1 - margin - LEAST_RATIO)
    s = nearest_null(weight, 1 - weight, p, margin)
    return weight * divergence(p, s + margin) + (1 - weight) * divergence(p, s)


def needed_by_step(
    steps: Sequence[int], earlier_evidence: float = 0.0
) -> Iterator[tuple[int, float]]:
    """Yield the share of each step, in percent, with the ln E that it still has to gather.

    Parameters
    ----------
    earlier_evidence : ln E before the first step.
    """
    part, gathered = log(1 / ALPHA) / len(steps), earlier_evidence
    for step, weight in enumerate(steps, start=1):
        needed = max(step * part - gathered, 0.0)
        gathered += needed
        yield weight, needed


def expected_seconds(
    steps: tuple[int, ...],
    *,
    events_per_second: float,
    ratio: float,
    margin: float,
    block_seconds: float,
    correlation: float = 0.0,
    earlier_evidence: float = 0.0,
) -> float:
    """Compute the mean time until an equal candidate has passed all steps; infinite without events.

    Parameters
    ----------
    steps : shares in percent. events_per_second : of both arms together.
    ratio : stable's bad ratio. margin : δ. block_seconds : of canary blocks.
    earlier_evidence : ln E before the first step.
    correlation : ρ; a block's events count as n/(1 + (n − 1)ρ) independent ones in each arm.
    """
    seconds = 0.0
    for weight, needed in needed_by_step(steps, earlier_evidence):
        canary, stable = (
            events * independent_share(events, correlation)
            for part in (weight / 100, 1 - weight / 100)
            for events in (part * events_per_second * block_seconds,)
        )
        speed = 0.0
        if canary + stable > 0:
            mean = growth(canary / (canary + stable), ratio, margin)
            speed = mean * (canary + stable) / block_seconds
        gathering = (needed / speed if speed > 0 else inf) if needed else 0.0
        seconds += max(gathering, LEAST_BLOCKS * block_seconds) + WARM_UP_BLOCKS * block_seconds
    return seconds


def events_to_roll_back(ratio: float, margin: float) -> float:
    """Compute the canary events until a worse candidate is rolled back, if stable is far larger.

    The candidate is worse by the margin.
    """
    return log(1 / ALPHA) / divergence(ratio + margin, ratio)
