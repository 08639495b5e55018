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
_BEGINNING_TYPES: Final = frozenset({DecisionType.RETRAIN, DecisionType.START_ROLLOUT})
"""Decisions at which the lead time of a version begins: a training starts, or a commit is adopted."""
_UNPLANNED_REASONS: Final = frozenset({DecisionReason.MODEL_DECAY, DecisionReason.MODEL_TOO_SLOW})


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
    """Return DORA's five measures; those about promotions are None without a promotion."""
    period, decisions = review.spec.period, review.status.decisions
    promoted_versions = [
        version
        for version in review.status.versions
        if period.start <= version.promotion_time < period.end
    ]
    failed_versions = [
        version
        for version in promoted_versions
        if version.outcome == Outcome.ROLLED_BACK and version.end_time is not None
    ]
    promotion_positions = [
        decision_index
        for decision_index, decision_entry in enumerate(decisions)
        if decision_entry.type == DecisionType.PROMOTE
    ]
    measured_promotions = [
        _promotion_at(decision_index, decisions) for decision_index in promotion_positions
    ]
    lead_times = [promotion.lead for promotion in measured_promotions if promotion.lead is not None]
    times = [_served_seconds(decision_entry) for decision_entry in failed_versions]
    return Delivery(
        promotions=len(measured_promotions),
        per_week=len(measured_promotions) * WEEK_SECONDS / (period.end - period.start),
        lead_seconds=median(lead_times) if lead_times else None,
        failed=len(failed_versions),
        recovery_seconds=median(times) if times else None,
        reworked=sum(promotion.reworked for promotion in measured_promotions),
        challengers=sum(promotion.challenger for promotion in measured_promotions),
    )


@dataclass(frozen=True, slots=True)
class _Promotion:
    """The lead time of a promotion in seconds, and its cause."""

    lead: float | None
    reworked: bool
    challenger: bool


def _promotion_at(decision_index: int, decisions: Sequence[ReviewDecision]) -> _Promotion:
    """Return the promotion at this index.

    A challenger that wasn't promoted ends without a decision, so earlier decisions don't belong to
    it.
    """
    earlier_decisions = list(decisions[:decision_index])
    end_positions = [
        number
        for number, decision in enumerate(earlier_decisions)
        if decision.type in {DecisionType.PROMOTE, DecisionType.ROLLBACK, DecisionType.INCONCLUSIVE}
    ]
    last_end = end_positions[-1] if end_positions else -1
    first_decisions = [
        decision
        for decision in earlier_decisions[last_end + 1 :]
        if decision.type in _BEGINNING_TYPES
    ]
    training_places = [
        decision_index
        for decision_index, decision_entry in enumerate(first_decisions)
        if decision_entry.type == DecisionType.RETRAIN
    ]
    challenger = (
        bool(training_places) and first_decisions[training_places[-1]].reason in CHALLENGER_CAUSES
    )
    first_decisions = (
        first_decisions[training_places[-1] :]
        if challenger
        else [decision for decision in first_decisions if not _is_spare(decision)]
    )
    is_after_rollback = last_end >= 0 and earlier_decisions[last_end].type == DecisionType.ROLLBACK
    is_after_decay = any(decision.reason in _UNPLANNED_REASONS for decision in first_decisions)
    lead_seconds = (
        float(decisions[decision_index].decision_time - first_decisions[0].decision_time)
        if first_decisions
        else None
    )
    return _Promotion(
        lead_seconds, (is_after_rollback or is_after_decay) and not challenger, challenger
    )


def _is_spare(decision: ReviewDecision) -> bool:
    """Return whether the retraining is that of a challenger."""
    return decision.type == DecisionType.RETRAIN and decision.reason in CHALLENGER_CAUSES


def _served_seconds(version: ReviewVersion) -> float:
    assert version.end_time is not None
    return float(version.end_time - version.promotion_time)
