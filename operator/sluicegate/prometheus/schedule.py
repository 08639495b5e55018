"""Which blocks are settled, and how products are split over queries. Pure arithmetic."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

from sluicegate.slo.promql import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sluicegate.prometheus.readings import Target

LONGEST_CANARY_BLOCK: Final = 60
"""Seconds; a canary is judged at least once a minute."""
SCRAPES_PER_BLOCK: Final = 4
"""A block shorter than this many scrape intervals isn't a count."""
NAMES_PER_SCOPE: Final = 5_000
"""Namespaces, and products, that a scope names at most, whatever its limit.

A count repeats its matchers thirteen times. With names of full length, 63 and 40 characters,
that is 7 MB, and a server reads no more than `LONGEST_QUERY`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How Prometheus scrapes, and how long its samples may take to arrive.

    Parameters
    ----------
    scrape_seconds
        Interval at which the products' pods are scraped.
    settle_seconds
        Time to wait after a block's last scrape; never more than a block.
    """

    scrape_seconds: float = 30.0
    settle_seconds: float = 30.0

    def newest_settled(self, now: float, block_seconds: int) -> int:
        """Index of the newest block that may be read; block i ends at i × block_seconds."""
        return int((now - self._delay(block_seconds)) // block_seconds)

    def settled_at(self, index: int, block_seconds: int) -> float:
        """The moment from which on block `index` may be read."""
        return index * block_seconds + self._delay(block_seconds)

    def canary_block(self, block_seconds: int) -> int:
        """Length of a canary block: a minute or a block, but at least four scrapes."""
        shortest = round(SCRAPES_PER_BLOCK * self.scrape_seconds)
        return max(min(block_seconds, LONGEST_CANARY_BLOCK), shortest)

    def _delay(self, block_seconds: int) -> float:
        return self.scrape_seconds + min(self.settle_seconds, block_seconds)


def split_scopes(targets: Iterable[Target], limit: int) -> tuple[Scope, ...]:
    """Scopes of at most `limit` products each; every target lies in exactly one.

    Whole namespaces share a query, for that keeps it short; a namespace with more products
    than the limit is split by their names.
    """
    step = min(limit, NAMES_PER_SCOPE)
    products: dict[str, list[str]] = defaultdict(list)
    for target in sorted(targets, key=lambda each: each.key):
        products[target.key.namespace].append(target.key.product)
    scopes: list[list[str]] = [[]]
    room = limit
    for namespace, names in products.items():
        if len(names) > limit:
            continue
        if len(names) > room or len(scopes[-1]) == NAMES_PER_SCOPE:
            scopes.append([])
            room = limit
        scopes[-1].append(namespace)
        room -= len(names)
    whole = tuple(Scope(namespaces=tuple(each)) for each in scopes if each)
    return whole + tuple(
        Scope(namespaces=(namespace,), products=tuple(names[start : start + step]))
        for namespace, names in products.items()
        if len(names) > limit
        for start in range(0, len(names), step)
    )


def named_scopes(targets: Iterable[Target], limit: int) -> tuple[Scope, ...]:
    """Scopes that name at most `limit` products each; together they name all targets.

    Unlike those of `split_scopes` they may overlap: see `named_scope`.
    """
    ordered = sorted(targets, key=lambda each: each.key)
    step = min(limit, NAMES_PER_SCOPE)
    return tuple(
        named_scope(ordered[start : start + step]) for start in range(0, len(ordered), step)
    )


def named_scope(targets: Iterable[Target]) -> Scope:
    """The scope that names each of these products.

    Two names that occur in two namespaces match four ways; who reads the answer looks up the
    products that were meant.
    """
    keys = [target.key for target in targets]
    return Scope(
        namespaces=tuple(sorted({key.namespace for key in keys})),
        products=tuple(sorted({key.product for key in keys})),
    )


def chunk_by_hash(targets: Sequence[Target], size: int) -> Iterator[tuple[Target, ...]]:
    """Products in about equal chunks; a product stays in its chunk while the number does."""
    count = -(-len(targets) // size)
    chunks: dict[int, list[Target]] = defaultdict(list)
    for target in targets:
        chunks[crc32("/".join(target.key).encode()) % count].append(target)
    for _, chunk in sorted(chunks.items()):
        yield tuple(chunk)
