"""The distribution of products over queries. Pure arithmetic."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from zlib import crc32

from sluicegate.prometheus.targets import Target
from sluicegate.slo.promql import Scope

NAMES_PER_SCOPE: Final = 5_000
"""Most namespaces, and most products, that a scope names, whatever its limit.

A count repeats its matchers thirteen times. With names of full length, 63 and 40 characters, that
is 7 MB, and a server reads no more than `LONGEST_QUERY`.

A count repeats its matchers thirteen times. With names of full length, 63 and 40 characters,
that is 7 MB, and a server reads no more than `LONGEST_QUERY`."""


def split_scopes(targets: Iterable[Target], limit: int) -> tuple[Scope, ...]:
    """Split targets into scopes of at most `limit` products each; each target is in exactly one.

    Whole namespaces share a query, as that keeps it short; a namespace with more products than the
    limit is split by their names.
    """
    step = min(limit, NAMES_PER_SCOPE)
    products: dict[str, list[str]] = defaultdict(list)
    for target in sorted(targets, key=lambda scope_target: scope_target.key):
        products[target.key.namespace].append(target.key.product)
    scopes: list[list[str]] = [[]]
    free_places = limit
    for namespace, names in products.items():
        if len(names) > limit:
            continue
        if len(names) > free_places or len(scopes[-1]) == NAMES_PER_SCOPE:
            scopes.append([])
            free_places = limit
        scopes[-1].append(namespace)
        free_places -= len(names)
    namespaces = tuple(Scope(namespaces=tuple(namespaces)) for namespaces in scopes if namespaces)
    return namespaces + tuple(
        Scope(namespaces=(namespace,), products=tuple(names[start : start + step]))
        for namespace, names in products.items()
        if len(names) > limit
        for start in range(0, len(names), step)
    )


def named_scopes(targets: Iterable[Target], limit: int) -> tuple[Scope, ...]:
    """Split targets into scopes that name at most `limit` products each.

    Together they name all targets.
    """
    ordered_targets = sorted(targets, key=lambda scope_target: scope_target.key)
    step = min(limit, NAMES_PER_SCOPE)
    return tuple(
        named_scope(ordered_targets[start : start + step])
        for start in range(0, len(ordered_targets), step)
    )


def named_scope(targets: Iterable[Target]) -> Scope:
    """Return the scope that names each of these products, and their consumers.

    Two names that occur in two namespaces match four pairs; readers of the answer select the
    products that they need.
    """
    keys = [key for target in targets for key in (target.key, *target.consumers)]
    return Scope(
        namespaces=tuple(sorted({key.namespace for key in keys})),
        products=tuple(sorted({key.product for key in keys})),
    )


def chunk_by_hash(targets: Sequence[Target], size: int) -> Iterator[tuple[Target, ...]]:
    """Yield products in chunks of about equal size.

    A product keeps its chunk while their number is the same.
    """
    count = -(-len(targets) // size)
    chunks: dict[int, list[Target]] = defaultdict(list)
    for target in targets:
        chunks[crc32("/".join(target.key).encode()) % count].append(target)
    for _, chunk in sorted(chunks.items()):
        yield tuple(chunk)
