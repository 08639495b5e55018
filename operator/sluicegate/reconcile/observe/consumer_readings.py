"""Consumers whose outcomes count in the canary of a product: what each asks for, and what was counted of it."""

from collections.abc import Callable, Iterator

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.measurement.consumer_blocks import ConsumerArms
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.policy.model.consumers import ConsumerReading, consumer_terms, consumers_named
from sluicegate.policy.model.inputs import other_versions
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Caches


def consumer_readings(
    measured: ProductBlocks, caches: Caches, may_know: Callable[[Key], bool], now: int
) -> Iterator[ConsumerReading]:
    """Yield what is known of each consumer that the spec names; nothing of one that asks for nothing.

    Parameters
    ----------
    measured : of the upstream. may_know : whether the upstream may read another product. now : in seconds.
    """
    product = measured.product
    for name in consumers_named(product):
        key = Key(*name.split("/", 1))
        if not may_know(key):
            yield _unread(
                name,
                "its namespace isn't the product's, and products of other namespaces may not be read"
                " (SLUICEGATE_SHARE_DEPENDENCY_STATES=false)",
                "with SLUICEGATE_SHARE_DEPENDENCY_STATES=true",
            )
            continue
        found = caches.products.get(key)
        if not isinstance(found, ProductRecord) or found.deleting:
            yield _unread(name, "there is no such DataProduct", "once it is created")
            continue
        try:
            consumer = found.parse()
        except InvalidProduct:
            yield _unread(name, "its spec is invalid", "once that is corrected")
            continue
        if (one := _reading(measured, consumer, now)) is not None:
            yield one


def _unread(name: str, why: str, until: str) -> ConsumerReading:
    text = (
        f"outcomes of {name} can't be read: {why}; that ends {until}, or once"
        " spec.rollout.consumers.names doesn't have it"
    )
    return ConsumerReading(name, problem=text)


def _reading(measured: ProductBlocks, consumer: DataProduct, now: int) -> ConsumerReading | None:
    upstream = measured.product.metadata.key
    terms = consumer_terms(consumer, upstream)
    if terms is None or not terms.cases:
        return None
    arms, own = measured.arms(), ProductBlocks(measured.measurements, consumer)
    stable = consumer.status.stable
    versions = [*other_versions(consumer.status, now), *([stable] if stable is not None else [])]
    return ConsumerReading(
        terms.name,
        terms,
        blocks=() if arms is None else ConsumerArms.of(arms, terms).blocks(),
        block=own.newest,
        series={
            own.name(version): {case.slo: own.series(version, case.slo) for case in terms.cases}
            for version in versions
        },
    )
