"""How a share of bad events has changed from one time to another, said with what can be known.

A month's events aren't independent: a bad day makes many of them bad. So the unit is the day, and
the interval of a change is widened by how much more days differ than chance lets them (φ). Where a
change lies outside its interval it is proved; where the interval is narrow around nothing there is
no evidence of a change; else there were too few events to say.

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
"""Days with events, below which their scatter says nothing and is taken for chance."""
LARGEST_PHI: Final = 50.0


class PeriodChange(StrEnum):
    """What can be said of a change."""

    WORSE = "Worse"
    BETTER = "Better"
    NO_EVIDENCE = "NoEvidence"
    TOO_FEW = "TooFew"


@dataclass(frozen=True, slots=True)
class Evolution:
    """A change of the share of bad events.

    Attributes
    ----------
    change : what can be said. estimate : now less before. lower, upper : its 95 % interval.
    phi : by how much more days differ than chance lets them; 1 is chance.
    """

    change: PeriodChange
    estimate: float = 0.0
    lower: float = 0.0
    upper: float = 0.0
    phi: float = 1.0


def evolution(
    now: Sequence[Count], before: Sequence[Count], *, margin: float, fixed: bool = False
) -> Evolution:
    """How the share of bad events changed from the days before to those now.

    Parameters
    ----------
    margin : a change that matters; an interval that is wider than this is too wide to say "none".
    fixed : whether `before` is one count, a baseline, whose days aren't known.
    """
    ours, theirs = summed(now), summed(before)
    if not ours.total or not theirs.total:
        return Evolution(PeriodChange.TOO_FEW)
    phi_now = _of_days(now)
    phi_before = phi_now if fixed else _of_days(before)
    difference = newcombe(_spread(ours, phi_now), _spread(theirs, phi_before), Z)
    found = (difference.estimate, difference.lower, difference.upper, max(phi_now, phi_before))
    if difference.lower > 0:
        return Evolution(PeriodChange.WORSE, *found)
    if difference.upper < 0:
        return Evolution(PeriodChange.BETTER, *found)
    narrow = difference.upper < margin and difference.lower > -margin
    return Evolution(PeriodChange.NO_EVIDENCE if narrow else PeriodChange.TOO_FEW, *found)


def _of_days(days: Sequence[Count]) -> float:
    return dispersion(days, least=LEAST_DAYS, most=LARGEST_PHI)


def _spread(count: Count, phi: float) -> tuple[float, float]:
    """As many independent events as these are worth."""
    return count.bad / phi, count.total / phi
