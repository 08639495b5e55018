"""Business goals that an SLO measures: how far they are met, and what a gain is worth. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import floor, isfinite, log10
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import PERCENT, BusinessGoal, Direction
from sluicegate.api.slo_status import SloState
from sluicegate.views.lift import Lift
from sluicegate.views.numbers import events, interval_digits, share_digits

_POINTS: Final = 100.0
_MAX_DIGITS: Final = 12
"""Digits after the point that a target or an amount can have."""
_FALLING_DIRECTIONS: Final = frozenset({Direction.AT_MOST, Direction.DECREASE})
"""Directions in which a fall of the SLO is the gain."""


@dataclass(frozen=True, slots=True)
class GoalProgress:
    """A business goal, and the SLO that measures it.

    Attributes
    ----------
    value : present value; of a share in percent, of a gauge in the unit of the target; None while it
        isn't known.
    total : number of events; 0 of a gauge. is_share : whether the SLO is a share of good events.
    is_met : None while the value isn't known, or is of too few events.
    """

    goal: BusinessGoal
    value: Decimal | None
    total: int
    is_share: bool
    is_met: bool | None

    @property
    def text(self) -> str:
        """Return the goal in words: goal 3.2 %: not met yet (3.1 %, n=1,200)."""
        verdict = {None: "not known yet", True: "met", False: "not met yet"}[self.is_met]
        target = self._with_unit(f"{_target(self.goal, is_share=self.is_share):,f}")
        text = f"goal {_DIRECTION_WORDS[self.goal.direction]}{target}: {verdict}"
        if self.value is None:
            return text
        number = f", {events(self.total)}" if self.total else ""
        return f"{text} ({self._with_unit(self._rounded(self.value))}{number})"

    def _rounded(self, value: Decimal) -> str:
        """Return the value with the digits that are needed for a correct comparison of the printed numbers."""
        if not self.is_share:
            return f"{float(value):,.{_MAX_DIGITS}g}"
        for digits in range(share_digits(float(value) / _POINTS), _MAX_DIGITS):
            text = f"{value:.{digits}f}"
            if (
                self.is_met is None
                or _is_met(self.goal, Decimal(text), is_share=True) == self.is_met
            ):
                return text
        return f"{value:.{_MAX_DIGITS}f}"

    def _with_unit(self, number: str) -> str:
        if self.is_share:
            return f"{number} %"
        return f"{number} {self.goal.unit}" if self.goal.unit else number


_DIRECTION_WORDS: Final = {
    Direction.AT_LEAST: "",
    Direction.INCREASE: "",
    Direction.AT_MOST: "at most ",
    Direction.DECREASE: "at most ",
    Direction.EQUALS: "exactly ",
}


def goals_of(product: DataProduct) -> Iterator[GoalProgress]:
    """Yield the goals that SLOs measure, with the numbers of the last decision."""
    status_by_slo = {slo.name: slo for slo in product.status.slos}
    gauges = {slo.name for slo in product.spec.slos if slo.indicator.gauge is not None}
    for goal in product.spec.business_goals:
        if goal.slo is None:
            continue
        is_share = goal.slo not in gauges
        slo_status = status_by_slo.get(goal.slo)
        if slo_status is None or slo_status.ratio is None or not isfinite(float(slo_status.ratio)):
            yield GoalProgress(goal, None, 0, is_share, None)
            continue
        value = Decimal(slo_status.ratio).scaleb(2 if is_share else 0)
        is_known = slo_status.state is not SloState.UNKNOWN
        is_met = _is_met(goal, value, is_share=is_share) if is_known else None
        yield GoalProgress(goal, value, slo_status.total or 0, is_share, is_met)


def period_progress(goal: BusinessGoal, good_ratio: float | None, total: int) -> GoalProgress:
    """Return a goal beside the share of good events of a period; None where it has no events."""
    if good_ratio is None:
        return GoalProgress(goal, None, 0, is_share=True, is_met=None)
    value = Decimal(repr(good_ratio)).scaleb(2)
    is_met = _is_met(goal, value, is_share=True)
    return GoalProgress(goal, value, total, is_share=True, is_met=is_met)


def _target(goal: BusinessGoal, *, is_share: bool) -> Decimal:
    """Return the target in the unit of the value: of a share in percent."""
    return Decimal(goal.target).scaleb(2 if is_share and goal.unit != PERCENT else 0)


def _is_met(goal: BusinessGoal, value: Decimal, *, is_share: bool) -> bool:
    target = _target(goal, is_share=is_share)
    match goal.direction:
        case Direction.AT_LEAST | Direction.INCREASE:
            return value >= target
        case Direction.AT_MOST | Direction.DECREASE:
            return value <= target
        case Direction.EQUALS:
            return 2 * abs(value - target) <= _last_digit_size(target)


def _last_digit_size(target: Decimal) -> Decimal:
    """Return the size of the last digit of a target; 1 where it ends in zeros before the point."""
    _, _, exponent = target.as_tuple()
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(exponent, 0))


def worth_of(product: DataProduct, lift: Lift) -> str:
    """Return the value of an SLO's gain, with its interval; empty without a value per point.

    A fall is the gain of a goal to stay below a target. A goal to equal its target has none.
    """
    for goal in product.spec.business_goals:
        value_per_point = goal.value_per_point
        if goal.slo != lift.slo or value_per_point is None or goal.direction is Direction.EQUALS:
            continue
        sign = -1 if goal.direction in _FALLING_DIRECTIONS else 1
        full_value = sign * float(value_per_point.amount) * _POINTS
        lower_value, upper_value = sorted((full_value * lift.lower, full_value * lift.upper))
        digits = interval_digits(
            lower_value, upper_value, _amount_digits(upper_value - lower_value)
        )
        interval_text = f"[{lower_value:z,.{digits}f}, {upper_value:z,.{digits}f}]"
        return f"{full_value * lift.gain:+z,.{digits}f} {value_per_point.unit} {interval_text}"
    return ""


def _amount_digits(width: float) -> int:
    """Return the digits after the point that an interval of this width can carry: two of its own."""
    return min(max(0, 1 - floor(log10(width))), _MAX_DIGITS) if width > 0 else 0
