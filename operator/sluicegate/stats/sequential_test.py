"""Sequential test of a canary: evidence that is valid after every block.

Each SLO has two e-processes: one grows while the candidate isn't worse than stable by the margin δ,
the other while it is worse. Each block multiplies both by a factor whose mean is at most 1 while
the opposite is true, however stable's bad ratio varies. By Ville's inequality the probability that
such a product ever reaches 1/α is at most α: it needs no horizon and no correction for repeated
checks, weights may change, and a shock that hits both arms counts for neither.

Source: R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping" (2024): the simple alternative against its reverse information
projection on the convex null. tests/unit/stats/test_sequential_test.py enumerates the means
exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence  # noqa: TC003 - one import style
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from typing import Final, NamedTuple

from sluicegate.stats.cached_fold import Rule, fold_cached
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.paired import PairedEvidence  # noqa: TC001 - the same

ALPHA: Final = 0.05
"""Allowed share of wrong promotions, and of wrong rollbacks."""
LEAST_RATIO: Final = 1e-6
"""Least distance of a bad ratio from 0 and from 1 − δ."""
Arms = tuple[Count | None, Count]
"""Events of one block: the candidate's, and stable's."""
_BISECTIONS: Final = 60
"""Number of halvings of [p − δ, p] after which less than the precision of a double is left."""


class Factor(NamedTuple):
    """Increments of ln E by one block, for promoting, for rolling back, and for "better"."""

    promote: float
    roll_back: float
    better: float


@dataclass(frozen=True, slots=True)
class SequentialEvidence:
    """Evidence of all blocks so far.

    Ln E of "not worse by δ", of "worse" and of "better", with their events.
    """

    promote: float = 0.0
    roll_back: float = 0.0
    candidate: Count = NOTHING
    stable: Count = NOTHING
    better: float = 0.0

    def after(self, paired: PairedEvidence) -> SequentialEvidence:
        """Add the evidence of rows that both versions were scored on: the factors multiply.

        Only traffic can be evidence against a candidate, so `roll_back` stays.
        """
        promote, better = self.promote + paired.promote, self.better + paired.better
        return replace(self, promote=promote, better=better)


def expected_ratio(past: Count, margin: float) -> float:
    """Estimate the bad ratio of the next block from stable's earlier blocks, within the bounds of a ratio."""
    ratio = (past.bad + 0.5) / (past.total + 1)
    return min(max(ratio, LEAST_RATIO), 1 - margin - LEAST_RATIO)


def nearest_null(candidate_total: float, stable_total: float, ratio: float, margin: float) -> float:
    """Find s* of stable: the closest pair (s* + δ, s*) to (p, p), in relative entropy.

    It is the root of n_c (p − s − δ)/((s + δ)(1 − s − δ)) + n_s (p − s)/(s (1 − s)) in [max(0, p −
    δ), p].
    """
    low, high = max(0.0, ratio - margin), ratio
    for _ in range(_BISECTIONS):
        s = (low + high) / 2
        shifted = s + margin
        slope = candidate_total * (ratio - shifted) / (shifted * (1 - shifted))
        slope += stable_total * (ratio - s) / (s * (1 - s))
        if slope > 0:
            low = s
        else:
            high = s
    return (low + high) / 2


def _likelihood(count: Count, ratio: float, null: float) -> float:
    return count.bad * log(ratio / null) + (count.total - count.bad) * log((1 - ratio) / (1 - null))


def _independent(count: Count, correlation: float) -> tuple[float, float]:
    share = independent_share(count.total, correlation)
    return count.total * share, share


@lru_cache(maxsize=2**16)
def block_factor(
    candidate: Count, stable: Count, ratio: float, margin: float, *, correlation: float = 0.0
) -> Factor:
    """Compute the logarithms of one block's factors; cached, as each evaluation repeats the newest blocks.

    Each arm counts with the size that independent events would have: n/(1 + (n − 1)ρ).

    The bet on "better" is that the candidate is δ below p, or half of p where that is less; the
    nearest pair without a difference is the pooled one, so the mean is at most 1 for an equal
    candidate, too.

    Parameters
    ----------
    candidate, stable : the block's events. An arm without any makes all factors 1.
    ratio : p, from stable's earlier blocks only; within (0, 1 − margin).
    margin : δ.
    correlation : ρ, the correlation of two events of one block (`dispersion.burst_correlation`).
    """
    if candidate.total == 0 or stable.total == 0:
        return Factor(0.0, 0.0, 0.0)
    canary_events, canary_share = _independent(candidate, correlation)
    stable_events, stable_share = _independent(stable, correlation)
    null = nearest_null(canary_events, stable_events, ratio, margin)
    promote = canary_share * _likelihood(candidate, ratio, null + margin)
    promote += stable_share * _likelihood(stable, ratio, null)

    worse, better = (
        against(candidate, stable, alternative, ratio, correlation=correlation)
        for alternative in (ratio + margin, max(ratio - margin, ratio / 2))
    )
    return Factor(promote, worse, better)


