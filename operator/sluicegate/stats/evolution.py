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
from sluicegate.stats.intervals import newcombe

CONFIDENCE: Final = 0.975
"""Of each bound: an interval of 95 %."""
Z: Final = NormalDist().inv_cdf(CONFIDENCE)
LEAST_DAYS: Final = 7
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
    now: Sequence[Count], before: Sequence[Count], *, margin: float, fixed: bool = False
) -> Evolution:
    """Estimate the change of the share of bad events from the days before to the days now.

    Parameters
    ----------
    margin : the least change that matters; a wider interval can't show that there is none.
    fixed : whether `before` is one count, a baseline, whose days aren't known.
    """
    sum_now, phi = summed(now), scatter(now)
    return change_between(
        (sum_now, phi), (summed(before), phi if fixed else scatter(before)), margin=margin
    )


def change_between(
    now: tuple[Count, float], before: tuple[Count, float], *, margin: float
) -> Evolution:
    """Estimate the change of the share of bad events from one period to another.

    Parameters
    ----------
    now, before : the count of a period, and the scatter of its days.
    margin : the least change that matters.
    """
    (sum_now, phi_now), (sum_before, phi_before) = now, before
    if not sum_now.total or not sum_before.total:
        return Evolution(PeriodChange.TOO_FEW)
    difference = newcombe(_spread(sum_now, phi_now), _spread(sum_before, phi_before), Z)
    estimate = (difference.estimate, difference.lower, difference.upper, max(phi_now, phi_before))
    if difference.lower > 0:
        return Evolution(PeriodChange.WORSE, *estimate)
    if difference.upper < 0:
        return Evolution(PeriodChange.BETTER, *estimate)
    narrow = difference.upper < margin and difference.lower > -margin
    return Evolution(PeriodChange.NO_EVIDENCE if narrow else PeriodChange.TOO_FEW, *estimate)


def scatter(days: Sequence[Count]) -> float:
    """Return φ of some days, the scatter of their shares relative to chance."""
    return dispersion(days, least=LEAST_DAYS, most=LARGEST_PHI)


def _spread(count: Count, phi: float) -> tuple[float, float]:
    """Divide a count by φ: return bad and total of as many independent events."""
    return count.bad / phi, count.total / phi
