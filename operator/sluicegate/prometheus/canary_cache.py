"""The canary blocks of products with a candidate, from an hour before its rollout on.

Each evaluation computes the evidence from all of them, so none may be dropped during the rollout;
there are few such products at a time.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from sluicegate.prometheus.targets import (
    Mean,
    ProductKey,
    Readings,
    SeriesKey,
    Target,
    TargetFacts,
    VersionKey,
    of_products,
)
from sluicegate.slo.blocks import Block, BlockRow, Quality, read_block


class CanaryBlocks:
    """Canary blocks by version and SLO. Used from the event loop only."""

    def __init__(self) -> None:
        self._blocks: dict[SeriesKey, BlockRow] = {}
        self._means: dict[SeriesKey, dict[int, Mean]] = {}
        self._scraped: dict[VersionKey, set[int]] = {}
        self._facts: dict[VersionKey, TargetFacts] = {}
        self._sent: dict[tuple[int, int], dict[str, float]] = {}
        """What the gateway sent, by length of block and index, then by backend."""
        self._lengths: dict[ProductKey, int] = {}
        self._derived: dict[ProductKey, tuple[object, dict[int, Any]]] = {}

    def record(self, readings: Readings) -> None:
        """Take in canary blocks; one that is read again replaces what it said before.

        Blocks of another length say nothing beside these: their indexes are other times.
        """
        changed = _products(readings)
        for product in changed:
            if self._lengths.setdefault(product, readings.block_seconds) != readings.block_seconds:
                self._forget({product})
                self._lengths[product] = readings.block_seconds
        for key, blocks in readings.blocks.items():
            self._blocks.setdefault(key, BlockRow()).update(blocks)
        for key, means in readings.means.items():
            self._means.setdefault(key, {}).update((mean.index, mean) for mean in means)
        for version, scraped in readings.scraped.items():
            known = self._scraped.setdefault(version, set())
            known.difference_update(range(readings.first, readings.last + 1))
            known |= scraped
        self._facts.update(readings.facts)
        if readings.gateway is not None:
            for index in range(readings.first, readings.last + 1):
                # Added, as products that begin are read apart from those that go on.
                sent = self._sent.setdefault((readings.block_seconds, index), {})
                for backend, values in readings.gateway.items():
                    if index in values:
                        sent[backend] = values[index]
        self._outdate(readings, changed)

    def _outdate(self, readings: Readings, changed: set[ProductKey]) -> None:
        """Forget what was derived from blocks that say something else now."""
        if readings.gateway is not None:  # it tells of everyone
            changed |= self._derived.keys()
        for product in changed & self._derived.keys():
            _, derived = self._derived[product]
            for index in range(readings.first, readings.last + 1):
                derived.pop(index, None)

    def clear(self) -> None:
        """Forget all that was read."""
        self._forget({*self._lengths})
        self._sent.clear()

    def prune(self, targets: Iterable[Target]) -> None:
        """Forget products without a candidate, and what a gateway sent before the hour that counts."""
        begins = {one.key: one.canary_from for one in targets if one.canary_from is not None}
        self._forget(self._lengths.keys() - begins.keys())
        oldest = min(begins.values(), default=None)
        self._sent = {
            (length, index): sent
            for (length, index), sent in self._sent.items()
            if oldest is not None and index * length > oldest
        }

    def _forget(self, products: AbstractSet[ProductKey]) -> None:
        if not products:
            return

        def stays(product: ProductKey) -> bool:
            return product not in products

        self._blocks = of_products(self._blocks, stays)
        self._means = of_products(self._means, stays)
        self._scraped = of_products(self._scraped, stays)
        self._facts = of_products(self._facts, stays)
        for product in products:
            self._derived.pop(product, None)
            self._lengths.pop(product, None)

    def derived(self, product: ProductKey, made_with: object) -> dict[int, Any]:
        """What a reader computed from a product's blocks, by index, and may find here again.

        Entries go when their block is read again, and all when it is computed with something
        else.
        """
        known = self._derived.get(product)
        if known is None or known[0] != made_with:
            known = self._derived[product] = (made_with, {})
        return known[1]

    @property
    def heard_of_gateway(self) -> bool:
        """Whether a gateway said anything."""
        return bool(self._sent)

    def blocks(self, key: SeriesKey) -> BlockRow:
        """The blocks of one series; empty where nothing was read."""
        return self._blocks.get(key) or BlockRow()

    def mean(self, key: SeriesKey, index: int) -> float | None:
        """A gauge's mean in one block; None without a fresh value."""
        mean = self._means.get(key, {}).get(index)
        return mean.value if mean is not None and mean.quality is Quality.COUNTED else None

    def sent(self, backend: str, block_seconds: int, index: int) -> Block:
        """What the gateway sent to a backend in one block; MISSING where it didn't say."""
        sent = self._sent.get((block_seconds, index))
        if sent is None:
            return Block(index, Quality.MISSING)
        return read_block(index, None, sent.get(backend))

    def scraped(self, version: VersionKey) -> AbstractSet[int]:
        """The blocks in which pods of the version are known to have answered a scrape."""
        return self._scraped.get(version, frozenset())

    def facts(self, version: VersionKey) -> TargetFacts | None:
        """What else is known of a version, in the block that was read last."""
        return self._facts.get(version)


def _products(readings: Readings) -> set[ProductKey]:
    """Products that canary blocks were read of."""
    found = {ProductKey(key.namespace, key.product) for key in readings.scraped}
    found |= {ProductKey(key.namespace, key.product) for key in readings.blocks}
    return found | {ProductKey(key.namespace, key.product) for key in readings.means}
