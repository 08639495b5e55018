"""The canary blocks of products with a candidate, from an hour before its rollout.

Each evaluation computes the evidence from all of them, so none may be dropped during the rollout;
few products have a candidate at the same time.
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
    select_products,
)
from sluicegate.slo.blocks import Block, BlockRow, Quality, read_block


class CanaryBlocks:
    """Canary blocks by version and SLO. Only for the event loop's thread."""

    def __init__(self) -> None:
        self._blocks: dict[SeriesKey, BlockRow] = {}
        self._means: dict[SeriesKey, dict[int, Mean]] = {}
        self._scraped: dict[VersionKey, set[int]] = {}
        self._facts: dict[VersionKey, TargetFacts] = {}
        self._sent: dict[tuple[int, int], dict[str, float]] = {}
        """What the gateway sent, by length of block and index, then by backend."""
        self._lengths: dict[ProductKey, int] = {}
        self._derived: dict[tuple[ProductKey, str], tuple[object, dict[int, Any]]] = {}

    def record(self, readings: Readings) -> None:
        """Record canary blocks; a repeated block replaces the earlier value.

        Blocks of another length are dropped: their indexes are other times.
        """
        changed_products = _products_of(readings)
        for product in changed_products:
            if self._lengths.setdefault(product, readings.block_seconds) != readings.block_seconds:
                self._forget({product})
                self._lengths[product] = readings.block_seconds
        for key, blocks in readings.blocks.items():
            self._blocks.setdefault(key, BlockRow()).update(blocks)
        for key, means_of_series in readings.means.items():
            self._means.setdefault(key, {}).update((mean.index, mean) for mean in means_of_series)
        for version, scraped in readings.scraped.items():
            scraped_blocks = self._scraped.setdefault(version, set())
            scraped_blocks.difference_update(range(readings.first, readings.last + 1))
            scraped_blocks |= scraped
        self._facts.update(readings.facts)
        if readings.gateway is not None:
            for index in range(readings.first, readings.last + 1):
                # Added, as products that begin a canary are read separately.
                by_backend = self._sent.setdefault((readings.block_seconds, index), {})
                for backend, values in readings.gateway.items():
                    if index in values:
                        by_backend[backend] = values[index]
        self._outdate(readings, changed_products)

    def _outdate(self, readings: Readings, changed_products: set[ProductKey]) -> None:
        """Drop cached values of blocks that have changed."""
        if readings.gateway is not None:  # it concerns all products
            changed_products |= {product for product, _ in self._derived}
        for (product, _), (_, derived) in self._derived.items():
            if product not in changed_products:
                continue
            for index in range(readings.first, readings.last + 1):
                derived.pop(index, None)

    def clear(self) -> None:
        """Drop all readings."""
        self._forget({*self._lengths})
        self._sent.clear()

    def prune(self, targets: Iterable[Target]) -> None:
        """Drop products without a candidate, and gateway counts older than an hour before the rollouts."""
        begin_times = {
            target.key: target.canary_from for target in targets if target.canary_from is not None
        }
        self._forget(self._lengths.keys() - begin_times.keys())
        oldest_begin = min(begin_times.values(), default=None)
        self._sent = {
            (length, index): by_backend
            for (length, index), by_backend in self._sent.items()
            if oldest_begin is not None and index * length > oldest_begin
        }

    def _forget(self, products: AbstractSet[ProductKey]) -> None:
        if not products:
            return

        def is_kept(product: ProductKey) -> bool:
            return product not in products

        self._blocks = select_products(self._blocks, is_kept)
        self._means = select_products(self._means, is_kept)
        self._scraped = select_products(self._scraped, is_kept)
        self._facts = select_products(self._facts, is_kept)
        for derived_key in [cache_key for cache_key in self._derived if cache_key[0] in products]:
            del self._derived[derived_key]
        for product in products:
            self._lengths.pop(product, None)

    def derived(self, product: ProductKey, made_with: object, consumer: str = "") -> dict[int, Any]:
        """Return the cache of values that a reader computed from a product's blocks, by index.

        An entry is dropped when its block changes, and all when `made_with`, their other input,
        changes. Those about a consumer of the product have a cache of their own.
        """
        derived_key = product, consumer
        cached_values = self._derived.get(derived_key)
        if cached_values is None or cached_values[0] != made_with:
            cached_values = self._derived[derived_key] = (made_with, {})
        return cached_values[1]

    @property
    def has_gateway_counts(self) -> bool:
        """Return whether a gateway has counted anything."""
        return bool(self._sent)

    def blocks(self, key: SeriesKey) -> BlockRow:
        """Return the blocks of one series; empty if nothing was read."""
        return self._blocks.get(key) or BlockRow()

    def mean(self, key: SeriesKey, index: int) -> float | None:
        """Return a gauge's mean in one block; None without a fresh value."""
        mean_value = self._means.get(key, {}).get(index)
        return (
            mean_value.value
            if mean_value is not None and mean_value.quality is Quality.COUNTED
            else None
        )

    def sent(self, backend: str, block_seconds: int, index: int) -> Block:
        """Return the requests that the gateway sent to a backend in one block; MISSING without its counts."""
        by_backend = self._sent.get((block_seconds, index))
        if by_backend is None:
            return Block(index, Quality.MISSING)
        return read_block(index, None, by_backend.get(backend))

    def scraped(self, version: VersionKey) -> AbstractSet[int]:
        """Return the blocks in which pods of the version answered a scrape."""
        return self._scraped.get(version, frozenset())

    def facts(self, version: VersionKey) -> TargetFacts | None:
        """Return the other facts of a version, in the block that was read last."""
        return self._facts.get(version)


def _products_of(readings: Readings) -> set[ProductKey]:
    """Return the products of these canary blocks."""
    products = {ProductKey(key.namespace, key.product) for key in readings.scraped}
    products |= {ProductKey(key.namespace, key.product) for key in readings.blocks}
    return products | {ProductKey(key.namespace, key.product) for key in readings.means}
