"""The outcomes of consumers in a scenario, stored as those of one product with several versions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.policy.model.canary_block import ConsumerBlock
from sluicegate.policy.model.consumer_inputs import MetRequests, consumer_block, consumer_reading
from sluicegate.policy.model.consumers import (
    ConsumerReading,
    ConsumerTerms,
    consumer_names,
    consumer_terms,
)
from sluicegate.policy.model.inputs import begin_of_canary_blocks, in_canary
from sluicegate.simulation.replay_blocks import ReplayBlocks, Values, ages_of
from sluicegate.simulation.replay_scenario import (
    MIXED_FIELD,
    REQUESTS_ARM,
    UNMARKED_FIELD,
    USUAL_ARM,
    ReplayBlock,
    ReplayScenario,
)
from sluicegate.slo.blocks import BlockValue, Quality, Series

_NO_VERSION: Final = "-"
"""Name that no version has: before a rollout, no label is the candidate's."""
_MISSING_VALUE: Final = BlockValue(Quality.NO_SERIES)


@dataclass(slots=True)
class ReplayConsumers:
    """The consumers of a scenario, each with its blocks so far."""

    product: DataProduct
    _consumers: dict[str, DataProduct]
    _blocks: dict[str, ReplayBlocks] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: ReplayScenario) -> Self:
        """Create those of a scenario, without any block."""
        omitted_consumers = omitted_consumers_of(scenario)
        consumers = {
            name: consumer_product
            for name, consumer_product in scenario.consumers.items()
            if name not in omitted_consumers
        }
        result = cls(scenario.product, consumers)
        for name, consumer in consumers.items():
            terms_of_consumer = consumer_terms(consumer, scenario.product.metadata.key)
            slos = (
                ()
                if terms_of_consumer is None
                else tuple(case.slo for case in terms_of_consumer.cases)
            )
            result._blocks[name] = ReplayBlocks.of(
                (*slos, MIXED_FIELD, UNMARKED_FIELD),
                consumer.spec.analysis.block_seconds,
                scenario.blocks,
            )
        return result

    def record(self, block: ReplayBlock, status: DataProductStatus) -> None:
        """Record a block of the file; `status` is that of the upstream."""
        for name, blocks in self._blocks.items():
            counts = block.consumers.get(name, {})
            blocks.record(replace(block, counts=counts, coverage=None, consumers={}), status)

    def readings(self, status: DataProductStatus) -> Iterator[ConsumerReading]:
        """Yield the reading of each consumer that the upstream names and the file contains."""
        for name in consumer_names(self.product):
            if name in self._consumers:
                store = _Store(self._blocks[name], status)
                upstream = self.product.metadata.key
                reading_of_consumer = consumer_reading(self._consumers[name], upstream, store)
                if reading_of_consumer is not None:
                    yield reading_of_consumer


@dataclass(frozen=True, slots=True)
class _Store:
    """The blocks of one consumer with the status of its upstream at one time."""

    blocks: ReplayBlocks
    status: DataProductStatus

    @property
    def newest(self) -> int:
        return self.blocks.newest

    def own_series(self, terms_of_consumer: ConsumerTerms) -> dict[str, dict[str, Series]]:
        series_by_slo = {
            case.slo: self.blocks.series(USUAL_ARM, case.slo) for case in terms_of_consumer.cases
        }
        return {
            USUAL_ARM: {slo: series for slo, series in series_by_slo.items() if series is not None}
        }

    def consumer_blocks(self, terms_of_consumer: ConsumerTerms) -> tuple[ConsumerBlock, ...]:
        candidate, stable, seconds = (
            self.status.candidate,
            self.status.stable,
            self.blocks.canary_seconds,
        )
        if candidate is None or stable is None or not in_canary(self.status):
            return ()
        traffic_begin = candidate.start_time // seconds * seconds
        begin_time = begin_of_canary_blocks(candidate, seconds) // seconds * seconds
        consumer_blocks_list = []
        for block_end, _, arm_values, missing_values, aged_values in self.blocks.since(begin_time):
            counts, requests = (
                _Arms(terms_of_consumer, arm_values, missing_values),
                arm_values.get(REQUESTS_ARM, missing_values),
            )
            met_requests = MetRequests(requests[MIXED_FIELD], requests[UNMARKED_FIELD].count.bad)
            is_begun = block_end > traffic_begin
            version_arms = (
                (candidate.version, stable.version) if is_begun else (_NO_VERSION, USUAL_ARM)
            )
            block = consumer_block(
                block_end,
                met_requests,
                counts.of(version_arms[1]),
                counts.of(version_arms[0]) if is_begun else None,
                ages=ages_of(aged_values, *version_arms),
            )
            consumer_blocks_list.append(block)
        return tuple(consumer_blocks_list)


@dataclass(frozen=True, slots=True)
class _Arms:
    """Values of one block by version and SLO of the consumer."""

    terms: ConsumerTerms
    arms: Mapping[str, Values]
    missing: Values

    def of(self, arm_name: str) -> Values:
        """Return the values of an arm by name of the case."""
        values = self.arms.get(arm_name, self.missing)
        return {case.terms.name: values.get(case.slo, _MISSING_VALUE) for case in self.terms.cases}


def note_on_consumers(scenario: ReplayScenario) -> str:
    """Return a note about consumers whose outcomes the file lacks, with the way out; empty if it has all."""
    omitted_consumers = omitted_consumers_of(scenario)
    if not omitted_consumers:
        return ""
    return (
        f"outcomes of {', '.join(omitted_consumers)} aren't in the file, so candidates are judged without them:"
        " record it again while these products have dependsOn[].evidence, or add consumers and"
        " blocks[].consumers"
    )


def omitted_consumers_of(scenario: ReplayScenario) -> tuple[str, ...]:
    """Return the consumers that the product names and the file has no outcomes of."""
    with_outcomes = {name for block in scenario.blocks for name in block.consumers}
    named_consumers = consumer_names(scenario.product)
    return tuple(
        name for name in named_consumers if name not in with_outcomes & scenario.consumers.keys()
    )
