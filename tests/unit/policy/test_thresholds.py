"""The numbers by which decisions are made, as they are promised, and what a record says by itself.

Another number is another promise: ADRs, the simulations' error rates and the pages for people are
of these.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import fields, is_dataclass

import pytest

from sluicegate import policy

HOUR, DAY = 3600, 86_400
Z80, Z95, Z975, Z99 = 0.841621, 1.644854, 1.959964, 2.326348
THRESHOLDS: dict[str, dict[str, float | tuple[int, ...]]] = {
    "canary.consumer_cases": {"MAX_MIXED": 0.01, "RECENT_BLOCKS": 10},
    "canary.block_checks": {"SHARE_BLOCKS": 5, "SHARE_FACTOR": 2, "EXPECTED_REQUESTS": 20},
    "canary.slo_evidence": {"Z_SURELY": Z95, "MAX_NAMED_HARMS": 3},
    "canary.holds": {"NAMED_SECONDS": 600, "PAUSE_SECONDS": 2 * HOUR, "PAUSE_FACTOR": 2},
    "canary.label_evidence": {"COUNTED_SHARE": 0.95, "MIN_COMPLETE": 20, "RECENT_BLOCKS": 240, "Z_ANOTHER_KIND": 4},
    "canary.market_harm": {"ALPHA": 0.05, "SUM_SECONDS": 300},
    "canary.objections": {"MIN_REQUESTS": 50, "INVALID_BLOCKS": 10},
    "canary.label_pace": {"WEEK_SECONDS": 7 * DAY, "SLOW_SECONDS": 4 * HOUR, "CANARY_BLOCK_SECONDS": 60},
    "canary.rollout_defaults": {"SOON_SECONDS": 900, "RATE_BLOCKS": 24, "TIMES_PLANNED": 3,
                                "_NEVER_SECONDS": 3650 * DAY,
                                "MIN_EXTENSION": 1.25, "MIN_LABELS": 100},
    "canary.rollout_time": {"LONGEST_SECONDS": 14 * DAY},
    "canary.shadow_evidence": {"USUAL_DISCORDANCE": 0.1},
    "canary.verdict": {"SILENT_BLOCKS": 10, "SILENT_REQUESTS": 20, "LOST_SECONDS": 1800, "MAX_QUIET_RETRIES": 3},
    "derived_defaults": {"DISCORDANT_SHARE": 0.1},
    "diagnosis.checks": {"COMMON_PRODUCTS": 3, "COMMON_SHARE": 0.3, "_ROUNDING": 1e-9, "TRAFFIC_FACTOR": 3},
    "diagnosis.market_remedy": {"MAX_ALERTS": 16},
    "diagnosis.previous_version": {"UNCOUNTED_HARM": 0.5},
    "diagnosis.symptoms": {"CONFIRMATION_BLOCKS": 12},
    "diagnosis.traffic_load": {"WINDOWS": (3, 12), "MIN_BLOCKS": 6},
    "diagnosis.upstream_release": {"FOLLOWS": 5, "LIKELY": 1, "OWN": 6.21461, "MOMENTS": 1.5, "LEAST_RATIO": 0.005, "BLOCKS_BEFORE": 72, "MAX_HOURS_BEFORE": 24,
                                   "SINGLE_HOURS": 36, "LATER_SUMS": 24, "AWAITED_SHARE": 0.5},
    "evaluate": {"OUTAGE_ALERT_SECONDS": 300},
    "model.api_changes": {"LONGEST_NAME": 80, "MAX_NAMED": 5},
    "model.attended_time": {"MIN_SECONDS": 300},
    "model.past_times": {"AHEAD_SECONDS": 300},
    "model.bounds": {"MAX_ALERTS": 32, "MAX_SLOS": 17, "MAX_MARKETS": 65},
    "model.container_limits": {"THROTTLED_SHARE": 0.25, "WAITING_CPU_SHARE": 0.2, "MEMORY_FULL": 0.95},
    "model.excluded_blocks": {"BEFORE_BLOCKS": 24, "MAX_INTERVALS": 24},
    "model.history": {"MAX_VERSIONS": 20},
    "model.hold_out_margin": {"Z_POWER": Z95 + Z80},
    "model.inputs": {"EARLIER_SECONDS": 7 * DAY, "MAX_EARLIER": 3},
    "model.observed": {"LOOK_BACK_SECONDS": HOUR, "CLOCK_SECONDS": 60},
    "model.terms": {"DROPS_IN_BUDGET": 2, "RECENT_FAST": 12, "RECENT_SLOW": 24, "MAX_MARGIN": 0.9999,
                    "DEFAULT_LABEL_LIFETIME_SECONDS": 7 * DAY},
    "model.retries": {"FIRST_RETRY_SECONDS": 60, "LONGEST_RETRY_SECONDS": 1800},
    "retraining.training_slots": {"AGEING_SECONDS": 6 * HOUR},
    "retraining.challenger": {"SUSPECTED_SHARE": 0.5},
    "retraining.holdout_gate": {"_MAX_TIMES": 30},
    "retraining.labels": {"Z_DETECTED": Z95 + Z80},
    "retraining.pauses": {"LONGEST_COOLDOWN": 7 * DAY},
    "retraining.preconditions": {"MIN_AGE_BLOCKS": 14},
    "rollout.new_versions": {"MAX_RENEWALS": 5},
    "rollout.setbacks": {"PROMOTION_SECONDS": 600},
    "rollout.decision_status": {"FIRST_SECONDS": 30},
    "slo_health.baseline": {"Z_BASELINE": Z975, "MIN_HOURS": 24, "MIN_HOURS_WEEKLY": 168, "DECIMAL_PRECISION": 35},
    "slo_health.client_errors": {"MIN_MARGIN": 0.01, "MAX_MARGIN": 0.05, "_RECENT_BLOCKS": 12},
    "slo_health.confirmation": {"CONFIRMING_EVALUATIONS": 3, "CONFIRMING_BLOCKS": 2, "CALM_HOURS": 1,
                                "CALM_BLOCKS": 12, "UNRELATED_BLOCKS": 50_000},
    "slo_health.current_level": {"MIN_BLOCKS": 3, "MIN_SHARE": 1 / 3, "MIN_GOOD": 0.01, "Z_STILL_BAD": Z99},
    "slo_health.data_quality": {"LABEL_HOURS": 24},
    "slo_health.gauge_slo": {"RECENT_BLOCKS": 4, "MIN_VALUES": 3, "MAX_VALUES": 384},
    "slo_health.label_settling": {"CHANGED_SHARE": 1.2},
    "slo_health.market_verdicts": {"WINDOWS": (12, 72, 288), "YEARS_BETWEEN_FALSE_ALARMS": 20,
                           "MIN_RATIO": 1e-6, "YEAR_SECONDS": 365 * DAY, "MAX_SHOWN_MARKETS": 3},
    "slo_health.probation": {"MIN_HOURS": 3, "MIN_BLOCKS": 36, "MAX_HOURS": 168},
    "slo_health.ratio_slo": {"CALM_SHARE": 0.9, "SPOKEN_HOURS": 24, "Z_SURELY": 3.090232},
    "slo_health.serving_skew": {"Z_APART": 3.090232, "MAX_EXPLAINED": 0.2, "_SHARE_DIGITS": 4, "RELEASE_BLOCKS": 12},
    "slo_health.visibility": {"DAY_SECONDS": DAY},
    "slo_health.drift": {"MIN_DEGREES": 20.0, "MAX_RECOVERY": 1.5, "WORTH_A_CHECK": 0.5},
    "slo_health.window_noise": {"DAY": 24, "KNOWN_HOURS": 48, "MIN_DAYS": 3},
}  # fmt: skip
RECORDS = {
    "Assessment": {"cases": 1, "is_quiet": False},
    "ConsumerBlock": {"mixed": 0, "requests": 0, "unmarked": 0},
    "ConsumerGap": {"unread": False},
    "ConsumerReading": {"block": 0},
    "_CountedBlock": {"is_warm": True},
    "ApprovalState": {"choice": 0, "held": False, "overdue": False, "silence_seconds": 0},
    "CanaryBlock": {"canary_up": True},
    "CanaryCase": {"approved": False, "forced": False, "blocks_unread": False},
    "Facts": {"pods_unhealthy": False, "stable_down": False, "canary_unhealthy": False, "node_busy": False,
              "canary_node_busy": False, "secret_missing": False, "pods": 1.0, "split_verified": True, "upstream_block_seconds": 0, "complete": True},
    "Symptoms": {"confirmation_end": 0},
    "RolloutProgress": {"completed": False, "uncounted_seconds": 0, "frozen": False, "wants_share": False, "waited_seconds": 0, "deadline": 600,
                           "unrecoverable": False, "serves": True, "stable_serves": True, "given_since": 0,
                           "committed": False},
    "Portfolio": {"products": 1, "degraded_products": 0, "namespaces": 0, "degraded_namespaces": 0, "namespaces_share": 0.0,
                  "slot": False, "slots_taken": 0, "renewing": 0},
    "Observed": {"canary_block_seconds": 60, "term": 0},
    "SloTerms": {"without_feedback": False, "is_margin_given": True, "label_lag_seconds": 0},
    "TrainingFailed": {"lost": False},
    "RetrainingTerms": {"is_cooldown_given": True},
    "MarketState": {"allowed_ratio": 0.0, "start_block": 0},
    "DiagnosisResult": {"alone": False},
    "ReleaseResponse": {"awaited_until": 0, "is_likely": False},
    "Terms": {"market_cells": 0, "names_runtime": True, "routed": True, "are_steps_given": True, "is_duration_given": True,
              "label_lifetime_seconds": 7 * DAY},
    "SloResult": {"is_fresh": False, "is_calm": False, "probation": False, "shown_blocks": 0, "needed_events": 0, "needed_blocks": 0},
    "SloEvidence": {"is_late": False, "margin": 0.0},
    "LabelPace": {"gap_seconds": 0.0},
    "AgedLabels": {"settle_seconds": 0},
    "Case": {"suspected": True},
    "SkewComparison": {"since_release": False, "undated": False},
    "Evaluation": {"training_taken_up": False, "judged": True},
    "Proposal": {"takes_up_training": False},
    "Obstacle": {"needs_person": False},
    "Applicant": {"served": 0, "challenger": False},
    "Budget": {"total": 2, "per_namespace": 1},
}  # fmt: skip
"""What isn't read isn't there, and what isn't given is a person's choice."""
PARAMETERS = {
    "canary.label_evidence.expected_label_seconds": {"correlation": 0.0, "earlier_evidence": 0.0},
    "canary.shadow_evidence.planned_shadow_seconds": {"evidence": 0.0},
    "model.terms.terms_of": {"hour_seconds": HOUR},
    "rollout.candidates.first_candidate": {"claims": True},
    "slo_health.market_verdicts.judge_markets": {"since": 0},
    "slo_health.messages.describe": {"degraded": False},
    "slo_health.drift._two_sample": {"same_hours": False},
    "slo_health.drift.drift_of": {"missed": False},
    "slo_health.ratio_slo.judge": {"missed": False},
    "slo_health.gauge_slo._unit_means": {"daily": False},
    "training_results._ended_attempt": {"failed": True},
}
"""What a call leaves out: the real hour, and nothing but what is usual."""
MODULES = {
    module.name.removeprefix("sluicegate.policy."): importlib.import_module(module.name)
    for module in pkgutil.walk_packages(policy.__path__, "sluicegate.policy.")
}


def numbers(values):
    """Return the constants that are numbers or collections of numbers."""
    plain = {name: value for name, value in values.items() if type(value) in {int, float, bool}}
    pairs = {name: value for name, value in values.items() if type(value) is tuple and value}
    return plain | {
        name: pair for name, pair in pairs.items() if all(isinstance(n, int) for n in pair)
    }


def test_thresholds_of_decisions_are_the_documented_numbers():
    found = {}
    for name, module in MODULES.items():
        own = getattr(module, "__annotations__", {}).keys() | THRESHOLDS.get(name, {}).keys()
        if one := numbers({constant: getattr(module, constant) for constant in own}):
            found[name] = {constant: pytest.approx(value) for constant, value in one.items()}
    assert found == THRESHOLDS


def test_numeric_defaults_of_policy_records_are_listed():
    classes = {
        attribute.__name__: attribute
        for module in MODULES.values()
        for attribute in vars(module).values()
        if isinstance(attribute, type)
        and is_dataclass(attribute)
        and attribute.__module__ == module.__name__
    }
    defaults = {
        name: numbers({field.name: field.default for field in fields(kind)})
        for name, kind in classes.items()
    }
    assert {name: one for name, one in defaults.items() if one} == RECORDS


def test_numeric_defaults_of_policy_functions_are_listed():
    functions = {
        f"{name}.{attribute.__name__}": inspect.signature(attribute).parameters.values()
        for name, module in MODULES.items()
        for attribute in vars(module).values()
        if inspect.isfunction(attribute) and attribute.__module__ == module.__name__
    }
    defaults = {
        name: numbers({parameter.name: parameter.default for parameter in parameters})
        for name, parameters in functions.items()
    }
    assert {name: one for name, one in defaults.items() if one} == PARAMETERS
