"""The pricing model: gradient-boosted trees on the logarithm of the price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

CATEGORIES: Final = ("brand", "model", "body", "fuel", "country")
NUMBERS: Final = ("age", "mileage", "power")

#: Largest relative error of a right price.
TOLERANCE: Final = 0.15

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Effort:
    """Cost of a prediction: the number of trees."""

    name: str
    trees: int
    leaves: int
    learning_rate: float


FULL: Final = Effort("full", trees=400, leaves=31, learning_rate=0.06)
LIGHT: Final = Effort("light", trees=80, leaves=15, learning_rate=0.25)


@dataclass(frozen=True, slots=True)
class PricingModel:
    """Fitted trees with their known names; an unknown name counts as missing.

    `rounding`: euro to which prices without tokens are rounded, so that more of them are equal and
    a cache holds them; 0 leaves them as they are.
    """

    effort: str
    names: dict[str, NDArray[Any]] = field(repr=False)
    trees: HistGradientBoostingRegressor = field(repr=False)
    rounding: int = 0

    @classmethod
    def fit(cls, cars: Columns, price: NDArray[np.float64], effort: Effort) -> Self:
        """Fit to sold cars, `price` in euro."""
        names = {category: np.unique(cars[category]) for category in CATEGORIES}
        trees = HistGradientBoostingRegressor(
            max_iter=effort.trees,
            max_leaf_nodes=effort.leaves,
            learning_rate=effort.learning_rate,
            categorical_features=list(range(len(CATEGORIES))),
            early_stopping=False,
            random_state=0,
        )
        trees.fit(_features(cars, names), np.log(price))
        return cls(effort=effort.name, names=names, trees=trees)

    def predict(self, cars: Columns) -> NDArray[np.float64]:
        """Predict prices in euro, one for each car."""
        return np.asarray(np.exp(self.trees.predict(_features(cars, self.names))))

    def rounded(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Round prices in euro to multiples of `rounding`, at least one of it."""
        if not self.rounding:
            return prices
        return np.maximum(np.round(prices / self.rounding), 1.0) * self.rounding


def within_tolerance(
    predicted: NDArray[np.float64], realised: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether each price is close enough to that of the sale."""
    close: NDArray[np.bool_] = np.abs(predicted / realised - 1.0) <= TOLERANCE
    return close


def _features(cars: Columns, names: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    codes = [_codes(cars[category], names[category]) for category in CATEGORIES]
    numbers = [np.asarray(cars[number], dtype=np.float64) for number in NUMBERS]
    return np.column_stack([*codes, *numbers])


def _codes(values: NDArray[Any], names: NDArray[Any]) -> NDArray[np.float64]:
    place = np.minimum(np.searchsorted(names, values), len(names) - 1)
    return np.where(names[place] == values, place.astype(np.float64), np.nan)
