"""Searches of visitors, their candidates, and the cars that they open.

Each day has an inventory of offers. A search has a country, a budget and, for most, a preferred
body; its candidates are offers of that country around the budget and a few from abroad. A visitor
reads all of them and opens the one with the highest utility:

    utility = taste(country, fuel) + taste(brand) + 1.6 · [body is the preferred one]
              − 9 · log(asking / fair) − 3 · max(0, log(asking / budget))
              − 1.2 · max(0, log(budget / asking)) − 0.09 · age − 0.006 · mileage
              − 0.006 · distance + shifts of the shocks (fuel, brand) + 0.32 · Gumbel noise

The choice doesn't depend on the position: visitors see the whole list, so the label doesn't depend
on the model that ordered it. `estimate` is the pricing service's value of the car when the search
was logged: the fair price with its error (3.5 %), and unknown (NaN) for one search in 25.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from used_car_market.cars import Cars, draw_cars
from used_car_market.catalogue import BODIES, COUNTRIES, COUNTRY_CODES, column
from used_car_market.market import Conditions, Market
from used_car_market.prices import concatenate, fair_price, last_days

INVENTORY: Final = 6000
CANDIDATES: Final = 16
NEARBY: Final = 14  # of them from the search's country, around its budget
ANY_BODY: Final = "any"
FIRST_PAGE: Final = 4  # cars a visitor sees without scrolling
CONVERSION_ON_PAGE: Final = 0.034  # contacts the seller, if the car opened was on the first page
CONVERSION_BELOW: Final = 0.010

_ESTIMATE_NOISE: Final = 0.035
_ESTIMATE_MISSING: Final = 1 / 25
_NOISE: Final = 0.32
_FUEL_TASTE: Final = np.asarray([country.fuel_taste for country in COUNTRIES])
_BUDGET: Final = column([country.median_budget for country in COUNTRIES])


@dataclass(frozen=True, slots=True)
class Searches:
    """n searches with m candidates each; candidates are in `cars` row by row (n · m cars).

    Prices, budgets and estimates are in euro, distances in kilometres. `opened` is the index
    (0 … m − 1) of the car that the visitor opened, `converted_on_page` and `converted_below`
    whether the seller was contacted, had that car been on the first page or not.
    """

    country: NDArray[np.int64]
    budget: NDArray[np.float64]
    body: NDArray[np.int64]
    cars: Cars
    asking: NDArray[np.float64]
    distance: NDArray[np.float64]
    estimate: NDArray[np.float64]
    opened: NDArray[np.int64]
    converted_on_page: NDArray[np.bool_]
    converted_below: NDArray[np.bool_]
    day: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.country)

    @property
    def candidates(self) -> int:
        """Number of candidates of each search."""
        return int(self.asking.shape[1])

    def search_columns(self) -> dict[str, NDArray[Any]]:
        """Return the searches as a service receives them, one array a field."""
        bodies = np.asarray([*BODIES, ANY_BODY])
        return {
            "country": np.asarray(COUNTRY_CODES)[self.country],
            "budget": self.budget,
            "body": bodies[self.body],
        }

    def record(self, index: int) -> dict[str, Any]:
        """Return one search as the JSON body of a request."""
        columns = {key: values[index].item() for key, values in self.search_columns().items()}
        width = self.candidates
        cars = self.cars.take(np.arange(index * width, (index + 1) * width)).records()
        for place, car in enumerate(cars):
            car |= {
                "id": f"c{place}",
                "price": float(self.asking[index, place]),
                "distance": float(self.distance[index, place]),
            }
        return {"search": columns, "cars": cars}


@dataclass(frozen=True, slots=True)
class _Inventory:
    """The offers of a day, ordered by country and then by asking price."""

    cars: Cars
    fair: NDArray[np.float64]
    asking: NDArray[np.float64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]


def draw_searches(
    market: Market, *, days: int, per_day: int, widened: int = 1, stream: str = "searches"
) -> Searches:
    """Draw the searches of the last `days` days, `per_day` on each.

    `widened` multiplies the candidates: a site that widens its search radius adds offers from
    abroad at any price, far away and rarely opened, and sends all of them to the ranking.
    """
    drawn = [
        _searches_of(market, day, index, per_day, widened=widened, stream=stream)
        for index, day in enumerate(last_days(market, days))
    ]
    return _concatenate(drawn)


def _searches_of(
    market: Market, day: date, index: int, count: int, *, widened: int, stream: str
) -> Searches:
    conditions = market.conditions(day)
    generator = market.generator(stream, day)
    stock = _inventory(conditions, market.generator("inventory", day))
    country = generator.choice(len(COUNTRIES), size=count, p=conditions.country_share)
    budget = (_BUDGET[country] * generator.lognormal(0.0, 0.35, count)).round(-2)
    body = generator.choice(len(BODIES) + 1, size=count, p=[0.25, 0.15, 0.25, 0.07, 0.28])
    near = _near_budget(stock, country, budget, generator)
    far = CANDIDATES * widened - near.shape[1]
    offers = np.concatenate([near, _abroad(stock, country, far, generator)], axis=1)
    offers = np.take_along_axis(offers, generator.random(offers.shape).argsort(axis=1), axis=1)
    cars = stock.cars.take(offers.ravel())
    abroad = cars.country.reshape(offers.shape) != country[:, None]
    distance = np.where(
        abroad, generator.uniform(800, 2000, offers.shape), generator.gamma(1.5, 80, offers.shape)
    ).round()
    opened = _opened(
        _Offer(cars, stock.fair[offers], stock.asking[offers], distance),
        conditions,
        (country, budget, body),
        generator,
    )
    return Searches(
        country=country,
        budget=budget,
        body=body,
        cars=cars,
        asking=stock.asking[offers],
        distance=distance,
        estimate=_estimates(stock.fair[offers], generator),
        opened=opened,
        converted_on_page=generator.random(count) < CONVERSION_ON_PAGE,
        converted_below=generator.random(count) < CONVERSION_BELOW,
        day=np.full(count, index),
    )


def _inventory(conditions: Conditions, generator: np.random.Generator) -> _Inventory:
    cars = draw_cars(conditions, generator, INVENTORY)
    fair = fair_price(cars, conditions)
    asking = (fair * np.exp(generator.normal(0.0, 0.09, INVENTORY))).round(-1)
    order = np.lexsort((asking, cars.country))
    count = np.bincount(cars.country, minlength=len(COUNTRIES))
    return _Inventory(
        cars=cars.take(order),
        fair=fair[order],
        asking=asking[order],
        first=np.cumsum(count) - count,
        count=count,
    )


def _near_budget(
    stock: _Inventory,
    country: NDArray[np.int64],
    budget: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return indexes of offers of the search's country, from half the budget to a tenth above."""
    low = _place(stock, country, budget * 0.50)
    high = np.maximum(_place(stock, country, budget * 1.10), low + 2 * NEARBY)
    end = stock.first[country] + stock.count[country]
    high = np.minimum(high, end)
    low = np.maximum(np.minimum(low, high - 2 * NEARBY), stock.first[country])
    # One offer from each of equal slices: spread over the range, without repeats.
    slices = (np.arange(NEARBY) + generator.random((len(country), NEARBY))) / NEARBY
    return np.asarray((low[:, None] + slices * (high - low)[:, None]).astype(np.int64))


