"""Cars as columns, with the attributes of an offer."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from used_car_market.catalogue import (
    BODIES,
    BRANDS,
    COUNTRIES,
    COUNTRY_CODES,
    FUELS,
    MODEL_BODY,
    MODEL_BRAND,
    MODEL_POWER,
    MODELS,
)
from used_car_market.market import Conditions

_NAMES: Final = {
    "brand": np.asarray(BRANDS),
    "model": np.asarray([model.name for model in MODELS]),
    "body": np.asarray(BODIES),
    "fuel": np.asarray(FUELS),
    "country": np.asarray(COUNTRY_CODES),
}


@dataclass(frozen=True, slots=True)
class Cars:
    """n cars; `model`, `fuel` and `country` are codes of the catalogue.

    Age is in years, mileage in thousand kilometres, power in kilowatts.
    """

    model: NDArray[np.int64]
    fuel: NDArray[np.int64]
    country: NDArray[np.int64]
    age: NDArray[np.float64]
    mileage: NDArray[np.float64]
    power: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.model)

    @property
    def brand(self) -> NDArray[np.int64]:
        """Code of the brand that builds the model."""
        return np.asarray(MODEL_BRAND[self.model])

    @property
    def body(self) -> NDArray[np.int64]:
        """Code of the model's body."""
        return np.asarray(MODEL_BODY[self.model])

    def take(self, index: NDArray[np.int64]) -> "Cars":
        """Return the cars at these indexes, in this order."""
        return Cars(
            model=self.model[index],
            fuel=self.fuel[index],
            country=self.country[index],
            age=self.age[index],
            mileage=self.mileage[index],
            power=self.power[index],
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the cars as a service receives them: names instead of codes, one array a field."""
        codes = {
            "brand": self.brand,
            "model": self.model,
            "body": self.body,
            "fuel": self.fuel,
            "country": self.country,
        }
        named: dict[str, NDArray[Any]] = {key: _NAMES[key][code] for key, code in codes.items()}
        return named | {"age": self.age, "mileage": self.mileage, "power": self.power}

    def records(self) -> list[dict[str, Any]]:
        """Return one JSON object for each car."""
        columns = {key: values.tolist() for key, values in self.columns().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def draw_cars(conditions: Conditions, generator: np.random.Generator, count: int) -> Cars:
    """Draw cars that are offered under these conditions.

    Ages follow a gamma law (mean 5.4 years, few above 15), because cars are first resold at the end
    of a three-year lease and are scrapped with age. A car drives about 14,000 km a year, diesels a
    third more, since those who drive much buy diesel. Power varies by engine within a model.
    """
    country = generator.choice(len(COUNTRIES), size=count, p=conditions.country_share)
    model = generator.choice(len(MODELS), size=count, p=conditions.model_share)
    fuel = _draw_fuels(country, generator)
    age = np.clip(generator.gamma(3.0, 1.8, size=count), 0.5, 18.0).round(1)
    yearly = np.where(fuel == FUELS.index("diesel"), 18.0, 13.0)
    mileage = (age * yearly * generator.lognormal(-0.06, 0.35, size=count)).round(1)
    power = (MODEL_POWER[model] * generator.choice([0.85, 1.0, 1.0, 1.25], size=count)).round()
    return Cars(model=model, fuel=fuel, country=country, age=age, mileage=mileage, power=power)


def _draw_fuels(country: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    mixes = np.cumsum([entry.fuel_mix for entry in COUNTRIES], axis=1)
    position = generator.random(len(country))[:, None] * mixes[country, -1:]
    return np.asarray((position > mixes[country]).sum(axis=1))
