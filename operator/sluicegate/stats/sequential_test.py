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

from collections.abc import Callable, Iterable, Sequence  # noqa: TC003 - one import style
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import log
from typing import Final, NamedTuple

from sluicegate.stats.cached_fold import Derived, Rule, fold_cached
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.paired import PairedEvidence  # noqa: TC001 - the same

ALPHA: Final = 0.05
"""Allowed share of wrong promotions, and of wrong rollbacks."""
MIN_RATIO: Final = 1e-6
"""Least distance of a bad ratio from 0 and from 1 − δ."""
ArmCounts = tuple[Count | None, Count]
"""Events of one block: the candidate's, and stable's."""
ArmBlocks = Derived[ArmCounts]
"""Blocks of both arms, whose events are read only where their sums aren't cached."""
_BISECTIONS: Final = 60
"""Number of halvings of [p − δ, p] after which less than the precision of a double is left."""


class Factor(NamedTuple):
    """Increments of ln E by one block: for promotion, for rollback, and for "better"."""

    promote_factor: float
    roll_back: float
    better_factor: float


@dataclass(frozen=True, slots=True)
class SequentialEvidence:
    """Evidence of all blocks so far.

    Ln E of "not worse by δ", of "worse" and of "better", with their events and the number of blocks.
    """

    promote_evidence: float = 0.0
    roll_back: float = 0.0
    candidate: Count = NOTHING
    stable: Count = NOTHING
    better_evidence: float = 0.0
    blocks: int = field(default=0, repr=False)

    def with_paired(self, paired_evidence: PairedEvidence) -> SequentialEvidence:
        """Add the evidence of rows that both versions were scored on: the factors multiply.

        Only traffic can be evidence against a candidate, so `roll_back` stays.
        """
        return replace(
            self,
            promote_evidence=self.promote_evidence + paired_evidence.promote_evidence,
            better_evidence=self.better_evidence + paired_evidence.better_evidence,
        )


def expected_ratio(earlier_counts: Count, margin: float) -> float:
    """Estimate the bad ratio of the next block from stable's earlier blocks, within the bounds of a ratio."""
    ratio = (earlier_counts.bad + 0.5) / (earlier_counts.total + 1)
    return min(max(ratio, MIN_RATIO), 1 - margin - MIN_RATIO)


def nearest_null(candidate_total: float, stable_total: float, ratio: float, margin: float) -> float:
    """Find s* of stable: the closest pair (s* + δ, s*) to (p, p), in relative entropy.

    It is the root of n_c (p − s − δ)/((s + δ)(1 − s − δ)) + n_s (p − s)/(s (1 − s)) in [max(0, p −
    δ), p].
    """
    lowest_null, highest_null = max(0.0, ratio - margin), ratio
    for _ in range(_BISECTIONS):
        null_ratio = (lowest_null + highest_null) / 2
        shifted_ratio = null_ratio + margin
        slope = candidate_total * (ratio - shifted_ratio) / (shifted_ratio * (1 - shifted_ratio))
        slope += stable_total * (ratio - null_ratio) / (null_ratio * (1 - null_ratio))
        if slope > 0:
            lowest_null = null_ratio
        else:
            highest_null = null_ratio
    return (lowest_null + highest_null) / 2


def _likelihood_ratio(count: Count, ratio: float, null_ratio: float) -> float:
    return count.bad * log(ratio / null_ratio) + (count.total - count.bad) * log(
        (1 - ratio) / (1 - null_ratio)
    )


def _independent_count(count: Count, correlation: float) -> tuple[float, float]:
    independent_fraction = independent_share(count.total, correlation)
    return count.total * independent_fraction, independent_fraction


