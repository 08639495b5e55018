"""How much turned bad, or fell silent, at the same time: what a tenant declares counts once.

Names, owners and numbers of products are a tenant's own to choose; namespaces aren't. So a
product counts the products of its own namespace one by one, and each other namespace as one, by
the share of its products. A namespace full of throw-away products vetoes no other.

`spec.owner` isn't counted, neither instead of the namespace nor beside it. As many owners as
products would be as many voices, and who names the owner of others would be taken for one of them
and silence theirs. A namespace is given by who administers the cluster, and so are the rights in
it. A tenant with several has a voice for each.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from sluicegate.policy import COMMON_PRODUCTS

MIN_OWN_SILENT: Final = 2
"""A product that is silent by itself, say as its version is new, shares no cause with others."""
_BEGIN_EDGE, _END_EDGE = 0, 1  # in the order in which they count, should both be at the same moment

Span = tuple[int, int]
"""The first and the last moment of something; both belong to it."""


class SimultaneousProducts(NamedTuple):
    """The number of products in the same state at a time, in one namespace and in the others.

    Attributes
    ----------
    in_own_namespace : products of the namespace itself.
    in_other_namespaces : other namespaces with such a product.
    share : the shares of their products, summed.
    """

    in_own_namespace: int
    in_other_namespaces: int
    share: float

    @property
    def parties(self) -> int:
        """Return the number of tenants whose products changed together, so that no single tenant reaches the limit."""
        return self.in_own_namespace + self.in_other_namespaces


class Overlaps:
    """Time spans of products; `largest` returns the moment that is within most spans.

    Sorted once, as all that turned bad together ask for it; an answer takes one pass.
    """

    def __init__(self, spans: Iterable[tuple[str, Span]], sizes: Mapping[str, int]) -> None:
        """Index `spans` by the namespace of their product; `sizes` are products by namespace."""
        edges = Counter(
            (moment, edge, namespace)
            for namespace, (first, last) in spans
            for moment, edge in ((first, _BEGIN_EDGE), (last, _END_EDGE))
        )
        counts: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._moments: list[tuple[int, float]] = []
        """Namespaces that have such a product, and the sum of their shares, from edge to edge."""
        self._own_moments: dict[str, dict[int, int]] = {}
        """By namespace: from which of these on it has how many."""
        share = 0.0
        for (_, edge), group in groupby(sorted(edges), key=lambda edge_entry: edge_entry[:2]):
            for place in group:
                namespace, change = place[2], edges[place] * (1 if edge == _BEGIN_EDGE else -1)
                self._sizes[namespace] = sizes[namespace]
                counts[namespace] += change
                share += change / sizes[namespace]
                changes = self._own_moments.setdefault(namespace, {})
                changes[len(self._moments)] = counts[namespace]
                if not counts[namespace]:
                    del counts[namespace]
            self._moments.append((len(counts), share))

    def largest(self, namespace: str) -> SimultaneousProducts:
        """Return the moment that explains the most for this namespace."""
        return max(
            self._products_at(namespace),
            key=_cause_strength,
            default=SimultaneousProducts(0, 0, 0.0),
        )

    def _products_at(self, namespace: str) -> Iterator[SimultaneousProducts]:
        """Yield the products at each moment, in this namespace and in the others."""
        changes, own_number = self._own_moments.get(namespace, {}), 0
        for number, (present_products, share) in enumerate(self._moments):
            own_number = changes.get(number, own_number)
            other_share = share - own_number / self._sizes[namespace] if own_number else share
            yield SimultaneousProducts(own_number, present_products - (own_number > 0), other_share)


def _cause_strength(together: SimultaneousProducts) -> tuple[int, float]:
    """Return the sort key of a moment by the strength of its evidence for a common cause."""
    return min(together.parties, COMMON_PRODUCTS), together.in_own_namespace + together.share


@dataclass(frozen=True, slots=True)
class _Flags:
    """Products with an SLO of the same kind, by namespace, and how many are silent."""

    products_with_slo: Counter[str]
    silent: Counter[str]
    shares: float

    def share(self, namespace: str) -> float:
        """Return the silent share for a namespace; 0 if its products share no cause with others."""
        own_silent, products_with_slo = self.silent[namespace], self.products_with_slo[namespace]
        other_namespaces = len(self.silent) - (own_silent > 0)
        if own_silent < MIN_OWN_SILENT and own_silent + other_namespaces < COMMON_PRODUCTS:
            return 0.0
        other_shares = self.shares - (own_silent / products_with_slo if own_silent else 0.0)
        return (own_silent + other_shares) / (
            products_with_slo + len(self.products_with_slo) - (products_with_slo > 0)
        )


class Silence:
    """Products without data, by kind of indicator."""

    def __init__(self, flags: Iterable[tuple[str, Mapping[str, bool]]]) -> None:
        """Count the silent products, given each product's namespace and its silent SLO kinds."""
        products_with_slo = defaultdict[str, Counter[str]](Counter)
        silent_by_kind = defaultdict[str, Counter[str]](Counter)
        for namespace, kinds in flags:
            for kind, silent_by_namespace in kinds.items():
                products_with_slo[kind][namespace] += 1
                if silent_by_namespace:
                    silent_by_kind[kind][namespace] += 1
        self._kinds = {
            kind: _Flags(
                products_with_slo[kind],
                silent_by_namespace,
                sum(
                    n / products_with_slo[kind][edge_entry]
                    for edge_entry, n in silent_by_namespace.items()
                ),
            )
            for kind, silent_by_namespace in silent_by_kind.items()
        }

    def shares(self, namespace: str) -> dict[str, float]:
        """Return the silent share by kind of indicator, for a namespace."""
        silent_shares = {kind: flags.share(namespace) for kind, flags in self._kinds.items()}
        return {kind: share for kind, share in silent_shares.items() if share}
