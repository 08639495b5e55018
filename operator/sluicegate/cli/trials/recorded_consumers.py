"""The consumers of a product whose record is built, with their outcomes block by block."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.measurement.store import target_of
from sluicegate.policy.model.consumers import ConsumerTerms, consumer_names, consumer_terms
from sluicegate.prometheus.past_blocks import Era, PastReader
from sluicegate.prometheus.targets import ProductKey
from sluicegate.simulation.recording import OPEN_END, ConsumerOutcomes, Recording
from sluicegate.slo.blocks import Block
from sluicegate.slo.consumer_series import MIXED_SERIES, UNMARKED_SERIES, USUAL_SERIES
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.stats.counts import summed


@dataclass(frozen=True, slots=True)
class RecordedConsumer:
    """A consumer, its conditions for canaries, and its document for the file."""

    product: DataProduct
    terms: ConsumerTerms
    body: Mapping[str, Any]

    @property
    def key(self) -> ProductKey:
        """Return its identity in series."""
        return ProductKey(*self.product.metadata.key)

    def put(
        self, recording: Recording, series: tuple[str, str], blocks: Sequence[Block], step: int
    ) -> None:
        """Add the blocks of one of its series by version of the upstream.

        Parameters
        ----------
        series : version of the upstream, and name without the consumer. step : length of a block in seconds.
        """
        version, name = series
        slos = [case.slo for case in self.terms.cases if case.series == name]
        labels = [name] if name in AGED_SERIES.values() else []
        for block in blocks:
            outcomes = recording.outcomes_of(self.terms.name, block.index * step)
            if name == MIXED_SERIES:
                outcomes.mixed = block
            elif name == UNMARKED_SERIES:
                outcomes.unmarked = block
            else:
                _arm(outcomes, version).update(dict.fromkeys((*slos, *labels), block))

    async def put_usual(
        self, recording: Recording, reader: PastReader, indexes: range, step: int
    ) -> list[str]:
        """Read the outcomes of all versions together; return the problems as text."""
        target = target_of(self.product, reader.timing)
        if target is None:
            return []
        past = await reader.read([Era(target, OPEN_END)], indexes, step)
        for case in self.terms.cases:
            series = [blocks for (_, slo), blocks in past.blocks.items() if slo == case.slo]
            for parts in zip(*series, strict=True):
                outcomes = recording.outcomes_of(self.terms.name, parts[0].index * step)
                outcomes.usual[case.slo] = _together(parts)
        return [f"{self.terms.name}: {problem}" for problem in past.problems]


def recorded_consumers(
    product: DataProduct, bodies: Iterable[Mapping[str, Any]]
) -> Iterator[RecordedConsumer]:
    """Yield the consumers whose SLOs count in canaries of a product, of these documents."""
    named = consumer_names(product)
    for body in bodies:
        consumer = DataProduct.parse(body)
        terms = consumer_terms(consumer, product.metadata.key)
        if terms is not None and terms.cases and terms.name in named:
            yield RecordedConsumer(consumer, terms, body)


def _arm(outcomes: ConsumerOutcomes, version: str) -> dict[str, Block]:
    return outcomes.usual if version == USUAL_SERIES else outcomes.versions.setdefault(version, {})


def _together(parts: Sequence[Block]) -> Block:
    """Return the events of all versions of a consumer in one block."""
    quality = max(part.quality for part in parts)
    return Block(parts[0].index, quality, summed(part.count for part in parts))
