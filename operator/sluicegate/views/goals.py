"""Business goals that an SLO measures: how far they are met, and what a gain is worth. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import BusinessGoal, Direction
from sluicegate.views.lift import Lift
from sluicegate.views.numbers import events, percent

_SHARES: Final = frozenset({None, "ratio", "%"})
"""Units of a target that is a share of good events."""
_POINTS: Final = 100.0


@dataclass(frozen=True, slots=True)
class GoalProgress:
    """A goal beside the SLO that measures it.

    Attributes
    ----------
    value : present value in the unit of the target; None while it isn't known.
    total : number of events; 0 of a gauge. is_met : None while the value isn't known.
    """

    goal: BusinessGoal
    value: float | None
    total: int
    is_met: bool | None

    @property
    def text(self) -> str:
        """The goal in words: goal 3.2 %: not met yet (3.1 %, n=1,200)."""
        verdict = {None: "not known yet", True: "met", False: "not met yet"}[self.is_met]
        target = _shown(self.goal, float(self.goal.target))
        text = f"goal {_BOUNDS[self.goal.direction]}{target}: {verdict}"
        if self.value is None:
            return text
        number = f", {events(self.total)}" if self.total else ""
        return f"{text} ({_shown(self.goal, self.value)}{number})"


_BOUNDS: Final = {
    Direction.AT_LEAST: "",
    Direction.INCREASE: "",
    Direction.AT_MOST: "at most ",
    Direction.DECREASE: "at most ",
    Direction.EQUALS: "exactly ",
}


def goals_of(product: DataProduct) -> Iterator[GoalProgress]:
    """Yield the goals that an SLO measures, with the numbers of the last decision."""
    levels = {slo.name: slo for slo in product.status.slos}
    for goal in product.spec.business_goals:
        if goal.slo is None:
            continue
        level = levels.get(goal.slo)
        if level is None or level.ratio is None:
            yield GoalProgress(goal, None, 0, None)
            continue
        value = float(level.ratio) * (_POINTS if goal.unit == "%" else 1.0)
        yield GoalProgress(goal, value, level.total or 0, _is_met(goal, value))


def _is_met(goal: BusinessGoal, value: float) -> bool:
    target = float(goal.target)
    match goal.direction:
        case Direction.AT_LEAST | Direction.INCREASE:
            return value >= target
        case Direction.AT_MOST | Direction.DECREASE:
            return value <= target
        case Direction.EQUALS:
            digits = len(goal.target.partition(".")[2])
            return round(value, digits) == target


def _shown(goal: BusinessGoal, value: float) -> str:
    if goal.unit not in _SHARES:
        return f"{value:,.6g} {goal.unit}"
    return percent(value / _POINTS if goal.unit == "%" else value)


def worth_of(product: DataProduct, lift: Lift) -> str:
    """Return what the gain of an SLO is worth, with its interval; empty without a value per point."""
    for goal in product.spec.business_goals:
        worth = goal.value_per_point
        if goal.slo != lift.slo or worth is None:
            continue
        amount = float(worth.amount) * _POINTS
        low, high = sorted((amount * lift.lower, amount * lift.upper))
        return f"{amount * lift.gain:+,.0f} {worth.unit} [{low:,.0f}, {high:,.0f}]"
    return ""
