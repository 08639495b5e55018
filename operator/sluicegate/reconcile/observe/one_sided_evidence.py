"""Pairs of a product and its consumer of which only one enables the consumer's SLOs in canaries."""

from collections.abc import Callable, Iterator

from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import ConsumerEvidence
from sluicegate.kube.resources import Key
from sluicegate.policy.model.consumers import consumer_names, consumer_terms
from sluicegate.reconcile.observe.consumer_readings import read_consumer, read_product
from sluicegate.runtime.cache import Caches


def one_sided_evidence(
    product: DataProduct, caches: Caches, may_read: Callable[[Key], bool]
) -> Iterator[str]:
    """Yield why SLOs don't count in an upstream's canary, and what ends that; empty if both specs agree or neither requests it.

    Parameters
    ----------
    may_read : whether this product may read another one.
    """
    yield from _one_sided_consumers(product, caches, may_read)
    yield from _one_sided_upstreams(product, caches, may_read)


def _one_sided_consumers(
    product: DataProduct, caches: Caches, may_read: Callable[[Key], bool]
) -> Iterator[str]:
    own_key = product.metadata.key
    for name in consumer_names(product):
        consumer = read_consumer(name, caches, may_read)
        if isinstance(consumer, str):
            yield consumer
            continue
        terms = consumer_terms(consumer, own_key)
        if terms is None:
            yield (
                f"SLOs of {name} don't count in canaries of this product, as its spec.dependsOn has no"
                f" evidence for {own_key[0]}/{own_key[1]}: its owner sets Required or IfAvailable there, or remove it"
                " from spec.rollout.consumers.names"
            )
        elif not terms.cases:
            yield (
                f"{name} has no SLO that counts in canaries of this product: its owner adds one of outcomes or"
                " events whose onDegraded isn't Ignore, or remove it from spec.rollout.consumers.names"
            )


def _one_sided_upstreams(
    product: DataProduct, caches: Caches, may_read: Callable[[Key], bool]
) -> Iterator[str]:
    namespace, name = product.metadata.key
    for dependency in product.spec.depends_on:
        if dependency.evidence is ConsumerEvidence.IGNORE:
            continue
        key = Key(dependency.namespace or namespace, dependency.name)
        upstream = read_product(key, caches) if may_read(key) else None
        if upstream is None:
            cause_text = (
                "there is no such DataProduct with a valid spec in the namespaces that this operator"
                " reconciles"
                if may_read(key)
                else "products of other namespaces may not be read (SLUICEGATE_SHARE_DEPENDENCY_STATES=false)"
            )
            yield (
                f"SLOs of this product don't count in canaries of {key.namespace}/{key.name}: {cause_text};"
                " correct spec.dependsOn, or set evidence: Ignore there"
            )
        elif f"{namespace}/{name}" not in consumer_names(upstream):
            yield (
                f"SLOs of this product don't count in canaries of {key.namespace}/{key.name}, whose"
                f" spec.rollout.consumers.names doesn't have {namespace}/{name}: its owner adds it, or set"
                " evidence: Ignore in spec.dependsOn"
            )
