"""Consumers whose outcomes count in the canary of a product, with their terms and counts."""

from collections.abc import Callable, Iterator

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.measurement.consumer_blocks import ConsumerMeasurements
from sluicegate.measurement.product_view import ProductBlocks
from sluicegate.policy.model.consumer_inputs import consumer_reading
from sluicegate.policy.model.consumers import ConsumerReading, consumer_names
from sluicegate.reconcile.live.product import ProductRecord
from sluicegate.runtime.cache import Caches


def consumer_readings(
    upstream_blocks: ProductBlocks, caches: Caches, may_read: Callable[[Key], bool], now: int
) -> Iterator[ConsumerReading]:
    """Yield the measurements of each consumer that the spec names, empty without evidence.

    Parameters
    ----------
    upstream_blocks : of the upstream. may_read : whether the upstream may read another product. now : in seconds.
    """
    product = upstream_blocks.product
    for name in consumer_names(product):
        consumer = read_consumer(name, caches, may_read)
        if isinstance(consumer, str):
            yield ConsumerReading(name, problem=consumer)
            continue
        consumer_blocks = ProductBlocks(upstream_blocks.measurements, consumer)
        store = ConsumerMeasurements(upstream_blocks, consumer_blocks, now)
        if (reading := consumer_reading(consumer, product.metadata.key, store)) is not None:
            yield reading


def read_consumer(name: str, caches: Caches, may_read: Callable[[Key], bool]) -> DataProduct | str:
    """Return a named consumer, or why its outcomes can't be read and what ends that."""
    key = Key(*name.split("/", 1))
    if not may_read(key):
        return _unreadable_text(
            name,
            "its namespace isn't the product's, and products of other namespaces may not be read"
            " (SLUICEGATE_SHARE_DEPENDENCY_STATES=false)",
            "with SLUICEGATE_SHARE_DEPENDENCY_STATES=true",
        )
    record = caches.products.get(key)
    if not isinstance(record, ProductRecord) or record.deleting:
        return _unreadable_text(
            name,
            "there is no such DataProduct in the namespaces that this operator reconciles",
            "once there is one",
        )
    consumer = read_product(key, caches)
    return consumer or _unreadable_text(name, "its spec is invalid", "once that is corrected")


def read_product(key: Key, caches: Caches) -> DataProduct | None:
    """Return another product; None if it doesn't exist or its spec is invalid."""
    record = caches.products.get(key)
    if not isinstance(record, ProductRecord) or record.deleting:
        return None
    try:
        return record.parse()
    except InvalidProduct:
        return None


def _unreadable_text(name: str, cause_text: str, end_text: str) -> str:
    return (
        f"outcomes of {name} can't be read: {cause_text}; that ends {end_text}, or once"
        " spec.rollout.consumers.names doesn't have it"
    )
