"""Which release of an upstream a degraded SLO follows."""

from __future__ import annotations

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import Diagnosis
from sluicegate.policy.diagnosis.upstream_release import responses
from sluicegate.policy.model.observed import Facts, UpstreamRelease
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import BLOCK, baseline, judged_by, observed, serving
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
(ACCURATE,) = TERMS.slos
BEGIN, RELEASED = 10_000, 10_400
"""Blocks."""
FOLLOWS = "accuracy follows the release of catalog/pricing v5 (with its first traffic 2 h ago)"


def found(hours: int, earlier: str = ""):
    """What is found so many hours after a bad release."""
    series = Series()
    now = RELEASED + 12 * hours
    for index in range(BEGIN, now + 1):
        bad = 60 if index > RELEASED else 20
        series.record(Block(index, Quality.COUNTED, Count(bad, 200)))
    release = UpstreamRelease("catalog/pricing", "v5", ((RELEASED * BLOCK, 100),))
    status = serving()
    if earlier:
        diagnosis = Diagnosis(cause="UpstreamReleased", message=earlier, diagnosis_time=0)
        status = status.replace(diagnosis=diagnosis)
    read = observed(
        block=now,
        series={"v1": {"accuracy": series}},
        facts=Facts(upstream_releases=(release,)),
    )
    result = SloResult(
        ACCURATE, SloState.MISSED, Reason.BASELINE_DROPPED, baseline=baseline(ACCURATE, 100, 1000)
    )
    return responses(TERMS, status, read, result)


@pytest.mark.parametrize("hours", [2, 24, 300])
def test_an_upstream_release_is_the_cause_while_blocks_from_before_it_are_kept(hours):
    (response,) = found(hours)
    assert response.follows
    message = response.message(ACCURATE, (RELEASED + 12 * hours) * BLOCK)
    assert "90.0 % without it, 70.0 % now" in message


@pytest.mark.parametrize(
    ("earlier", "follows"),
    [(FOLLOWS, True), ("", False), (FOLLOWS.replace("v5", "v4"), False)],
    ids=["this release was the cause", "nothing was found", "another release was the cause"],
)
def test_an_upstream_release_remains_the_cause_after_the_blocks_before_it_expired(earlier, follows):
    releases = found(400, earlier)
    assert [each.message(ACCURATE, 0) for each in releases] == ([FOLLOWS] if follows else [])
