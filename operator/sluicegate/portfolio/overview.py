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
    """A reader's filter: empty fields match all. `text` is searched in names and the purpose."""

    text: str = ""
    team: str = ""
    domain: str = ""
    market: str = ""
    state: str = ""
    need: str = ""
    namespace: str = ""

    def takes(self, product: ProductFacts) -> bool:
        """Return whether a product matches the filter."""
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
        searched_text = f"{product.key[0]}/{product.key[1]} {product.title} {product.owner} {product.domain} {product.purpose}"
        return all(word in searched_text.casefold() for word in self.text.casefold().split())


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
    states = Counter(product.state for product in products)
    queue = sorted(
        ((product, need) for product in products for need in product.needs),
        key=lambda pair: (
            pair[1].kind.rank,
            pair[0].priority.rank,
            pair[1].since if pair[1].since is not None else _LAST,
            pair[0].key,
        ),
    )
    kinds = Counter(need.kind for _, need in queue)
    needy = sum(bool(product.needs) for product in products)
    sentence = _sentence(products, states, kinds, needy)
    return PortfolioOverview(sentence, len(products), needy, states, kinds, tuple(queue))


def of_person(
    overview: PortfolioOverview, products: Iterable[ProductFacts], user: str
) -> tuple[tuple[ProductFacts, Need], ...]:
    """Return the needs that concern this person: of products whose team lists the user, and answers that these must give."""
    own_products = [product for product in products if user in product.people]
    paths = {"/".join(one.key) for one in own_products}
    callee_keys = {upstream.key for one in own_products for upstream in one.upstream}
    return tuple(
        (product, need)
        for product, need in overview.queue
        if user in product.people
        or need.party in paths
        or (need.party == MORE_PARTIES and product.key in callee_keys)
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
    parts = [f"{states[state]:,} {state.lower()}" for state in reversed(STATES) if states[state]]
    bad = sorted(
        (product for product in products if product.state is ProductState.DEGRADED),
        key=lambda one: (one.priority.rank, one.key),
    )
    text = f"{number:,} product{'s' if number > 1 else ''}: {', '.join(parts)}"
    if bad:
        titles = ", ".join(one.title for one in bad[:_NAMED])
        more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
        text += f". Degraded: {titles}{more}"
    if not kinds:
        return f"{text}. No product needs a person."
    needs_text = ", ".join(one.counted(kinds[one]) for one in NeedKind if kinds[one])
    return f"{text}. {needy:,} need{'' if needy > 1 else 's'} a person: {needs_text}."


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
    budget_left = product.level.budget_left if product.level else None
    return float("inf") if budget_left is None else budget_left


def rows(
    products: Iterable[ProductFacts],
    filters: Wanted,
    sort: str = "state",
    *,
    backwards: bool = False,
) -> list[ProductFacts]:
    """Return the products that match the filter, in this order; an unknown order is that by state."""
    selected = [product for product in products if filters.takes(product)]
    sort_key = SORTS.get(sort, SORTS["state"])
    return sorted(selected, key=lambda one: (sort_key(one), one.key), reverse=backwards)


@dataclass(frozen=True, slots=True)
class Choices:
    """The values of each filter field among the products that the reader may see."""

    teams: tuple[str, ...]
    domains: tuple[str, ...]
    markets: tuple[str, ...]
    namespaces: tuple[str, ...]


def choices_of(products: Iterable[ProductFacts]) -> Choices:
    """Return the values of each filter field."""
    all_products = list(products)
    return Choices(
        teams=tuple(sorted({one.team for one in all_products if one.team})),
        domains=tuple(sorted({one.domain for one in all_products if one.domain})),
        markets=tuple(sorted({market for one in all_products for market in one.markets})),
        namespaces=tuple(sorted({one.key[0] for one in all_products})),
    )