@lru_cache(maxsize=2**16)
def block_factor(
    candidate: Count, stable: Count, ratio: float, margin: float, *, correlation: float = 0.0
) -> Factor:
    """Compute the log likelihood factors of one block; cached, as each evaluation repeats the newest blocks.

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
    canary_events, canary_share = _independent_count(candidate, correlation)
    stable_events, stable_share = _independent_count(stable, correlation)
    null_ratio = nearest_null(canary_events, stable_events, ratio, margin)
    promote_factor = canary_share * _likelihood_ratio(candidate, ratio, null_ratio + margin)
    promote_factor += stable_share * _likelihood_ratio(stable, ratio, null_ratio)

    worse_factor, better_factor = (
        log_factor_against(candidate, stable, alternative, ratio, correlation=correlation)
        for alternative in (ratio + margin, max(ratio - margin, ratio / 2))
    )
    return Factor(promote_factor, worse_factor, better_factor)


def log_factor_against(
    candidate: Count, stable: Count, alternative: float, ratio: float, *, correlation: float = 0.0
) -> float:
    """Compute the log likelihood factor of "the candidate has this ratio" against "both versions have the pooled ratio".

    Parameters
    ----------
    candidate, stable : the block's events, some of each. alternative : the candidate's ratio.
    ratio : p, from stable's earlier blocks only. correlation : ρ, as in `block_factor`.
    """
    canary_events, canary_share = _independent_count(candidate, correlation)
    stable_events, stable_share = _independent_count(stable, correlation)
    weighted_sum = canary_events * alternative + stable_events * ratio
    pooled_ratio = weighted_sum / (canary_events + stable_events)
    factor = canary_share * _likelihood_ratio(candidate, alternative, pooled_ratio)
    return factor + stable_share * _likelihood_ratio(stable, ratio, pooled_ratio)


class _Sums(NamedTuple):
    """Sums over a stretch of blocks: ln E, events by arm, and stable's events for the expected ratio."""

    promote_evidence: float = 0.0
    roll_back: float = 0.0
    better_evidence: float = 0.0
    candidate_bad: int = 0
    candidate_total: int = 0
    stable_bad: int = 0
    stable_total: int = 0
    earlier_bad: int = 0
    earlier_total: int = 0
    blocks: int = 0


def sequential_evidence(
    blocks: Iterable[ArmCounts] | ArmBlocks,
    earlier_counts: Count,
    *,
    margin: float,
    correlation: float = 0.0,
) -> SequentialEvidence:
    """Combine the evidence of blocks of (candidate, stable), oldest first.

    Parameters
    ----------
    blocks : events by block and arm. None for the candidate: a block without evidence,
        which only updates the expected ratio of stable.
    past : stable's events before them.
    margin : δ. correlation : ρ of the blocks before the rollout, frozen with its first step.
    """
    initial_sums = _Sums(earlier_bad=earlier_counts.bad, earlier_total=earlier_counts.total)
    counts = blocks if isinstance(blocks, Derived) else tuple(blocks)
    initial_sums = fold_cached(_add_blocks, initial_sums, counts, (margin, correlation))
    return SequentialEvidence(
        initial_sums.promote_evidence,
        initial_sums.roll_back,
        Count(initial_sums.candidate_bad, initial_sums.candidate_total),
        Count(initial_sums.stable_bad, initial_sums.stable_total),
        initial_sums.better_evidence,
        initial_sums.blocks,
    )


def arm_blocks(
    rule: tuple[object, ...], numbers: tuple[int, ...], read: Callable[[slice], Iterable[ArmCounts]]
) -> ArmBlocks:
    """Return blocks of both arms for `sequential_evidence`; the parameters are the attributes of `Derived`."""
    return Derived(rule, numbers, read)


def _add_blocks(evidence_sums: _Sums, blocks: Sequence[ArmCounts], rule: Rule) -> _Sums:
    margin, correlation = rule
    promote_evidence, roll_back, better_evidence = (
        evidence_sums.promote_evidence,
        evidence_sums.roll_back,
        evidence_sums.better_evidence,
    )
    candidate_bad, candidate_total = evidence_sums.candidate_bad, evidence_sums.candidate_total
    stable_bad, stable_total = evidence_sums.stable_bad, evidence_sums.stable_total
    earlier_bad, earlier_total = evidence_sums.earlier_bad, evidence_sums.earlier_total
    number = evidence_sums.blocks
    for candidate, stable in blocks:
        ratio = expected_ratio(Count(earlier_bad, earlier_total), margin)
        earlier_bad += stable.bad
        earlier_total += stable.total
        if candidate is None:
            continue
        number += 1
        factor = block_factor(candidate, stable, ratio, margin, correlation=correlation)
        promote_evidence += factor.promote_factor
        roll_back += factor.roll_back
        better_evidence += factor.better_factor
        candidate_bad += candidate.bad
        candidate_total += candidate.total
        stable_bad += stable.bad
        stable_total += stable.total
    return _Sums(
        promote_evidence, roll_back, better_evidence,
        candidate_bad, candidate_total, stable_bad, stable_total, earlier_bad, earlier_total, number,
    )  # fmt: skip


def promotion_bound(step: int, steps: int) -> float:
    """Return the ln E that is needed to leave step `step` of `steps`; all SLOs must, so no correction."""
    return step / steps * log(1 / ALPHA)


def better_bound(step: int, steps: int, slos: int) -> float:
    """Return the ln E at which one of several SLOs alone lets a candidate pass a step.

    Any may, so it is corrected.
    """
    return step / steps * rollback_bound(slos)


def rollback_bound(slos: int) -> float:
    """Return the ln E at which one of several SLOs rolls the candidate back (Bonferroni's correction)."""
    return log(max(slos, 1) / ALPHA)
