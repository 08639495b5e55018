"""State of the market: its seed, its day, and its shocks.

It is one JSON document, so that a demonstration can give the same market to the traffic and, in a
ConfigMap's key, to the training Job:

{"seed": 7, "today": "2026-03-02", "shocks": [{"name": "DieselPricesFall", "from": "2026-01-05"}]}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from used_car_market.catalogue import (
    BRAND_TASTE,
    BRANDS,
    COUNTRIES,
    COUNTRY_CODES,
    FUELS,
    MODELS,
    column,
)
from used_car_market.shocks import SHOCKS, Shock

ENVIRONMENT: Final = "USED_CAR_MARKET"
FIRST_DAY: Final = date(2026, 1, 1)


class MarketError(ValueError):
    """The description of a market is invalid."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The market's parameters on one day, indexed by the codes of the catalogue."""

    fuel_price: NDArray[np.float64]
    fuel_taste: NDArray[np.float64]
    brand_price: NDArray[np.float64]
    brand_taste: NDArray[np.float64]
    model_share: NDArray[np.float64]
    country_share: NDArray[np.float64]
    country_price: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Market:
    """A market of one seed, on one day, with its shocks."""

    seed: int = 7
    today: date = FIRST_DAY
    shocks: tuple[Shock, ...] = field(default=())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the JSON document; `{}` is the market of the first day."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise MarketError(f"the market is not JSON ({error}): {text[:80]!r}") from error
        if not isinstance(document, dict):
            raise MarketError(f"the market must be a JSON object, not {text[:80]!r}")
        unknown = set(document) - {"seed", "today", "shocks"}
        if unknown:
            raise MarketError(f"unknown fields {sorted(unknown)}; known are seed, today, shocks")
        return cls(
            seed=_integer(document.get("seed", 7)),
            today=_day("today", document.get("today", FIRST_DAY.isoformat())),
            shocks=_shocks(document.get("shocks", [])),
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the market of `USED_CAR_MARKET`; that of the first day if it isn't set."""
        return cls.parse(environment.get(ENVIRONMENT) or "{}")

    def dump(self) -> str:
        """Return the JSON document, for an environment variable or a ConfigMap."""
        shocks = [{"name": shock.name, "from": shock.start.isoformat()} for shock in self.shocks]
        return json.dumps({"seed": self.seed, "today": self.today.isoformat(), "shocks": shocks})

    def later(self, days: int) -> "Market":
        """Return the same market some days later."""
        return replace(self, today=self.today + timedelta(days=days))

    def with_shock(self, name: str, start: date | None = None) -> "Market":
        """Return the same market with one more shock, beginning today unless a day is given."""
        if name not in SHOCKS:
            raise MarketError(f"unknown shock {name!r}; known are {', '.join(SHOCKS)}")
        return replace(self, shocks=(*self.shocks, Shock(name, start or self.today)))

    def conditions(self, day: date) -> Conditions:
        """Return the parameters of the equations on a day."""
        return _conditions(self.shocks, day)

    def generator(self, stream: str, day: date, *more: int) -> np.random.Generator:
        """Return a separate generator for each purpose and day, so that draws are independent."""
        return np.random.default_rng(
            [self.seed, int.from_bytes(stream.encode()), day.toordinal(), *more]
        )


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MarketError(f"seed must be an integer ≥ 0, not {value!r}")
    return value


def _day(name: str, value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise MarketError(f"{name} must be a date like 2026-03-02, not {value!r}") from error


def _shocks(entries: Any) -> tuple[Shock, ...]:
    if not isinstance(entries, list):
        raise MarketError(f"shocks must be a list, not {entries!r}")
    return tuple(_shock(entry) for entry in entries)


def _shock(entry: Any) -> Shock:
    if not isinstance(entry, dict) or set(entry) != {"name", "from"}:
        raise MarketError(f'a shock is {{"name": …, "from": "2026-01-05"}}, not {entry!r}')
    if entry["name"] not in SHOCKS:
        raise MarketError(f"unknown shock {entry['name']!r}; known are {', '.join(SHOCKS)}")
    return Shock(entry["name"], _day("from", entry["from"]))


@lru_cache(maxsize=256)
def _conditions(shocks: tuple[Shock, ...], day: date) -> Conditions:
    def shifts(attribute: str, names: tuple[str, ...]) -> NDArray[np.float64]:
        total = np.zeros(len(names))
        for shock in shocks:
            effect: Mapping[str, float] = getattr(shock.effects, attribute)
            total += shock.size(day) * column([effect.get(name, 0.0) for name in names])
        return total

    return Conditions(
        fuel_price=shifts("fuel_price", FUELS),
        fuel_taste=shifts("fuel_taste", FUELS),
        brand_price=shifts("brand_price", BRANDS),
        brand_taste=column(list(BRAND_TASTE.values())) + shifts("brand_taste", BRANDS),
        model_share=_model_shares(shifts("brand_share", BRANDS)),
        country_share=_blend(
            column([country.share for country in COUNTRIES]), shifts("country_share", COUNTRY_CODES)
        ),
        country_price=shifts("country_price", COUNTRY_CODES),
    )


def _model_shares(brand_shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    brands = np.asarray([BRANDS.index(model.brand) for model in MODELS])
    models_of = np.bincount(brands, minlength=len(BRANDS))
    return _blend(
        column([model.share for model in MODELS]), brand_shifts[brands] / models_of[brands]
    )


def _blend(shares: NDArray[np.float64], newcomers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give newcomers their share; the others keep their proportions in the rest."""
    blended: NDArray[np.float64] = shares / shares.sum() * (1 - newcomers.sum()) + newcomers
    return blended
