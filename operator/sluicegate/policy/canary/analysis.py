"""What a candidate has shown so far on real traffic: everything that a verdict is based on.

Each block compares both arms with each other, so that a shock that hits both says nothing, and
evidence is carried over the steps. It is gathered from the blocks anew each time: what status
keeps is when which weight was given, and stable's burst correlation before the rollout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sluicegate.api.rollout import DEFAULT_MAX_DURATION_SECONDS
from sluicegate.api.slos import CanaryEvidence, IndicatorKind
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.assessment import Assessment, SloEvidence, without_slow
from sluicegate.policy.canary.gauge_evidence import weigh
from sluicegate.policy.canary.pace import LabelPace, weekly_pace
from sluicegate.policy.canary.shadow_evidence import (
    evidence_of,
    expected_shadow_seconds,
    hold_out_of,
    is_shadowed,
    rows_per_second,
)
from sluicegate.policy.model.attended_time import rollout_seconds
from sluicegate.policy.model.observed import LOOK_BACK_SECONDS, CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.client_errors import watched
from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.canary_duration import LEAST_BLOCKS as NEEDED_BLOCKS
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS, expected_seconds
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import (
    LEAST_BLOCKS,
    burst_correlation,
    dispersion,
    level_shift,
)
from sluicegate.stats.sequential_test import (
    SequentialEvidence,
    better_bound,
    expected_ratio,
    gather,
    promotion_bound,
    rollback_bound,
)

SHARE_BLOCKS: Final = 5
"""Blocks in a row with a wrong share that make a routing mismatch."""
SHARE_FACTOR: Final = 2
EXPECTED_REQUESTS: Final = 20
"""Expected requests from which on none at all, or too few by the gateway, are a mismatch."""
_REQUEST_KINDS: Final = (IndicatorKind.AVAILABILITY, IndicatorKind.LATENCY)


def assess(
    terms: Terms, status: DataProductStatus, candidate: Candidate, observed: Observed
) -> Assessment:
    """Gather what the blocks say of a candidate that takes traffic."""
    seconds, start = observed.canary_block_seconds, began(candidate)
    before = look_back(observed.canary_blocks, start, seconds)
    blocks = [block for block in observed.canary_blocks if block.end > start]
    counted = _counted(blocks, candidate, seconds)
    evident = [block for block, counts in counted if counts]
    usable = [block for block in evident if _in_step(block, candidate)]
    newest = blocks[-1] if blocks else None
    judged = watched(terms, observed.canary_blocks, candidate.pairs)
    shadowed = frozenset(slo.name for slo in judged if is_shadowed(terms, candidate, slo))
    arms = _Arms(
        before, counted, newest.end if newest else 0, seconds, len(judged) + len(shadowed), shadowed
    )
    slos = tuple(
        _slo_evidence(
            slo,
            terms,
            status,
            candidate,
            arms=arms,
            pace=weekly_pace(terms, observed, slo.name) if slo.measures_quality else None,
        )
        for slo in judged
        if slo.gauge is None
    )
    return Assessment(
        slos=slos if candidate.next_share(terms.steps) is None else without_slow(slos),
        dwell=len(usable),
        requests=sum(_requests(block) for block in usable),
        newest=newest.quality if newest else Quality.MISSING,
        newest_requests=_requests(newest) if newest else 0,
        invalid=_invalid(judged, blocks),
        silent=_silent(judged, blocks),
        mismatch=_mismatch(terms, usable, candidate.weight / 100),
        gauges=tuple(
            weigh(
                slo,
                [pair[0] - pair[1] for block in evident if (pair := block.gauges.get(slo.name))],
                terms,
                slos=arms.slos,
                block_seconds=seconds,
            )
            for slo in terms.deciding
            if slo.gauge is not None
        ),
    )


# ---- which blocks count ---------------------------------------------------------------------
def began(candidate: Candidate) -> int:
    """When it first took traffic."""
    return candidate.shares[0].start_time if candidate.shares else candidate.start_time


def _in_step(block: CanaryBlock, candidate: Candidate) -> bool:
    return bool(candidate.shares) and block.end > candidate.shares[-1].start_time


def _counted(
    blocks: Sequence[CanaryBlock], candidate: Candidate, seconds: int
) -> list[tuple[CanaryBlock, bool]]:
    """The blocks that were counted, and whether each is evidence.

    Two blocks after each change of weight are none.
    """
    changes = [change.start_time for change in reversed(candidate.shares)]
    found = []
    for block in blocks:
        if block.quality is Quality.COUNTED:
            changed = next((since for since in changes if since < block.end), None)
            warm = changed is not None and block.end > changed + WARM_UP_BLOCKS * seconds
            found.append((block, warm))
    return found


def _count(value: BlockValue | None) -> Count | None:
    return value.count if value is not None and value.quality is Quality.COUNTED else None


@dataclass(frozen=True, slots=True)
class _Arms:
    """Counted blocks of both arms, oldest first: stable's before the rollout, and all since it began.

    With each of these is whether it is evidence. `newest` is when the newest block ended, counted
    or not; `slos` is how many comparisons may take it back: one an SLO, and one more for each of
    those that the shadow phase scores, `shadowed`.
    """

    before: list[CanaryBlock]
    since: list[tuple[CanaryBlock, bool]]
    newest: int
    seconds: int
    slos: int
    shadowed: frozenset[str] = frozenset()


def _pairs(
    slo: SloTerms, status: DataProductStatus, candidate: Candidate, arms: _Arms, *, lag_seconds: int
) -> Iterator[tuple[Count | None, Count]]:
    """Events of (candidate, stable) since it takes traffic, oldest first.

    None for the candidate in blocks that are no evidence: warm-up, and good events still to come.
    """
    first = max(began(candidate) + lag_seconds, status.engine.slo(slo.name).since)
    for block, warm in arms.since:
        theirs = block.stable.get(slo.name)
        if theirs is None or theirs.quality is not Quality.COUNTED:
            continue
        if not (warm and block.end > first):
            yield None, theirs.count
        elif (ours := _count(block.candidate.get(slo.name))) is not None:
            yield ours, theirs.count


def look_back(blocks: Sequence[CanaryBlock], since: int, seconds: int) -> list[CanaryBlock]:
    """What was counted before the rollout: in the last hour, at least in thirty blocks."""
    first = since - max(LOOK_BACK_SECONDS, LEAST_BLOCKS * seconds)
    return [b for b in blocks if first < b.end <= since and b.quality is Quality.COUNTED]


# ---- evidence -------------------------------------------------------------------------------
def _slo_evidence(
    slo: SloTerms,
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    *,
    arms: _Arms,
    pace: LabelPace | None,
) -> SloEvidence:
    found = [block.stable.get(slo.name) for block in arms.before]
    before = [one.count for one in found if one is not None and one.quality is Quality.COUNTED]
    shift = level_shift(tuple(before))
    recent = before[shift:]
    past = summed(recent)
    known = status.engine.correlation.get(slo.name)
    correlation = burst_correlation(before, shift=shift) if known is None else known
    lag = slo.lag_blocks * terms.block_seconds
    pairs = list(_pairs(slo, status, candidate, arms, lag_seconds=lag))
    blocks = sum(ours is not None for ours, _ in pairs)
    rows = candidate.pairs.get(slo.name)
    margin = slo.margin_by(rows)
    evidence = gather(pairs, past, margin=margin, correlation=correlation)
    paired = hold_out_of(slo, candidate)
    known_evidence = 0.0 if paired is None else paired.promote
    usual = 0.0 if pace is None else pace.per_second
    rate = max(_rate(before, evidence, blocks) / arms.seconds, usual)
    shadow = evidence_of(slo, candidate) if slo.name in arms.shadowed else None
    if shadow is None or terms.shadow_seconds is None:
        expected = lag + expected_seconds(
            terms.steps,
            events_per_second=rate,
            ratio=expected_ratio(summed((past, evidence.stable)), margin),
            margin=margin,
            block_seconds=arms.seconds,
            correlation=correlation,
            earlier_evidence=known_evidence,
        )
    else:
        evidence = replace(evidence, promote=shadow.promote, better=shadow.better)
        expected = expected_shadow_seconds(
            terms.shadow_seconds,
            candidate,
            rows_per_second(terms, rate),
            shadow=shadow,
            margin=margin,
            known=known_evidence,
            rows=rows,
        )
    comes = pace is not None or evidence.candidate.total > 0 or shadow is not None
    unheard = shadow is not None and not shadow.blocks
    return SloEvidence(
        slo,
        evidence if paired is None else evidence.after(paired),
        _must_speak(slo, terms, expected, comes=comes, unheard=unheard),
        promotion_bound(candidate.step_of(terms.steps), len(terms.steps)),
        rollback_bound(arms.slos),
        correlation,
        blocks,
        expected,
        dispersion([*before, *(theirs for _, theirs in pairs)]),
        better_bound(candidate.step_of(terms.steps), len(terms.steps), len(terms.deciding)),
        _is_late(terms, status, candidate, arms),
        paired,
        margin,
        shadow,
    )


def _is_late(terms: Terms, status: DataProductStatus, candidate: Candidate, arms: _Arms) -> bool:
    """Whether the steps so far have taken their part of the duration, but for a step's least blocks.

    Of a duration that waits for labels, requests need no more than what applies without them.
    """
    longest = terms.max_duration_seconds
    if not terms.duration_given:
        longest = min(longest, DEFAULT_MAX_DURATION_SECONDS)
    most = longest - NEEDED_BLOCKS * arms.seconds
    took = rollout_seconds(status, candidate, arms.newest)
    return took >= candidate.step_of(terms.steps) / len(terms.steps) * most


def _rate(before: Sequence[Count], evidence: SequentialEvidence, blocks: int) -> float:
    """Events of both arms a block: as before the rollout, or as during it, whichever is more.

    An SLO that must speak isn't let off because its events dry up.
    """
    then = sum(count.total for count in before) / len(before) if before else 0.0
    both = evidence.candidate.total + evidence.stable.total
    return max(then, both / blocks if blocks else 0.0)


def _must_speak(
    slo: SloTerms, terms: Terms, expected: float, *, comes: bool, unheard: bool
) -> bool:
    """Whether a promotion needs it.

    Where a person chose the rollout's duration, it is what an equal candidate can pass in; else
    the duration follows the labels, and an SLO that has any is waited for. `unheard`: a shadow
    phase scores it and has no rows yet. It is waited for, or a command that fails would promote.
    """
    match slo.canary_evidence:
        case CanaryEvidence.REQUIRED:
            return True
        case CanaryEvidence.IF_AVAILABLE:
            waited_for = slo.measures_quality and comes and not terms.duration_given
            return waited_for or unheard or expected <= terms.max_duration_seconds
        case CanaryEvidence.POST_PROMOTION:
            return False


# ---- guards ---------------------------------------------------------------------------------
def _requests(block: CanaryBlock) -> int:
    counts = (_count(reading) for reading in block.candidate.values())
    return max((count.total for count in counts if count is not None), default=0)


def _invalid(judged: Sequence[SloTerms], blocks: Sequence[CanaryBlock]) -> int:
    """Latest blocks in a row with numbers that aren't counts, in either arm of what is judged."""
    names = [slo.name for slo in judged]

    def broken(block: CanaryBlock) -> bool:
        arms = (block.candidate, block.stable)
        readings = [arm[name] for arm in arms for name in names if name in arm]
        return any(reading.quality is Quality.INVALID for reading in readings)

    rows = 0
    for block in reversed(blocks):
        if block.quality is not Quality.COUNTED or not broken(block):
            break
        rows += 1
    return rows


