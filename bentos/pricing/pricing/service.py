"""The pricing service: cars in, prices out, with a token for each."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import bentoml
import joblib
import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from pricing.model import CATEGORIES, NUMBERS, PricingModel, within_tolerance
from sluicegate_service.feedback import InvalidTruthError
from sluicegate_service.product import ProductService

MODEL_FILE: Final = Path(__file__).parent.parent / "model.joblib"

DEAREST: Final = 1_000_000_000
"""Highest price in euro; a higher one is a mistake of the sender."""


class Car(BaseModel):
    """A car to be priced. Names unknown to the model count as missing."""

    model_config = ConfigDict(extra="ignore")

    brand: str = Field(max_length=64)
    model: str = Field(max_length=64)
    body: str = Field(max_length=32)
    fuel: str = Field(max_length=32)
    country: str = Field(max_length=2, description="Where it is for sale, ISO 3166-1 alpha-2.")
    age: float = Field(ge=0, le=60, description="Years since it was first registered.")
    mileage: float = Field(ge=0, le=2000, description="Thousand kilometres.")
    power: float = Field(gt=0, le=2000, description="Kilowatts.")


class Price(BaseModel):
    """Predicted sale price; the token is sent to /feedback with the realised price."""

    price: float = Field(description="Euro.")
    token: str | None = Field(description="None where feedback is off, or wasn't wanted.")


class Prices(BaseModel):
    """One price for each car, in the order of the cars."""

    version: str
    prices: list[Price]


@bentoml.service(name="Pricing", traffic={"timeout": 10}, workers=1)
class Pricing(ProductService):
    """Service that prices used cars of six European countries."""

    def __init__(self) -> None:
        self._model: PricingModel = joblib.load(MODEL_FILE)

    @bentoml.api(route="/price")
    async def price(self, cars: list[Car], tokens: bool = True) -> Prices:  # noqa: FBT001, FBT002 - a field of the request
        """Price up to 1,000 cars."""
        if not 0 < len(cars) <= 1000:  # noqa: PLR2004 - said in the message
            raise bentoml.exceptions.BadInput(f"send 1 to 1,000 cars, not {len(cars)}")
        # In a thread, so that the probes are answered during the prediction.
        values = await asyncio.to_thread(self._predict, cars, rounded=not tokens)
        # A request may have cars of several markets.
        markets = [car.country for car in cars]
        signed = await self.tokens(values, markets=markets) if tokens else [None] * len(cars)
        prices = [
            Price(price=value, token=token) for value, token in zip(values, signed, strict=True)
        ]
        return Prices(version=self.version, prices=prices)

    @override
    def score(self, prediction: Any, truth: Any) -> bool:
        """Return whether the price is within 15 % of the realised one; the label is {"price": euro}."""
        realised = truth.get("price") if isinstance(truth, dict) else None
        if isinstance(realised, bool) or not isinstance(realised, int | float):
            raise InvalidTruthError(f'the truth is {{"price": euro above 0}}, not {truth!r:.80}')
        if not 0 < realised <= DEAREST:  # also for NaN and infinity
            raise InvalidTruthError(f"the price is above 0 and at most {DEAREST} euro")
        return bool(within_tolerance(np.asarray([prediction]), np.asarray([realised]))[0])

    def _predict(self, cars: list[Car], *, rounded: bool) -> list[float]:
        columns = {
            name: np.asarray([getattr(car, name) for car in cars])
            for name in (*CATEGORIES, *NUMBERS)
        }
        prices = self._model.predict(columns)
        if rounded:
            prices = self._model.rounded(prices)
        return [round(float(price), 2) for price in prices]
