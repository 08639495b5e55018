"""How small a drop would be seen, and how soon: what a product with few labels can be promised."""

from dataclasses import dataclass
from typing import Final

from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.change_point import events_to_detect, min_drop
from sluicegate.views.numbers import duration, points

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Visibility:
    """The drop that the relative test of one SLO can detect at the present rate of events.

    Attributes
    ----------
    min_drop : the smallest rise of the bad ratio that is found within a day, in half of the cases.
    seconds : how long a rise by `maxDrop` takes to be found, in 95 of 100 cases; None where none of
        that size surely is.
    """

    min_drop: float
    seconds: int | None


def visibility(result: SloResult, block_seconds: int) -> Visibility | None:
    """Return the detectable drop of an SLO; None without a relative test or without recent events.

    By the dispersion and the events that the test itself uses at present. A rise is found when the
    hours or days that the test adds have ended, and three evaluations show it.
    """
    drift, terms = result.drift, result.terms
    if result.gauge is not None or drift is None or not result.recent_count.total:
        return None
    per_second = result.recent_count.total / ((result.shown_blocks or terms.recent) * block_seconds)
    needed = events_to_detect(
        drift.count_before, terms.drop, drift.bound, drift.phi, with_high_probability=True
    )
    waiting_seconds = (drift.unit + CONFIRMING_EVALUATIONS) * block_seconds
    return Visibility(
        min_drop(drift.count_before, per_second * DAY_SECONDS, drift.bound, drift.phi),
        None if needed is None else round(needed / per_second) + waiting_seconds,
    )


def describe_visibility(visibility: Visibility, drop: float) -> str:
    """Return the detectable drop as a clause."""
    min_drop_text = (
        f"a drop of {points(visibility.min_drop)} would be seen within a day in half of the cases"
    )
    if visibility.seconds is None:
        return (
            f"{min_drop_text}; one of {points(drop)} (maxDrop) would surely be seen only with more events before"
            " it, or a steadier ratio"
        )
    window_text = duration(visibility.seconds)
    return (
        f"{min_drop_text}, one of {points(drop)} (maxDrop) within {window_text} in 95 of 100 cases"
    )
