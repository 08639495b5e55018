"""Quarantine: products for which a query fails; the queries for all leave them out, and they are retried.

A query that Prometheus refuses, or that has an unusable answer, is split until only the products
for which it fails are left (see `query_batch`). They are kept here, so that the search isn't
repeated for the next block. There is one quarantine for each block length.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sluicegate.prometheus.query_scopes import named_scope, named_scopes, split_scopes
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import OWN_QUERIES, QueryKind

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 600
"""Longest pause between two tries: less than the alert's window."""
TRIES_PER_FETCH: Final = 16
_NEVER: Final = 2**62
ANYWHERE: Final = ""
"""Instead of a namespace: pods of no product that needs a query, in any namespace."""
OTHERS: Final = ""
"""Instead of a product: pods of the namespace that belong to no product that needs the query."""


class Place(NamedTuple):
    """Kind of query, namespace and product that are left out; see `ANYWHERE` and `OTHERS`."""

    kind: QueryKind
    namespace: str
    product: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Reason of a quarantine, index of the block of the next try, and the pause in blocks.

    `beside` is true if the product doesn't need the query, but its pods make it fail for others.
    """

    why: str
    due: int
    pause: int = 1
    beside: bool = False


class Quarantine:
    """Places that are left out of the queries of one block length."""

    def __init__(self, block_seconds: int) -> None:
        self._longest = max(LONGEST_PAUSE_SECONDS // block_seconds, 1)
        self._entries: dict[Place, Entry] = {}
        self._unsplit: dict[QueryKind, int] = {}
        """Kinds that were refused for all targets, with the block until which the search is paused."""

    def note(self, place: Place, entry: Entry) -> None:
        """Leave a place out from now on; it is logged once."""
        if place not in self._entries:
            logger.warning(_TEXT, place.kind, _owner_text(place), cause_hint(place.kind), entry.why)
            self._entries[place] = entry

    def failed_again(self, place: Place, index: int) -> None:
        """Double the pause before the next try."""
        if (entry := self._entries.get(place)) is not None:
            pause = min(2 * entry.pause, self._longest)
            self._entries[place] = replace(entry, due=index + pause, pause=pause)

    def release(self, place: Place) -> None:
        """Include a place again in the queries for all."""
        if self._entries.pop(place, None) is not None:
            logger.info("the %s query for %s succeeds again", place.kind, _owner_text(place))

    def pause_search(self, kind: QueryKind, index: int) -> None:
        """Pause the search for a kind of query that failed for all: no single product is the cause."""
        self._unsplit[kind] = index + self._longest

    def may_split(self, kind: QueryKind, index: int) -> bool:
        """Return whether the products for which this kind fails may be searched."""
        return self._unsplit.get(kind, index) <= index

    def of_the_past(self) -> "Quarantine":
        """Copy the places for a query about longer blocks; the copy is independent."""
        other = Quarantine(1)
        other._entries = {place: replace(one, due=_NEVER) for place, one in self._entries.items()}
        return other

    def prune(self, targets: Iterable[Target], all_targets: Iterable[Target]) -> None:
        """Drop products that are no longer targets, and other pods that don't exist any more."""
        if not self._entries:
            return
        keys, all_keys = (
            {target.key for target in target_list} for target_list in (targets, all_targets)
        )
        namespaces = {key.namespace for key in keys} | {ANYWHERE}
        self._entries = {
            place: entry
            for place, entry in self._entries.items()
            if (place.product == OTHERS and place.namespace in namespaces)
            or ProductKey(place.namespace, place.product) in (all_keys if entry.beside else keys)
        }

    # ---- reading ---------------------------------------------------------------------------
    def concerns(self, kind: QueryKind) -> bool:
        """Return whether any place is left out of this kind."""
        return any(place.kind is kind for place in self._entries)

    def held(self, kind: QueryKind) -> dict[ProductKey, str]:
        """Return the products that are left out of this kind, with the reason."""
        return {
            ProductKey(place.namespace, place.product): entry.why
            for place, entry in self._entries.items()
            if place.kind is kind and place.product != OTHERS
        }

    def due(self, index: int, *, own: bool = False) -> list[Place]:
        """Return the places that are retried at this block; those that have waited longest come first.

        Products' own queries are retried separately, so that they don't delay the retry of others.
        """
        ripe = [
            (entry.due, place)
            for place, entry in self._entries.items()
            if entry.due <= index and (place.kind in OWN_QUERIES) is own
        ]
        return [place for _, place in sorted(ripe)[: None if own else TRIES_PER_FETCH]]

    def scopes(
        self,
        kind: QueryKind,
        group: Sequence[Target],
        ordinary: Callable[[Sequence[Target]], Sequence[Scope]],
        limit: int,
    ) -> Sequence[Scope]:
        """Return the scopes to query instead of `ordinary`, so that no place in quarantine is matched.

        In namespaces with a product in quarantine the others are named: a matcher can exclude a
        name, but no pair of a namespace and a name.
        """
        held_keys: AbstractSet[ProductKey] = self.held(kind).keys()
        namespaces_apart = {place.namespace for place in self._entries if place.kind is kind}
        remaining = [target for target in group if target.key not in held_keys]
        clean = [target for target in remaining if target.key.namespace not in namespaces_apart]
        scopes = list(ordinary(clean)) if clean else []
        if any(not scope.products for scope in scopes):
            scopes = list(split_scopes(clean, limit))
        for namespace in sorted(namespaces_apart):
            named_targets = [target for target in remaining if target.key.namespace == namespace]
            scopes += named_scopes(named_targets, limit)
        return scopes


