"""Training of the ranking on the searches of the last four weeks.

The market's equations replace a marketplace's log of searches; `USED_CAR_MARKET` has the market and
its day.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import sklearn
from typing_extensions import override

from search_ranking.model import FULL, LIGHT, RankingModel, first_page
from sluicegate_service.environment import TRIGGER
from sluicegate_service.recipes import JoblibRecipe
from sluicegate_service.training import Counts, Evaluation, TrainingError, Trigger
from used_car_market import Market, MarketError, Searches, draw_searches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DAYS: Final = 28
LEAST_DAYS: Final = 7
"""Days since a change that suffice: a model of them is as good, and fits the new data."""
SEARCHES_A_DAY: Final = 300
# The gate tests whether a candidate is one point worse. 5,000 rows show a gain; to show that a
# lighter model equals the full one needs more than twice as many.
HOLD_OUT_DAYS: Final = 7
HOLD_OUT_SEARCHES_A_DAY: Final = 750
HOLD_OUT_SEARCHES_A_DAY_LIGHTER: Final = 1800

Columns = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)  # no slots: a dataclass with them has no super()
class RankingRecipe(JoblibRecipe):
    """Training on one market, as of its day."""

    market: Market
    source: Path = Path(__file__).parent.parent
    name: str = "search-ranking"
    days: int = DAYS
    model_type: ClassVar[type] = RankingModel

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the recipe for the market of the environment."""
        try:
            market = Market.from_environment(environment)
            trigger = Trigger.parse(environment.get(TRIGGER) or "{}")
        except (MarketError, TrainingError) as error:
            raise SystemExit(f"training search-ranking failed: {error}") from error
        days = trigger.days_of_data(datetime.now(UTC), least=LEAST_DAYS, most=DAYS)
        return cls(market, days=days)

    @override
    def fit(self, *, lighter: bool) -> RankingModel:
        """Fit to the searches of the last four weeks, or since the change if they suffice."""
        searches = draw_searches(self.market, days=self.days, per_day=SEARCHES_A_DAY)
        return RankingModel.fit(
            *columns(searches), searches.opened, effort=LIGHT if lighter else FULL
        )

    @override
    def evaluate(self, model: RankingModel, *, lighter: bool) -> Evaluation:
        """Score searches of the last week that were set aside; wrong is not on the first page."""
        per_day = HOLD_OUT_SEARCHES_A_DAY_LIGHTER if lighter else HOLD_OUT_SEARCHES_A_DAY
        searches = draw_searches(
            self.market, days=HOLD_OUT_DAYS, per_day=per_day, stream="hold-out"
        )
        page = first_page(model.score(*columns(searches)))
        right = (page == searches.opened[:, None]).any(axis=1)
        return {"accuracy": Counts.of(~right)}

    @override
    def save(self, model: RankingModel, folder: Path) -> None:
        """Write the model and its card."""
        super().save(model, folder)
        card = {
            "effort": model.effort.name,
            "shortlist": model.effort.shortlist,
            "trainedOn": f"{self.days * SEARCHES_A_DAY} searches of the {self.days} days up to"
            f" {self.market.today}",
            "scikit-learn": sklearn.__version__,
        }
        (folder / "model.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def columns(searches: Searches) -> tuple[Columns, Columns]:
    """Return searches and their cars in the model's form."""
    cars = searches.cars.columns()
    cars["price"] = searches.asking.ravel()
    cars["distance"] = searches.distance.ravel()
    cars["estimate"] = searches.estimate.ravel()
    return searches.search_columns(), cars
