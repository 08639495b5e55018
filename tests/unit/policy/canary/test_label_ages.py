"""Counts of young labels as they will be once all labels are there."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.assessment import AgedLabels
from sluicegate.stats.counts import Count

BEFORE = Count(600, 3000)
"""Stable's labels before the rollout: 20 % are wrong."""


@pytest.mark.parametrize(
    ("of_wrong", "of_right"),
    [(0.3, 1.0), (1.0, 0.2)],
    ids=["wrong answers known later", "right answers known later"],
)
def test_young_labels_of_one_kind_are_scaled_to_all_labels(of_wrong, of_right):
    def young(wrong: float) -> Count:
        bad, good = 10_000 * wrong * of_wrong, 10_000 * (1 - wrong) * of_right
        return Count(round(bad), round(bad + good))

    labels = AgedLabels(3, BEFORE)
    candidate, stable = labels.with_all_labels(young(0.3), young(0.2))
    assert candidate.bad / candidate.total == pytest.approx(0.3, abs=0.01)
    assert stable.bad / stable.total == pytest.approx(0.2, abs=0.01)
    for estimate, wrong in ((candidate, 0.3), (stable, 0.2)):
        share = young(wrong).bad / young(wrong).total
        information = young(wrong).total * share * (1 - share)
        ratio = estimate.bad / estimate.total
        assert estimate.total * ratio * (1 - ratio) == pytest.approx(information, rel=0.01)


@pytest.mark.parametrize(
    "stable", [Count(40, 200), Count(30, 200), Count(0, 0)], ids=["equal", "by chance", "none"]
)
def test_labels_that_may_be_of_the_same_kind_are_counted_as_they_are(stable):
    counts = AgedLabels(3, BEFORE).with_all_labels(Count(50, 200), stable)
    assert counts == (Count(50, 200), stable)


def test_without_a_wrong_answer_before_the_rollout_nothing_is_estimated():
    counts = AgedLabels(3, Count(0, 3000)).with_all_labels(Count(9, 20), Count(9, 20))
    assert counts == (Count(9, 20), Count(9, 20))


def test_the_oldest_class_has_no_greatest_age():
    assert [AgedLabels(classes, BEFORE).seconds for classes in (1, 6, 7)] == [30, 259_200, None]
