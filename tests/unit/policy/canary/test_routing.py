"""A split that isn't the one that was asked for: seen in the gateway's counts, else in the pods'."""

from __future__ import annotations

import pytest

from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.slo.blocks import Quality
from tests.support.decisions.judged import (
    CANARY,
    START,
    candidate,
    judged_by,
    observed,
    readings,
    serving,
)

AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.5"}
ROUTE = {"parentRefs": [{"name": "web", "namespace": "gateway"}]}


def mismatch(pods: tuple[int, int], sent: list[tuple[int, int] | None], weight: int = 25):
    """Return the wrong share that is reported of a canary.

    Counts a block are of (candidate, stable).
    """
    terms = judged_by(AVAILABILITY, rollout={"steps": [weight]}, route=ROUTE)
    ours, theirs = (readings({"availability": (0, total)}) for total in pods)
    blocks = [
        CanaryBlock(START + CANARY * number, Quality.COUNTED, theirs, ours, sent=one)
        for number, one in enumerate(sent, start=4)
    ]
    return assess(terms, serving(), candidate(weight), observed(blocks)).contradicting_share


@pytest.mark.parametrize(
    ("pods", "sent", "told"),
    [
        ((25, 75), [(25, 75)] * 5, None),
        ((10, 90), [None] * 5, None),
        ((10, 90), [(25, 75)] * 5, None),
        ((25, 75), [(10, 90)] * 5, 0.1),
        ((0, 100), [(25, 75)] * 5, None),
        ((25, 75), [(0, 100)] * 5, 0.0),
        ((25, 75), [(60, 40)] * 5, 0.6),
        ((25, 75), [(0, 10)] * 5, None),
        ((25, 75), [(10, 90)] * 4, None),
        ((25, 75), [(10, 90)] * 4 + [(20, 80)], None),
        ((25, 75), [(10, 90)] * 4 + [None], None),
        ((25, 75), [(10, 90)] * 4 + [(0, 0)], None),
        ((25, 75), [(0, 0)] * 5, None),
        ((25, 75), [(0, 16)] * 5, 0.0),
        ((25, 75), [(125, 875), (500, 500)] * 3, None),
        ((25, 75), [(125, 876)] * 5, 125 / 1001),
        ((25, 75), [(500, 499)] * 5, 500 / 999),
    ],
    ids=[
        "as asked", "small by the pods", "callers past the gateway", "too small", "only in the gateway",
        "none", "too many", "too few to tell", "too few blocks", "not in each", "one unknown",
        "one without any", "none came", "twenty were expected", "the half and twice",
        "less than the half", "more than twice",
    ],
)  # fmt: skip
def test_a_share_of_the_gateways_requests_is_within_half_and_twice_the_weight(pods, sent, told):
    assert mismatch(pods, sent) == (None if told is None else pytest.approx(told))
