"""How small a drop would be seen, and how soon: what a product with few labels can be promised."""

from dataclasses import dataclass
from typing import Final

from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.stats.change_point import events_to_see, least_drop
from sluicegate.stats.counts import Count, summed
from sluicegate.views.numbers import duration, points

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Visibility:
    """What the relative test of one SLO can see at the present rate of events.

    Attributes
    ----------
    least_drop : the smallest rise of the bad ratio that is found within a day, in half of the cases.
    seconds : how long a rise by `maxDrop` takes to be found; None where none of that size ever is.
    """

    least_drop: float
    seconds: int | None


def visibility(result: SloResult, block_seconds: int) -> Visibility | None:
    """What can be seen of an SLO; None without a relative test or without recent events."""
    baseline, drift, terms = result.baseline, result.drift, result.terms
    if baseline is None or drift is None or not result.recent.total:
        return None
    per_second = result.recent.total / (terms.recent * block_seconds)
    before = _before(baseline.count, result.budget)
    needed = events_to_see(before, terms.drop, drift.bound, baseline.phi)
    return Visibility(
        least_drop(before, per_second * DAY_SECONDS, drift.bound, baseline.phi),
        None if needed is None else round(needed / per_second),
    )


def describe_visibility(found: Visibility, drop: float) -> str:
    """The same as a clause without a full stop."""
    least = f"a drop of {points(found.least_drop)} would be seen within a day"
    if found.seconds is None:
        return f"{least}; the allowed {points(drop)} need a larger baseline to be seen"
    return f"{least}, the allowed {points(drop)} within {duration(found.seconds)}"


def _before(accepted: Count, since: Count) -> Count:
    """The reference for a change: the baseline, and the events in production since."""
    if since.total >= accepted.total:
        return since
    return summed((accepted, since))
