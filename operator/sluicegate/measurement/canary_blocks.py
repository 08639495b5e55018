"""Both arms of a canary, block by block, as the evidence needs them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.names import version_name
from sluicegate.policy.model.inputs import CandidateReading, canary_block
from sluicegate.policy.model.observed import NO_VALUES, CanaryBlock
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import (
    PAIRED_SERIES,
    ProductKey,
    SeriesKey,
    VersionKey,
    identity,
)
from sluicegate.slo.blocks import MEASURED, Block, BlockRow, BlockValue, Quality
from sluicegate.slo.gateway import backend_of
from sluicegate.slo.label_ages import AGED_SERIES, LabelsByAge, labels_by_age
from sluicegate.stats.paired import Pairs


@dataclass(frozen=True, slots=True)
class Arm:
    """One version of a canary, with its names in series and at the gateway."""

    version: str
    backend: str


@dataclass(frozen=True, slots=True)
class Arms:
    """Both versions of one product's canary, as the source of its blocks.

    Attributes
    ----------
    counted, gauges : names of the SLOs that count events, and of those with a mean.
    requests : name of the series of all requests.
    seconds : length of a canary block.
    begins : index of the block in which the rollout began.
    """

    canaries: CanaryBlocks
    product: ProductKey
    stable: Arm
    candidate: Arm
    counted: tuple[str, ...]
    gauges: tuple[str, ...]
    requests: str
    seconds: int
    begins: int

    def blocks(self) -> tuple[CanaryBlock, ...]:
        """Return all blocks that were read, from an hour before the rollout, oldest first.

        A day of them is evaluated each minute, so blocks are built only once.
        """
        request_blocks = self.canaries.blocks(self.series(self.stable, self.requests))
        blocks_by_index: dict[int, CanaryBlock] = self.canaries.derived(self.product, self)
        block_indexes = request_blocks.indexes()
        missing_indexes = [index for index in block_indexes if index not in blocks_by_index]
        if missing_indexes:
            # Values that are common to all blocks are computed once.
            blocks_by_index.update(
                zip(missing_indexes, self._make(missing_indexes, request_blocks), strict=True)
            )
        return tuple(blocks_by_index[index] for index in block_indexes)

    def series(self, version_arm: Arm, name: str) -> SeriesKey:
        """Return the key of one SLO's series of an arm."""
        return SeriesKey(*self.product, version_arm.version, name)

    def since(self, since_time: float, version_arm: Arm) -> BlockRow:
        """Return all requests of an arm, in the blocks that began at this time, in seconds, or later."""
        blocks = self.canaries.blocks(self.series(version_arm, self.requests))
        return blocks.since(ceil(since_time / self.seconds) + 1)

    def count_since(self, since_time: float) -> "Requests":
        """Count the requests of both versions in these blocks.

        They are all minutes of a canary that waits for days, so no object is made for each.
        """
        stable, candidate = (self.since(since_time, arm) for arm in (self.stable, self.candidate))
        return Requests(
            stable=stable.events,
            candidate=candidate.events,
            blocks=max(stable.number, candidate.number),
            quiet_stable=stable.quiet_number,
            quiet_candidate=candidate.quiet_number,
            measured=max(stable.measured_number, candidate.measured_number),
        )

    def sent(self, version_arm: Arm, index: int) -> Block:
        """Return the requests that the gateway sent to an arm in one block; MISSING without its counts."""
        return self.canaries.sent(version_arm.backend, self.seconds, index)

    def _make(self, block_indexes: list[int], request_blocks: BlockRow) -> list[CanaryBlock]:
        stable_rows, candidate_rows = self._counts(self.stable), self._counts(self.candidate)
        ages = self._ages()
        scraped_blocks = self.canaries.scraped(VersionKey(*self.product, self.candidate.version))
        return [
            canary_block(
                index * self.seconds,
                request_blocks.value(index),
                values_at(stable_rows, index),
                CandidateReading(
                    counts=values_at(candidate_rows, index),
                    up=index in scraped_blocks,
                    gauges=self._means(index),
                    sent=self._pair(index),
                    pairs=self._outcomes(index),
                )
                if index > self.begins
                else None,
                ages=ages_at(ages, index),
            )
            for index in block_indexes
        ]

    def _pair(self, index: int) -> tuple[int, int] | None:
        """Return the requests that the gateway sent to candidate and stable in one block; None if unknown.

        One of them may have no series yet, as a counter begins with the first request.
        """
        if not self.canaries.has_gateway_counts:
            return None
        candidate, stable = self.sent(self.candidate, index), self.sent(self.stable, index)
        is_counted = {candidate.quality, stable.quality} - {Quality.NO_SERIES} == {Quality.COUNTED}
        return (candidate.count.total, stable.count.total) if is_counted else None

    def _outcomes(self, index: int) -> Pairs | None:
        """Return a block's labelled requests that both versions predicted; None if not counted."""
        right_rows, wrong_rows = (
            self.canaries.blocks(self.series(self.candidate, name)).value(index)
            for name in PAIRED_SERIES.values()
        )
        if right_rows.quality is wrong_rows.quality is Quality.MISSING:
            return None
        one_wrong_count, both_wrong_count = right_rows.count, wrong_rows.count
        return Pairs(
            one_wrong_count.total - one_wrong_count.bad,
            both_wrong_count.total - both_wrong_count.bad,
            one_wrong_count.bad,
            both_wrong_count.bad,
        )

    def _ages(self) -> tuple[tuple[BlockRow, ...], ...]:
        """Return the labels of candidate and stable, by class of age."""
        return tuple(
            tuple(
                self.canaries.blocks(self.series(version_arm, name))
                for name in AGED_SERIES.values()
            )
            for version_arm in (self.candidate, self.stable)
        )

    def _counts(self, version_arm: Arm) -> dict[str, BlockRow]:
        return {name: self.canaries.blocks(self.series(version_arm, name)) for name in self.counted}

    def _means(self, index: int) -> Mapping[str, tuple[float, float]]:
        """Return the means of candidate and stable in one block, by SLO, if both have one."""
        gauge_means = {}
        for name in self.gauges:
            candidate_mean = self.canaries.mean(self.series(self.candidate, name), index)
            stable_mean = self.canaries.mean(self.series(self.stable, name), index)
            if candidate_mean is not None and stable_mean is not None:
                gauge_means[name] = (candidate_mean, stable_mean)
        return gauge_means or NO_VALUES


