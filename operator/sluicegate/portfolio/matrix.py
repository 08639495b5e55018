"""Products by market: where one has a bad day, and where all have. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluicegate.api.slo_status import SloState
    from sluicegate.portfolio.facts import ProductFacts


@dataclass(frozen=True, slots=True)
class MarketRow:
    """One product: by column its worst state there, None where nothing is known.

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
    """The matrix of these products in their order; markets that only a status names come last."""
    served = sorted({market for one in products for market in one.markets})
    more = sorted({market for one in products for market in one.by_market} - set(served))
    markets = (*served, *more)
    made = tuple(
        MarketRow(
            product=one,
            cells=tuple(one.by_market.get(market) for market in markets),
            absent=frozenset(markets) - set(one.markets) - set(one.by_market),
        )
        for one in products
    )
    totals = tuple(
        Counter(state for row in made if (state := row.cells[place]) is not None)
        for place in range(len(markets))
    )
    return Matrix(markets, made, totals)
