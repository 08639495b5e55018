"""Outcomes of a consumer by the two versions of its upstream, block by block."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from sluicegate.measurement.canary_blocks import Arms, ages_at, values_at
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.policy.model.canary_block import ConsumerBlock
from sluicegate.policy.model.consumer_inputs import MetRequests, consumer_block
from sluicegate.policy.model.consumers import ConsumerTerms
from sluicegate.policy.model.inputs import other_versions
from sluicegate.prometheus.canary_cache import CanaryBlocks
from sluicegate.prometheus.targets import ProductKey, SeriesKey
from sluicegate.slo.blocks import BlockRow, Series
from sluicegate.slo.consumer_series import (
    MIXED_SERIES,
    UNMARKED_SERIES,
    USUAL_SERIES,
    consumer_series,
)
from sluicegate.slo.label_ages import AGED_SERIES

_NO_VERSION: Final = "-"
"""Name that no version has: before a rollout, no label is the candidate's."""


@dataclass(frozen=True, slots=True)
class ConsumerArms:
    """Blocks of one consumer in the canary of its upstream.

    Attributes
    ----------
    product : the upstream. stable, candidate : names of its versions in series.
    consumer : NAMESPACE/NAME. cases : names of the consumer's SLOs, each with the name of its series.
    seconds : length of a block. begins : index of the block in which the rollout began.
    """

    canaries: CanaryBlocks
    product: ProductKey
    stable: str
    candidate: str
    consumer: str
    cases: tuple[tuple[str, str], ...]
    seconds: int
    begins: int

    @classmethod
    def of(cls, version_arms: Arms, consumer: ConsumerTerms) -> Self:
        """Return the blocks of a consumer in the canary of its upstream."""
        return cls(
            version_arms.canaries,
            version_arms.product,
            version_arms.stable.version,
            version_arms.candidate.version,
            consumer=consumer.name,
            cases=tuple((case.terms.name, case.series) for case in consumer.cases),
            seconds=version_arms.seconds,
            begins=version_arms.begins,
        )

    def blocks(self) -> tuple[ConsumerBlock, ...]:
        """Return all blocks that were read, from an hour before the rollout, oldest first."""
        mixed_blocks = self._row(self.stable, MIXED_SERIES)
        blocks_by_index: dict[int, ConsumerBlock] = self.canaries.derived(
            self.product, self, self.consumer
        )
        block_indexes = mixed_blocks.indexes()
        missing_indexes = [index for index in block_indexes if index not in blocks_by_index]
        if missing_indexes:
            blocks_by_index.update(self._read_blocks(missing_indexes, mixed_blocks))
        return tuple(blocks_by_index[index] for index in block_indexes)

    def _read_blocks(
        self, block_indexes: list[int], mixed_blocks: BlockRow
    ) -> Iterable[tuple[int, ConsumerBlock]]:
        unmarked_blocks = self._row(self.stable, UNMARKED_SERIES)
        versions = (USUAL_SERIES, self.stable, self.candidate)
        usual_counts, stable, candidate = (self._counts(version) for version in versions)
        usual_ages, stable_ages, candidate_ages = (self._ages(version) for version in versions)
        ages_of_no_version = self._ages(_NO_VERSION)
        for index in block_indexes:
            has_begun = index > self.begins
            yield (
                index,
                consumer_block(
                    index * self.seconds,
                    MetRequests(mixed_blocks.value(index), unmarked_blocks.value(index).count.bad),
                    values_at(stable if has_begun else usual_counts, index),
                    values_at(candidate, index) if has_begun else None,
                    ages=ages_at(
                        (candidate_ages, stable_ages)
                        if has_begun
                        else (ages_of_no_version, usual_ages),
                        index,
                    ),
                ),
            )

    def _counts(self, version: str) -> Mapping[str, BlockRow]:
        return {case: self._row(version, name) for case, name in self.cases}

    def _ages(self, version: str) -> tuple[BlockRow, ...]:
        return tuple(self._row(version, name) for name in AGED_SERIES.values())

    def _row(self, version: str, name: str) -> BlockRow:
        key = SeriesKey(*self.product, version, consumer_series(self.consumer, name))
        return self.canaries.blocks(key)


@dataclass(frozen=True, slots=True)
class ConsumerMeasurements:
    """The measurements of one consumer beside those of its upstream.

    Attributes
    ----------
    upstream, consumer : their blocks. now : in seconds.
    """

    upstream: ProductBlocks
    consumer: ProductBlocks
    now: float

    @property
    def newest(self) -> int:
        """Index of the consumer's own newest block."""
        return self.consumer.newest

    def consumer_blocks(self, terms: ConsumerTerms) -> tuple[ConsumerBlock, ...]:
        """Return blocks by version of the upstream; none without a candidate."""
        version_arms = self.upstream.arms()
        return () if version_arms is None else ConsumerArms.of(version_arms, terms).blocks()

    def own_series(self, terms: ConsumerTerms) -> dict[str, dict[str, Series]]:
        """Return the consumer's own blocks of the last week, by version and SLO."""
        consumer_view, status = self.consumer, self.consumer.product.status
        stable = [] if status.stable is None else [status.stable]
        return {
            consumer_view.name(version): {
                case.slo: consumer_view.series(version, case.slo) for case in terms.cases
            }
            for version in (*other_versions(status, self.now), *stable)
        }
