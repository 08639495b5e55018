"""Products by market, and one market with its products. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.api.slo_status import SloState
from sluicegate.views.product_facts import STATES_BY_SEVERITY, MarketLevel, ProductFacts, ProductKey


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One product: by column its worst state in that market, None if unknown.

    `absent` are columns that the product does not serve.
    """

    product: ProductFacts
    cells: tuple[SloState | None, ...]
    absent: frozenset[str]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Products by market; `totals` count the states of each column."""

    markets: tuple[str, ...]
    rows: tuple[MarketRow, ...]
    totals: tuple[Counter[SloState], ...]


def matrix_of(products: Sequence[ProductFacts]) -> Matrix:
    """Return the matrix of these products, that with the worst state in any market first.

    Markets that only a status names come last.
    """
    served_markets = sorted({market for product in products for market in product.markets})
    further_rows = sorted(
        {market for product in products for market in product.by_market} - set(served_markets)
    )
    markets = (*served_markets, *further_rows)
    market_rows = tuple(
        MarketRow(
            product=product,
            cells=tuple(_market_state(product, market) for market in markets),
            absent=frozenset(markets) - set(product.markets) - set(product.by_market),
        )
        for product in sorted(
            products, key=lambda product: _worst_first_key(product, *product.by_market.values())
        )
    )
    totals = tuple(
        Counter(state for row in market_rows if (state := row.cells[market_index]) is not None)
        for market_index in range(len(markets))
    )
    return Matrix(markets, market_rows, totals)


def _worst_first_key(
    product: ProductFacts, *market_levels: MarketLevel | None
) -> tuple[int, int, ProductKey]:
    state_ranks = (
        STATES_BY_SEVERITY.index(market_level.state)
        for market_level in market_levels
        if market_level
    )
    return min(state_ranks, default=len(STATES_BY_SEVERITY)), product.priority.rank, product.key


def _market_state(product: ProductFacts, market: str) -> SloState | None:
    market_level = product.by_market.get(market)
    return None if market_level is None else market_level.state


@dataclass(frozen=True, slots=True)
class MarketProduct:
    """A product in one market.

    `level` is None where nothing is known. `alone` says that the market is the only one of several
    in which it misses an SLO.
    """

    product: ProductFacts
    level: MarketLevel | None
    alone: bool


def market_of(products: Sequence[ProductFacts], market: str) -> list[MarketProduct]:
    """Return the products that serve a market, or are measured there, the worst first."""
    market_levels = [
        MarketProduct(row, row.by_market.get(market), _is_unmeasured(row, market))
        for row in products
        if market in row.markets or market in row.by_market
    ]
    return sorted(
        market_levels,
        key=lambda market_product: _worst_first_key(market_product.product, market_product.level),
    )


def _is_unmeasured(product: ProductFacts, market: str) -> bool:
    missed_markets = [
        name
        for name, level_of_market in product.by_market.items()
        if level_of_market.state is SloState.MISSED
    ]
    return missed_markets == [market] and len(product.by_market) > 1
