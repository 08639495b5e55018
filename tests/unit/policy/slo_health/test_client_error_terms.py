"""By how much more requests a candidate may refuse than stable."""

from __future__ import annotations

import pytest

from sluicegate.policy.slo_health.client_errors import client_errors
from sluicegate.stats.paired import Pairs
from tests.support.decisions.judged import judged_by

AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"}
LATENCY = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.96",
}
ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.06"}
CLICKS = {"name": "clicks", "indicator": {"events": {}}, "maxDrop": "0.04"}
IGNORED = {**CLICKS, "onDegraded": "Ignore"}
FEW = {"accuracy": Pairs(300, 40, 30, 30)}
"""A hold-out on which a margin of 6 points is all that its rows can show."""


@pytest.mark.parametrize(
    ("slos", "pairs", "margin"),
    [
        ([AVAILABILITY], {}, 0.01),
        ([{**AVAILABILITY, "objective": "0.97"}, ACCURACY, LATENCY], FEW, 0.03),
        ([{**AVAILABILITY, "objective": "0.80"}], {}, 0.05),
        ([ACCURACY], {}, 0.03),
        ([{**ACCURACY, "maxDrop": "0.01"}], {}, 0.01),
        ([{**ACCURACY, "maxDrop": "0.08"}, CLICKS, LATENCY], {}, 0.02),
        ([ACCURACY, IGNORED], {}, 0.03),
        ([LATENCY], {}, 0.01),
        ([ACCURACY], FEW, 0.05),
        ([{**ACCURACY, "maxRegression": "0.02"}], FEW, 0.02),
        ([], {}, 0.01),
    ],
    ids=[
        "as many as may fail, and a point at least",
        "as many as may fail, whatever the other SLOs allow",
        "five points at most",
        "without an availability as many as may be answered worse",
        "a point at least",
        "the smallest margin of the SLOs about the answers",
        "an SLO that is ignored allows nothing",
        "a latency says nothing of answers",
        "as many as the hold-out's rows let the answers be worse, five points at most",
        "as many as a person chose, whatever the rows",
        "a point without any SLO",
    ],
)
def test_the_client_error_margin_limits_how_many_more_requests_a_candidate_may_refuse(
    slos, pairs, margin
):
    terms = client_errors(judged_by(*slos), pairs)
    assert terms.margin == pytest.approx(margin)
