"""Reasons for which an SLO isn't judged, in their order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.policy.slo_health.data_quality import SloInput, data_problem, labels_are_due
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import judged_by
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY


def test_a_version_without_series_warms_up_first_and_then_has_no_data():
    """Blocks of the length of stable are read only from its promotion on."""
    (slo,) = judged_by(ACCURACY).slos
    promoted = SloInput(
        slo, None, version_has_series=False, now=12, since=12, problem=None, version="v2",
        settles=0, warm_up_end=12, labels_due=False,
    )  # fmt: skip
    assert data_problem(promoted) is Reason.WARMING_UP
    assert data_problem(replace(promoted, now=13)) is Reason.NO_DATA


DAY = 24 * 12
"""Blocks."""


@pytest.mark.parametrize(
    ("sentence", "first", "last", "reason"),
    [
        ("requests, and no label for a day", 20, 2 * DAY, Reason.NO_LABELS),
        ("requests of an hour, whose labels aren't due", 2 * DAY - 12, 2 * DAY, Reason.NO_TRAFFIC),
        ("requests ended longer ago than is kept", 20, 30, Reason.NO_TRAFFIC),
    ],
)
def test_a_version_lacks_labels_only_if_it_had_requests_a_day_ago(sentence, first, last, reason):
    """Counts are kept for two weeks, so those of a version without traffic are forgotten."""
    terms = judged_by(AVAILABILITY, ACCURACY)
    now = 2 * DAY if last > DAY else 20 * DAY
    requests, labels = Series(), Series()
    for index in (first, last):
        requests.record(Block(index, Quality.COUNTED, Count(0, 100)))
    for series in (requests, labels):
        series.record(Block(now, Quality.COUNTED, Count(0, 0)))
    slo = next(slo for slo in terms.slos if slo.name == "accuracy")
    rows = {"availability": requests, "accuracy": labels}
    view = SloInput(
        slo, labels, version_has_series=True, now=now, since=12, problem=None, version="v1",
        settles=0, warm_up_end=12,
        labels_due=labels_are_due(terms, slo, rows, since=12, now=now),
    )  # fmt: skip
    assert data_problem(view) is reason, sentence
