"""How many events have come, and how many tell a drop."""

from __future__ import annotations

import pytest
from scipy.stats import norm

from sluicegate.policy.retraining.labels import needed, since
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import BLOCK, judged_by, observed, series

TERMS = judged_by({"name": "clicks", "indicator": {"events": {}}, "maxDrop": "0.1"})
(SLO,) = TERMS.slos


@pytest.mark.parametrize(
    ("baseline", "middle"),
    [(Count(10, 100), 0.15), (Count(60, 100), 0.5), (Count(0, 0), 0.5), (None, 0.5)],
)
def test_so_many_events_find_a_drop_of_max_drop_in_four_of_five_cases(baseline, middle):
    errors = norm.ppf(0.95) + norm.ppf(0.8)
    exact = errors**2 * middle * (1 - middle) / 0.1**2
    assert exact <= needed(SLO, baseline) < exact + 1


@pytest.mark.parametrize(
    ("moment", "come"), [(0, 70), (BLOCK, 65), (BLOCK + 1, 55), (3 * BLOCK, 0), (9 * BLOCK, 0)]
)
def test_events_of_each_version_count_in_the_blocks_that_begin_after_a_moment(moment, come):
    blocks = {
        "v1": {"clicks": series((0, 5), (0, 10), (0, 15))},
        "v2": {"clicks": series((0, 40), first=3), "other": series((0, 99))},
        "v3": {},
    }
    assert since(TERMS, observed(block=3, series=blocks), "clicks", moment) == come