def _abroad(
    stock: _Inventory, country: NDArray[np.int64], each: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return indexes of offers of any other country, at any price."""
    foreign = len(stock.cars) - stock.count[country][:, None]
    place = (generator.random((len(country), each)) * foreign).astype(np.int64)
    beyond = place >= stock.first[country][:, None]
    return np.asarray(np.where(beyond, place + stock.count[country][:, None], place))


def _place(
    stock: _Inventory, country: NDArray[np.int64], price: NDArray[np.float64]
) -> NDArray[np.int64]:
    # One sorted key for all countries: first the country, then the price.
    scale = 1e7
    key = stock.cars.country * scale + stock.asking
    return np.asarray(np.searchsorted(key, country * scale + price))


@dataclass(frozen=True, slots=True)
class _Offer:
    cars: Cars
    fair: NDArray[np.float64]
    asking: NDArray[np.float64]
    distance: NDArray[np.float64]


def _opened(
    offer: _Offer,
    conditions: Conditions,
    search: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    country, budget, body = search
    shape = offer.asking.shape
    brand = offer.cars.brand
    taste = conditions.brand_taste[brand] + conditions.fuel_taste[offer.cars.fuel]
    wear = 0.09 * offer.cars.age + 0.006 * offer.cars.mileage
    against_budget = np.log(offer.asking / budget[:, None])
    utility = (
        (taste - wear).reshape(shape)
        + _FUEL_TASTE[country[:, None], offer.cars.fuel.reshape(shape)]
        + 1.6 * (offer.cars.body.reshape(shape) == body[:, None])
        - 9.0 * np.log(offer.asking / offer.fair)
        - 3.0 * np.maximum(against_budget, 0.0)
        - 1.2 * np.maximum(-against_budget, 0.0)
        - 0.006 * offer.distance
        + _NOISE * generator.gumbel(size=shape)
    )
    return np.asarray(utility.argmax(axis=1))


def _estimates(fair: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    estimate = fair * np.exp(generator.normal(0.0, _ESTIMATE_NOISE, fair.shape))
    estimate[generator.random(len(fair)) < _ESTIMATE_MISSING] = np.nan
    return estimate.round()


def _concatenate(parts: list[Searches]) -> Searches:
    def joined(attribute: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, attribute) for part in parts])

    return Searches(
        country=joined("country"),
        budget=joined("budget"),
        body=joined("body"),
        cars=concatenate(part.cars for part in parts),
        asking=joined("asking"),
        distance=joined("distance"),
        estimate=joined("estimate"),
        opened=joined("opened"),
        converted_on_page=joined("converted_on_page"),
        converted_below=joined("converted_below"),
        day=joined("day"),
    )
