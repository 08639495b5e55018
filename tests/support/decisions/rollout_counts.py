"""What is counted of a rollout in memory, kept as the operator keeps it: series of stable, and arms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sluicegate.measurement.canary_blocks import Requests, count_requests
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.slo.blocks import Block, BlockValue, Quality, Series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate.api.status import DataProductStatus


class Counted(NamedTuple):
    """What a version answered in a block, and its client errors of all requests; None uncounted."""

    accuracy: Count
    client_errors: Count | None


@dataclass
class CountedSeries:
    """The series of a revision, as far as blocks were seen; they grow, as the operator's do."""

    of: tuple[str, ...]
    series: dict[str, Series] = field(default_factory=lambda: {"accuracy": Series()})
    seen: int = 0


@dataclass
class Arms:
    """The blocks of two revisions."""

    of: tuple[str, ...]
    blocks: list[CanaryBlock] = field(default_factory=list)


@dataclass
class RolloutCounts:
    """The counts of a product's versions, in blocks of so many seconds, oldest first."""

    seconds: int
    blocks: list[CountedBlock] = field(default_factory=list)
    _series: CountedSeries = field(default_factory=lambda: CountedSeries(()))
    _arms: Arms = field(default_factory=lambda: Arms(()))

    def add(self, end: int, versions: Mapping[str, Counted], *, seen: bool) -> None:
        """A block that ends now: what each revision was counted to answer, if it was seen."""
        index = end // self.seconds
        self.blocks.append(CountedBlock(index, end, dict(versions), seen=seen))

    def series(self, status: DataProductStatus) -> Mapping[str, Mapping[str, Series]]:
        """Series of the stable version, by version and what is counted."""
        stable = status.stable
        if stable is None:
            return {}
        if self._series.of != (stable.revision,):
            self._series = CountedSeries((stable.revision,))
        known = self._series
        for block in self.blocks[known.seen :]:
            for name, one in block.of(stable.revision).items():
                known.series.setdefault(name, Series()).record(one)
        known.seen = len(self.blocks)
        return {stable.version: known.series}

    def canary_blocks(self, status: DataProductStatus) -> tuple[CanaryBlock, ...]:
        """Blocks of stable and candidate; none without a candidate."""
        stable, candidate = status.stable, status.candidate
        if stable is None or candidate is None:
            return ()
        revisions = (stable.revision, candidate.revision)
        if self._arms.of != revisions:
            self._arms = Arms(revisions)
        known = self._arms.blocks
        for one in self.blocks[len(known) :]:
            arms = (values(one.of(revision)) for revision in revisions)
            known.append(CanaryBlock(one.end, one.quality, *arms))
        return tuple(known)

    def since_last_change(self, status: DataProductStatus) -> Requests:
        """Requests of both versions in the blocks that began after weights changed."""
        if status.stable is None or status.candidate is None or not status.candidate.shares:
            return count_requests((), ())
        changed = status.candidate.shares[-1].start_time
        if status.traffic is not None:
            changed = max(changed, status.traffic.write_time)
        since = [one for one in self.blocks if one.end - self.seconds >= changed]
        arms = (status.stable.revision, status.candidate.revision)
        return count_requests(*([one.of(arm)["accuracy"] for one in since] for arm in arms))


@dataclass(frozen=True, slots=True)
class CountedBlock:
    """One block of all revisions."""

    index: int
    end: int
    versions: dict[str, Counted]
    seen: bool

    @property
    def quality(self) -> Quality:
        """Whether it was counted at all."""
        return Quality.COUNTED if self.seen else Quality.UNAVAILABLE

    def of(self, revision: str) -> dict[str, Block]:
        """The blocks of a revision by what is counted."""
        counted = self.versions.get(revision)
        if counted is None or not self.seen:
            nothing = Quality.NO_SERIES if self.seen else Quality.UNAVAILABLE
            found = {"accuracy": Block(self.index, nothing, Count(0, 0))}
        else:
            found = {"accuracy": Block(self.index, Quality.COUNTED, counted.accuracy)}
        if counted is not None and counted.client_errors is not None:
            found[CLIENT_ERRORS] = Block(self.index, Quality.COUNTED, counted.client_errors)
        return found


def values(blocks: Mapping[str, Block]) -> dict[str, BlockValue]:
    """What the blocks say."""
    return {slo: BlockValue(block.quality, block.count) for slo, block in blocks.items()}
