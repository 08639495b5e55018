"""Tables of countries, models and fuels, which all draws of the market use.

The numbers are of the right magnitude for the mid-2020s (list prices in euro, kilowatts, shares of
the used market by country), chosen by hand; none is measured, and no data set is behind them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FUELS: Final = ("petrol", "diesel", "hybrid", "electric")
BODIES: Final = ("hatchback", "estate", "suv", "van")


@dataclass(frozen=True, slots=True)
class Country:
    """A country's weight in the market, its price level (log) and its taste for fuels (utility)."""

    code: str
    share: float
    price_level: float
    median_budget: float
    fuel_mix: tuple[float, float, float, float]
    fuel_taste: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it left the factory: list price in euro, power in kilowatts."""

    brand: str
    name: str
    body: str
    list_price: float
    power: float
    share: float


# Portugal and the last two brands have share zero: they exist only after a shock.
COUNTRIES: Final = (
    Country("FR", 0.27, 0.00, 15500, (0.40, 0.46, 0.09, 0.05), (0.0, 0.5, 0.3, 0.0)),
    Country("BE", 0.09, 0.01, 17000, (0.44, 0.40, 0.09, 0.07), (0.1, 0.3, 0.3, 0.2)),
    Country("ES", 0.17, -0.03, 14000, (0.37, 0.53, 0.08, 0.02), (0.0, 0.6, 0.3, -0.5)),
    Country("GB", 0.22, -0.05, 15000, (0.52, 0.35, 0.08, 0.05), (0.2, 0.1, 0.3, 0.3)),
    Country("AT", 0.08, 0.05, 18500, (0.42, 0.45, 0.07, 0.06), (0.0, 0.5, 0.2, 0.2)),
    Country("IT", 0.17, -0.01, 14500, (0.40, 0.47, 0.11, 0.02), (0.1, 0.5, 0.4, -0.4)),
    Country("PT", 0.00, 0.16, 13000, (0.38, 0.50, 0.07, 0.05), (1.6, -1.8, 0.2, 1.8)),
)

MODELS: Final = (
    Model("Renault", "Clio", "hatchback", 19500, 67, 0.060),
    Model("Renault", "Captur", "suv", 25500, 77, 0.045),
    Model("Renault", "Megane", "estate", 28500, 92, 0.040),
    Model("Peugeot", "208", "hatchback", 21000, 74, 0.055),
    Model("Peugeot", "3008", "suv", 36500, 110, 0.045),
    Model("Peugeot", "308 SW", "estate", 31500, 96, 0.035),
    Model("Citroen", "C3", "hatchback", 18000, 61, 0.045),
    Model("Citroen", "Berlingo", "van", 26000, 75, 0.035),
    Model("Volkswagen", "Polo", "hatchback", 22500, 70, 0.045),
    Model("Volkswagen", "Golf", "hatchback", 30500, 96, 0.065),
    Model("Volkswagen", "Tiguan", "suv", 40500, 110, 0.045),
    Model("Volkswagen", "Passat", "estate", 43500, 110, 0.035),
    Model("Skoda", "Octavia", "estate", 32500, 100, 0.040),
    Model("Skoda", "Kodiaq", "suv", 42500, 110, 0.020),
    Model("SEAT", "Ibiza", "hatchback", 19500, 70, 0.035),
    Model("SEAT", "Leon", "hatchback", 27500, 92, 0.030),
    Model("Ford", "Fiesta", "hatchback", 19500, 70, 0.040),
    Model("Ford", "Kuga", "suv", 37500, 110, 0.030),
    Model("Opel", "Corsa", "hatchback", 19000, 66, 0.040),
    Model("Opel", "Zafira", "van", 33500, 103, 0.015),
    Model("Fiat", "500", "hatchback", 17500, 51, 0.035),
    Model("Fiat", "Tipo", "estate", 23500, 80, 0.020),
    Model("Toyota", "Yaris", "hatchback", 23000, 68, 0.035),
    Model("Toyota", "RAV4", "suv", 42000, 131, 0.020),
    Model("BMW", "1 Series", "hatchback", 35500, 103, 0.025),
    Model("BMW", "3 Touring", "estate", 51500, 140, 0.025),
    Model("Audi", "A3", "hatchback", 35500, 110, 0.025),
    Model("Audi", "A4 Avant", "estate", 48500, 120, 0.020),
    Model("Mercedes-Benz", "A-Class", "hatchback", 37500, 110, 0.020),
    Model("Mercedes-Benz", "V-Class", "van", 62000, 140, 0.010),
    Model("MG", "ZS", "suv", 34500, 105, 0.000),
    Model("MG", "4", "hatchback", 38500, 125, 0.000),
    Model("BYD", "Dolphin", "hatchback", 39500, 130, 0.000),
    Model("BYD", "Atto 3", "suv", 45500, 150, 0.000),
)

# Utility of a brand's name for a visitor, and the yearly depreciation (log) that it avoids.
BRAND_TASTE: Final = {
    "Renault": 0.0,
    "Peugeot": 0.2,
    "Citroen": -0.2,
    "Volkswagen": 0.6,
    "Skoda": 0.4,
    "SEAT": 0.0,
    "Ford": -0.1,
    "Opel": -0.3,
    "Fiat": -0.3,
    "Toyota": 0.7,
    "BMW": 1.0,
    "Audi": 0.9,
    "Mercedes-Benz": 1.0,
    "MG": -0.4,
    "BYD": -0.4,
}

# log price of a fuel against petrol when new, and log depreciation a year.
FUEL_PREMIUM: Final = (0.0, 0.06, 0.14, 0.24)
FUEL_DEPRECIATION: Final = (0.105, 0.110, 0.095, 0.150)

BRANDS: Final = tuple(BRAND_TASTE)
COUNTRY_CODES: Final = tuple(country.code for country in COUNTRIES)


def column(values: list[float]) -> NDArray[np.float64]:
    """Return a table's column as an array indexed by codes."""
    return np.asarray(values, dtype=np.float64)


MODEL_BRAND: Final = np.asarray([BRANDS.index(model.brand) for model in MODELS])
MODEL_BODY: Final = np.asarray([BODIES.index(model.body) for model in MODELS])
MODEL_POWER: Final = column([model.power for model in MODELS])
MODEL_LIST_PRICE: Final = column([model.list_price for model in MODELS])
