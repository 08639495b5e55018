"""Counts of young labels as they will be once all labels are there."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.slo_evidence import AgedLabels
from sluicegate.stats.counts import Count
from sluicegate.stats.late_labels import OddsRatio, odds_ratio

BEFORE = Count(600, 3000)
"""Stable's labels before the rollout: 20 % are wrong."""
YOUNG = (Count(120, 2400), Count(80, 2500))
"""Compared labels of candidate and stable; few of the wrong ones are known."""


@pytest.mark.parametrize("wrong", [0.1, 0.2, 0.3, 0.5])
def test_the_candidates_share_follows_stables_by_the_odds_ratio(wrong):
    ratio = OddsRatio(odds_ratio(0.2, wrong - 0.2), 40.0)
    labels = AgedLabels(3, BEFORE, another_kind=True, ratio=ratio)
    candidate, stable = labels.with_all_labels(*YOUNG)
    assert candidate.bad / candidate.total == pytest.approx(wrong, abs=0.01)
    assert stable.bad / stable.total == pytest.approx(0.2, abs=0.01)


def test_the_estimated_counts_have_the_variance_of_the_odds_ratio():
    labels = AgedLabels(3, BEFORE, another_kind=True, ratio=OddsRatio(1.5, 40.0))
    counts = labels.with_all_labels(*YOUNG)
    variance = sum(1 / count.bad + 1 / (count.total - count.bad) for count in counts)
    assert variance == pytest.approx(1 / 40, rel=0.05)


@pytest.mark.parametrize(
    "labels",
    [
        AgedLabels(3, BEFORE, another_kind=False, ratio=OddsRatio(1.5, 40.0)),
        AgedLabels(3, BEFORE, another_kind=True, ratio=None),
        AgedLabels(3, Count(0, 0), another_kind=True, ratio=OddsRatio(1.5, 40.0)),
    ],
    ids=["of the same kind", "without information", "nothing known before"],
)
def test_labels_are_counted_unchanged_where_no_missing_label_is_estimated(labels):
    assert labels.with_all_labels(*YOUNG) == YOUNG


def test_the_oldest_age_class_of_labels_is_unbounded():
    oldest = [AgedLabels(classes, BEFORE, False, None).seconds for classes in (1, 6, 7)]
    assert oldest == [30, 259_200, None]
