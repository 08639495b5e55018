"""Training of the ranking on the searches of the last four weeks.

Searches with the car that was opened are the labels of the log of predictions (`serving.log`).
Without a log the market's equations replace them; `USED_CAR_MARKET` has the market and its day.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import sklearn
from typing_extensions import override

from search_ranking.estimates import MONITOR
from search_ranking.model import FULL, LIGHT, RankingModel, first_page
from sluicegate_service.environment import TRIGGER
from sluicegate_service.logged_recipes import LoggedRecipe, Rows
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
class RankingRecipe(LoggedRecipe):
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
        if self.logged_split is not None:
            return self.fit_rows(self.logged_split.training, lighter=lighter)
        searches = draw_searches(self.market, days=self.days, per_day=SEARCHES_A_DAY)
        return RankingModel.fit(
            *columns(searches), searches.opened, effort=LIGHT if lighter else FULL
        )

    @override
    def evaluate(self, model: RankingModel, *, lighter: bool) -> Evaluation:
        """Score searches of the last week that were set aside; wrong is not on the first page."""
        if self.logged_split is not None:
            return self.evaluate_rows(model, self.logged_split.held_out)
        per_day = HOLD_OUT_SEARCHES_A_DAY_LIGHTER if lighter else HOLD_OUT_SEARCHES_A_DAY
        searches = draw_searches(
            self.market, days=HOLD_OUT_DAYS, per_day=per_day, stream="hold-out"
        )
        return _scored(model, *columns(searches), opened=searches.opened)

    @override
    def fit_rows(self, rows: Rows, *, lighter: bool) -> RankingModel:
        """Fit to logged searches in which a car was opened."""
        searches, cars, opened = logged_columns(rows)
        return RankingModel.fit(searches, cars, opened, effort=LIGHT if lighter else FULL)

    @override
    def evaluate_rows(self, model: RankingModel, rows: Rows) -> Evaluation:
        """Score logged searches in which a car was opened."""
        searches, cars, opened = logged_columns(rows)
        return _scored(model, searches, cars, opened=opened)

    @override
    def save(self, model: RankingModel, folder: Path) -> None:
        """Write the model and its card."""
        super().save(model, folder)
        split = self.logged_split
        card = {
            "effort": model.effort.name,
            "shortlist": model.effort.shortlist,
            "trainedOn": f"{self.days * SEARCHES_A_DAY} searches of the {self.days} days up to"
            f" {self.market.today}"
            if split is None
            else f"{len(split.training)} logged searches",
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


def logged_columns(rows: Rows) -> tuple[Columns, Columns, NDArray[np.int64]]:
    """Return logged searches, their cars, and the position of the opened car, in the model's form.

    The model takes searches with one number of cars: those with the most frequent one are returned.
    """
    searches = []
    for features, truth, monitored in zip(rows.features, rows.truth, rows.monitored, strict=True):
        ids = [car["id"] for car in features["cars"]]
        if truth["opened"] in ids:
            estimates = monitored.get(MONITOR, {}).get("price") or [np.nan] * len(ids)
            searches.append((features, ids.index(truth["opened"]), estimates))
    widths = Counter(len(features["cars"]) for features, _, _ in searches)
    width, _ = widths.most_common(1)[0] if widths else (0, 0)
    kept = [one for one in searches if len(one[0]["cars"]) == width]
    cars = {
        name: np.asarray([car[name] for features, _, _ in kept for car in features["cars"]])
        for name in (kept[0][0]["cars"][0] if kept else ())
    }
    cars["estimate"] = np.asarray(
        [one for _, _, estimates in kept for one in estimates], dtype=float
    )
    named = {
        name: np.asarray([features["search"][name] for features, _, _ in kept])
        for name in (kept[0][0]["search"] if kept else ())
    }
    return named, cars, np.asarray([opened for _, opened, _ in kept], dtype=np.int64)


def _scored(
    model: RankingModel, searches: Columns, cars: Columns, *, opened: NDArray[np.int64]
) -> Evaluation:
    page = first_page(model.score(searches, cars))
    right = (page == opened[:, None]).any(axis=1)
    return {"accuracy": Counts.of(~right)}
