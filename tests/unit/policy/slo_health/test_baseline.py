"""Which baseline counts, and what it may decide."""

from __future__ import annotations

import pytest

from sluicegate.api.baseline import BaselineSource
from sluicegate.policy.slo_health.baseline import decides, from_evaluation, usable
from sluicegate.policy.slo_health.ratio_slo import blocks_shown
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import baseline, judged_by
from tests.support.decisions.scenarios import ACCURACY

(SLO,) = judged_by({**ACCURACY, "objective": "0.9"}).slos


@pytest.mark.parametrize(
    ("counted", "counts"), [(SLO.indicator_hash, True), ("", True), ("another", False)]
)
def test_a_baseline_counts_that_was_counted_by_the_same_indicator(counted, counts):
    """Before indicators were hashed, none was noted."""
    known = baseline(SLO, 10, 100, indicator_hash=counted)
    assert usable(known, SLO) == (known if counts else None)
    assert usable(None, SLO) is None


def test_a_hold_out_without_rows_is_no_baseline():
    found = from_evaluation({"accuracy": Count(0, 0), "gone": Count(1, 10)}, (SLO,), 0)
    assert found == {}


@pytest.mark.parametrize(
    ("total", "source", "may"),
    [
        (25, BaselineSource.EVALUATION, True),
        (24, BaselineSource.EVALUATION, False),
        (1, BaselineSource.PRODUCTION, True),
    ],
)
def test_a_hold_out_decides_that_is_large_enough_to_show_the_objective(total, source, may):
    """Wilson's upper bound of none bad in n is 1.645²/(n + 1.645²): below .1 from 25 events on."""
    assert decides(baseline(SLO, 0, total).replace(source=source), SLO) is may


@pytest.mark.parametrize(("age", "shown"), [(0, 1), (1, 1), (2, 2), (24, 24), (25, 24)])
def test_of_a_young_version_fewer_blocks_are_shown_and_never_none(age, shown):
    assert blocks_shown(SLO, 100, 100 - age) == shown
