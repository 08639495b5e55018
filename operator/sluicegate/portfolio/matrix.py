"""Products by market, and one market with its products. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.api.slo_status import SloState
from sluicegate.views.product_facts import WORST, MarketLevel, ProductFacts, ProductKey


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
    more = sorted(
        {market for product in products for market in product.by_market} - set(served_markets)
    )
    markets = (*served_markets, *more)
    market_rows = tuple(
        MarketRow(
            product=product,
            cells=tuple(_state(product, market) for market in markets),
            absent=frozenset(markets) - set(product.markets) - set(product.by_market),
        )
        for product in sorted(products, key=lambda one: _worst_first(one, *one.by_market.values()))
    )
    totals = tuple(
        Counter(state for row in market_rows if (state := row.cells[place]) is not None)
        for place in range(len(markets))
    )
    return Matrix(markets, market_rows, totals)


def _worst_first(product: ProductFacts, *levels: MarketLevel | None) -> tuple[int, int, ProductKey]:
    ranks = (WORST.index(level.state) for level in levels if level)
    return min(ranks, default=len(WORST)), product.priority.rank, product.key


def _state(product: ProductFacts, market: str) -> SloState | None:
    level = product.by_market.get(market)
    return None if level is None else level.state


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
    levels = [
        MarketProduct(row, row.by_market.get(market), _is_unmeasured(row, market))
        for row in products
        if market in row.markets or market in row.by_market
    ]
    return sorted(levels, key=lambda one: _worst_first(one.product, one.level))


def _is_unmeasured(product: ProductFacts, market: str) -> bool:
    missed = [name for name, one in product.by_market.items() if one.state is SloState.MISSED]
    return missed == [market] and len(product.by_market) > 1
