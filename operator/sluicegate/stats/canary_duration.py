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
from sluicegate.stats.sequential_test import ALPHA, MIN_RATIO, nearest_null

MIN_BLOCKS: Final = 5
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


def kl_divergence(first_probability: float, second_probability: float) -> float:
    """Compute KL(p‖q) of two Bernoulli variables, in nats; p within [0, 1], q within (0, 1)."""
    bad_term = (
        first_probability * log(first_probability / second_probability)
        if first_probability > 0
        else 0.0
    )
    return bad_term + (
        (1 - first_probability) * log((1 - first_probability) / (1 - second_probability))
        if first_probability < 1
        else 0.0
    )


@lru_cache(maxsize=2**12)
def evidence_growth(weight: float, ratio: float, margin: float) -> float:
    """Compute the mean ln E_P that one event of either arm adds if the candidate equals stable.

    Parameters
    ----------
    weight : the candidate's share, within (0, 1).
    ratio : both arms' bad ratio.
    margin : δ.
    """
    clipped_ratio = min(max(ratio, MIN_RATIO), 1 - margin - MIN_RATIO)
    null_ratio = nearest_null(weight, 1 - weight, clipped_ratio, margin)
    return weight * kl_divergence(clipped_ratio, null_ratio + margin) + (
        1 - weight
    ) * kl_divergence(clipped_ratio, null_ratio)


def needed_evidence_by_step(
    steps: Sequence[int], earlier_evidence: float = 0.0
) -> Iterator[tuple[int, float]]:
    """Yield each rollout step's traffic weight, in percent, with the ln E that this step must still collect.

    Parameters
    ----------
    earlier_evidence : ln E before the first step.
    """
    evidence_per_step, gathered_evidence = log(1 / ALPHA) / len(steps), earlier_evidence
    for step, weight in enumerate(steps, start=1):
        needed_evidence = max(step * evidence_per_step - gathered_evidence, 0.0)
        gathered_evidence += needed_evidence
        yield weight, needed_evidence


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
    for weight, needed_evidence in needed_evidence_by_step(steps, earlier_evidence):
        canary, stable = (
            events * independent_share(events, correlation)
            for traffic_share in (weight / 100, 1 - weight / 100)
            for events in (traffic_share * events_per_second * block_seconds,)
        )
        evidence_per_second = 0.0
        if canary + stable > 0:
            evidence_per_event = evidence_growth(canary / (canary + stable), ratio, margin)
            evidence_per_second = evidence_per_event * (canary + stable) / block_seconds
        gathering_seconds = (
            (needed_evidence / evidence_per_second if evidence_per_second > 0 else inf)
            if needed_evidence
            else 0.0
        )
        seconds += (
            max(gathering_seconds, MIN_BLOCKS * block_seconds) + WARM_UP_BLOCKS * block_seconds
        )
    return seconds


def events_to_roll_back(ratio: float, margin: float) -> float:
    """Compute the canary events until a worse candidate is rolled back, if stable is far larger.

    The candidate is worse by the margin.
    """
    return log(1 / ALPHA) / kl_divergence(ratio + margin, ratio)
