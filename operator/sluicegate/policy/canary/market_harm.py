"""Markets in which a candidate is surely worse than the stable version.

A version may be better as a whole and ruin a small market. Each SLO in each market is compared in the
blocks that count for the canary, summed to five minutes; the bound is shared by all of these cells, so
an equal candidate is called worse in some market in at most 5 % of rollouts, after any number of blocks.

Labels that come late compare only once those of a share have come: right and wrong answers may become
known after different times, and their ages aren't counted by market.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import log
from typing import Final

from sluicegate.api.slos import OnMarketMissed, OnMarketWorse
from sluicegate.api.versions import Candidate, Share
from sluicegate.policy.canary.block_checks import count_of
from sluicegate.policy.canary.evidence_gathering import (
    counted_blocks,
    first_traffic_time,
    look_back,
)
from sluicegate.policy.canary.slo_evidence import Assessment, MarketCounts, MarketHarm, SloEvidence
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.by_market import market_series, split_series
from sluicegate.stats.arm_harm import arm_harm_evidence
from sluicegate.stats.counts import NOTHING, Count, summed

ALPHA: Final = 0.05
"""Share of rollouts of equal candidates in which any market is called worse."""
SUM_SECONDS: Final = 300
"""Length of the sums of blocks that are compared: a market has few events in a minute."""


def with_harmed_markets(
    terms: Terms, candidate: Candidate, observed: Observed, assessment: Assessment
) -> Assessment:
    """Return the assessment with its events by market, and the markets in which a candidate is worse beyond chance."""
    market_harms = compare_markets(terms, candidate, observed, assessment)
    harmed = tuple(one for one in market_harms if one.evidence >= one.bound)
    by_market = counts_by_market(candidate, observed, assessment)
    if not harmed and not by_market:
        return assessment
    return replace(assessment, harmed=harmed, by_market=by_market)


def counts_by_market(
    candidate: Candidate, observed: Observed, assessment: Assessment
) -> Mapping[str, MarketCounts]:
    """Return the events of candidate and stable by SLO and market, of the blocks whose labels have come."""
    seconds, start = observed.canary_block_seconds, first_traffic_time(candidate)
    blocks = [block for block in observed.canary_blocks if block.end > start]
    since = counted_blocks(blocks, candidate, seconds)
    counts: dict[str, dict[str, tuple[Count, Count]]] = {}
    levels = {slo.terms.name: slo for slo in assessment.slos if slo.terms.gauge is None}
    for series in {name for block, _ in since[-1:] for name in block.candidate}:
        slo, market = split_series(series)
        if not market or slo not in levels:
            continue
        settles = levels[slo].settle_seconds(levels[slo].terms.label_lag_seconds)
        ready = [share.start_time + settles for share in candidate.shares]
        arms = [
            (count_of(block.candidate.get(series)), count_of(block.stable.get(series)))
            for block, is_warm in since
            if is_warm and _has_labels(block, ready, settles)
        ]
        pairs = [(one or NOTHING, other or NOTHING) for one, other in arms]
        candidate_count, stable_count = (
            summed(one for one, _ in pairs),
            summed(other for _, other in pairs),
        )
        if candidate_count.total or stable_count.total:
            counts.setdefault(slo, {})[market] = candidate_count, stable_count
    return counts


def _has_labels(block: CanaryBlock, ready: Sequence[int], settles: int) -> bool:
    """Return whether the labels of the share that was in force in a block have come."""
    return not any(time - settles < block.end <= time for time in ready)


def compare_markets(
    terms: Terms, candidate: Candidate, observed: Observed, assessment: Assessment
) -> tuple[MarketHarm, ...]:
    """Return the evidence that a candidate is worse in each market, the strongest first."""
    evidence_by_slo = {slo.terms.name: slo for slo in assessment.slos if _is_compared(slo.terms)}
    if not terms.market_cells or not evidence_by_slo:
        return ()
    seconds, start = observed.canary_block_seconds, first_traffic_time(candidate)
    before = look_back(observed.canary_blocks, start, seconds)
    blocks = [block for block in observed.canary_blocks if block.end > start]
    since = counted_blocks(blocks, candidate, seconds)
    bound = log(terms.market_cells / ALPHA)
    harms = _compared_market(evidence_by_slo, before, since, shares=candidate.shares, bound=bound)
    return tuple(sorted(harms, key=lambda one: -one.evidence))


def _compared_market(
    evidence_by_slo: Mapping[str, SloEvidence],
    before: Sequence[CanaryBlock],
    since: Sequence[tuple[CanaryBlock, bool]],
    *,
    shares: Sequence[Share],
    bound: float,
) -> Iterator[MarketHarm]:
    names = {name for block, _ in since[-1:] for name in block.candidate}
    cells = [(slo, market) for slo, market in map(split_series, sorted(names)) if market]
    for name, market in cells:
        if name not in evidence_by_slo:
            continue
        slo, key = evidence_by_slo[name], market_series(name, market)
        settles = slo.settle_seconds(slo.terms.label_lag_seconds)
        past = summed(c for block in before if (c := count_of(block.stable.get(key))) is not None)
        pairs = _sums(since, key, [share.start_time + settles for share in shares], settles)
        evidence, candidate_count, stable_count = arm_harm_evidence(
            pairs, past, margin=slo.margin, correlation=slo.correlation
        )
        yield MarketHarm(slo.terms, market, candidate_count, stable_count, evidence, bound)


def _is_compared(slo: SloTerms) -> bool:
    ignored = slo.on_market_missed is OnMarketMissed.IGNORE
    return slo.gauge is None and (slo.on_market_worse is OnMarketWorse.HOLD or not ignored)


def _sums(
    since: Sequence[tuple[CanaryBlock, bool]], key: str, ready: Sequence[int], settles: int
) -> Iterator[tuple[Count, Count]]:
    """Yield the events of (candidate, stable) of complete sums of blocks, oldest first.

    Parameters
    ----------
    ready : when the labels of each share have come, in seconds. settles : how long they take.
    """
    newest = since[-1][0].end if since else 0
    for index, group in groupby(since, key=lambda one: (one[0].end - 1) // SUM_SECONDS):
        if (index + 1) * SUM_SECONDS > newest:
            return
        arms = [
            (
                count_of(block.candidate.get(key)) or NOTHING,
                count_of(block.stable.get(key)) or NOTHING,
            )
            for block, is_warm in group
            if is_warm and _has_labels(block, ready, settles)
        ]
        if arms:
            yield summed(one for one, _ in arms), summed(one for _, one in arms)
