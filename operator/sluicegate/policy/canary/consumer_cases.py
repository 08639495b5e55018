"""SLOs of consumers in the canary of their upstream, each a case of its own.

The gateway's split randomises the requests of consumers, too. A request counts for the version that
answered it; one that met both versions counts for neither. While more than a few requests do, those that
are left differ in how many calls they make, so nothing of them is evidence (docs/adr/0028). Labels compare
up to the age that lies within the time since the current share was given, so it is the requests since
then that have to be clear.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import add, sub
from typing import Final, NamedTuple

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate
from sluicegate.policy.canary.block_checks import lost_share
from sluicegate.policy.canary.consumer_pace import pace_of
from sluicegate.policy.canary.evidence_gathering import (
    CountedArms,
    blocks_before_rollout,
    counted_blocks,
    slo_evidence,
)
from sluicegate.policy.canary.slo_evidence import Assessment, ConsumerGap, SloEvidence
from sluicegate.policy.canary.steps import next_share
from sluicegate.policy.model.canary_block import CanaryBlock, ConsumerBlock
from sluicegate.policy.model.consumers import ConsumerReading, terms_for
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms
from sluicegate.views.numbers import percent

MAX_MIXED: Final = 0.01
"""Largest share of a consumer's requests that may meet both versions; of those without a mark, beside
the share that the upstream loses."""
RECENT_BLOCKS: Final = 10
"""Newest blocks of a share, of whose requests this holds as well as of all at this share."""


def with_consumers(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    observed: Observed,
    *,
    assessment: Assessment,
) -> Assessment:
    """Return the assessment with the SLOs of consumers, and the consumers whose outcomes are not valid evidence."""
    if not observed.consumer_readings:
        return assessment
    start = candidate.rollout_start_time
    lost_requests = lost_share(
        terms, [block for block in observed.canary_blocks if block.end > start]
    )
    cases: list[SloEvidence] = []
    gaps: list[ConsumerGap] = []
    for reading in observed.consumer_readings:
        if reading.terms is None:
            gaps.append(ConsumerGap(reading.name, reading.problem, unread=True))
            continue
        counted_blocks = tuple(
            _counted_blocks(reading.blocks, candidate, observed.canary_block_seconds, lost_requests)
        )
        arms = _arms(reading, candidate, observed, counted_blocks, cases=assessment.cases)
        arms = replace(arms, silences=assessment.silences)
        cases += _evidence(terms, status, candidate, reading, arms=arms)
        if text := _gap(f"{terms.namespace}/{terms.name}", reading.name, counted_blocks):
            gaps.append(ConsumerGap(reading.name, text))
    return replace(assessment, slos=(*assessment.slos, *cases), gaps=tuple(gaps))


def _evidence(
    terms: Terms,
    status: DataProductStatus,
    candidate: Candidate,
    reading: ConsumerReading,
    *,
    arms: CountedArms,
) -> Iterator[SloEvidence]:
    """Yield the evidence of each SLO of a consumer; only the last step requires it."""
    consumer = reading.terms
    assert consumer is not None
    is_last = next_share(candidate, terms.steps) is None
    consumer_slos = terms_for(terms, consumer)
    for case in consumer.cases:
        pace = pace_of(consumer_slos, reading, case)
        evidence = slo_evidence(case.terms, consumer_slos, status, candidate, arms=arms, pace=pace)
        yield replace(evidence, required=evidence.required and is_last)


# ---- which blocks are evidence ----------------------------------------------------------------
class _Requests(NamedTuple):
    """Requests of a consumer to the upstream, by the version that answered."""

    total: int = 0
    mixed: int = 0
    unmarked: int = 0

    def problem(self, lost_share: float) -> str:
        """Return why these requests are not valid evidence; empty if they are valid.

        Parameters
        ----------
        lost_share : share of its requests that the upstream loses.
        """
        if self.mixed > MAX_MIXED * self.total:
            return (
                f"{percent(self.mixed / self.total)} met both versions, so none of its outcomes count; that"
                f" ends once at most {percent(MAX_MIXED)} do: its calls need a draw, and have to reach a"
                " listener of spec.rollout.consumers.parentRefs"
            )
        if self.unmarked > (MAX_MIXED + lost_share) * self.total:
            return (
                f"{percent(self.unmarked / self.total)} got no answer that names its version, so none of"
                f" its outcomes count; that ends once at most {percent(MAX_MIXED)} do: pods of both"
                " versions have to mark their answers, by this library or a later one"
            )
        return ""


@dataclass(frozen=True, slots=True)
class _CountedBlock:
    """A counted block, with the sum of the consumer's requests since the present share began.

    Attributes
    ----------
    requests : at this share so far. problem : why they are no evidence; empty where they are some.
    is_warm : it is past the first blocks of its share.
    """

    block: CanaryBlock
    requests: int
    problem: str
    is_warm: bool = True


def _counted_blocks(
    blocks: Sequence[ConsumerBlock], candidate: Candidate, seconds: int, lost_share: float
) -> Iterator[_CountedBlock]:
    """Yield the counted blocks since the candidate takes traffic, oldest first, with their sums."""
    start = candidate.rollout_start_time
    readings_by_end = {
        reading.counts.end: reading for reading in blocks if reading.counts.end > start
    }
    sums = [_Requests()]
    for block, is_warm in counted_blocks(
        [reading.counts for reading in readings_by_end.values()], candidate, seconds
    ):
        if not is_warm:
            sums = [_Requests()]
            yield _CountedBlock(block, 0, "", is_warm=False)
            continue
        reading = readings_by_end[block.end]
        all_requests = _Requests(
            *map(add, sums[-1], (reading.requests, reading.mixed, reading.unmarked))
        )
        newest_requests = _Requests(*map(sub, all_requests, sums[-RECENT_BLOCKS:][0]))
        sums.append(all_requests)
        yield _CountedBlock(
            block,
            all_requests.total,
            newest_requests.problem(lost_share) or all_requests.problem(lost_share),
        )


def _arms(
    reading: ConsumerReading,
    candidate: Candidate,
    observed: Observed,
    counted_blocks: Sequence[_CountedBlock],
    *,
    cases: int,
) -> CountedArms:
    seconds = observed.canary_block_seconds
    earlier_blocks = blocks_before_rollout(
        [block.counts for block in reading.blocks], candidate.rollout_start_time, seconds
    )
    since = [
        (block.block, block.is_warm and block.requests > 0 and not block.problem)
        for block in counted_blocks
    ]
    newest_end = observed.canary_blocks[-1].end if observed.canary_blocks else 0
    return CountedArms(earlier_blocks, since, newest_end, seconds, cases)


def _gap(upstream: str, consumer: str, counted_blocks: Sequence[_CountedBlock]) -> str:
    """Return why the newest outcomes of a consumer are not valid evidence, and what ends that; empty if they are valid."""
    newest_block = counted_blocks[-1] if counted_blocks else None
    if newest_block is not None and not newest_block.is_warm:
        return ""
    if newest_block is None or not newest_block.requests:
        return (
            f"no request of {consumer} to {upstream} was counted at this share; that ends once its pods"
            " have met both versions, count their requests by this library or a later one, and are scraped"
        )
    if not newest_block.problem:
        return ""
    return f"of the requests of {consumer} to {upstream} at this share, {newest_block.problem}"
