"""Markets in which a candidate is surely worse than the stable version.

A version may be better as a whole and ruin a small market. Each SLO in each market is compared in the
blocks that count for the canary, summed to five minutes; the bound is shared by all of these cells, so
an equal candidate is called worse in some market in at most 5 % of rollouts, after any number of blocks.

Labels that come late compare only once those of a share have come: right and wrong answers may become
known after different times, and their ages aren't counted by market.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import log
from typing import Final

from sluicegate.api.slos import OnMarketMissed, OnMarketWorse
from sluicegate.api.versions import Candidate, Share
from sluicegate.policy.canary.block_checks import count_of
from sluicegate.policy.canary.evidence_gathering import (
    blocks_before_rollout,
    counted_blocks,
)
from sluicegate.policy.canary.slo_evidence import Assessment, MarketCounts, MarketHarm, SloEvidence
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.by_market import split_series
from sluicegate.stats.arm_harm import arm_harm_evidence
from sluicegate.stats.counts import NOTHING, Count, summed

CountedBlock = tuple[CanaryBlock, bool]
"""A counted block, and whether it is evidence."""
ALPHA: Final = 0.05
"""Share of rollouts of equal candidates in which any market is called worse."""
SUM_SECONDS: Final = 300
"""Length of the sums of blocks that are compared: a market has few events in a minute."""


def with_harmed_markets(
    terms: Terms, candidate: Candidate, observed: Observed, assessment: Assessment
) -> Assessment:
    """Return the assessment with its events by market, and the markets in which the candidate is worse beyond chance."""
    if not terms.market_cells:
        return assessment
    since = _counted_blocks(candidate, observed)
    market_harms = _compare(terms, candidate, observed, assessment, since=since)
    harmed = tuple(
        market_harm for market_harm in market_harms if market_harm.evidence >= market_harm.bound
    )
    by_market = counts_by_market(candidate, since, assessment)
    return replace(assessment, harmed=harmed, by_market=by_market)


def compare_markets(
    terms: Terms, candidate: Candidate, observed: Observed, assessment: Assessment
) -> tuple[MarketHarm, ...]:
    """Return the evidence that a candidate is worse in each market, the strongest first."""
    if not terms.market_cells:
        return ()
    since = _counted_blocks(candidate, observed)
    return _compare(terms, candidate, observed, assessment, since=since)


def counts_by_market(
    candidate: Candidate, since: Sequence[CountedBlock], assessment: Assessment
) -> Mapping[str, MarketCounts]:
    """Return the events of candidate and stable by SLO and market, of blocks whose labels have arrived."""
    slos = {slo.terms.name: slo for slo in assessment.slos if slo.terms.gauge is None}
    counts: dict[str, dict[str, tuple[Count, Count]]] = {}
    for slo, market, key in _cells(since, slos):
        settle_seconds = slo.settle_seconds(slo.terms.label_lag_seconds)
        ready_times = _label_times(candidate.shares, settle_seconds)
        arms = _arms(_evidence_blocks(since, ready_times, settle_seconds), key)
        if any(count.total for count in arms):
            counts.setdefault(slo.terms.name, {})[market] = arms
    return counts


def _compare(
    terms: Terms,
    candidate: Candidate,
    observed: Observed,
    assessment: Assessment,
    *,
    since: Sequence[CountedBlock],
) -> tuple[MarketHarm, ...]:
    slos = {slo.terms.name: slo for slo in assessment.slos if _is_compared(slo.terms)}
    if not slos:
        return ()
    seconds, start = observed.canary_block_seconds, candidate.rollout_start_time
    earlier_blocks = blocks_before_rollout(observed.canary_blocks, start, seconds)
    bound = log(terms.market_cells / ALPHA)
    harms = []
    for slo, market, key in _cells(since, slos):
        settle_seconds = slo.settle_seconds(slo.terms.label_lag_seconds)
        earlier_sum = summed(
            count
            for block in earlier_blocks
            if (count := count_of(block.stable.get(key))) is not None
        )
        pairs = _sums(since, key, _label_times(candidate.shares, settle_seconds), settle_seconds)
        evidence, candidate_count, stable_count = arm_harm_evidence(
            pairs, earlier_sum, margin=slo.margin, correlation=slo.correlation
        )
        harms.append(MarketHarm(slo.terms, market, candidate_count, stable_count, evidence, bound))
    return tuple(sorted(harms, key=lambda harm: -harm.evidence))


def _counted_blocks(candidate: Candidate, observed: Observed) -> list[CountedBlock]:
    """Return the counted blocks since the candidate takes traffic, oldest first."""
    start = candidate.rollout_start_time
    blocks = [block for block in observed.canary_blocks if block.end > start]
    return counted_blocks(blocks, candidate, observed.canary_block_seconds)


def _cells(
    since: Sequence[CountedBlock], slos: Mapping[str, SloEvidence]
) -> Iterator[tuple[SloEvidence, str, str]]:
    """Yield the SLO evidence, the market and the series name of each cell in the newest block."""
    for series in sorted({name for block, _ in since[-1:] for name in block.candidate}):
        name, market = split_series(series)
        if market and name in slos:
            yield slos[name], market, series


def _label_times(shares: Sequence[Share], settle_seconds: int) -> list[int]:
    """Return the time at which the labels of each share have arrived, in seconds."""
    return [share.start_time + settle_seconds for share in shares]


def _is_compared(slo: SloTerms) -> bool:
    ignored = slo.on_market_missed is OnMarketMissed.IGNORE
    return slo.gauge is None and (slo.on_market_worse is OnMarketWorse.HOLD or not ignored)


def _sums(
    since: Sequence[CountedBlock], key: str, ready_times: Sequence[int], settle_seconds: int
) -> Iterator[tuple[Count, Count]]:
    """Yield the events of (candidate, stable) for each complete group of blocks, oldest first.

    Parameters
    ----------
    ready_times : when the labels of each share have come, in seconds. settle_seconds : how long they take.
    """
    newest = since[-1][0].end if since else 0
    for index, group in groupby(since, key=lambda pair: (pair[0].end - 1) // SUM_SECONDS):
        if (index + 1) * SUM_SECONDS > newest:
            return
        evidence_blocks = _evidence_blocks(group, ready_times, settle_seconds)
        if evidence_blocks:
            yield _arms(evidence_blocks, key)


def _evidence_blocks(
    blocks: Iterable[CountedBlock], ready_times: Sequence[int], settle_seconds: int
) -> list[CanaryBlock]:
    """Return the evidence blocks in which the labels of the present share have arrived."""
    return [
        block
        for block, is_warm in blocks
        if is_warm and not any(time - settle_seconds < block.end <= time for time in ready_times)
    ]


def _arms(blocks: Sequence[CanaryBlock], key: str) -> tuple[Count, Count]:
    """Return the events of candidate and stable in a series."""
    return (
        summed(count_of(block.candidate.get(key)) or NOTHING for block in blocks),
        summed(count_of(block.stable.get(key)) or NOTHING for block in blocks),
    )
