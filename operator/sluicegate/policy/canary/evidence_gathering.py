"""What a candidate has shown so far on real traffic: everything that a verdict is based on.

Each block compares both arms with each other, so that a shock that hits both says nothing, and
evidence is carried over the steps. It is computed from the blocks in each pass: what status
keeps is when which weight was given, and stable's burst correlation before the rollout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.block_checks import (
    contradicting_share,
    count_of,
    invalid_blocks,
    is_counted,
    is_silent,
    quality_of,
    requests_of,
    silences_of,
    silent_blocks,
    sum_requests,
)
from sluicegate.policy.canary.gauge_evidence import weigh
from sluicegate.policy.canary.label_evidence import compare_labels, expected_label_seconds
from sluicegate.policy.canary.label_pace import (
    LabelPace,
    Silences,
    is_late,
    weekly_pace,
    with_weekly,
)
from sluicegate.policy.canary.shadow_evidence import (
    evidence_of,
    expected_shadow_seconds,
    hold_out_of,
    is_shadowed,
    rows_per_second,
)
from sluicegate.policy.canary.slo_evidence import (
    Assessment,
    SloEvidence,
    is_required,
    without_slow,
)
from sluicegate.policy.canary.steps import next_share, step_of
from sluicegate.policy.model.observed import LOOK_BACK_SECONDS, CanaryBlock, Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.client_errors import judged_slos
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS, expected_seconds
from sluicegate.stats.counts import Count, summed
from sluicegate.stats.dispersion import (
    MIN_BLOCKS,
    StableScatter,
    burst_correlation,
    level_shift,
)
from sluicegate.stats.sequential_test import (
    ArmBlocks,
    ArmCounts,
    SequentialEvidence,
    arm_blocks,
    better_bound,
    expected_ratio,
    promotion_bound,
    rollback_bound,
    sequential_evidence,
)


def assess(
    terms: Terms, status: DataProductStatus, candidate: Candidate, observed: Observed
) -> Assessment:
    """Assess a candidate with traffic: return the evidence of each SLO, gauge and consumer from its blocks."""
    seconds, start = observed.canary_block_seconds, candidate.rollout_start_time
    earlier_blocks = blocks_before_rollout(observed.canary_blocks, start, seconds)
    blocks = [block for block in observed.canary_blocks if block.end > start]
    since = counted_blocks(blocks, candidate, seconds)
    evidence_blocks = [block for block, counts in since if counts]
    usable_blocks = [block for block in evidence_blocks if _is_in_sync(block, candidate)]
    newest = blocks[-1] if blocks else None
    slos_to_judge = judged_slos(terms, observed.canary_blocks, candidate.pairs)
    shadowed = frozenset(slo.name for slo in slos_to_judge if is_shadowed(terms, candidate, slo))
    consumers = sum(len(consumer_reading.cases) for consumer_reading in observed.consumer_readings)
    cases = len(slos_to_judge) + len(shadowed) + consumers
    newest_end, silences = newest.end if newest else 0, silences_of(terms, candidate, observed)
    arms = CountedArms(earlier_blocks, since, newest_end, seconds, cases, shadowed, silences)
    slos = tuple(
        slo_evidence(
            slo,
            terms,
            status,
            candidate,
            arms=arms,
            pace=weekly_pace(terms, observed, slo.name) if slo.measures_quality else None,
        )
        for slo in slos_to_judge
        if slo.gauge is None
    )
    return Assessment(
        slos=slos if next_share(candidate, terms.steps) is None else without_slow(slos),
        dwell=len(usable_blocks),
        requests=sum_requests(usable_blocks),
        newest=quality_of(newest),
        newest_requests=requests_of(newest) if newest else 0,
        invalid=invalid_blocks(slos_to_judge, blocks),
        silent=silent_blocks(slos_to_judge, blocks, candidate.shares),
        contradicting_share=contradicting_share(terms, usable_blocks, candidate.weight / 100),
        cases=cases,
        silences=silences,
        is_quiet=is_silent(blocks, seconds),
        gauges=tuple(
            weigh(
                slo,
                [
                    pair[0] - pair[1]
                    for block in evidence_blocks
                    if (pair := block.gauges.get(slo.name))
                ],
                terms,
                slos=arms.slos,
                block_seconds=seconds,
            )
            for slo in terms.deciding
            if slo.gauge is not None
        ),
    )


# ---- which blocks count ---------------------------------------------------------------------
def _is_in_sync(block: CanaryBlock, candidate: Candidate) -> bool:
    return bool(candidate.shares) and block.end > candidate.shares[-1].start_time


def counted_blocks(
    blocks: Sequence[CanaryBlock], candidate: Candidate, seconds: int
) -> list[tuple[CanaryBlock, bool]]:
    """Return the counted blocks, each with a flag whether it is evidence.

    Two blocks after each change of weight are none.
    """
    changes = [change.start_time for change in reversed(candidate.shares)]
    counted_list = []
    warm_up = WARM_UP_BLOCKS * seconds
    for block in blocks:
        if is_counted(block):
            end, is_warm = block.end, False
            for change_time in changes:
                if change_time < end:
                    is_warm = end > change_time + warm_up
                    break
            counted_list.append((block, is_warm))
    return counted_list


@dataclass(frozen=True)
class CountedArms:
    """Counted blocks of candidate and stable, oldest first: stable's before the rollout, and all since its start.

    With each of these is whether it is evidence. `newest` is when the newest block ended, counted
    or not; `slos` is how many comparisons may take it back: one an SLO, those of consumers included, and
    one more for each of those that the shadow phase scores, `shadowed`. `silences` are intervals that use up no
    time of the rollout.
    """

    earlier_blocks: list[CanaryBlock]
    rollout_blocks: list[tuple[CanaryBlock, bool]]
    newest: int
    seconds: int
    slos: int
    shadowed: frozenset[str] = frozenset()
    silences: Silences = ()

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Return the number of each block since the start of the rollout, with its evidence flag."""
        return tuple([2 * block.number + is_warm for block, is_warm in self.rollout_blocks])

    @cached_property
    def all_blocks(self) -> list[tuple[CanaryBlock, bool]]:
        """Return the blocks before the rollout, flagged as no evidence, and the blocks since."""
        return [*((block, False) for block in self.earlier_blocks), *self.rollout_blocks]

    @cached_property
    def all_numbers(self) -> tuple[int, ...]:
        """Return the number of each block, also before the rollout, with its evidence flag."""
        return (*(2 * block.number for block in self.earlier_blocks), *self.numbers)


