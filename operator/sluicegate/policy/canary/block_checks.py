"""Checks of the blocks themselves: requests, numbers that are no counts, missing series, a wrong share."""

from collections.abc import Iterable, Sequence
from typing import Final

from sluicegate.api.engine import TimeInterval
from sluicegate.api.slos import IndicatorKind
from sluicegate.api.versions import Candidate, Share
from sluicegate.policy.canary.label_pace import Silences
from sluicegate.policy.model.attended_time import MIN_SECONDS
from sluicegate.policy.model.observed import CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import BlockValue, Quality, SilentBlocks
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.cached_fold import Derived, Rule, fold_cached
from sluicegate.stats.counts import NOTHING, Count, summed

SHARE_BLOCKS: Final = 5
"""Blocks in a row with a wrong share that make a routing mismatch."""
SHARE_FACTOR: Final = 2
EXPECTED_REQUESTS: Final = 20
"""Expected requests from which on none at all, or too few by the gateway, are a mismatch."""
_REQUEST_KINDS: Final = (IndicatorKind.AVAILABILITY, IndicatorKind.LATENCY)


def count_of(value: BlockValue | None) -> Count | None:
    """Return the count of a block value; None if the block wasn't counted."""
    return value.count if value is not None and value.quality is Quality.COUNTED else None


def requests_of(block: CanaryBlock) -> int:
    """Return the candidate's requests in a block."""
    return largest_event_count(block.candidate.values())


def largest_event_count(readings: Iterable[BlockValue | None]) -> int:
    """Return the event count of the SLO with the most events in a block."""
    counts = map(count_of, readings)
    return max((count.total for count in counts if count is not None), default=0)


def sum_requests(blocks: Sequence[CanaryBlock]) -> int:
    """Return the candidate's requests in all blocks."""
    counted = Derived((), tuple(block.number for block in blocks), blocks.__getitem__)
    return fold_cached(_add_requests, 0, counted, (0.0, 0.0))


def _add_requests(requests: int, blocks: Sequence[CanaryBlock], _: Rule) -> int:
    return requests + sum(map(requests_of, blocks))


def invalid_blocks(judged_slos: Sequence[SloTerms], blocks: Sequence[CanaryBlock]) -> int:
    """Return the number of newest blocks in a row with invalid counts, in either arm of a judged SLO."""
    names = [slo.name for slo in judged_slos]

    def has_invalid_counts(block: CanaryBlock) -> bool:
        arms = (block.candidate, block.stable)
        readings = [arm[name] for arm in arms for name in names if name in arm]
        return any(reading.quality is Quality.INVALID for reading in readings)

    rows = 0
    for block in reversed(blocks):
        if block.quality is not Quality.COUNTED or not has_invalid_counts(block):
            break
        rows += 1
    return rows


def is_counted(block: CanaryBlock | BlockValue) -> bool:
    """Return whether a block, or an SLO's counts in a block, were measured completely."""
    return block.quality is Quality.COUNTED


def quality_of(block: CanaryBlock | None) -> Quality:
    """Return the quality of a block; MISSING for a block that wasn't read."""
    return Quality.MISSING if block is None else block.quality


def silent_blocks(
    judged_slos: Sequence[SloTerms], blocks: Sequence[CanaryBlock], shares: Sequence[Share]
) -> SilentBlocks:
    """Return the newest blocks in a row in which stable has series and the candidate has none.

    A block without counts of stable, or in which the candidate's pods weren't scraped, neither
    counts nor ends the row. Requests are those that stable's pods counted; labels may arrive for
    many earlier requests at once, so they stand for requests only where nothing else counts them.
    """
    names = [slo.name for slo in judged_slos if slo.gauge is None]
    request_names = [slo.name for slo in judged_slos if slo.kind in _REQUEST_KINDS]
    number, expected = 0, 0.0
    for block in reversed(blocks):
        stable = [count_of(block.stable.get(name)) for name in names]
        stable_has_events = any(count is not None and count.total > 0 for count in stable)
        if block.quality is not Quality.COUNTED or not block.canary_up or not stable_has_events:
            continue
        readings = [block.candidate[name] for name in names if name in block.candidate]
        if any(reading.quality is not Quality.NO_SERIES for reading in readings):
            break
        number += 1
        requests = largest_event_count(block.stable.get(name) for name in request_names or names)
        expected += requests * _odds(block, shares)
    return SilentBlocks(number, expected)


def _odds(block: CanaryBlock, shares: Sequence[Share]) -> float:
    """Return the ratio of candidate to stable requests that the block's traffic share implies; 0 before the first share."""
    weights = (share.weight for share in reversed(shares) if share.start_time < block.end)
    weight = next(weights, 0)
    return weight / (100 - weight) if weight < 100 else 0.0  # noqa: PLR2004


def silences_of(terms: Terms, candidate: Candidate, observed: Observed) -> Silences:
    """Return the intervals that don't count toward maxDuration; none where the spec sets maxDuration."""
    if terms.is_duration_given:
        return ()
    start_time = candidate.rollout_start_time
    blocks = [block for block in observed.canary_blocks if block.end > start_time]
    return silent_intervals(blocks, observed.canary_block_seconds)