def arm_of(product: DataProduct, version: VersionBase) -> Arm:
    """Return the arm for one version of a product."""
    name, namespace = product.metadata.name, product.metadata.namespace
    return Arm(
        identity(version.version, version.revision),
        backend_of(namespace, version_name(name, version.revision)),
    )


def values_at(rows_by_slo: Mapping[str, BlockRow], index: int) -> Mapping[str, BlockValue]:
    """Return the value of one block for each SLO; MISSING if it was never read."""
    return _values_by_slo(
        tuple(rows_by_slo), tuple(blocks.value(index) for blocks in rows_by_slo.values())
    )


def ages_at(rows_by_arm: tuple[tuple[BlockRow, ...], ...], index: int) -> LabelsByAge | None:
    """Return the labels of candidate and stable in one block; None if no pod counts them by age."""
    values = [[row.value(index) for row in age_rows] for age_rows in rows_by_arm]
    if not any(value.quality is Quality.COUNTED for age_rows in values for value in age_rows):
        return None
    candidate, stable = (tuple(value.count for value in age_rows) for age_rows in values)
    return labels_by_age(candidate, stable)


@lru_cache(maxsize=1024)
def _values_by_slo(
    slos: tuple[str, ...], values: tuple[BlockValue, ...]
) -> Mapping[str, BlockValue]:
    """Return the values by SLO; equal empty values share one object."""
    return dict(zip(slos, values, strict=True))


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests by version in the blocks that began after the change.

    Attributes
    ----------
    stable, candidate : requests of each.
    blocks : number of these blocks.
    quiet_stable, quiet_candidate : newest blocks in a row without a request.
    measured : number of blocks whose requests are known: of the others, 0 isn't known.
    """

    stable: int = 0
    candidate: int = 0
    blocks: int = 0
    quiet_stable: int = 0
    quiet_candidate: int = 0
    measured: int = 0


def count_requests(stable: Iterable[Block], candidate: Iterable[Block]) -> Requests:
    """Count the requests of both versions; blocks oldest first, only those since the change."""
    stable_blocks, candidate_blocks = tuple(stable), tuple(candidate)
    return Requests(
        stable=sum(block.count.total for block in stable_blocks),
        candidate=sum(block.count.total for block in candidate_blocks),
        blocks=max(len(stable_blocks), len(candidate_blocks)),
        quiet_stable=_quiet_blocks(stable_blocks),
        quiet_candidate=_quiet_blocks(candidate_blocks),
        measured=max(_measured_number(stable_blocks), _measured_number(candidate_blocks)),
    )


def _measured_number(blocks: tuple[Block, ...]) -> int:
    return sum(block.quality in MEASURED for block in blocks)


def _quiet_blocks(blocks: tuple[Block, ...]) -> int:
    """Count the newest blocks in a row without a request."""
    quiet_number = 0
    for block in reversed(blocks):
        is_silent = block.quality in MEASURED
        if not is_silent or block.count.total:
            break
        quiet_number += 1
    return quiet_number
