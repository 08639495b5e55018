"""How many products have an SLO that can't be read from Prometheus, and which, as metrics."""

import heapq
from collections.abc import Collection
from typing import Final

from sluicegate.kube.resources import Key
from sluicegate.runtime.metrics import UNREADABLE, UNREADABLE_PRODUCT

MOST_NAMED: Final = 20
"""Series by product at most: pods of any number of products can be unreadable, at any time."""


def export_unreadable(products: Collection[Key]) -> None:
    """Export their number, and the names of as many as have room, from each namespace in turn."""
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