def _silent(judged: Sequence[SloTerms], blocks: Sequence[CanaryBlock]) -> int:
    """Latest blocks in a row in which a live stable stood beside a candidate without any series.

    A block that tells nothing of stable, or in which the candidate's pods weren't scraped, neither
    counts nor ends the row.
    """
    names = [slo.name for slo in judged if slo.gauge is None]
    rows = 0
    for block in reversed(blocks):
        stable = [_count(block.stable.get(name)) for name in names]
        alive = any(count is not None and count.total > 0 for count in stable)
        if block.quality is not Quality.COUNTED or not block.canary_up or not alive:
            continue
        readings = [block.candidate[name] for name in names if name in block.candidate]
        if any(reading.quality is not Quality.NO_SERIES for reading in readings):
            break
        rows += 1
    return rows


def _mismatch(terms: Terms, usable: Sequence[CanaryBlock], weight: float) -> float | None:
    """The candidate's share of the requests in the last five blocks, when it was wrong in each.

    Counts of the gateway must lie within [w/2, 2w]; counts of the pods only within (0, 2w], as
    callers inside the cluster reach stable without the gateway. A share too small is seen only
    where requests enough were expected. Without a route the share follows the number of pods, so
    only a candidate that gets nothing is wrong.
    """
    last = usable[-SHARE_BLOCKS:]
    sent = [block.sent for block in last if block.sent is not None]
    gateway = len(sent) == len(last)
    shares = [(c, c + s) for c, s in sent] if gateway else _shares(terms, last)
    if len(shares) < SHARE_BLOCKS:
        return None
    ours, all_ = sum(share[0] for share in shares), sum(share[1] for share in shares)
    if all_ == 0:
        return None
    expected = weight * all_ >= EXPECTED_REQUESTS
    most, least = SHARE_FACTOR * weight, weight / SHARE_FACTOR if gateway and expected else 0.0
    outside = terms.routed and all(n > 0 and not least <= c / n <= most for c, n in shares)
    return ours / all_ if (ours == 0 and expected) or outside else None


def _shares(terms: Terms, blocks: Sequence[CanaryBlock]) -> list[tuple[int, int]]:
    """Requests of the candidate and of both, as pods counted them; none where nothing counts them."""
    kinds = {slo.kind: slo.name for slo in terms.slos}
    name = next((kinds[kind] for kind in _REQUEST_KINDS if kind in kinds), None)
    if any(CLIENT_ERRORS in block.stable for block in blocks):  # whatever the answer was
        name = CLIENT_ERRORS
    return [] if name is None else [_share(block, name) for block in blocks]


def _share(block: CanaryBlock, slo: str) -> tuple[int, int]:
    ours = _count(block.candidate.get(slo)) or NOTHING
    theirs = _count(block.stable.get(slo)) or NOTHING
    return ours.total, ours.total + theirs.total
