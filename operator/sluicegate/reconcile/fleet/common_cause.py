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

LEAST_OWN_SILENT: Final = 2
"""A product that is silent by itself, say as its version is new, shares no cause with others."""
_BEGINS, _ENDS = 0, 1  # in the order in which they count, should both be at the same moment

Span = tuple[int, int]
"""The first and the last moment of something; both belong to it."""


class Together(NamedTuple):
    """What is so at the same time, as one namespace sees it.

    Attributes
    ----------
    own : products of the namespace itself.
    others : other namespaces with such a product.
    share : the shares of their products, summed.
    """

    own: int
    others: int
    share: float

    @property
    def parties(self) -> int:
        """How many there are that can't be one tenant's invention."""
        return self.own + self.others


class Overlaps:
    """Spans of products, to be asked for the moment that lies in the most of them.

    Sorted once, as all that turned bad together ask for it; an answer takes one pass.
    """

    def __init__(self, spans: Iterable[tuple[str, Span]], sizes: Mapping[str, int]) -> None:
        """`spans` come with the namespace of their product; `sizes` are products by namespace."""
        edges = Counter(
            (moment, edge, namespace)
            for namespace, (first, last) in spans
            for moment, edge in ((first, _BEGINS), (last, _ENDS))
        )
        counts: Counter[str] = Counter()
        self._sizes: dict[str, int] = {}
        self._moments: list[tuple[int, float]] = []
        """Namespaces that have such a product, and the sum of their shares, from edge to edge."""
        self._own: dict[str, dict[int, int]] = {}
        """By namespace: from which of these on it has how many."""
        share = 0.0
        for (_, edge), group in groupby(sorted(edges), key=lambda one: one[:2]):
            for where in group:
                namespace, change = where[2], edges[where] * (1 if edge == _BEGINS else -1)
                self._sizes[namespace] = sizes[namespace]
                counts[namespace] += change
                share += change / sizes[namespace]
                changes = self._own.setdefault(namespace, {})
                changes[len(self._moments)] = counts[namespace]
                if not counts[namespace]:
                    del counts[namespace]
            self._moments.append((len(counts), share))

    def most(self, namespace: str) -> Together:
        """Return the moment that explains the most, as this namespace sees it."""
        return max(self._seen_by(namespace), key=_explained, default=Together(0, 0, 0.0))

    def _seen_by(self, namespace: str) -> Iterator[Together]:
        """Yield what is so at each moment."""
        changes, own = self._own.get(namespace, {}), 0
        for number, (present, share) in enumerate(self._moments):
            own = changes.get(number, own)
            rest = share - own / self._sizes[namespace] if own else share
            yield Together(own, present - (own > 0), rest)


def _explained(one: Together) -> tuple[int, float]:
    """Return how much a moment explains."""
    return min(one.parties, COMMON_PRODUCTS), one.own + one.share


@dataclass(frozen=True, slots=True)
class _Flags:
    """Products with an SLO of one kind, by namespace, and how many of them are silent."""

    having: Counter[str]
    silent: Counter[str]
    shares: float

    def share(self, namespace: str) -> float:
        """Return the share that is silent, as a namespace sees it; 0 where that shares no cause."""
        own, having = self.silent[namespace], self.having[namespace]
        others = len(self.silent) - (own > 0)
        if own < LEAST_OWN_SILENT and own + others < COMMON_PRODUCTS:
            return 0.0
        rest = self.shares - (own / having if own else 0.0)
        return (own + rest) / (having + len(self.having) - (having > 0))


class Silence:
    """Who has no data any more, by kind of indicator."""

    def __init__(self, flags: Iterable[tuple[str, Mapping[str, bool]]]) -> None:
        """`flags` say of each product, with its namespace, which kinds it has and whether silent."""
        having = defaultdict[str, Counter[str]](Counter)
        silent = defaultdict[str, Counter[str]](Counter)
        for namespace, kinds in flags:
            for kind, mute in kinds.items():
                having[kind][namespace] += 1
                if mute:
                    silent[kind][namespace] += 1
        self._kinds = {
            kind: _Flags(having[kind], mute, sum(n / having[kind][one] for one, n in mute.items()))
            for kind, mute in silent.items()
        }

    def shares(self, namespace: str) -> dict[str, float]:
        """Return the share that is silent, by kind of indicator, as a namespace sees it."""
        found = {kind: flags.share(namespace) for kind, flags in self._kinds.items()}
        return {kind: share for kind, share in found.items() if share}
