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
    read_number: int = 0


@dataclass
class Arms:
    """The blocks of two revisions."""

    of: tuple[str, ...]
    blocks: list[CanaryBlock] = field(default_factory=list)


@dataclass
class RolloutCounts:
    """The counts of a product's versions, in blocks of this many seconds, oldest first."""

    seconds: int
    blocks: list[CountedBlock] = field(default_factory=list)
    _series: CountedSeries = field(default_factory=lambda: CountedSeries(()))
    _arms: Arms = field(default_factory=lambda: Arms(()))

    def add(self, end: int, versions: Mapping[str, Counted], *, is_measured: bool) -> None:
        """Add a block that ends now, with the counts of each revision, if they were seen."""
        index = end // self.seconds
        self.blocks.append(CountedBlock(index, end, dict(versions), is_measured=is_measured))

    def series(self, status: DataProductStatus) -> Mapping[str, Mapping[str, Series]]:
        """Return series of the stable version, by version and what is counted."""
        stable = status.stable
        if stable is None:
            return {}
        if self._series.of != (stable.revision,):
            self._series = CountedSeries((stable.revision,))
        series = self._series
        for block in self.blocks[series.read_number :]:
            for name, counted in block.of(stable.revision).items():
                series.series.setdefault(name, Series()).record(counted)
        series.read_number = len(self.blocks)
        return {stable.version: series.series}

    def canary_blocks(self, status: DataProductStatus) -> tuple[CanaryBlock, ...]:
        """Return blocks of stable and candidate; none without a candidate."""
        stable, candidate = status.stable, status.candidate
        if stable is None or candidate is None:
            return ()
        revisions = (stable.revision, candidate.revision)
        if self._arms.of != revisions:
            self._arms = Arms(revisions)
        counted = self._arms.blocks
        for block in self.blocks[len(counted) :]:
            arms = (values(block.of(revision)) for revision in revisions)
            counted.append(CanaryBlock(block.end, block.quality, *arms))
        return tuple(counted)

    def since_last_change(self, status: DataProductStatus) -> Requests:
        """Return requests of both versions in the blocks that began after weights changed."""
        if status.stable is None or status.candidate is None or not status.candidate.shares:
            return count_requests((), ())
        changed = status.candidate.shares[-1].start_time
        if status.traffic is not None:
            changed = max(changed, status.traffic.write_time)
        since = [block for block in self.blocks if block.end - self.seconds >= changed]
        arms = (status.stable.revision, status.candidate.revision)
        return count_requests(*([one.of(arm)["accuracy"] for one in since] for arm in arms))


@dataclass(frozen=True, slots=True)
class CountedBlock:
    """One block of all revisions."""

    index: int
    end: int
    versions: dict[str, Counted]
    is_measured: bool

    @property
    def quality(self) -> Quality:
        """Whether it was counted at all."""
        return Quality.COUNTED if self.is_measured else Quality.UNAVAILABLE

    def of(self, revision: str) -> dict[str, Block]:
        """Return the blocks of a revision by what is counted."""
        counted = self.versions.get(revision)
        if counted is None or not self.is_measured:
            nothing = Quality.NO_SERIES if self.is_measured else Quality.UNAVAILABLE
            blocks = {"accuracy": Block(self.index, nothing, Count(0, 0))}
        else:
            blocks = {"accuracy": Block(self.index, Quality.COUNTED, counted.accuracy)}
        if counted is not None and counted.client_errors is not None:
            blocks[CLIENT_ERRORS] = Block(self.index, Quality.COUNTED, counted.client_errors)
        return blocks


def values(blocks: Mapping[str, Block]) -> dict[str, BlockValue]:
    """Return the values of the blocks."""
    return {slo: BlockValue(block.quality, block.count) for slo, block in blocks.items()}
