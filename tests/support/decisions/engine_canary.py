"""One simulated canary that the engine itself judges: the oracle of what judges many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    Release,
    Version,
    VersionSource,
)
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.decision import Advance, Inconclusive, Promote, Rollback
from sluicegate.policy.model.observed import CanaryBlock, Facts, Observed
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.simulation.scenario import Scenario, SimulatedVerdict
from sluicegate.slo.blocks import BlockValue, Quality
from tests.support.decisions.judged import series

if TYPE_CHECKING:
    from sluicegate.policy.model.terms import Terms
    from sluicegate.stats.counts import Count

_STATUS = DataProductStatus(
    stable=Version.of(Release("stable"), VersionSource.SPEC, promotion_time=0)
)


class Canary:
    """One candidate for the engine: with each block it advances, holds or gets a verdict."""

    def __init__(self, terms: Terms, scenario: Scenario, past: list[CanaryBlock]) -> None:
        self._terms, self._seconds = terms, scenario.block_seconds
        self._blocks = past
        self._series = {
            "stable": {stream.name: series((0, 1)) for stream in scenario.streams if stream.labels}
        }
        start = past[-1].end
        candidate = Candidate.of(
            Release("candidate"),
            VersionSource.SPEC,
            phase=CandidatePhase.STARTING,
            start_time=start,
        )
        self._status = _STATUS.replace(candidate=with_share(candidate, terms.steps[0], start))

    @property
    def weight(self) -> int:
        """Its share in percent."""
        return self._candidate.weight

    @property
    def _candidate(self) -> Candidate:
        assert self._status.candidate is not None
        return self._status.candidate

    def observe(self, block: CanaryBlock) -> SimulatedVerdict:
        """Return the verdict after one more block."""
        self._blocks.append(block)
        observed = Observed(
            block=block.end // self._terms.block_seconds,
            series=self._series,
            canary_blocks=tuple(self._blocks),
            canary_block_seconds=self._seconds,
        )
        assessment = assess(self._terms, self._status, self._candidate, observed)
        frozen = {slo.terms.name: slo.correlation for slo in assessment.slos}
        self._status = self._status.with_engine(correlation=frozen)
        decision = decide(
            CanaryCase(
                self._terms,
                self._status,
                self._candidate,
                assessment,
                facts=Facts(),
                now=block.end,
            )
        )
        match decision:
            case Rollback():
                return SimulatedVerdict.ROLLED_BACK
            case Promote():
                return SimulatedVerdict.PROMOTED
            case Inconclusive():
                return SimulatedVerdict.INCONCLUSIVE
            case Advance():
                after = with_share(self._candidate, decision.weight, block.end)
                self._status = self._status.replace(candidate=after)
            case _:
                pass
        return SimulatedVerdict.RUNNING


def canary_block(end: int, arms: dict[str, tuple[Count, Count]]) -> CanaryBlock:
    """Return a canary block from (candidate, stable) by SLO."""
    return CanaryBlock(
        end,
        Quality.COUNTED,
        stable={name: BlockValue(Quality.COUNTED, pair[1]) for name, pair in arms.items()},
        candidate={name: BlockValue(Quality.COUNTED, pair[0]) for name, pair in arms.items()},
    )
