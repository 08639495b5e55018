"""Features of a car in a search."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Names = Mapping[str, NDArray[Any]]

#: The first two are names (codes), the others numbers.
FEATURES: Final = (
    "brand",
    "fuel in country",  # a visitor's taste for a fuel depends on the country
    "body is the wanted one",
    "age",
    "mileage",
    "distance",
    "price against budget",
    "price against estimate",  # missing without the pricing service
)
CODES: Final = 2


def names_in(searches: Columns, cars: Columns) -> dict[str, NDArray[Any]]:
    """Return the names in these rows, which a model fitted to them will know."""
    return {
        "brand": np.unique(cars["brand"]),
        "fuel": np.unique(cars["fuel"]),
        "country": np.unique(searches["country"]),
    }


def features(searches: Columns, cars: Columns, names: Names) -> NDArray[np.float64]:
    """Compute the features of n searches with m cars each, as n × m × FEATURES; an unknown name is NaN.

    `searches` holds country, budget (euro), body; `cars` holds, row by row, brand, fuel, body,
    age (years), mileage (1,000 km), distance (km), price and estimate (euro, NaN if unknown).
    """
    count = len(searches["country"])
    width = len(cars["brand"]) // count
    country = np.repeat(_codes(searches["country"], names["country"]), width)
    budget = np.repeat(searches["budget"], width)
    preferred = np.repeat(searches["body"], width)
    fuel_in_country = country * len(names["fuel"]) + _codes(cars["fuel"], names["fuel"])
    columns = [
        _codes(cars["brand"], names["brand"]),
        fuel_in_country,
        cars["body"] == preferred,
        cars["age"],
        cars["mileage"],
        cars["distance"],
        np.log(cars["price"] / budget),
        np.log(cars["price"] / cars["estimate"]),
    ]
    return np.column_stack(columns).astype(np.float64).reshape(count, width, len(FEATURES))


def _codes(values: NDArray[Any], names: NDArray[Any]) -> NDArray[np.float64]:
    place = np.minimum(np.searchsorted(names, values), len(names) - 1)
    return np.where(names[place] == values, place.astype(np.float64), np.nan)