def _pairs(arms: CountedArms, slo: str, first: int) -> ArmBlocks:
    """Return (candidate, stable) counts of each block since the candidate takes traffic, oldest first.

    None for the candidate in blocks that are no evidence: warm-up, and good events still to come.

    Parameters
    ----------
    first : time after which blocks are evidence, in seconds.
    """
    return arm_blocks(
        (slo, first), arms.numbers, partial(_read_pairs, arms.rollout_blocks, slo, first)
    )


def _read_pairs(
    since: Sequence[tuple[CanaryBlock, bool]], slo: str, first: int, stretch: slice
) -> Iterator[ArmCounts]:
    for block, is_warm in since[stretch]:
        stable_count = block.stable.get(slo)
        if stable_count is None or not is_counted(stable_count):
            continue
        if not (is_warm and block.end > first):
            yield None, stable_count.count
        elif (candidate_count := count_of(block.candidate.get(slo))) is not None:
            yield candidate_count, stable_count.count


def blocks_before_rollout(
    blocks: Sequence[CanaryBlock], since: int, seconds: int
) -> list[CanaryBlock]:
    """Return stable's counted blocks of the hour before the rollout, and at least thirty blocks."""
    first = since - max(LOOK_BACK_SECONDS, MIN_BLOCKS * seconds)
    return [b for b in blocks if first < b.end <= since and is_counted(b)]


