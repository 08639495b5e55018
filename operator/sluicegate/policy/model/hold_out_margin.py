"""By how much a candidate may be worse than stable on the hold-out."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

from sluicegate.stats.intervals import Z95, quantile
from sluicegate.stats.paired import Pairs

Z_POWER: Final = Z95 + quantile(0.8)
"""At a margin of so many standard errors, 80 % of the equal candidates pass."""


@dataclass(frozen=True, slots=True)
class HoldOutMargin:
    """The margin of one SLO: a number, or derived from the hold-out's size and discordance.

    Attributes
    ----------
    smallest : the margin; without pairs it is the margin.
    largest : with pairs it may be so much; `smallest` where a person chose the margin.
    """

    smallest: float
    largest: float

    def for_pairs(self, pairs: Pairs | None) -> float:
        """Return the least margin within both at which 80 % of the equal candidates pass with these rows."""
        if pairs is None or not pairs.total:
            return self.smallest
        margin = Z_POWER * sqrt(max(pairs.discordant, 1.0)) / pairs.total
        return min(max(self.smallest, margin), max(self.smallest, self.largest))
