"""Training of the pricing model on the sales of the last four weeks.

Sales are the labels of the log of predictions (`serving.log`). Without a log the market's equations
replace them; `USED_CAR_MARKET` has the market and its day.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import sklearn
from typing_extensions import override

from pricing.model import CATEGORIES, FULL, LIGHT, NUMBERS, PricingModel, within_tolerance
from sluicegate_service.environment import LOG, TRIGGER
from sluicegate_service.logged_recipes import LoggedRecipe, Rows
from sluicegate_service.training import Counts, Evaluation, TrainingError, Trigger
from used_car_market import Market, MarketError, draw_sales

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DAYS: Final = 28
LEAST_DAYS: Final = 7
"""Days since a change that suffice: a model of them is as good, and fits the new data."""
SALES_A_DAY: Final = 700
SALES_SETTING: Final = "PRICING_SALES_A_DAY"
"""Variable with another number of sales a day to train on."""
ROUNDING_SETTING: Final = "PRICING_ROUND_TO"
"""Variable with the euro to which prices without tokens are rounded."""
# The gate tests whether a candidate is one point worse; equal models need 10,000 rows.
HOLD_OUT_DAYS: Final = 7
HOLD_OUT_SALES_A_DAY: Final = 1500


@dataclass(frozen=True)  # no slots: a dataclass with them has no super()
class PricingRecipe(LoggedRecipe):
    """Training on one market, as of its day."""

    market: Market
    source: Path = Path(__file__).parent.parent
    name: str = "pricing"
    days: int = DAYS
    sales_a_day: int = SALES_A_DAY
    rounding: int = 0
    model_type: ClassVar[type] = PricingModel

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the recipe for the market of the environment."""
        try:
            market = Market.from_environment(environment)
            trigger = Trigger.parse(environment.get(TRIGGER) or "{}")
            sales_a_day = _number(environment, SALES_SETTING, SALES_A_DAY)
            rounding = _number(environment, ROUNDING_SETTING, 0)
        except (MarketError, TrainingError) as error:
            raise SystemExit(f"training pricing failed: {error}") from error
        days = trigger.days_of_data(datetime.now(UTC), least=LEAST_DAYS, most=DAYS)
        return cls(market, days=days, sales_a_day=sales_a_day, rounding=rounding)

    @override
    def fit(self, *, lighter: bool) -> PricingModel:
        """Fit to the sales of the last four weeks, or since the change if they suffice."""
        if self.logged_split is not None:
            return self.fit_rows(self.logged_split.training, lighter=lighter)
        sales = draw_sales(self.market, days=self.days, per_day=self.sales_a_day)
        return self._fitted(sales.cars.columns(), sales.price, lighter=lighter)

    @override
    def evaluate(self, model: PricingModel, *, lighter: bool) -> Evaluation:
        """Score sales of the last week that were set aside; wrong is outside the tolerance."""
        if self.logged_split is not None:
            return self.evaluate_rows(model, self.logged_split.held_out)
        sales = draw_sales(
            self.market, days=HOLD_OUT_DAYS, per_day=HOLD_OUT_SALES_A_DAY, stream="hold-out"
        )
        right = within_tolerance(model.predict(sales.cars.columns()), sales.price)
        return {"accuracy": Counts.of(~right)}

    @override
    def evaluate_labelled(
        self, model: PricingModel, since: datetime, until: datetime
    ) -> Evaluation:
        """Score the sales that became known in an interval, a proportional part of a day's."""
        if os.environ.get(LOG):
            return super().evaluate_labelled(model, since, until)
        count = round(HOLD_OUT_SALES_A_DAY * ((until - since) / timedelta(days=1)))
        if count <= 0:
            return {"accuracy": Counts.of([])}
        sales = draw_sales(self.market, days=1, per_day=count, stream=f"sold by {until}")
        right = within_tolerance(model.predict(sales.cars.columns()), sales.price)
        return {"accuracy": Counts.of(~right)}

    @override
    def fit_rows(self, rows: Rows, *, lighter: bool) -> PricingModel:
        """Fit to logged requests and the prices that their cars sold for."""
        return self._fitted(_columns(rows), _prices(rows), lighter=lighter)

    @override
    def evaluate_rows(self, model: PricingModel, rows: Rows) -> Evaluation:
        """Score logged requests."""
        right = within_tolerance(model.predict(_columns(rows)), _prices(rows))
        return {"accuracy": Counts.of(~right)}

    @override
    def save(self, model: PricingModel, folder: Path) -> None:
        """Write the model and its card."""
        super().save(model, folder)
        card = {
            "effort": model.effort,
            "roundTo": model.rounding,
            "trainedOn": self._learned,
            "scikit-learn": sklearn.__version__,
        }
        (folder / "model.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    def _fitted(
        self, cars: dict[str, NDArray[Any]], prices: NDArray[np.float64], *, lighter: bool
    ) -> PricingModel:
        model = PricingModel.fit(cars, prices, LIGHT if lighter else FULL)
        return replace(model, rounding=self.rounding)

    @property
    def _learned(self) -> str:
        split = self.logged_split
        if split is None or split.start is None:
            return (
                f"{self.days * self.sales_a_day} sales of the {self.days} days up to"
                f" {self.market.today}"
            )
        return f"{len(split.training)} sales since {split.start:%Y-%m-%d}"


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise TrainingError(f"{name} is {text!r}: it must be an integer of at least 0")
    return int(text)


def _columns(rows: Rows) -> dict[str, NDArray[Any]]:
    """Return the cars of rows, which have one each, as a column for each property."""
    cars = [features["cars"] for features in rows.features]
    return {name: np.asarray([car[name] for car in cars]) for name in (*CATEGORIES, *NUMBERS)}


def _prices(rows: Rows) -> NDArray[np.float64]:
    return np.asarray([truth["price"] for truth in rows.truth], dtype=np.float64)
