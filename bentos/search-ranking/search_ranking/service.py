"""The ranking service: a search and its cars in, their order out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import bentoml
import joblib
import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from search_ranking.estimates import MONITOR, PriceEstimates
from search_ranking.model import FIRST_PAGE, RankingModel
from sluicegate_service.environment import LOG
from sluicegate_service.feedback import InvalidTruthError, Score
from sluicegate_service.outcomes import Event, Outcome
from sluicegate_service.product import ProductService

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_FILE: Final = Path(__file__).parent.parent / "model.joblib"
MAX_CARS: Final = 500
CONVERSION: Final = "conversion"
ESTIMATES: Final = "pricing-estimates"


class Search(BaseModel):
    """Query of the visitor."""

    model_config = ConfigDict(extra="ignore")

    country: str = Field(max_length=2, description="Where the visitor is, ISO 3166-1 alpha-2.")
    budget: float = Field(gt=0, description="Euro.")
    body: str = Field(max_length=32, description="The wanted body, or any.")


class Car(BaseModel):
    """A candidate. Names unknown to the model count as missing."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=64)
    brand: str = Field(max_length=64)
    model: str = Field(max_length=64)
    body: str = Field(max_length=32)
    fuel: str = Field(max_length=32)
    country: str = Field(max_length=2, description="Where the car is.")
    age: float = Field(ge=0, le=60, description="Years since it was first registered.")
    mileage: float = Field(ge=0, le=2000, description="Thousand kilometres.")
    power: float = Field(gt=0, le=2000, description="Kilowatts.")
    price: float = Field(gt=0, description="Asking price in euro.")
    distance: float = Field(ge=0, description="Kilometres from the visitor.")


class Ranking(BaseModel):
    """The cars' ids, best first; the token is sent to /feedback with the visitor's action."""

    version: str
    ranking: list[str]
    estimates: Literal["used", "unavailable"] = Field(
        description="Whether the pricing product said what the cars are worth."
    )
    token: str | None = Field(description="None where feedback is off.")


@bentoml.service(name="SearchRanking", traffic={"timeout": 10}, workers=1)
class SearchRanking(ProductService):
    """Service that orders the cars of a search result."""

    indicators = (CONVERSION, ESTIMATES)

    def __init__(self) -> None:
        self._model: RankingModel = joblib.load(MODEL_FILE)
        self._estimates = PriceEstimates(
            os.environ.get("PRICING_URL"), os.environ.get("PRICING_HOST")
        )

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Close the connections to the pricing product."""
        await self._estimates.close()

    @bentoml.api(route="/rank")
    async def rank(self, search: Search, cars: list[Car]) -> Ranking:
        """Order up to 500 cars."""
        if not 0 < len(cars) <= MAX_CARS:
            raise bentoml.exceptions.BadInput(f"send 1 to {MAX_CARS} cars, not {len(cars)}")
        records = [car.model_dump() for car in cars]
        estimates = await self._estimates.of(records)
        self.count(ESTIMATES, good=estimates is not None)
        if estimates is not None and os.environ.get(LOG):
            with bentoml.monitor(MONITOR) as monitor:
                monitor.log(
                    estimates.tolist(), name="price", role="feature", data_type="numerical_sequence"
                )
        # In a thread, so that the probes are answered during the comparisons.
        order = await asyncio.to_thread(self._order, search, records, estimates)
        ranking = [cars[place].id for place in order]
        return Ranking(
            version=self.version,
            ranking=ranking,
            estimates="unavailable" if estimates is None else "used",
            token=self.token(ranking[:FIRST_PAGE]),
        )

    @override
    def score(self, prediction: Any, truth: Any) -> Score:
        """Return whether the opened car is on the first page.

        The label is {"opened": id, "converted": whether the seller was contacted}; a search without
        an opened car has no label.
        """
        opened = truth.get("opened") if isinstance(truth, dict) else None
        converted = truth.get("converted", False) if isinstance(truth, dict) else None
        if not isinstance(opened, str) or not isinstance(converted, bool):
            raise InvalidTruthError(
                f'the truth is {{"opened": id, "converted": bool}}, not {truth!r:.80}'
            )
        return Score(
            Outcome.of(correct=opened in prediction), events={CONVERSION: Event.of(good=converted)}
        )

    def _order(
        self, search: Search, cars: list[dict[str, Any]], estimates: NDArray[np.float64] | None
    ) -> NDArray[np.intp]:
        columns = {key: np.asarray([car[key] for car in cars]) for key in cars[0]}
        columns["estimate"] = np.full(len(cars), np.nan) if estimates is None else estimates
        searches = {key: np.asarray([value]) for key, value in search.model_dump().items()}
        return np.argsort(-self._model.score(searches, columns)[0])
