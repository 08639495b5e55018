"""The means of a gauge: what is kept of them, and for how long."""

from __future__ import annotations

from sluicegate.slo.means import Means

# Promised, so written as numbers here.
DAYS_OF_HOURS = 14 * 24


def test_an_hour_that_is_read_late_replaces_none_that_is_kept():
    """Both have one place: hours are kept for fourteen days."""
    means = Means([(12 * 1000 + 1, 7.0)])
    means.record_sum(900, 5.0)
    means.record_sum(900 - DAYS_OF_HOURS, 9.0)
    assert means.of_sum(900).mean == 5.0
    assert not means.of_sum(900 - DAYS_OF_HOURS).blocks
