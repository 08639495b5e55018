"""The portfolio in one sentence, its queue of needs, and the rows that a reader asks for. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.api.engine import ProductState
from sluicegate.views.needs import UNNAMED_PARTIES, Need, NeedKind
from sluicegate.views.product_facts import STATES_BY_SEVERITY, ProductFacts

STATES: Final = (
    ProductState.DEGRADED,
    ProductState.DEGRADING,
    ProductState.UNKNOWN,
    ProductState.HEALTHY,
)
"""States of products, the worst first."""
_STATE_RANKS: Final = {state: rank for rank, state in enumerate(STATES)}
_MAX_NAMED: Final = 3
"""Degraded products that the sentence names."""
_RANK_AFTER_ALL: Final = 2**62


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
            and (not self.need or any(_is_need_of_kind(need, self.need) for need in product.needs))
            and (not self.text or self._found_in(product))
        )

    def _found_in(self, product: ProductFacts) -> bool:
        searched_text = f"{product.key[0]}/{product.key[1]} {product.title} {product.owner} {product.domain} {product.purpose}"
        return all(word in searched_text.casefold() for word in self.text.casefold().split())


def _is_need_of_kind(open_need: Need, word: str) -> bool:
    return word == "any" or str(open_need.kind) == word


@dataclass(frozen=True, slots=True)
class PortfolioOverview:
    """Counts of products by state and of needs by kind, the queue, and all of it in one sentence.

    `products_needing_a_person` are the products that need a person: one may be in the queue more than once.
    """

    sentence: str
    total: int
    products_needing_a_person: int
    states: Counter[ProductState]
    kinds: Counter[NeedKind]
    queue: tuple[tuple[ProductFacts, Need], ...]


def overview_of(products: Sequence[ProductFacts]) -> PortfolioOverview:
    """Return the sentence and the queue of these products, which are those that the reader may see."""
    states = Counter(product.state for product in products)
    queue = sorted(
        ((product, open_need) for product in products for open_need in product.needs),
        key=lambda product_and_need: (
            product_and_need[1].kind.rank,
            product_and_need[0].priority.rank,
            product_and_need[1].since if product_and_need[1].since is not None else _RANK_AFTER_ALL,
            product_and_need[0].key,
        ),
    )
    kinds = Counter(open_need.kind for _, open_need in queue)
    products_needing_a_person = sum(bool(product.needs) for product in products)
    sentence = _sentence(products, states, kinds, products_needing_a_person)
    return PortfolioOverview(
        sentence, len(products), products_needing_a_person, states, kinds, tuple(queue)
    )


def of_person(
    overview: PortfolioOverview, products: Iterable[ProductFacts], user: str
) -> tuple[tuple[ProductFacts, Need], ...]:
    """Return the needs that a person can act on: of products whose team lists the user, and awaited answers."""
    own_products = [product for product in products if user in product.people]
    paths = {"/".join(product.key) for product in own_products}
    callee_keys = {upstream.key for product in own_products for upstream in product.upstream}
    return tuple(
        (product, open_need)
        for product, open_need in overview.queue
        if user in product.people
        or open_need.party in paths
        or (open_need.party == UNNAMED_PARTIES and product.key in callee_keys)
    )


def _sentence(
    products: Sequence[ProductFacts],
    states: Counter[ProductState],
    kinds: Counter[NeedKind],
    products_needing_a_person: int,
) -> str:
    if not products:
        return "You can see no product."
    number = len(products)
    state_texts = [
        f"{states[state]:,} {state.lower()}" for state in reversed(STATES) if states[state]
    ]
    degraded_products = sorted(
        (product for product in products if product.state is ProductState.DEGRADED),
        key=lambda product: (product.priority.rank, product.key),
    )
    text = f"{number:,} product{'s' if number > 1 else ''}: {', '.join(state_texts)}"
    if degraded_products:
        titles = ", ".join(product.title for product in degraded_products[:_MAX_NAMED])
        more_text = (
            f" and {len(degraded_products) - _MAX_NAMED:,} more"
            if len(degraded_products) > _MAX_NAMED
            else ""
        )
        text += f". Degraded: {titles}{more_text}"
    if not kinds:
        return f"{text}. No product needs a person."
    needs_text = ", ".join(kind.count_text(kinds[kind]) for kind in NeedKind if kinds[kind])
    return f"{text}. {products_needing_a_person:,} need{'' if products_needing_a_person > 1 else 's'} a person: {needs_text}."


SORT_KEYS: Final[dict[str, Callable[[ProductFacts], tuple[object, ...]]]] = {
    "state": lambda product: (_STATE_RANKS[product.state], product.priority.rank),
    "name": lambda product: (product.title.casefold(),),
    "namespace": lambda product: (product.key[0],),
    "team": lambda product: (product.team,),
    "markets": lambda product: (-len(product.markets),),
    "slo": lambda product: (
        STATES_BY_SEVERITY.index(product.worst_slo.state)
        if product.worst_slo
        else len(STATES_BY_SEVERITY),
    ),
    "budget": lambda product: (_budget(product),),
    "age": lambda product: (product.model_since or _RANK_AFTER_ALL,),
    "change": lambda product: (-product.change.drop if product.change else 1.0,),
    "initial": lambda product: (
        -product.initial_distances[0].drop if product.initial_distances else 1.0,
    ),
    "training": lambda product: (
        -(product.last_training.time or 0) if product.last_training else 1,
    ),
    "priority": lambda product: (product.priority.rank,),
    "hours": lambda product: (-product.hours.cores_a_day if product.hours else 0.0,),
    "review": lambda product: ({"Overdue": 0, "ToReview": 1}.get(product.review, 2),),
}
"""Keys of a sort by the name that the address has; the most remarkable first."""


def _budget(product: ProductFacts) -> float:
    budget_left = product.worst_slo.budget_left if product.worst_slo else None
    return float("inf") if budget_left is None else budget_left


def table_rows(
    products: Iterable[ProductFacts],
    filters: Wanted,
    sort_name: str = "state",
    *,
    backwards: bool = False,
) -> list[ProductFacts]:
    """Return the products that match the filter, in this order; an unknown order is that by state."""
    selected_products = [product for product in products if filters.takes(product)]
    sort_key = SORT_KEYS.get(sort_name, SORT_KEYS["state"])
    return sorted(
        selected_products, key=lambda product: (sort_key(product), product.key), reverse=backwards
    )


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
        teams=tuple(sorted({product.team for product in all_products if product.team})),
        domains=tuple(sorted({product.domain for product in all_products if product.domain})),
        markets=tuple(sorted({market for product in all_products for market in product.markets})),
        namespaces=tuple(sorted({product.key[0] for product in all_products})),
    )
