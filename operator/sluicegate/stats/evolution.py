"""Change of a share of bad events between two periods, with its uncertainty.

A month's events aren't independent: a bad day makes many of them bad. So the unit is the day, and
the interval of a change is widened by φ, the scatter of the days relative to chance. If the
interval doesn't include 0, the change is proved; if it is narrow and includes 0, there is no
evidence of a change; else there were too few events.

Source of the interval: R. G. Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10; of the
dispersion: McCullagh and Nelder, Generalized Linear Models, 2nd ed., section 4.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Final

from sluicegate.stats.counts import Count, summed
from sluicegate.stats.dispersion import dispersion
from sluicegate.stats.intervals import newcombe_difference

CONFIDENCE: Final = 0.975
"""Of each bound: an interval of 95 %."""
Z_CONFIDENCE: Final = NormalDist().inv_cdf(CONFIDENCE)
MIN_DAYS: Final = 7
"""Days with events below which their scatter isn't estimated, and φ is 1."""
LARGEST_PHI: Final = 50.0


class PeriodChange(StrEnum):
    """Verdict on a change between two periods."""

    WORSE = "Worse"
    BETTER = "Better"
    NO_EVIDENCE = "NoEvidence"
    TOO_FEW = "TooFew"


@dataclass(frozen=True, slots=True)
class Evolution:
    """A change of the share of bad events.

    Attributes
    ----------
    change : the verdict. estimate : now less before. lower, upper : its 95 % interval.
    phi : scatter of the days relative to chance; 1 is chance.
    """

    change: PeriodChange
    estimate: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    phi: float = 1.0


def evolution(
    now: Sequence[Count],
    earlier_days: Sequence[Count],
    *,
    margin: float,
    is_fixed_objective: bool = False,
) -> Evolution:
    """Estimate the change of the share of bad events from the days before to the days now.

    Parameters
    ----------
    margin : the least change that matters; a wider interval can't show that there is none.
    fixed : whether `before` is one count, a baseline, whose days aren't known.
    """
    sum_now, phi = summed(now), day_scatter(now)
    return period_change_between(
        (sum_now, phi),
        (summed(earlier_days), phi if is_fixed_objective else day_scatter(earlier_days)),
        margin=margin,
    )


def period_change_between(
    now: tuple[Count, float], earlier_value: tuple[Count, float], *, margin: float
) -> Evolution:
    """Estimate the change of the bad ratio from one period to another, with an interval and a word for it.

    Parameters
    ----------
    now, before : the count of a period, and the scatter of its days.
    margin : the least change that matters.
    """
    (sum_now, phi_now), (sum_before, phi_before) = now, earlier_value
    if not sum_now.total or not sum_before.total:
        return Evolution(PeriodChange.TOO_FEW)
    difference = newcombe_difference(
        _ratio_spread(sum_now, phi_now), _ratio_spread(sum_before, phi_before), Z_CONFIDENCE
    )
    estimate = (difference.estimate, difference.lower, difference.upper, max(phi_now, phi_before))
    if difference.lower > 0:
        return Evolution(PeriodChange.WORSE, *estimate)
    if difference.upper < 0:
        return Evolution(PeriodChange.BETTER, *estimate)
    is_within_margin = difference.upper < margin and difference.lower > -margin
    return Evolution(
        PeriodChange.NO_EVIDENCE if is_within_margin else PeriodChange.TOO_FEW, *estimate
    )


def day_scatter(days: Sequence[Count]) -> float:
    """Return φ of some days, the scatter of their shares relative to chance."""
    return dispersion(days, min_blocks=MIN_DAYS, max_dispersion=LARGEST_PHI)


def _ratio_spread(count: Count, phi: float) -> tuple[float, float]:
    """Divide a count by φ: return bad and total of as many independent events."""
    return count.bad / phi, count.total / phi
