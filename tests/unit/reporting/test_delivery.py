"""How new versions reach users, by DORA's five; and a period cut by version."""

from __future__ import annotations

import pytest

from sluicegate.api.review import ReviewDecision, ReviewVersion
from sluicegate.reporting.delivery import Delivery, delivery_of
from sluicegate.reporting.facts import facts_of
from sluicegate.reporting.summary import decisions_of
from sluicegate.reporting.words import delivery_rows
from sluicegate.reviews.segments import segments_of
from tests.support.decisions.reviewed import sealed_month

HOUR, DAY = 3600, 86_400
NOVEMBER = sealed_month(11, wrong=0.1)
BEGIN = NOVEMBER.spec.period.start


def review(decisions, versions=()):
    """November with these decisions (hours, type, reason) and versions (name, from, until, outcome)."""
    made = tuple(
        ReviewDecision(decision_time=BEGIN + int(hour * HOUR), type=kind, reason=reason)
        for hour, kind, reason in decisions
    )
    served = tuple(
        ReviewVersion(
            version=name,
            promotion_time=BEGIN + int(begin * HOUR),
            end_time=None if end is None else BEGIN + int(end * HOUR),
            outcome=fate,
        )
        for name, begin, end, fate in versions
    )
    status = NOVEMBER.status.model_copy(update={"decisions": made, "versions": served})
    return NOVEMBER.model_copy(update={"status": status})


def test_a_period_without_promotions_has_no_delivery_metrics():
    found = delivery_of(review([(1, "Alert", "BudgetBurning")]))
    assert found == Delivery()
    assert [value for _, value in delivery_rows(found)] == ["0 in the period, 0 a week", *["–"] * 5]


def test_the_lead_time_begins_with_the_trigger_of_the_promoted_version():
    found = delivery_of(
        review(
            [
                (1, "Retrain", "ModelDecay"),
                (2, "Inconclusive", "MaxDuration"),
                (10, "StartRollout", "ModelChanged"),
                (11, "Advance", "CanaryNotWorse"),
                (14, "Promote", "CanaryNotWorse"),
                (20, "Retrain", "ModelDecay"),
                (22, "StartRollout", "GatePassed"),
                (26, "Promote", "CanaryNotWorse"),
            ]
        )
    )
    assert (found.promotions, found.lead_seconds) == (2, 5 * HOUR)
    assert found.per_week == pytest.approx(2 * 7 / 30)
    assert found.reworked == 1, "a commit is planned; a decayed model isn't"


def test_a_promotion_that_was_rolled_back_is_a_failed_change_and_the_next_one_is_rework():
    found = delivery_of(
        review(
            [
                (1, "StartRollout", "ModelChanged"),
                (5, "Promote", "CanaryNotWorse"),
                (8, "Rollback", "ProbationFailed"),
                (9, "StartRollout", "ModelChanged"),
                (12, "Promote", "CanaryNotWorse"),
            ],
            [
                ("v1", -100, 5, "Replaced"),
                ("v2", 5, 8, "RolledBack"),
                ("v3", 12, None, ""),
            ],
        )
    )
    assert (found.failed, found.recovery_seconds, found.reworked) == (1, 3 * HOUR, 1)
    told = dict(delivery_rows(found))
    assert told["Change-fail rate"] == "1 of 2 rolled back after the promotion"
    assert told["Recovery time"].startswith("median 3 h from such a promotion")


def test_a_challenger_is_counted_separately_with_the_lead_time_of_its_own_training():
    found = delivery_of(
        review(
            [
                (1, "Retrain", "Scheduled"),
                (20, "Retrain", "Scheduled"),
                (22, "StartRollout", "GatePassed"),
                (26, "Promote", "CanaryNotWorse"),
                (40, "Retrain", "Scheduled"),
                (60, "Retrain", "ModelDecay"),
                (61, "StartRollout", "GatePassed"),
                (64, "Promote", "CanaryNotWorse"),
            ]
        )
    )
    assert (found.promotions, found.challengers, found.reworked) == (2, 1, 1)
    assert found.lead_seconds == (6 + 4) / 2 * HOUR
    assert (
        dict(delivery_rows(found))["Challengers"]
        == "1 of 2 trained although no service level was missed"
    )


def test_a_candidate_that_was_never_promoted_fails_no_deployment():
    found = delivery_of(
        review([(1, "StartRollout", "ModelChanged"), (2, "Rollback", "CanaryWorse")])
    )
    assert (found.promotions, found.failed) == (0, 0)


def test_a_month_with_two_versions_is_split_by_the_whole_days_that_each_served_alone():
    made = review([], [("v1", -100, 10.5 * 24, "Replaced"), ("v2", 10.5 * 24, None, "")])
    first, second = segments_of(made)
    assert (first.version, first.first, first.last) == ("v1", "2026-11-01", "2026-11-10")
    assert (second.version, second.first, second.last) == ("v2", "2026-11-12", "2026-11-30")
    days = [day for day in NOVEMBER.status.days if day.date != "2026-11-11"]
    accuracy = sum(slo.total for day in days for slo in day.slos if slo.name == "accuracy")
    assert first.slos["accuracy"].total + second.slos["accuracy"].total == accuracy
    assert facts_of(made, None).segments == (first, second)
    assert segments_of(review([], [("v1", -100, None, "")])) == ()


def test_a_job_that_ended_before_its_fit_counts_as_no_retraining_of_the_period():
    decisions, causes = decisions_of(
        review(
            [
                (1, "Retrain", "ModelDecay"),
                (2, "Alert", "ScoredAsAccepted"),
                (3, "Retrain", "ModelDecay"),
                (4, "Retrain", "Requested"),
            ]
        )
    )
    assert decisions["Retrain"] == 2
    assert causes == {"ModelDecay": 1, "Requested": 1}
