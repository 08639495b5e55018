"""The portfolio that one reader may see: filtered before anything is counted, drawn or written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

from sluicegate.portfolio.affected import Graph, graph_of
from sluicegate.portfolio.journeys import Journey, journeys_of
from sluicegate.portfolio.overview import Choices, PortfolioOverview, choices_of, overview_of
from sluicegate.views.operator_lease import LeaseKey
from sluicegate.views.product_facts import (
    ProductFacts,
    ProductKey,
    facts_for_reader,
    name_concealer,
    with_states,
)
from sluicegate.web.authorization import VisibleNamespaces
from sluicegate.web.results import Histories, Mover
from sluicegate.web.store import ReviewFacts, Store

_CACHE_SIZE: Final = 32
"""Most views in the cache: readers with the same permissions share one."""


@dataclass(frozen=True)
class VisiblePortfolio:
    """Products and reviews that a reader may see.

    `conceal` removes the names of hidden products from a text.
    """

    products: tuple[ProductFacts, ...]
    reviews: tuple[ReviewFacts, ...]
    conceal: Callable[[str], str]

    @cached_property
    def overview(self) -> PortfolioOverview:
        """Return the summary and the queue of needs."""
        return overview_of(self.products)

    @cached_property
    def choices(self) -> Choices:
        """Return the values of the filters."""
        return choices_of(self.products)

    @cached_property
    def graph(self) -> Graph:
        """Return the graph of dependencies."""
        return graph_of(self.products)

    @cached_property
    def journeys(self) -> dict[str, Journey]:
        """Return the journeys by name."""
        return journeys_of(self.products)

    @cached_property
    def histories(self) -> Histories:
        """Return the reviews by product."""
        return Histories(self.reviews)

    @cached_property
    def movers(self) -> tuple[Mover, ...]:
        """Return the products with a proved change since their last review, the largest first."""
        return self.histories.movers(self.products)

    @cached_property
    def operators(self) -> frozenset[LeaseKey]:
        """Leases of the operators that wrote the products."""
        return frozenset(
            product.operator for product in self.products if product.operator is not None
        )

    @cached_property
    def by_key(self) -> dict[ProductKey, ProductFacts]:
        """Return the products by namespace and name."""
        return {product.key: product for product in self.products}


class Views:
    """Cached views of a store, by change of the store and by set of permissions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = store.version
        self._kept = lru_cache(maxsize=_CACHE_SIZE)(self._build_view)

    def portfolio(self, visible_namespaces: VisibleNamespaces) -> VisiblePortfolio:
        """Return the portfolio that a reader may see."""
        if self._version != self._store.version:
            self._version = self._store.version
            self._kept.cache_clear()
        return self._kept(visible_namespaces)

    def _build_view(self, visible_namespaces: VisibleNamespaces) -> VisiblePortfolio:
        all_facts = tuple(self._store.products.facts())
        keys = frozenset(product.key for product in all_facts)
        reviews = tuple(
            review_facts
            for review_facts in self._store.reviews.facts()
            if visible_namespaces.sees_reviews(review_facts.key.namespace)
        )
        hours = _hours(reviews)
        return VisiblePortfolio(
            products=tuple(
                with_states(
                    _with_resource_hours(
                        facts_for_reader(product, visible_namespaces.sees, keys), hours
                    )
                    for product in all_facts
                    if visible_namespaces.sees(product.key[0])
                )
            ),
            reviews=reviews,
            conceal=name_concealer(visible_namespaces.sees, keys.__contains__),
        )


def _hours(reviews: Iterable[ReviewFacts]) -> dict[ProductKey, ReviewFacts]:
    """Return the newest review with hours of each product; the reviews begin with the newest period."""
    latest_reviews: dict[ProductKey, ReviewFacts] = {}
    for review in reviews:
        if review.hours is not None:
            latest_reviews.setdefault((review.key.namespace, review.product), review)
    return latest_reviews


def _with_resource_hours(facts: ProductFacts, hours: dict[ProductKey, ReviewFacts]) -> ProductFacts:
    review = hours.get(facts.key)
    if review is None or review.uid not in {"", facts.uid}:
        return facts
    return replace(facts, hours=review.hours)
