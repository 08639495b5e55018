"""The portfolio as one reader sees it: filtered before anything is counted, drawn or written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

from sluicegate.portfolio.dependencies import Graph, graph_of
from sluicegate.portfolio.facts import ProductFacts, ProductKey, as_seen, concealing, with_states
from sluicegate.portfolio.journeys import Journey, journeys_of
from sluicegate.portfolio.overview import Choices, PortfolioOverview, choices_of, overview_of
from sluicegate.web.authorization import Sight
from sluicegate.web.store import ReviewFacts, Store

_MOST: Final = 32
"""Views that are kept: readers with the same permissions share one."""


@dataclass(frozen=True)
class SeenPortfolio:
    """Products and reviews that a reader may see; `conceal` takes the names of others out of a text."""

    products: tuple[ProductFacts, ...]
    reviews: tuple[ReviewFacts, ...]
    conceal: Callable[[str], str]

    @cached_property
    def overview(self) -> PortfolioOverview:
        """The sentence and the queue."""
        return overview_of(self.products)

    @cached_property
    def choices(self) -> Choices:
        """What one may filter by."""
        return choices_of(self.products)

    @cached_property
    def graph(self) -> Graph:
        """Who depends on whom."""
        return graph_of(self.products)

    @cached_property
    def journeys(self) -> dict[str, Journey]:
        """Journeys by name."""
        return journeys_of(self.products)

    @cached_property
    def by_key(self) -> dict[ProductKey, ProductFacts]:
        """Products by namespace and name."""
        return {one.key: one for one in self.products}


class Views:
    """What readers see of a store: made once for each change of it and each set of permissions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = store.version
        self._kept = lru_cache(maxsize=_MOST)(self._made)

    def seen(self, sight: Sight) -> SeenPortfolio:
        """All that a reader may see."""
        if self._version != self._store.version:
            self._version = self._store.version
            self._kept.cache_clear()
        return self._kept(sight)

    def _made(self, sight: Sight) -> SeenPortfolio:
        every = tuple(self._store.products.facts())
        known = frozenset(one.key for one in every)
        reviews = tuple(
            one for one in self._store.reviews.facts() if sight.sees_reviews(one.key.namespace)
        )
        hours = _hours(reviews)
        return SeenPortfolio(
            products=tuple(
                with_states(
                    _with_hours(as_seen(one, sight.sees, known), hours)
                    for one in every
                    if sight.sees(one.key[0])
                )
            ),
            reviews=reviews,
            conceal=concealing(sight.sees, known.__contains__),
        )


def _hours(reviews: Iterable[ReviewFacts]) -> dict[ProductKey, ReviewFacts]:
    """The newest review of each product that has hours; the reviews begin with the newest period."""
    found: dict[ProductKey, ReviewFacts] = {}
    for one in reviews:
        if one.hours is not None:
            found.setdefault((one.key.namespace, one.product), one)
    return found


def _with_hours(facts: ProductFacts, hours: dict[ProductKey, ReviewFacts]) -> ProductFacts:
    review = hours.get(facts.key)
    if review is None or review.uid not in {"", facts.uid}:
        return facts
    return replace(facts, hours=review.hours)
