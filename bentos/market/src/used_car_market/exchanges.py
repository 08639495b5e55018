"""Requests to the two products, each with the later label of its answer.

Batches are drawn by seed and number, so two runs against the same market send the same requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from used_car_market.prices import draw_sales
from used_car_market.searches import CANDIDATES, FIRST_PAGE, draw_searches

if TYPE_CHECKING:
    from used_car_market.market import Market

#: Tolerance of the pricing product around the realised price.
PRICE_TOLERANCE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Truth:
    """Label of one prediction, and whether the prediction was right."""

    token: str | None
    content: dict[str, Any]
    correct: bool


class Exchange(Protocol):
    """One request, with the label of its answer."""

    @property
    def path(self) -> str:
        """Path below the product's URL."""

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON."""

    @property
    def country(self) -> str:
        """Country of the request."""

    def judge(self, answer: dict[str, Any]) -> list[Truth]:
        """Return the label of each prediction in the answer."""


class Visits(Protocol):
    """Source of the requests of one product."""

    def draw(self, market: Market, batch: int) -> list[Exchange]:
        """Draw one batch; the same for the same market and number."""


@dataclass(frozen=True, slots=True)
class PriceExchange:
    """Cars that will be sold, with their prices."""

    cars: list[dict[str, Any]]
    sold_for: list[float]
    path: str = "/price"

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return {"cars": self.cars}

    @property
    def country(self) -> str:
        """Country in which the first of the cars is for sale."""
        return str(self.cars[0]["country"])

    def judge(self, answer: dict[str, Any]) -> list[Truth]:
        """Compare each price with that of the sale."""
        return [
            Truth(
                token=said["token"],
                content={"price": sold},
                correct=abs(said["price"] / sold - 1.0) <= PRICE_TOLERANCE,
            )
            for said, sold in zip(answer["prices"], self.sold_for, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class RankExchange:
    """A search, the car that the visitor will open, and whether the seller will be contacted."""

    search: dict[str, Any]
    opened: str
    converted_on_page: bool
    converted_below: bool
    path: str = "/rank"

    @property
    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return self.search

    @property
    def country(self) -> str:
        """Country of the visitor."""
        return str(self.search["search"]["country"])

    def judge(self, answer: dict[str, Any]) -> list[Truth]:
        """Return whether the car is on the first page, and the conversion."""
        on_page = self.opened in answer["ranking"][:FIRST_PAGE]
        converted = self.converted_on_page if on_page else self.converted_below
        content = {"opened": self.opened, "converted": converted}
        return [Truth(token=answer["token"], content=content, correct=on_page)]


@dataclass(frozen=True, slots=True)
class Sellers:
    """People who ask for the value of their cars, and then sell them."""

    seed: int = 0
    requests: int = 100
    cars_per_request: int = 4

    def draw(self, market: Market, batch: int) -> list[Exchange]:
        """Draw one batch of requests."""
        size = self.cars_per_request
        stream = f"sellers {self.seed} {batch}"
        sales = draw_sales(market, days=1, per_day=self.requests * size, stream=stream)
        cars, prices = sales.cars.records(), sales.price.tolist()
        return [
            PriceExchange(cars[start : start + size], prices[start : start + size])
            for start in range(0, len(cars), size)
        ]


@dataclass(frozen=True, slots=True)
class Visitors:
    """People who search a car. `widened` multiplies the candidates of each search."""

    seed: int = 0
    requests: int = 100
    widened: int = 1

    def draw(self, market: Market, batch: int) -> list[Exchange]:
        """Draw one batch of requests, each with 16 · widened candidates."""
        searches = draw_searches(
            market,
            days=1,
            per_day=self.requests,
            widened=self.widened,
            stream=f"visitors {self.seed} {batch}",
        )
        assert searches.candidates == CANDIDATES * self.widened
        return [
            RankExchange(
                search=searches.record(index),
                opened=f"c{searches.opened[index]}",
                converted_on_page=bool(searches.converted_on_page[index]),
                converted_below=bool(searches.converted_below[index]),
            )
            for index in range(len(searches))
        ]
