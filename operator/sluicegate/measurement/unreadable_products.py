"""Metrics of the products that have an SLO that can't be read from Prometheus."""

import heapq
from collections.abc import Collection
from typing import Final

from prometheus_client import Gauge

from sluicegate.kube.resources import Key

MAX_NAMED: Final = 20
"""Most series by product, as any number of products can be unreadable. Events report all of them."""

UNREADABLE_PRODUCTS = Gauge(
    "sluicegate_unreadable_products",
    "Products with an SLO that can't be read from Prometheus; the log names them.",
)
UNREADABLE_PRODUCT = Gauge(
    "sluicegate_product_unreadable",
    "1 for a product with an SLO that can't be read from Prometheus; of at most 20 such products.",
    ["namespace", "product"],
)


def export_unreadable(products: Collection[Key]) -> None:
    """Export their number, and the names of `MAX_NAMED` of them at most.

    Parameters
    ----------
    products : all that can't be read now; they replace those of the previous call.
    """
    UNREADABLE_PRODUCTS.set(len(products))
    UNREADABLE_PRODUCT.clear()
    for key in named_products(products):
        UNREADABLE_PRODUCT.labels(*key).set(1)


def named_products(products: Collection[Key]) -> list[Key]:
    """Return the products to name in the metric, in turns by namespace."""
    namespaces: dict[str, list[Key]] = {}
    for key in sorted(products):
        namespaces.setdefault(key.namespace, []).append(key)
    numbered_keys = (
        (key_number, key) for keys in namespaces.values() for key_number, key in enumerate(keys)
    )
    return [key for _, key in heapq.nsmallest(MAX_NAMED, numbered_keys)]
