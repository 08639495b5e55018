"""How many products have an SLO that can't be read from Prometheus, and which, as metrics."""

import heapq
from collections.abc import Collection
from typing import Final

from prometheus_client import Gauge

from sluicegate.kube.resources import Key

MOST_NAMED: Final = 20
"""Maximum number of series by product, as any number of products can be unreadable. Events report
all of them."""

UNREADABLE = Gauge(
    "sluicegate_unreadable_products",
    "Products with an SLO that can't be read from Prometheus; the log names them.",
)
UNREADABLE_PRODUCT = Gauge(
    "sluicegate_product_unreadable",
    "1 for a product with an SLO that can't be read from Prometheus; of at most 20 such products.",
    ["namespace", "product"],
)


def export_unreadable(products: Collection[Key]) -> None:
    """Export their number, and the names of as many as have room.

    Parameters
    ----------
    products : all that can't be read now; those of before are forgotten.
    """
    UNREADABLE.set(len(products))
    UNREADABLE_PRODUCT.clear()
    for key in named(products):
        UNREADABLE_PRODUCT.labels(*key).set(1)


def named(products: Collection[Key]) -> list[Key]:
    """Those that are named: one of each namespace, by name, before any namespace has a second."""
    namespaces: dict[str, list[Key]] = {}
    for key in sorted(products):
        namespaces.setdefault(key.namespace, []).append(key)
    turns = ((turn, key) for own in namespaces.values() for turn, key in enumerate(own))
    return [key for _, key in heapq.nsmallest(MOST_NAMED, turns)]
