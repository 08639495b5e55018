"""Training of the pricing model on the sales of the last four weeks.

The market's equations replace the data warehouse of a marketplace; `USED_CAR_MARKET` has the market
and its day.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

import sklearn
from typing_extensions import override

from pricing.model import FULL, LIGHT, PricingModel, within_tolerance
from sluicegate_service.environment import TRIGGER
from sluicegate_service.recipes import JoblibRecipe
from sluicegate_service.training import Counts, Evaluation, TrainingError, Trigger
from used_car_market import Market, MarketError, draw_sales

if TYPE_CHECKING:
    from collections.abc import Mapping

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
class PricingRecipe(JoblibRecipe):
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
        sales = draw_sales(self.market, days=self.days, per_day=self.sales_a_day)
        effort = LIGHT if lighter else FULL
        model = PricingModel.fit(sales.cars.columns(), sales.price, effort)
        return replace(model, rounding=self.rounding)

    @override
    def evaluate(self, model: PricingModel, *, lighter: bool) -> Evaluation:
        """Score sales of the last week that were set aside; wrong is outside the tolerance."""
        sales = draw_sales(
            self.market, days=HOLD_OUT_DAYS, per_day=HOLD_OUT_SALES_A_DAY, stream="hold-out"
        )
        right = within_tolerance(model.predict(sales.cars.columns()), sales.price)
        return {"accuracy": Counts.of(~right)}

    def evaluate_labelled(
        self, model: PricingModel, since: datetime, until: datetime
    ) -> Evaluation:
        """Score the sales that became known in an interval, a proportional part of a day's."""
        count = round(HOLD_OUT_SALES_A_DAY * ((until - since) / timedelta(days=1)))
        if count <= 0:
            return {"accuracy": Counts.of([])}
        sales = draw_sales(self.market, days=1, per_day=count, stream=f"sold by {until}")
        right = within_tolerance(model.predict(sales.cars.columns()), sales.price)
        return {"accuracy": Counts.of(~right)}

    @override
    def save(self, model: PricingModel, folder: Path) -> None:
        """Write the model and its card."""
        super().save(model, folder)
        card = {
            "effort": model.effort,
            "roundTo": model.rounding,
            "trainedOn": f"{self.days * self.sales_a_day} sales of the {self.days} days up to"
            f" {self.market.today}",
            "scikit-learn": sklearn.__version__,
        }
        (folder / "model.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise TrainingError(f"{name} is {text!r}: it must be an integer of at least 0")
    return int(text)
