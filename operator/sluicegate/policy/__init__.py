"""Decisions, pure. The pass of a product imports `evaluate`, `model`, `rollout`, and what is named here.

So reconcile knows what is decided, and not by which modules.
"""

from sluicegate.policy.canary.holds import CanaryHold
from sluicegate.policy.canary.objections import step_rule_text
from sluicegate.policy.canary.rollout_defaults import rollout_end
from sluicegate.policy.canary.shadow_evidence import is_scored, with_rows
from sluicegate.policy.canary.slo_evidence import Assessment, SloEvidence
from sluicegate.policy.diagnosis.checks import COMMON_PRODUCTS, DiagnosisResult, diagnosis_status
from sluicegate.policy.retraining.preconditions import (
    MIN_AGE_BLOCKS,
    RetrainingRequest,
    WaitingRetraining,
    attempts_without,
    earliest_training_time,
    may_train_challengers,
    obstacle_to_request,
    retraining_off_text,
    running_trainings_text,
)
from sluicegate.policy.retraining.training_slots import Applicant, Budget, admit
from sluicegate.policy.slo_health.baseline import ratio_of
from sluicegate.policy.slo_health.confirmation import UNMEASURABLE, needed_calm
from sluicegate.policy.slo_health.market_verdicts import (
    MAX_SHOWN_MARKETS,
    MarketState,
    interval_of,
)
from sluicegate.policy.slo_health.messages import describe
from sluicegate.policy.slo_health.probation import probation_limits
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.serving_skew import next_score_time

__all__ = [
    "COMMON_PRODUCTS",
    "MAX_SHOWN_MARKETS",
    "MIN_AGE_BLOCKS",
    "UNMEASURABLE",
    "Applicant",
    "Assessment",
    "Budget",
    "CanaryHold",
    "DiagnosisResult",
    "MarketState",
    "RetrainingRequest",
    "SloEvidence",
    "SloResult",
    "WaitingRetraining",
    "admit",
    "attempts_without",
    "describe",
    "diagnosis_status",
    "earliest_training_time",
    "interval_of",
    "is_scored",
    "may_train_challengers",
    "needed_calm",
    "next_score_time",
    "obstacle_to_request",
    "probation_limits",
    "ratio_of",
    "retraining_off_text",
    "rollout_end",
    "running_trainings_text",
    "step_rule_text",
    "with_rows",
]  # fmt: skip
