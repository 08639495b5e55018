"""The blocks of a replayed product, stored as the operator does: those of the analysis, and canary blocks.

A file may have blocks of other lengths. Shorter ones are parts of a block of the analysis, which is
complete with the last of them; longer ones are spread evenly over canary blocks.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.policy.model.inputs import (
    CandidateReading,
    begin_of_canary_blocks,
    canary_block,
    in_canary,
    is_compared,
)
from sluicegate.policy.model.observed import NO_VALUES, CanaryBlock
from sluicegate.simulation.replay_scenario import ReplayBlock
from sluicegate.slo.blocks import MIN_COVERAGE, Block, BlockValue, Quality, Series, read_block
from sluicegate.slo.by_market import split_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.label_ages import AGED_SERIES, LabelsByAge, labels_by_age
from sluicegate.slo.means import Means
from sluicegate.stats.counts import NOTHING, Count, summed

LONGEST_CANARY_BLOCK_SECONDS: Final = 300
"""Longest canary block: a step lasts seven blocks at least, so they must not be hours."""
_USABLE_QUALITIES: Final = frozenset({Quality.COUNTED, Quality.NO_SERIES})

_NO_LABEL_COUNTS: Final = (NOTHING,) * len(AGED_SERIES)

Values = Mapping[str, BlockValue]
"""Values of a block, by SLO."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The values of a block in the file, for known and unknown versions.

    `aged`: labels by age of each version that has any.
    """

    end: int
    versions: Mapping[str, Values]
    aged: Mapping[str, Values]
    quality: Quality
    unavailable: Reason | None


@dataclass(slots=True)
class ReplayBlocks:
    """All blocks that the replay has processed so far.

    Attributes
    ----------
    slos : names of those that count events. block_seconds : length of a block of the analysis.
    file_seconds : length of the shortest block of the file.
    newest : index of the newest complete block. unavailable : reason why it couldn't be read.
    """

    slos: tuple[str, ...]
    block_seconds: int
    file_seconds: int
    newest: int = 0
    unavailable: Reason | None = None
    _end: int = 0
    _counts_client_errors: bool = False
    _by_market: tuple[str, ...] = ()
    """Names of counts by market, once the file has had one."""
    _series: dict[str, dict[str, Series]] = field(default_factory=dict)
    _parts: dict[int, list[_Read]] = field(default_factory=dict)
    _before: tuple[int, list[_Read]] | None = None
    _canary: list[_Read] = field(default_factory=list)

    @classmethod
    def of(
        cls, slos: tuple[str, ...], block_seconds: int, file: tuple[ReplayBlock, ...]
    ) -> "ReplayBlocks":
        """Create the empty blocks of a file; the shortest block's length is the unit."""
        gaps = (
            next_time - previous_time
            for previous_time, next_time in pairwise(
                [0, *(recorded_block.at for recorded_block in file)]
            )
        )
        return cls(slos, block_seconds, min(gaps, default=block_seconds))

    @property
    def canary_seconds(self) -> int:
        """Return the length of a canary block: that of the file's shortest block, at most five minutes.

        The operator reads blocks of a minute, and so does a record while two versions have traffic.
        The distribution of events over the minutes of longer blocks is unknown; a guess would hide
        bursts, and so weaken the protection against chance.
        """
        return min(self.file_seconds, LONGEST_CANARY_BLOCK_SECONDS)

    def record(self, block: ReplayBlock, status: DataProductStatus) -> None:
        """Record a block of the file.

        Parameters
        ----------
        status : has the versions that are read from now on, also without requests, and whether
            versions are compared: client errors are counted only then.
        """
        live_versions = (
            version_base.version
            for version_base in (status.stable, status.candidate)
            if version_base is not None
        )
        block_reading, versions_compared = self._read(block, live_versions), is_compared(status)
        self._parts.setdefault(-(-block.at // self.block_seconds), []).append(block_reading)
        self._canary += self._spread(block_reading, self._seconds(block.at))
        complete_blocks = block.at // self.block_seconds
        for index in sorted(index for index in self._parts if index <= complete_blocks):
            self._complete(index, self._parts.pop(index), is_compared=versions_compared)
        self.newest, self._end = complete_blocks, block.at

    def series(self, version: str, name: str) -> Series | None:
        """Return the blocks of one series, empty for an unknown version; None if the file does not count it."""
        series = self._series.get(version, {}).get(name)
        return Series() if series is None and name in self._names() else series

    def since(
        self, begin_time: int
    ) -> Iterator[tuple[int, BlockValue, Mapping[str, Values], Values, Mapping[str, Values]]]:
        """Yield the canary blocks that end at `begin`, in seconds, or later.

        Each has its end, the value for all requests if the file doesn't count them, the values by
        version, those of an unknown version, and labels by age by version.
        """
        for block_reading in self._canary[
            bisect_left(self._canary, begin_time, key=lambda block_reading2: block_reading2.end) :
        ]:
            missing_value = BlockValue(
                Quality.NO_SERIES
                if block_reading.quality in _USABLE_QUALITIES
                else block_reading.quality
            )
            yield (
                block_reading.end,
                BlockValue(block_reading.quality),
                block_reading.versions,
                dict.fromkeys(self._names(), missing_value),
                block_reading.aged,
            )

    # ---- reading --------------------------------------------------------------------------------
    def _names(self) -> tuple[str, ...]:
        errors = (CLIENT_ERRORS,) if self._counts_client_errors else ()
        return (*self.slos, *self._by_market, *errors)

    def _read(self, block: ReplayBlock, live_versions: Iterable[str]) -> _Read:
        for counts in block.counts.values():
            self._counts_client_errors |= CLIENT_ERRORS in counts
            new_names = (
                series_name
                for series_name in counts
                if split_series(series_name)[1] and series_name not in self._by_market
            )
            self._by_market += tuple(new_names)
        for version in (*live_versions, *block.counts):
            self._series.setdefault(version, {name: Series() for name in self.slos})
        versions = {
            version: {name: _block_value(block, version, name) for name in self._names()}
            for version in self._series
        }
        values_by_age = {
            version: {name: _block_value(block, version, name) for name in AGED_SERIES.values()}
            for version, counts in block.counts.items()
            if not counts.keys().isdisjoint(AGED_SERIES.values())
        }
        return _Read(block.at, versions, values_by_age, _quality(block), block.unavailable)

    def _seconds(self, block_end: int) -> int:
        """Return the length of the block of the file that ends here: a gap before it isn't part of it."""
        longest_seconds = max(self.block_seconds, self.file_seconds)
        return min(block_end - self._end, longest_seconds) if self._end else self.file_seconds

    def _spread(self, block_reading: _Read, seconds: int) -> Iterator[_Read]:
        part_count = max(seconds // self.canary_seconds, 1)
        if part_count == 1:
            yield block_reading
            return
        for part_number in range(1, part_count + 1):
            yield replace(
                block_reading,
                end=block_reading.end - (part_count - part_number) * self.canary_seconds,
                versions=_parts_of_values(block_reading.versions, part_number, part_count),
                aged=_parts_of_values(block_reading.aged, part_number, part_count),
            )

    def _complete(self, index: int, block_parts: list[_Read], *, is_compared: bool) -> None:
        reasons = {block_part.unavailable for block_part in block_parts}
        self.unavailable = block_parts[-1].unavailable if None not in reasons else None
        for version, version_series in self._series.items():
            if not is_compared:
                version_series.pop(CLIENT_ERRORS, None)
            elif self._counts_client_errors:
                version_series.setdefault(CLIENT_ERRORS, Series())
            for name in self._by_market:
                version_series.setdefault(name, Series())
            for name, series in version_series.items():
                if series.newest < 0 and self._before is not None:
                    # The operator reads each block again, with the next one.
                    series.record(_joined_block(version, name, *self._before))
                series.record(_joined_block(version, name, index, block_parts))
        self._before = index, block_parts


@dataclass(frozen=True, slots=True)
class ReplayedProduct:
    """The blocks with the status at one time, as inputs of decisions at that time."""

    blocks: ReplayBlocks
    status: DataProductStatus

    @property
    def newest(self) -> int:
        """Index of the newest complete block."""
        return self.blocks.newest

    @property
    def canary_seconds(self) -> int:
        """Return the length of a canary block."""
        return self.blocks.canary_seconds

    def name(self, version: VersionBase) -> str:
        """Return the name of a version in the file."""
        return version.version

    def series(self, version: VersionBase, name: str) -> Series | None:
        """Return the blocks of one series of a version; None if the file has none of this name."""
        return self.blocks.series(version.version, name)

    def means(self, version: VersionBase, slo: str) -> Means | None:  # noqa: ARG002
        """Return None: a file has only counts."""
        return None

    def lost(self) -> dict[str, Reason]:
        """Return the SLOs whose counts are unavailable in the newest block."""
        reason, stable = Reason.PROMETHEUS_UNAVAILABLE, self.status.stable
        if self.blocks.unavailable is reason:
            return dict.fromkeys(self.blocks.slos, reason)
        if stable is None or self.blocks.unavailable is not None:
            return {}
        series_by_slo = {name: self.series(stable, name) for name in self.blocks.slos}
        return {
            name: reason
            for name, series in series_by_slo.items()
            if series is not None and series.block(self.newest).quality is Quality.UNAVAILABLE
        }

    def outage(self) -> Reason | None:
        """Return the reason in the file why the newest block couldn't be read."""
        return self.blocks.unavailable

    def canary_blocks(self) -> tuple[CanaryBlock, ...]:
        """Return the blocks of both arms, from an hour before the rollout; none without a candidate."""
        candidate, stable, seconds = self.status.candidate, self.status.stable, self.canary_seconds
        if candidate is None or stable is None or not in_canary(self.status):
            return ()
        begin_time = candidate.start_time // seconds * seconds
        first = begin_of_canary_blocks(candidate, seconds) // seconds * seconds
        canary_blocks = []
        for block_end, is_unknown, versions, missing_value, values_by_age in self.blocks.since(
            first
        ):
            values = versions.get(stable.version, missing_value)
            reading = CandidateReading(
                counts=versions.get(candidate.version, missing_value),
                up=True,
                gauges=NO_VALUES,
                sent=None,
                pairs=None,
            )
            requests = values.get(CLIENT_ERRORS, is_unknown)
            ages = ages_of(values_by_age, candidate.version, stable.version)
            candidate_reading = reading if block_end > begin_time else None
            canary_blocks.append(
                canary_block(block_end, requests, values, candidate_reading, ages=ages)
            )
        return tuple(canary_blocks)


def ages_of(values_by_age: Mapping[str, Values], *versions: str) -> LabelsByAge | None:
    """Return the labels of (candidate, stable) by age; None if the file has no ages."""
    if values_by_age.keys().isdisjoint(versions):
        return None
    candidate, stable = (
        tuple(block_value.count for block_value in values_by_age[version].values())
        if version in values_by_age
        else _NO_LABEL_COUNTS
        for version in versions
    )
    return labels_by_age(candidate, stable)


def _block_value(block: ReplayBlock, version: str, slo: str) -> BlockValue:
    if block.unavailable is not None:
        return BlockValue(Quality.UNAVAILABLE)
    count = block.counts.get(version, {}).get(slo, (None, None))
    if isinstance(count, Quality):
        return BlockValue(count)
    bad_events, total = count
    block_reading = read_block(0, bad_events, total, coverage=block.coverage)
    return BlockValue(block_reading.quality, block_reading.count)


def _quality(block: ReplayBlock) -> Quality:
    if block.unavailable is not None:
        return Quality.UNAVAILABLE
    return read_block(0, 0, 0, coverage=block.coverage).quality


def _joined_block(version: str, slo: str, index: int, block_parts: list[_Read]) -> Block:
    """Return the block of one series that consists of these shorter blocks."""
    values = [block_part.versions.get(version, {}).get(slo) for block_part in block_parts]
    value = _joined_value([block_value or BlockValue(Quality.NO_SERIES) for block_value in values])
    return Block(index, value.quality, value.count)


def _parts_of_values(
    versions: Mapping[str, Values], part_number: int, part_count: int
) -> dict[str, Values]:
    return {
        version: {
            name: _part_of_value(slo_values, part_number, part_count)
            for name, slo_values in values.items()
        }
        for version, values in versions.items()
    }


def _part_of_value(value: BlockValue, part_number: int, part_count: int) -> BlockValue:
    """Return one of several equal parts of a block, with its share of the events and of the bad events."""
    bad_events, total = value.count
    total_before, total_after = (
        total * (part_number - 1) // part_count,
        total * part_number // part_count,
    )
    part_share = (
        Count(
            bad_events * total_after // total - bad_events * total_before // total,
            total_after - total_before,
        )
        if total
        else NOTHING
    )
    return BlockValue(value.quality, part_share)


def _joined_value(value_parts: list[BlockValue]) -> BlockValue:
    """Return the sum of these blocks; a single lost block of five doesn't count as low coverage."""
    usable_values = [
        value_part for value_part in value_parts if value_part.quality in _USABLE_QUALITIES
    ]
    if not usable_values:
        return value_parts[-1]
    if len(usable_values) < MIN_COVERAGE * len(value_parts):
        return BlockValue(Quality.LOW_COVERAGE)
    quality = max(usable_value.quality for usable_value in usable_values)
    return BlockValue(quality, summed(usable_value.count for usable_value in usable_values))