def against(
    candidate: Count, stable: Count, alternative: float, ratio: float, *, correlation: float = 0.0
) -> float:
    """Compute ln of one block's factor for the candidate at a ratio and stable at p, against one common ratio.

    Parameters
    ----------
    candidate, stable : the block's events, some of each. alternative : the candidate's ratio.
    ratio : p, from stable's earlier blocks only. correlation : ρ, as in `block_factor`.
    """
    canary_events, canary_share = _independent(candidate, correlation)
    stable_events, stable_share = _independent(stable, correlation)
    weighted = canary_events * alternative + stable_events * ratio
    pooled = weighted / (canary_events + stable_events)
    factor = canary_share * _likelihood(candidate, alternative, pooled)
    return factor + stable_share * _likelihood(stable, ratio, pooled)


class _Sums(NamedTuple):
    """Sums over a stretch of blocks: ln E, events by arm, and stable's events for the expected ratio."""

    promote: float = 0.0
    roll_back: float = 0.0
    better: float = 0.0
    candidate_bad: int = 0
    candidate_total: int = 0
    stable_bad: int = 0
    stable_total: int = 0
    past_bad: int = 0
    past_total: int = 0


def gather(
    blocks: Iterable[Arms], past: Count, *, margin: float, correlation: float = 0.0
) -> SequentialEvidence:
    """Combine the evidence of blocks of (candidate, stable), oldest first.

    Parameters
    ----------
    blocks : events by block and arm. None for the candidate: a block without evidence,
        which only updates the expected ratio of stable.
    past : stable's events before them.
    margin : δ. correlation : ρ of the blocks before the rollout, frozen with its first step.
    """
    sums = _Sums(past_bad=past.bad, past_total=past.total)
    sums = fold_cached(_added, sums, tuple(blocks), (margin, correlation))
    return SequentialEvidence(
        sums.promote,
        sums.roll_back,
        Count(sums.candidate_bad, sums.candidate_total),
        Count(sums.stable_bad, sums.stable_total),
        sums.better,
    )


def _added(sums: _Sums, blocks: Sequence[Arms], rule: Rule) -> _Sums:
    margin, correlation = rule
    promote, roll_back, better = sums.promote, sums.roll_back, sums.better
    candidate_bad, candidate_total = sums.candidate_bad, sums.candidate_total
    stable_bad, stable_total = sums.stable_bad, sums.stable_total
    past_bad, past_total = sums.past_bad, sums.past_total
    for candidate, stable in blocks:
        ratio = expected_ratio(Count(past_bad, past_total), margin)
        past_bad += stable.bad
        past_total += stable.total
        if candidate is None:
            continue
        factor = block_factor(candidate, stable, ratio, margin, correlation=correlation)
        promote += factor.promote
        roll_back += factor.roll_back
        better += factor.better
        candidate_bad += candidate.bad
        candidate_total += candidate.total
        stable_bad += stable.bad
        stable_total += stable.total
    return _Sums(
        promote, roll_back, better,
        candidate_bad, candidate_total, stable_bad, stable_total, past_bad, past_total,
    )  # fmt: skip


def promotion_bound(step: int, steps: int) -> float:
    """Return the ln E that is needed to leave step `step` of `steps`; all SLOs must, so no correction."""
    return step / steps * log(1 / ALPHA)


def better_bound(step: int, steps: int, slos: int) -> float:
    """Return the ln E at which one of `slos` alone carries a candidate over a step.

    Any may, so it is corrected.
    """
    return step / steps * rollback_bound(slos)


def rollback_bound(slos: int) -> float:
    """Return the ln E at which one of `slos` rolls the candidate back; any may, so Bonferroni's correction."""
    return log(max(slos, 1) / ALPHA)
