"""How many events have come, and how many suffice to show a drop."""

from __future__ import annotations

import pytest
from scipy.stats import norm

from sluicegate.policy.retraining.labels import events_since, needed_events
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import BLOCK, judged_by, observed, series

TERMS = judged_by({"name": "clicks", "indicator": {"events": {}}, "maxDrop": "0.1"})
(SLO,) = TERMS.slos


@pytest.mark.parametrize(
    ("baseline", "middle"),
    [(Count(10, 100), 0.15), (Count(60, 100), 0.5), (Count(0, 0), 0.5), (None, 0.5)],
)
def test_the_needed_events_detect_a_drop_of_max_drop_with_a_power_of_80_percent(baseline, middle):
    errors = norm.ppf(0.95) + norm.ppf(0.8)
    exact = errors**2 * middle * (1 - middle) / 0.1**2
    assert exact <= needed_events(SLO, baseline) < exact + 1


@pytest.mark.parametrize(
    ("moment", "come"),
    [(0, 70), (BLOCK, 65), (BLOCK + 15, 65), (2 * BLOCK - 1, 65), (3 * BLOCK, 0), (9 * BLOCK, 0)],
)
def test_label_events_of_each_version_are_summed_over_blocks_ending_after_a_given_time(
    moment, come
):
    blocks = {
        "v1": {"clicks": series((0, 5), (0, 10), (0, 15))},
        "v2": {"clicks": series((0, 40), first=3), "other": series((0, 99))},
        "v3": {},
    }
    assert events_since(TERMS, observed(block=3, series=blocks), "clicks", moment) == come


DAY = 86_400


@pytest.mark.parametrize("seconds", [60, 300])
@pytest.mark.parametrize("days", [1, 2, 10, 20])
def test_a_retraining_period_in_labels_may_exceed_the_retention_of_sums(seconds, days):
    """2,880 labels a day in blocks of 300 s, and as many in blocks of 60 s, for thirty days."""
    a_day = DAY // seconds
    blocks, rate = Series(), 2_880 // a_day
    for index in range(1, 30 * a_day + 1):
        blocks.record(Block(index, Quality.COUNTED, Count(0, rate)))
    terms = judged_by(
        {"name": "clicks", "indicator": {"events": {}}, "maxDrop": "0.1"},
        analysis={"blockSeconds": seconds},
    )
    seen = observed(block=30 * a_day, series={"v1": {"clicks": blocks}})
    come = events_since(terms, seen, "clicks", (30 - days) * DAY)
    assert come == pytest.approx(2_880 * days, rel=0.02)


def test_the_label_rate_of_a_version_starts_at_its_first_event():
    blocks = Series()
    for index in range(9_000, 9_013):
        blocks.record(Block(index, Quality.COUNTED, Count(0, 5)))
    seen = observed(block=9_012, series={"v1": {"clicks": blocks}})
    assert events_since(TERMS, seen, "clicks", 0) == 65
