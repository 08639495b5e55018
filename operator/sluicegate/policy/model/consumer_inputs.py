"""What a decision is made from about the consumers of a product, by the same rules for the operator and a replay.

The two differ in where outcomes are kept. Which of them belong to which version, and what is usual before a
rollout, is decided here alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sluicegate.api.product import DataProduct
from sluicegate.policy.model.canary_block import NO_VALUES, ConsumerBlock
from sluicegate.policy.model.consumers import ConsumerReading, ConsumerTerms, consumer_terms
from sluicegate.policy.model.inputs import CandidateReading, canary_block
from sluicegate.slo.blocks import BlockValue, Series
from sluicegate.slo.label_ages import LabelsByAge


class ConsumerStore(Protocol):
    """Read access to the stored outcomes of a consumer."""

    @property
    def newest(self) -> int:
        """Index of the consumer's own newest block."""

    def consumer_blocks(self, terms: ConsumerTerms) -> tuple[ConsumerBlock, ...]:
        """Return blocks by version of the upstream, made by `consumer_block`; none without a candidate."""

    def own_series(self, terms: ConsumerTerms) -> Mapping[str, Mapping[str, Series]]:
        """Return the consumer's own blocks, by version and SLO."""


@dataclass(frozen=True, slots=True)
class MetRequests:
    """A consumer's requests of one block that called the upstream.

    Attributes
    ----------
    requests : all, of which those that met both versions are bad. unmarked : of these, without a version.
    """

    requests: BlockValue
    unmarked: int


def consumer_block(
    end: int,
    met: MetRequests,
    stable: Mapping[str, BlockValue],
    candidate: Mapping[str, BlockValue] | None,
    *,
    ages: LabelsByAge | None,
) -> ConsumerBlock:
    """Return a block of a consumer, counted by the upstream's version.

    Parameters
    ----------
    end : in seconds.
    stable : values by name of the case; in a block before the rollout those of all outcomes.
    candidate : the same of the candidate; None before the rollout, where no request counts by version.
    ages : labels of both arms by age; None where they aren't counted so.
    """
    if candidate is None:
        return ConsumerBlock(canary_block(end, met.requests, stable, None, ages=ages))
    reading = CandidateReading(counts=candidate, up=True, gauges=NO_VALUES, sent=None, pairs=None)
    block = canary_block(end, met.requests, stable, reading, ages=ages)
    mixed, total = met.requests.count
    return ConsumerBlock(block, total, mixed, met.unmarked)


def consumer_reading(
    consumer: DataProduct, upstream: tuple[str, str], store: ConsumerStore
) -> ConsumerReading | None:
    """Return the measurements of a consumer; None if none of its SLOs counts in the upstream's canaries.

    Parameters
    ----------
    upstream : its namespace and name.
    """
    terms = consumer_terms(consumer, upstream)
    if terms is None or not terms.cases:
        return None
    return ConsumerReading(
        terms.name,
        terms,
        blocks=store.consumer_blocks(terms),
        block=store.newest,
        series=store.own_series(terms),
    )
