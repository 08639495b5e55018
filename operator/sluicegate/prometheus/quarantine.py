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
_NEVER_DUE: Final = 2**62
ANY_NAMESPACE: Final = ""
"""Instead of a namespace: pods of no product that needs a query, in any namespace."""
UNOWNED_PLACES: Final = ""
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
    """Products and namespaces that the queries of one block length leave out."""

    def __init__(self, block_seconds: int) -> None:
        self._longest = max(LONGEST_PAUSE_SECONDS // block_seconds, 1)
        self._entries: dict[Place, Entry] = {}
        self._unsplit: dict[QueryKind, int] = {}
        """Kinds that were refused for all targets, with the block until which the search is paused."""

    def note(self, quarantine_place: Place, entry: Entry) -> None:
        """Quarantine a product or namespace, and log it once."""
        if quarantine_place not in self._entries:
            logger.warning(
                _TEXT,
                quarantine_place.kind,
                _owner_text(quarantine_place),
                cause_hint(quarantine_place.kind),
                entry.why,
            )
            self._entries[quarantine_place] = entry

    def failed_again(self, quarantine_place: Place, index: int) -> None:
        """Double the pause before the next try."""
        if (entry := self._entries.get(quarantine_place)) is not None:
            retry_pause = min(2 * entry.pause, self._longest)
            self._entries[quarantine_place] = replace(
                entry, due=index + retry_pause, pause=retry_pause
            )

    def release(self, quarantine_place: Place) -> None:
        """Include a place again in the queries for all."""
        if self._entries.pop(quarantine_place, None) is not None:
            logger.info(
                "the %s query for %s succeeds again",
                quarantine_place.kind,
                _owner_text(quarantine_place),
            )

    def pause_search(self, kind: QueryKind, index: int) -> None:
        """Pause the search for a kind of query that failed for all: no single product is the cause."""
        self._unsplit[kind] = index + self._longest

    def may_split(self, kind: QueryKind, index: int) -> bool:
        """Return whether the products for which this kind fails may be searched."""
        return self._unsplit.get(kind, index) <= index

    def of_the_past(self) -> "Quarantine":
        """Copy the places for a query about longer blocks; the copy is independent."""
        past_quarantine = Quarantine(1)
        past_quarantine._entries = {
            place: replace(entry, due=_NEVER_DUE) for place, entry in self._entries.items()
        }
        return past_quarantine

    def prune(self, targets: Iterable[Target], all_targets: Iterable[Target]) -> None:
        """Drop products that are no longer targets, and other pods that don't exist any more."""
        if not self._entries:
            return
        keys, all_keys = (
            {target.key for target in target_list} for target_list in (targets, all_targets)
        )
        namespaces = {key.namespace for key in keys} | {ANY_NAMESPACE}
        self._entries = {
            quarantine_place: entry
            for quarantine_place, entry in self._entries.items()
            if (
                quarantine_place.product == UNOWNED_PLACES
                and quarantine_place.namespace in namespaces
            )
            or ProductKey(quarantine_place.namespace, quarantine_place.product)
            in (all_keys if entry.beside else keys)
        }

    # ---- reading ---------------------------------------------------------------------------
    def concerns(self, kind: QueryKind) -> bool:
        """Return whether any place is left out of this kind."""
        return any(quarantine_place.kind is kind for quarantine_place in self._entries)

    def held(self, kind: QueryKind) -> dict[ProductKey, str]:
        """Return the products that are left out of this kind, with the reason."""
        return {
            ProductKey(quarantine_place.namespace, quarantine_place.product): entry.why
            for quarantine_place, entry in self._entries.items()
            if quarantine_place.kind is kind and quarantine_place.product != UNOWNED_PLACES
        }

    def due(self, index: int, *, only_own_queries: bool = False) -> list[Place]:
        """Return the entries to retry at this block, longest waiting first.

        Products' own queries are retried separately, so that they don't delay the retry of others.
        """
        due_entries = [
            (entry.due, quarantine_place)
            for quarantine_place, entry in self._entries.items()
            if entry.due <= index and (quarantine_place.kind in OWN_QUERIES) is only_own_queries
        ]
        return [
            quarantine_place
            for _, quarantine_place in sorted(due_entries)[
                : None if only_own_queries else TRIES_PER_FETCH
            ]
        ]

    def scopes(
        self,
        kind: QueryKind,
        group: Sequence[Target],
        ordinary_scopes: Callable[[Sequence[Target]], Sequence[Scope]],
        limit: int,
    ) -> Sequence[Scope]:
        """Return the scopes to query instead of `ordinary`, so that no place in quarantine is matched.

        In namespaces with a product in quarantine the others are named: a matcher can exclude a
        name, but no pair of a namespace and a name.
        """
        held_keys: AbstractSet[ProductKey] = self.held(kind).keys()
        namespaces_apart = {
            quarantine_place.namespace
            for quarantine_place in self._entries
            if quarantine_place.kind is kind
        }
        remaining_targets = [target for target in group if target.key not in held_keys]
        clean_targets = [
            target for target in remaining_targets if target.key.namespace not in namespaces_apart
        ]
        scopes = list(ordinary_scopes(clean_targets)) if clean_targets else []
        if any(not scope.products for scope in scopes):
            scopes = list(split_scopes(clean_targets, limit))
        for namespace in sorted(namespaces_apart):
            named_targets = [
                target for target in remaining_targets if target.key.namespace == namespace
            ]
            scopes += named_scopes(named_targets, limit)
        return scopes


def scope_of(quarantine_place: Place, namespaces: tuple[str, ...]) -> Scope:
    """Return the scope of the query that retries a quarantined place."""
    if quarantine_place.namespace == ANY_NAMESPACE:
        return Scope(namespaces=namespaces)
    if quarantine_place.product == UNOWNED_PLACES:
        return Scope(namespaces=(quarantine_place.namespace,))
    return Scope(namespaces=(quarantine_place.namespace,), products=(quarantine_place.product,))


def covered_by(scope: Scope, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Return the products that a scope reads."""
    namespaces, products = frozenset(scope.namespaces), frozenset(scope.products)
    return tuple(
        target
        for target in targets
        if (not namespaces or target.key.namespace in namespaces)
        and (not products or target.key.product in products)
    )


def halve_scope(scope: Scope, targets: Sequence[Target]) -> list[tuple[Scope, tuple[Target, ...]]]:
    """Return narrower scopes that together read the same products; empty for a single product.

    Namespaces are halved until one is left; then only its products are named, which excludes pods
    that belong to none of them; then the names are halved.
    """
    covered_targets = list(covered_by(scope, targets))
    namespaces = sorted({target.key.namespace for target in covered_targets})
    if len(namespaces) > 1:
        first_half = set(namespaces[: len(namespaces) // 2])
        target_halves = [
            [
                target
                for target in covered_targets
                if (target.key.namespace in first_half) is is_first_half
            ]
            for is_first_half in (True, False)
        ]
        if not scope.products:
            return [
                (
                    Scope(
                        namespaces=tuple(sorted({target.key.namespace for target in target_half}))
                    ),
                    tuple(target_half),
                )
                for target_half in target_halves
            ]
    elif covered_targets and scope != named_scope(covered_targets):
        target_halves = [covered_targets]
    elif len(covered_targets) > 1:
        covered_targets.sort(key=lambda target: target.key)
        target_halves = [
            covered_targets[: len(covered_targets) // 2],
            covered_targets[len(covered_targets) // 2 :],
        ]
    else:
        return []
    return [(named_scope(target_half), tuple(target_half)) for target_half in target_halves]


_TEXT: Final = (
    "the %s query fails for %s only, which is left out of it and retried with growing pauses:"
    " %s: %s"
)


def cause_hint(kind: QueryKind) -> str:
    """Return a hint at the place to fix the cause of a failing query."""
    if kind in {QueryKind.GATEWAY, QueryKind.SENT}:
        return "check the series of its Services and routes in the gateway's request counters"
    return "fix what its pods expose at /metrics, or delete them"


def _owner_text(quarantine_place: Place) -> str:
    if quarantine_place.namespace == ANY_NAMESPACE:
        return "pods of no DataProduct that needs it, in a namespace without one"
    if quarantine_place.product == UNOWNED_PLACES:
        return f"pods of no DataProduct that needs it, in namespace {quarantine_place.namespace}"
    return f"DataProduct {quarantine_place.namespace}/{quarantine_place.product}"
