"""Labels that come slowly: how fast, how long a rollout waits for them, and what is let through."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.label_pace import planned_seconds, weekly_pace
from sluicegate.policy.canary.rollout_defaults import derive_rollout
from sluicegate.stats.paired import Pairs
from tests.support.decisions.judged import BLOCK, judged_by, observed, series
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

DAY = 86_400 // BLOCK
HOUR = 3600
LEFT_OUT = judged_by(AVAILABILITY, ACCURACY, rollout=None)
SLO = LEFT_OUT.slos[1]


def batches(labels: int, days: int = 7):
    """Return one batch of labels a day, a tenth of them bad, beside requests in each block."""
    counts = [(labels // 10, labels) if index % DAY == 0 else (0, 0) for index in range(DAY * days)]
    requests = [(0, 600)] * len(counts)
    return observed(
        block=len(counts), series={"v1": {"accuracy": series(*counts), "availability": series(*requests)}}
    )  # fmt: skip


def test_the_label_rate_of_daily_batches_is_the_average_over_the_week():
    pace = weekly_pace(LEFT_OUT, batches(480), "accuracy")
    assert pace.per_second * 86_400 == pytest.approx(480, rel=0.01)
    assert pace.ratio == pytest.approx(0.1)
    assert pace.gap_seconds == 23 * HOUR


def test_labels_in_every_hour_have_no_gap_and_a_product_without_labels_has_no_label_rate():
    steady = series(*[(1, 10)] * 600)
    assert weekly_pace(LEFT_OUT, observed(block=600, series={"v1": {"accuracy": steady}}), "accuracy").gap_seconds == 0  # fmt: skip
    assert weekly_pace(LEFT_OUT, batches(0), "accuracy") is None


def test_the_label_rate_of_a_young_product_is_computed_from_its_existing_blocks():
    young = series(*[(1, 10)] * 48, first=5 * DAY + 1)
    pace = weekly_pace(LEFT_OUT, observed(block=5 * DAY + 48, series={"v1": {"accuracy": young}}), "accuracy")  # fmt: skip
    assert pace.per_second * BLOCK == pytest.approx(10)


def test_a_rollout_lasts_until_slow_labels_arrived():
    few, many = (
        derive_rollout(LEFT_OUT, batches(20_000)),
        derive_rollout(LEFT_OUT, batches(2_000_000)),
    )
    assert few.max_duration_seconds > 24 * HOUR, "a batch a day, and more than one is needed"
    assert "labels of accuracy a day" in few.message
    assert few.max_duration_seconds > many.max_duration_seconds >= 4 * HOUR
    assert derive_rollout(LEFT_OUT, batches(48)).max_duration_seconds == 14 * 86_400


def requests_and_labels(requests: tuple[int, int], labels: tuple[int, int] = (0, 0)):
    """Return a week in which each block has these bad requests of all, and labels."""
    counted = {"availability": series(*[requests] * DAY * 7)}
    if labels[1]:
        counted["accuracy"] = series(*[labels] * DAY * 7)
    return observed(block=DAY * 7, series={"v1": counted})


def test_a_rollout_without_labels_lasts_until_few_requests_gave_evidence():
    few, many = (
        derive_rollout(LEFT_OUT, requests_and_labels(requests)) for requests in ((0, 5), (0, 6000))
    )
    assert few.max_duration_seconds > 10 * 24 * HOUR
    assert "as 1 requests a minute come, with which an equal candidate takes" in few.message
    assert few.message.endswith("by availability")
    assert many.max_duration_seconds == 4 * HOUR


def test_a_duration_for_labels_also_lasts_until_the_requests_that_it_requires_gave_evidence():
    """Requests that need 4.2 days are required within ten days, and have three times their mean."""
    by_labels = derive_rollout(LEFT_OUT, requests_and_labels((0, 20), (1, 10)))
    by_requests = derive_rollout(LEFT_OUT, requests_and_labels((0, 5), (1, 10)))
    assert "labels of accuracy" in by_labels.message
    assert by_requests.message.endswith("by availability")
    assert by_requests.max_duration_seconds > by_labels.max_duration_seconds


def test_requests_that_are_not_required_do_not_lengthen_a_rollout():
    slow = derive_rollout(LEFT_OUT, requests_and_labels((1, 60), (1, 10)))
    assert "labels of accuracy" in slow.message, "requests need 22 days, labels 3"


def test_rows_scored_by_both_versions_shorten_the_default_rollout_duration():
    observed = batches(20_000)
    rows = {"accuracy": Pairs(1700, 60, 60, 180)}
    with_rows = derive_rollout(LEFT_OUT, observed, rows).max_duration_seconds
    assert with_rows < derive_rollout(LEFT_OUT, observed).max_duration_seconds


def test_slow_labels_are_collected_at_the_largest_share_if_requests_give_evidence_earlier():
    pace = weekly_pace(LEFT_OUT, batches(20_000), "accuracy")
    beside = planned_seconds(LEFT_OUT, SLO, pace, margin=SLO.margin, evidence=0)
    accuracy_alone = judged_by(ACCURACY, rollout=None)
    alone = planned_seconds(accuracy_alone, SLO, pace, margin=SLO.margin, evidence=0)
    assert beside - pace.gap_seconds < (alone - pace.gap_seconds) / 2
