"""DORA's five measures of a product's promotions, from the facts of its ledger. Pure.

The measures are those of DORA's State of DevOps reports (dora.dev/guides/dora-metrics), counted for
models: a deployment is a promotion, and it has failed if the version was rolled back afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from sluicegate.api.names import CHALLENGER_CAUSES, DecisionReason, DecisionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.review import DataProductReview, ReviewDecision, ReviewVersion

WEEK_SECONDS: Final = 7 * 86_400
_BEGINS: Final = frozenset({DecisionType.RETRAIN, DecisionType.START_ROLLOUT})
"""Decisions at which the lead time of a version begins: a training starts, or a commit is adopted."""
_UNPLANNED: Final = frozenset({DecisionReason.MODEL_DECAY, DecisionReason.MODEL_TOO_SLOW})


@dataclass(frozen=True, slots=True)
class Delivery:
    """DORA's five measures, of one product and period.

    Attributes
    ----------
    promotions : their number. per_week : promotion frequency.
    lead_seconds : the median from a retraining's or a commit's start to its promotion.
    failed : promoted versions that were rolled back.
    recovery_seconds : the median from the promotion of such a version to its end.
    reworked : promotions after a decay or a rollback.
    challengers : promotions of versions that were trained although nothing was wrong.
    """

    promotions: int = 0
    per_week: float = 0.0
    lead_seconds: float | None = None
    failed: int = 0
    recovery_seconds: float | None = None
    reworked: int = 0
    challengers: int = 0


def delivery_of(review: DataProductReview) -> Delivery:
    """Return the five measures; those that need a promotion are None without one."""
    period, decisions = review.spec.period, review.status.decisions
    promoted = [
        one for one in review.status.versions if period.start <= one.promotion_time < period.end
    ]
    failed = [
        one for one in promoted if one.outcome == Outcome.ROLLED_BACK and one.end_time is not None
    ]
    places = [place for place, one in enumerate(decisions) if one.type == DecisionType.PROMOTE]
    made = [_one(place, decisions) for place in places]
    leads = [one.lead for one in made if one.lead is not None]
    times = [_served(one) for one in failed]
    return Delivery(
        promotions=len(made),
        per_week=len(made) * WEEK_SECONDS / (period.end - period.start),
        lead_seconds=median(leads) if leads else None,
        failed=len(failed),
        recovery_seconds=median(times) if times else None,
        reworked=sum(one.reworked for one in made),
        challengers=sum(one.challenger for one in made),
    )


@dataclass(frozen=True, slots=True)
class _Promotion:
    """Lead time of a promotion in seconds, and its cause."""

    lead: float | None
    reworked: bool
    challenger: bool


def _one(place: int, decisions: Sequence[ReviewDecision]) -> _Promotion:
    """Return the promotion at this index.

    A challenger that wasn't promoted ends without a decision, so earlier decisions don't belong to
    it.
    """
    earlier = list(decisions[:place])
    ends = [
        number
        for number, one in enumerate(earlier)
        if one.type in {DecisionType.PROMOTE, DecisionType.ROLLBACK, DecisionType.INCONCLUSIVE}
    ]
    last = ends[-1] if ends else -1
    begins = [one for one in earlier[last + 1 :] if one.type in _BEGINS]
    trained = [place for place, one in enumerate(begins) if one.type == DecisionType.RETRAIN]
    challenger = bool(trained) and begins[trained[-1]].reason in CHALLENGER_CAUSES
    begins = begins[trained[-1] :] if challenger else [one for one in begins if not _is_spare(one)]
    after_rollback = last >= 0 and earlier[last].type == DecisionType.ROLLBACK
    decayed = any(one.reason in _UNPLANNED for one in begins)
    lead = float(decisions[place].decision_time - begins[0].decision_time) if begins else None
    return _Promotion(lead, (after_rollback or decayed) and not challenger, challenger)


def _is_spare(decision: ReviewDecision) -> bool:
    """Return whether it trains a challenger."""
    return decision.type == DecisionType.RETRAIN and decision.reason in CHALLENGER_CAUSES


def _served(version: ReviewVersion) -> float:
    assert version.end_time is not None
    return float(version.end_time - version.promotion_time)
