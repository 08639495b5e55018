"""Values and sale prices of used cars.

    log fair = log(list price) + country + fuel premium(fuel) − depreciation(fuel) · age^0.95
               − 0.0028 · (mileage − 14 · age) + 0.30 · log(power / the model's power)
               + 0.02 · age · brand's taste + shifts of the shocks (fuel, brand, country)
    log sold = log fair + N(0, 0.075), and for one sale in twenty N(−0.05, 0.20)

Depreciation is exponential in age with an exponent below one, since old cars lose less. Mileage
counts only beyond what is usual for the age. A popular brand keeps its value. The wider
distribution of one sale in twenty stands for hurried sellers and hidden dents: no model can predict
them, so even a perfect one is outside 15 % in about one sale in fourteen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from used_car_market.cars import Cars, draw_cars
from used_car_market.catalogue import (
    BRAND_TASTE,
    COUNTRIES,
    FUEL_DEPRECIATION,
    FUEL_PREMIUM,
    MODEL_LIST_PRICE,
    MODEL_POWER,
    column,
)
from used_car_market.market import Conditions, Market

USUAL_MILEAGE_A_YEAR: Final = 14.0
SALE_NOISE: Final = 0.075
HURRIED_SHARE: Final = 0.05

_COUNTRY_LEVEL: Final = column([country.price_level for country in COUNTRIES])
_BRAND_TASTE: Final = column(list(BRAND_TASTE.values()))
_PREMIUM: Final = column(list(FUEL_PREMIUM))
_DEPRECIATION: Final = column(list(FUEL_DEPRECIATION))


@dataclass(frozen=True, slots=True)
class Sales:
    """Cars that were sold: price in euro, and days since the first day of the draw."""

    cars: Cars
    price: NDArray[np.float64]
    day: NDArray[np.int64]


def fair_price(cars: Cars, conditions: Conditions) -> NDArray[np.float64]:
    """Return the price in euro on which buyer and seller agree without time pressure."""
    kept_value = 0.02 * cars.age * _BRAND_TASTE[cars.brand]
    unusual = cars.mileage - USUAL_MILEAGE_A_YEAR * cars.age
    logarithm = (
        np.log(MODEL_LIST_PRICE[cars.model])
        + _COUNTRY_LEVEL[cars.country]
        + _PREMIUM[cars.fuel]
        - _DEPRECIATION[cars.fuel] * cars.age**0.95
        - 0.0028 * unusual
        + 0.30 * np.log(cars.power / MODEL_POWER[cars.model])
        + kept_value
        + conditions.fuel_price[cars.fuel]
        + conditions.brand_price[cars.brand]
        + conditions.country_price[cars.country]
    )
    return np.exp(logarithm)


def draw_sales(market: Market, *, days: int, per_day: int, stream: str = "sales") -> Sales:
    """Draw the sales of the last `days` days, including today, `per_day` on each."""
    drawn = [_sales_of(market, day, per_day, stream) for day in last_days(market, days)]
    return Sales(
        cars=concatenate(cars for cars, _ in drawn),
        price=np.concatenate([price for _, price in drawn]),
        day=np.repeat(np.arange(days), per_day),
    )


def last_days(market: Market, days: int) -> list[date]:
    """Return the last days up to today, oldest first."""
    return [market.today - timedelta(days=days - 1 - index) for index in range(days)]


def concatenate(parts: Iterable[Cars]) -> Cars:
    """Concatenate cars."""
    listed = list(parts)
    return Cars(
        model=np.concatenate([part.model for part in listed]),
        fuel=np.concatenate([part.fuel for part in listed]),
        country=np.concatenate([part.country for part in listed]),
        age=np.concatenate([part.age for part in listed]),
        mileage=np.concatenate([part.mileage for part in listed]),
        power=np.concatenate([part.power for part in listed]),
    )


def _sales_of(
    market: Market, day: date, count: int, stream: str
) -> tuple[Cars, NDArray[np.float64]]:
    generator = market.generator(stream, day)
    conditions = market.conditions(day)
    cars = draw_cars(conditions, generator, count)
    hurried = generator.random(count) < HURRIED_SHARE
    noise = np.where(
        hurried, generator.normal(-0.05, 0.20, count), generator.normal(0.0, SALE_NOISE, count)
    )
    return cars, (fair_price(cars, conditions) * np.exp(noise)).round()
