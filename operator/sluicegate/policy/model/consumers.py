"""Consumers whose SLOs count in the canary of a product that they call, as terms and as readings.

Both sides name each other: the consumer asks for it in `dependsOn[].evidence`, and the upstream names the
consumer in `rollout.consumers`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import ConsumerEvidence
from sluicegate.api.slos import CanaryEvidence, OnMarketMissed
from sluicegate.policy.model.canary_block import ConsumerBlock
from sluicegate.policy.model.terms import MAX_MARGIN, SloTerms, Terms, terms_of
from sluicegate.slo.blocks import Series
from sluicegate.slo.consumer_series import OUTCOMES, events_of
from sluicegate.views.numbers import points

_EVIDENCE: Final = {
    ConsumerEvidence.REQUIRED: CanaryEvidence.REQUIRED,
    ConsumerEvidence.IF_AVAILABLE: CanaryEvidence.IF_AVAILABLE,
}


@dataclass(frozen=True, slots=True)
class ConsumerCase:
    """An SLO of a consumer in the canary of an upstream.

    Attributes
    ----------
    terms : named NAMESPACE/NAME/SLO; δ is maxDrop of the SLO. slo : its name in the consumer's spec.
    series : name under which its events are kept by version of the upstream.
    """

    terms: SloTerms
    slo: str
    series: str


@dataclass(frozen=True, slots=True)
class ConsumerTerms:
    """The terms of a consumer for the canary of its upstream.

    Attributes
    ----------
    name : `namespace/name`. cases : of its SLOs that are counted by version of the upstream.
    block_seconds, label_lifetime_seconds : of the consumer.
    """

    name: str
    cases: tuple[ConsumerCase, ...]
    block_seconds: int
    label_lifetime_seconds: int


@dataclass(frozen=True, slots=True)
class ConsumerReading:
    """The data of a consumer that the upstream's spec names.

    Attributes
    ----------
    name : `namespace/name`. terms : None where they can't be read.
    problem : why nothing of it can be read, and what ends that; empty where it can.
    blocks : by version of the upstream, oldest first, from an hour before the rollout.
    block : index of the consumer's own newest block. series : its own blocks by version and SLO.
    """

    name: str
    terms: ConsumerTerms | None = None
    problem: str = ""
    blocks: tuple[ConsumerBlock, ...] = ()
    block: int = 0
    series: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)

    @property
    def cases(self) -> tuple[ConsumerCase, ...]:
        """Return the consumer's SLOs; empty while its spec or counts can't be read."""
        return () if self.terms is None else self.terms.cases


def consumer_names(product: DataProduct) -> tuple[str, ...]:
    """Return `namespace/name` of the consumers that may hold a candidate of this product."""
    consumers = product.spec.rollout.consumers
    return () if consumers is None else consumers.keys(product.metadata.namespace)


def upstream_names(product: DataProduct) -> tuple[str, ...]:
    """Return `namespace/name` of the products that a product calls."""
    namespace = product.metadata.namespace
    return tuple(
        f"{dependency.namespace or namespace}/{dependency.name}"
        for dependency in product.spec.depends_on
    )


def consumer_terms(consumer: DataProduct, upstream: tuple[str, str]) -> ConsumerTerms | None:
    """Return a consumer's terms for an upstream's canary; None if it ignores canaries or doesn't call the upstream.

    Parameters
    ----------
    upstream : its namespace and name.
    """
    namespace, name = consumer.metadata.key
    dependency = next(
        (
            dependency.evidence
            for dependency in consumer.spec.depends_on
            if (dependency.namespace or namespace, dependency.name) == upstream
        ),
        ConsumerEvidence.IGNORE,
    )
    if dependency is ConsumerEvidence.IGNORE:
        return None
    terms = terms_of(consumer)
    cases = tuple(
        ConsumerCase(_case(slo, f"{namespace}/{name}", _EVIDENCE[dependency]), slo.name, series)
        for slo in terms.deciding
        if (series := _series(consumer, slo)) is not None
    )
    return ConsumerTerms(
        f"{namespace}/{name}", cases, terms.block_seconds, terms.label_lifetime_seconds
    )


def _series(consumer: DataProduct, slo: SloTerms) -> str | None:
    """Return the series of an SLO by upstream version; None if they aren't counted by version."""
    if slo.definition.from_truths:
        return None if slo.without_feedback else OUTCOMES
    events = consumer.spec.slo(slo.name).indicator.events
    return None if events is None else events_of(events.indicator or slo.name)


def _case(slo: SloTerms, consumer: str, evidence: CanaryEvidence) -> SloTerms:
    """Return the terms of an SLO for a candidate of the upstream.

    The consumer's objective is no objective of the upstream: stable may miss it, too.
    """
    return replace(
        slo,
        name=f"{consumer}/{slo.name}",
        consumer=consumer,
        canary_evidence=evidence,
        objective=None,
        allowed_bad_ratio=None,
        thresholds=(),
        margin=min(slo.drop, MAX_MARGIN),
        is_margin_given=True,
        on_market_missed=OnMarketMissed.IGNORE,
    )


def planned_evidence(product: DataProduct) -> Iterator[str]:
    """Yield, in sentences, which SLOs count in which canaries by the spec alone."""
    namespace = product.metadata.namespace
    for name in consumer_names(product):
        yield f"SLOs of {name} count in canaries of this product, if its dependsOn asks for it"
    for dependency in product.spec.depends_on:
        upstream = dependency.namespace or namespace, dependency.name
        terms = consumer_terms(product, upstream)
        if terms is not None:
            slos = ", ".join(
                f"{case.slo} (not worse by {points(case.terms.margin)})" for case in terms.cases
            )
            yield (
                f"{slos} of this product count in canaries of {'/'.join(upstream)} ({dependency.evidence}), if"
                " its rollout.consumers names this product"
            )


def terms_for(terms: Terms, consumer: ConsumerTerms) -> Terms:
    """Return the terms of a canary, with the delays of a consumer's labels."""
    return replace(
        terms,
        block_seconds=consumer.block_seconds,
        label_lifetime_seconds=consumer.label_lifetime_seconds,
    )
