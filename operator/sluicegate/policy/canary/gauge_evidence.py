"""Evidence of a gauge on a candidate: paired differences of block means."""

from dataclasses import dataclass

from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS
from sluicegate.stats.gauge import (
    MIN_PAIRS,
    Interval,
    difference_interval,
)
from sluicegate.stats.sequential_test import ALPHA


# ---- canary ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class GaugeEvidence:
    """The canary evidence of a gauge.

    Attributes
    ----------
    terms : the SLO. pairs : blocks with values of both arms.
    interval : bounds on candidate − stable, higher being better; None while there are too few.
    required : whether it must favour the candidate.
    """

    terms: SloTerms
    pairs: int
    interval: Interval | None
    required: bool

    @property
    def favours(self) -> bool:
        """Return whether the candidate isn't worse by the margin, beyond chance."""
        return self.interval is not None and self.interval.lower > -self.terms.margin

    @property
    def shows_better(self) -> bool:
        """Return whether the candidate is better, beyond chance."""
        return self.interval is not None and self.interval.lower > 0

    @property
    def is_against(self) -> bool:
        """Return whether the candidate is worse, beyond chance; together with `favours` there is no verdict."""
        is_worse = self.interval is not None and self.interval.upper < 0
        return is_worse and not self.favours


def weigh(
    slo: SloTerms, differences: list[float], terms: Terms, *, slos: int, block_seconds: int
) -> GaugeEvidence:
    """Return the evidence of paired block differences, candidate − stable, oldest first.

    Parameters
    ----------
    slos : how many SLOs may take the candidate back; each gets its share of the error.
    block_seconds : length of a canary block.
    """
    gauge = slo.gauge
    assert gauge is not None
    signed = [gauge.sign * difference for difference in differences]
    interval = difference_interval(signed, ALPHA / max(slos, 1))
    blocks = MIN_PAIRS + WARM_UP_BLOCKS * len(terms.steps)
    match slo.canary_evidence:
        case CanaryEvidence.REQUIRED:
            required = True
        case CanaryEvidence.IF_AVAILABLE:
            possible_looks = blocks * block_seconds <= terms.max_duration_seconds
            required = slo.margin > 0 and bool(differences) and possible_looks
        case CanaryEvidence.POST_PROMOTION:
            required = False
    return GaugeEvidence(slo, len(differences), interval, required)