def silent_intervals(blocks: Sequence[CanaryBlock], block_seconds: int) -> Silences:
    """Return the intervals of at least `MIN_SECONDS` in which neither version has an event, oldest first.

    A block that wasn't measured neither begins nor ends one.

    Parameters
    ----------
    block_seconds : length of a block.
    """
    counted = Derived((), tuple(block.number for block in blocks), blocks.__getitem__)
    rule = (float(block_seconds), 0.0)
    all_intervals = _with_interval(*fold_cached(_add_silence, _NO_SILENCE, counted, rule))
    return tuple(TimeInterval(begin=begin, end=end) for begin, end in all_intervals)


def is_silent(blocks: Sequence[CanaryBlock], block_seconds: int) -> bool:
    """Return whether the newest measured block is in an interval of at least `MIN_SECONDS` without an event.

    Parameters
    ----------
    block_seconds : length of a block.
    """
    newest_end = next((block.end for block in reversed(blocks) if is_counted(block)), 0)
    intervals = silent_intervals(blocks, block_seconds)
    return bool(intervals) and intervals[-1].end == newest_end


_Intervals = tuple[tuple[int, int], ...]
_Silence = tuple[_Intervals, int, int]
"""Intervals that are over, then begin and end of the present one; -1 without one."""
_NO_SILENCE: Final[_Silence] = ((), -1, -1)


def _add_silence(sums: _Silence, blocks: Sequence[CanaryBlock], rule: Rule) -> _Silence:
    intervals, begin, end = sums
    for block in blocks:
        if block.quality is not Quality.COUNTED:
            continue
        if largest_event_count((*block.candidate.values(), *block.stable.values())):
            intervals, begin, end = _with_interval(intervals, begin, end), -1, -1
        else:
            begin, end = (block.end - round(rule[0]) if begin < 0 else begin), block.end
    return intervals, begin, end


def _with_interval(intervals: _Intervals, begin: int, end: int) -> _Intervals:
    return (*intervals, (begin, end)) if end - begin >= MIN_SECONDS else intervals


def contradicting_share(
    terms: Terms, usable_blocks: Sequence[CanaryBlock], weight: float
) -> float | None:
    """Return the candidate's traffic share if it contradicts the weight in each of the last five blocks; else None.

    Counts of the gateway must lie within [w/2, 2w]; counts of the pods only within (0, 2w], as
    callers inside the cluster reach stable without the gateway. A share too small is seen only
    where requests enough were expected. Without a route the share follows the number of pods, so
    only a candidate that gets nothing is wrong.
    """
    newest_blocks = usable_blocks[-SHARE_BLOCKS:]
    sent_requests = [block.sent for block in newest_blocks if block.sent is not None]
    gateway = len(sent_requests) == len(newest_blocks)
    shares = (
        [(c, c + s) for c, s in sent_requests]
        if gateway
        else _requests_by_pods(terms, newest_blocks)
    )
    if len(shares) < SHARE_BLOCKS:
        return None
    candidate_requests, total_requests = (
        sum(share[0] for share in shares),
        sum(share[1] for share in shares),
    )
    if total_requests == 0:
        return None
    requests_expected = weight * total_requests >= EXPECTED_REQUESTS
    max_share, min_share = (
        SHARE_FACTOR * weight,
        weight / SHARE_FACTOR if gateway and requests_expected else 0.0,
    )
    is_outside = terms.routed and all(
        n > 0 and not min_share <= c / n <= max_share for c, n in shares
    )
    return (
        candidate_requests / total_requests
        if (candidate_requests == 0 and requests_expected) or is_outside
        else None
    )


def lost_share(terms: Terms, blocks: Sequence[CanaryBlock]) -> float:
    """Return the failed share of a product's requests, of both arms together; 0 without a count."""
    names = [slo.name for slo in terms.slos if slo.kind is IndicatorKind.AVAILABILITY]
    values = (
        arm.get(name)
        for block in blocks
        for arm in (block.candidate, block.stable)
        for name in names
    )
    return summed(count for value in values if (count := count_of(value)) is not None).ratio or 0.0


def _requests_by_pods(terms: Terms, blocks: Sequence[CanaryBlock]) -> list[tuple[int, int]]:
    """Return the candidate's and the total requests per block, as pods counted them; empty without a count."""
    kinds = {slo.kind: slo.name for slo in terms.slos}
    name = next((kinds[kind] for kind in _REQUEST_KINDS if kind in kinds), None)
    if any(CLIENT_ERRORS in block.stable for block in blocks):  # whatever the answer was
        name = CLIENT_ERRORS
    return [] if name is None else [_share(block, name) for block in blocks]


def _share(block: CanaryBlock, slo: str) -> tuple[int, int]:
    candidate_count = count_of(block.candidate.get(slo)) or NOTHING
    stable_count = count_of(block.stable.get(slo)) or NOTHING
    return candidate_count.total, candidate_count.total + stable_count.total