# ---- evidence -------------------------------------------------------------------------------
def slo_evidence(
    slo: SloTerms,
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    *,
    arms: CountedArms,
    pace: LabelPace | None,
) -> SloEvidence:
    """Return the canary evidence of one SLO.

    Parameters
    ----------
    pace : of its events in the last week; None where that isn't known.
    """
    counts = (count_of(block.stable.get(slo.name)) for block in arms.earlier_blocks)
    before = [count for count in counts if count is not None]
    shift = level_shift(tuple(before))
    recent_counts = before[shift:]
    earlier_sum = summed(recent_counts)
    earlier_counts = with_weekly(earlier_sum, pace)
    stored_correlation = status.engine.correlation.get(slo.name)
    correlation = (
        burst_correlation(before, shift=shift) if stored_correlation is None else stored_correlation
    )
    lag = max(slo.lag_blocks * terms.block_seconds, slo.label_lag_seconds)
    first = max(candidate.rollout_start_time + lag, status.engine.slo(slo.name).since)
    pairs = _pairs(arms, slo.name, first)
    rows = candidate.pairs.get(slo.name)
    margin = slo.margin_by(rows)
    labels = compare_labels(
        slo,
        terms,
        arms.all_blocks,
        candidate.shares,
        numbers=arms.all_numbers,
        seconds=arms.seconds,
        since=status.engine.slo(slo.name).since,
    )
    if labels is None:
        evidence, aged_labels = (
            sequential_evidence(pairs, earlier_sum, margin=margin, correlation=correlation),
            None,
        )
    else:
        evidence, aged_labels = labels.evidence(
            earlier_counts, margin=margin, correlation=correlation
        )
    paired = hold_out_of(slo, candidate)
    known_evidence = 0.0 if paired is None else paired.promote_evidence
    usual_rate = 0.0 if pace is None else pace.per_second
    rate = max(_events_per_block(before, evidence) / arms.seconds, usual_rate)
    shadow = evidence_of(slo, candidate) if slo.name in arms.shadowed else None
    if labels is not None and shadow is None:
        expected_seconds_needed = expected_label_seconds(
            terms.steps,
            labels.rates,
            margin,
            block_seconds=arms.seconds,
            correlation=correlation,
            earlier_evidence=known_evidence,
        )
    elif shadow is None or terms.shadow_seconds is None:
        expected_seconds_needed = lag + expected_seconds(
            terms.steps,
            events_per_second=rate,
            ratio=expected_ratio(summed((earlier_sum, evidence.stable)), margin),
            margin=margin,
            block_seconds=arms.seconds,
            correlation=correlation,
            earlier_evidence=known_evidence,
        )
    else:
        evidence = replace(
            evidence,
            promote_evidence=shadow.promote_evidence,
            better_evidence=shadow.better_evidence,
        )
        expected_seconds_needed = expected_shadow_seconds(
            terms.shadow_seconds,
            candidate,
            rows_per_second(terms, rate),
            shadow=shadow,
            margin=margin,
            evidence=known_evidence,
            rows=rows,
        )
    has_events = pace is not None or evidence.candidate.total > 0 or shadow is not None
    shadow_is_empty = shadow is not None and not shadow.blocks
    return SloEvidence(
        slo,
        evidence if paired is None else evidence.with_paired(paired),
        is_required(
            slo,
            terms,
            expected_seconds_needed,
            has_events=has_events,
            shadow_is_empty=shadow_is_empty,
        ),
        promotion_bound(step_of(candidate, terms.steps), len(terms.steps)),
        rollback_bound(arms.slos),
        correlation,
        evidence.blocks,
        expected_seconds_needed,
        StableScatter(tuple(before), pairs),
        better_bound(step_of(candidate, terms.steps), len(terms.steps), len(terms.deciding)),
        is_late(
            terms,
            status,
            candidate,
            arms.newest,
            block_seconds=arms.seconds,
            silences=arms.silences,
        ),
        paired,
        margin,
        shadow,
        aged_labels,
    )


def _events_per_block(earlier_counts: Sequence[Count], evidence: SequentialEvidence) -> float:
    """Return the events per block of both versions: before or during the rollout, whichever is larger.

    An SLO that must speak isn't let off because its events dry up.
    """
    events_before = (
        sum(count.total for count in earlier_counts) / len(earlier_counts)
        if earlier_counts
        else 0.0
    )
    both_totals = evidence.candidate.total + evidence.stable.total
    return max(events_before, both_totals / evidence.blocks if evidence.blocks else 0.0)
