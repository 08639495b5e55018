"""What the ranking knows of a car in the light of a search."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Names = Mapping[str, NDArray[Any]]

#: The first two are names (codes), the others numbers.
FEATURES: Final = (
    "brand",
    "fuel in country",  # a visitor's taste for a fuel depends on where he or she lives
    "body is the wanted one",
    "age",
    "mileage",
    "distance",
    "price against budget",
    "price against estimate",  # missing when the pricing service is away
)
CODES: Final = 2


def names_in(searches: Columns, cars: Columns) -> dict[str, NDArray[Any]]:
    """The names that a model learned from these rows will know."""
    return {
        "brand": np.unique(cars["brand"]),
        "fuel": np.unique(cars["fuel"]),
        "country": np.unique(searches["country"]),
    }


def features(searches: Columns, cars: Columns, names: Names) -> NDArray[np.float64]:
    """N searches with m cars each → n × m × FEATURES; a name never seen is missing (NaN).

    `searches` holds country, budget (euro), body; `cars` holds, row by row, brand, fuel, body,
    age (years), mileage (1,000 km), distance (km), price and estimate (euro, NaN if unknown).
    """
    count = len(searches["country"])
    width = len(cars["brand"]) // count
    country = np.repeat(_codes(searches["country"], names["country"]), width)
    budget = np.repeat(searches["budget"], width)
    wanted = np.repeat(searches["body"], width)
    fuel_in_country = country * len(names["fuel"]) + _codes(cars["fuel"], names["fuel"])
    columns = [
        _codes(cars["brand"], names["brand"]),
        fuel_in_country,
        cars["body"] == wanted,
        cars["age"],
        cars["mileage"],
        cars["distance"],
        np.log(cars["price"] / budget),
        np.log(cars["price"] / cars["estimate"]),
    ]
    return np.column_stack(columns).astype(np.float64).reshape(count, width, len(FEATURES))


def _codes(values: NDArray[Any], known: NDArray[Any]) -> NDArray[np.float64]:
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place.astype(np.float64), np.nan)
