"""The portfolio in one sentence, its queue of needs, and the rows that a reader asks for. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.engine import ProductState
from sluicegate.views.needs import MORE_PARTIES, Need, NeedKind
from sluicegate.views.product_facts import WORST, ProductFacts

STATES: Final = (
    ProductState.DEGRADED,
    ProductState.DEGRADING,
    ProductState.UNKNOWN,
    ProductState.HEALTHY,
)
"""States of products, the worst first."""
_RANKS: Final = {state: place for place, state in enumerate(STATES)}
_NAMED: Final = 3
"""Degraded products that the sentence names."""
_LAST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader filters by: empty fields do not filter. `text` is found in names and the purpose."""

    text: str = ""
    team: str = ""
    domain: str = ""
    market: str = ""
    state: str = ""
    need: str = ""
    namespace: str = ""

    def takes(self, product: ProductFacts) -> bool:
        """Return whether a product is asked for."""
        return (
            self.team in {"", product.team}
            and self.domain in {"", product.domain}
            and self.namespace in {"", product.key[0]}
            and self.state in {"", str(product.state)}
            and (not self.market or self.market in product.markets)
            and (not self.need or any(_is(need, self.need) for need in product.needs))
            and (not self.text or self._found_in(product))
        )

    def _found_in(self, product: ProductFacts) -> bool:
        where = f"{product.key[0]}/{product.key[1]} {product.title} {product.owner} {product.domain} {product.purpose}"
        return all(word in where.casefold() for word in self.text.casefold().split())


def _is(need: Need, word: str) -> bool:
    return word == "any" or str(need.kind) == word


@dataclass(frozen=True, slots=True)
class PortfolioOverview:
    """Counts of products by state and of needs by kind, the queue, and all of it in one sentence.

    `needy` are the products that need a person: one may be in the queue more than once.
    """

    sentence: str
    total: int
    needy: int
    states: Counter[ProductState]
    kinds: Counter[NeedKind]
    queue: tuple[tuple[ProductFacts, Need], ...]


def overview_of(products: Sequence[ProductFacts]) -> PortfolioOverview:
    """Return the sentence and the queue of these products, which are those that the reader may see."""
    states = Counter(one.state for one in products)
    queue = sorted(
        ((one, need) for one in products for need in one.needs),
        key=lambda pair: (
            pair[1].kind.rank,
            pair[0].priority.rank,
            pair[1].since if pair[1].since is not None else _LAST,
            pair[0].key,
        ),
    )
    kinds = Counter(need.kind for _, need in queue)
    needy = sum(bool(one.needs) for one in products)
    sentence = _sentence(products, states, kinds, needy)
    return PortfolioOverview(sentence, len(products), needy, states, kinds, tuple(queue))


def of_person(
    overview: PortfolioOverview, products: Iterable[ProductFacts], user: str
) -> tuple[tuple[ProductFacts, Need], ...]:
    """Return what needs this person: of the products whose team lists the user, and answers that these have to give."""
    own = [one for one in products if user in one.people]
    paths = {"/".join(one.key) for one in own}
    called = {upstream.key for one in own for upstream in one.upstream}
    return tuple(
        (one, need)
        for one, need in overview.queue
        if user in one.people
        or need.party in paths
        or (need.party == MORE_PARTIES and one.key in called)
    )


def _sentence(
    products: Sequence[ProductFacts],
    states: Counter[ProductState],
    kinds: Counter[NeedKind],
    needy: int,
) -> str:
    if not products:
        return "You can see no product."
    number = len(products)
    parts = [f"{states[one]:,} {one.lower()}" for one in reversed(STATES) if states[one]]
    bad = sorted(
        (one for one in products if one.state is ProductState.DEGRADED),
        key=lambda one: (one.priority.rank, one.key),
    )
    text = f"{number:,} product{'s' if number > 1 else ''}: {', '.join(parts)}"
    if bad:
        titles = ", ".join(one.title for one in bad[:_NAMED])
        more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
        text += f". Degraded: {titles}{more}"
    if not kinds:
        return f"{text}. No product needs a person."
    said = ", ".join(one.counted(kinds[one]) for one in NeedKind if kinds[one])
    return f"{text}. {needy:,} need{'' if needy > 1 else 's'} a person: {said}."


SORTS: Final[dict[str, Callable[[ProductFacts], tuple[object, ...]]]] = {
    "state": lambda one: (_RANKS[one.state], one.priority.rank),
    "name": lambda one: (one.title.casefold(),),
    "namespace": lambda one: (one.key[0],),
    "team": lambda one: (one.team,),
    "markets": lambda one: (-len(one.markets),),
    "slo": lambda one: (WORST.index(one.level.state) if one.level else len(WORST),),
    "budget": lambda one: (_budget(one),),
    "age": lambda one: (one.model_since or _LAST,),
    "change": lambda one: (-one.change.drop if one.change else 1.0,),
    "initial": lambda one: (-one.initial[0].drop if one.initial else 1.0,),
    "training": lambda one: (-(one.trained.time or 0) if one.trained else 1,),
    "priority": lambda one: (one.priority.rank,),
    "hours": lambda one: (-one.hours.cores_a_day if one.hours else 0.0,),
    "review": lambda one: ({"Overdue": 0, "ToReview": 1}.get(one.review, 2),),
}
"""Keys of a sort by the name that the address has; the most remarkable first."""


def _budget(product: ProductFacts) -> float:
    left = product.level.budget_left if product.level else None
    return float("inf") if left is None else left


def rows(
    products: Iterable[ProductFacts],
    filters: Wanted,
    sort: str = "state",
    *,
    backwards: bool = False,
) -> list[ProductFacts]:
    """Return the products that are asked for, in this order; an unknown order is that by state."""
    selected = [one for one in products if filters.takes(one)]
    by = SORTS.get(sort, SORTS["state"])
    return sorted(selected, key=lambda one: (by(one), one.key), reverse=backwards)


@dataclass(frozen=True, slots=True)
class Choices:
    """Values that a reader may filter by: those of the products that this one may see."""

    teams: tuple[str, ...]
    domains: tuple[str, ...]
    markets: tuple[str, ...]
    namespaces: tuple[str, ...]


def choices_of(products: Iterable[ProductFacts]) -> Choices:
    """Return what there is to choose from."""
    every = list(products)
    return Choices(
        teams=tuple(sorted({one.team for one in every if one.team})),
        domains=tuple(sorted({one.domain for one in every if one.domain})),
        markets=tuple(sorted({market for one in every for market in one.markets})),
        namespaces=tuple(sorted({one.key[0] for one in every})),
    )