def scope_of(place: Place, namespaces: tuple[str, ...]) -> Scope:
    """Return the scope by which a place is retried; `namespaces` are those that the operator watches."""
    if place.namespace == ANYWHERE:
        return Scope(namespaces=namespaces)
    if place.product == OTHERS:
        return Scope(namespaces=(place.namespace,))
    return Scope(namespaces=(place.namespace,), products=(place.product,))


def covered_by(scope: Scope, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return the products that a scope reads."""
    namespaces, products = frozenset(scope.namespaces), frozenset(scope.products)
    return tuple(
        target
        for target in targets
        if (not namespaces or target.key.namespace in namespaces)
        and (not products or target.key.product in products)
    )


def halve(scope: Scope, targets: Sequence[Target]) -> list[tuple[Scope, tuple[Target, ...]]]:
    """Return narrower scopes that read the same products; none for one product alone.

    Namespaces are halved until one is left; then only its products are named, which excludes pods
    that belong to none of them; then the names are halved.
    """
    covered = list(covered_by(scope, targets))
    namespaces = sorted({target.key.namespace for target in covered})
    if len(namespaces) > 1:
        first = set(namespaces[: len(namespaces) // 2])
        halves = [
            [target for target in covered if (target.key.namespace in first) is in_first_half]
            for in_first_half in (True, False)
        ]
        if not scope.products:
            return [
                (Scope(namespaces=tuple(sorted({t.key.namespace for t in half}))), tuple(half))
                for half in halves
            ]
    elif covered and scope != named_scope(covered):
        halves = [covered]
    elif len(covered) > 1:
        covered.sort(key=lambda target: target.key)
        halves = [covered[: len(covered) // 2], covered[len(covered) // 2 :]]
    else:
        return []
    return [(named_scope(half), tuple(half)) for half in halves]


_TEXT: Final = (
    "the %s query fails for %s only, which is left out of it and retried with growing pauses:"
    " %s: %s"
)


def cause_hint(kind: QueryKind) -> str:
    """Return a hint at the place to fix the cause of a failing query."""
    if kind in {QueryKind.GATEWAY, QueryKind.SENT}:
        return "check the series of its Services and routes in the gateway's request counters"
    return "fix what its pods expose at /metrics, or delete them"


def _owner_text(place: Place) -> str:
    if place.namespace == ANYWHERE:
        return "pods of no DataProduct that needs it, in a namespace without one"
    if place.product == OTHERS:
        return f"pods of no DataProduct that needs it, in namespace {place.namespace}"
    return f"DataProduct {place.namespace}/{place.product}"
