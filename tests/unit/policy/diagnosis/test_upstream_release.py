"""Which release of an upstream a degraded SLO follows."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import SloRecord, Streak, TimeInterval
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import Diagnosis
from sluicegate.policy.diagnosis.upstream_release import responses
from sluicegate.policy.model.decision import alert_key
from sluicegate.policy.model.excluded_blocks import BEFORE_BLOCKS, exclude_blocks
from sluicegate.policy.model.observed import Facts, UpstreamRelease
from sluicegate.policy.retraining.preconditions import trigger_for
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from sluicegate.stats.share_response import FIXED_DELAYS
from tests.support.decisions.judged import BLOCK, baseline, judged_by, observed, serving
from tests.support.decisions.scenarios import ACCURACY

TERMS = judged_by(ACCURACY)
(ACCURATE,) = TERMS.slos
BEGIN, RELEASED = 10_000, 10_400
"""Blocks."""
QUIET = 4
"""Blocks between a disturbance and the release."""
FOLLOWS = "accuracy follows the release of catalog/pricing v5 (with its first traffic 2 h ago)"


def found(hours: int, earlier: str = "", *, bad_before: int = 0, silent_before: int = 0):
    """Return the diagnosis `hours` hours after a bad release.

    `bad_before` are blocks before it that another cause disturbed, up to four blocks before it;
    `silent_before` are those without events.
    """
    series = Series()
    now = RELEASED + 12 * hours
    for index in range(BEGIN, now + 1):
        disturbed = RELEASED - bad_before < index <= RELEASED - QUIET
        bad = 60 if index > RELEASED or disturbed else 20
        is_silent = RELEASED - silent_before < index <= RELEASED
        count = Count(0, 0) if is_silent else Count(bad, 200)
        series.record(Block(index, Quality.COUNTED, count))
    release = UpstreamRelease("catalog/pricing", "v5", ((RELEASED * BLOCK, 100),))
    status = serving()
    if bad_before:
        begin = (RELEASED - bad_before - BEFORE_BLOCKS) * BLOCK
        end = (RELEASED - QUIET) * BLOCK
        record = SloRecord(ignored_intervals=(TimeInterval(begin=begin, end=end),))
        status = status.with_engine(slos={"accuracy": record})
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


def undecided(
    *,
    share_at: int = RELEASED,
    worse_from: int = RELEASED,
    worse: int = 0,
    named_by: str = "",
    version: str = "v5",
    missed_from: int = RELEASED + 22,
    hours: int = 2,
    silent_at: int = 0,
):
    """Return the response of an SLO with few events, confirmed two hours after its estimated drop.

    Parameters
    ----------
    share_at : block of the release's first share. worse_from : block from which more of ten events are bad.
    worse : how many more; every second one is bad before.
    named_by : diagnosis, alert or blocks that were left out, by which the release was the cause at an earlier
        evaluation; empty if it wasn't.
    version : of the release that the diagnosis is about. missed_from : block that begins the degradation.
    hours : since the release. silent_at : block without an event.
    """
    series, now = Series(), RELEASED + 12 * hours
    for index in range(BEGIN, now + 1):
        bad = index % 2 + (worse if index > worse_from else 0)
        count = Count(0, 0) if index == silent_at else Count(bad, 10)
        series.record(Block(index, Quality.COUNTED, count))
    streak = Streak(first=missed_from, last=now, evaluations=3, fresh=3)
    status = serving().with_engine(slos={"accuracy": SloRecord(streak=streak, degraded=True)})
    if named_by == "diagnosis":
        message = FOLLOWS.replace("v5", version)
        diagnosis = Diagnosis(cause="UpstreamReleased", message=message, diagnosis_time=0)
        status = status.replace(diagnosis=diagnosis)
    elif named_by == "alert":
        alert = alert_key(Reason.UPSTREAM_RELEASED, trigger_for(TERMS, status, "accuracy"))
        status = status.with_engine(emitted_alerts=(alert,))
    elif named_by == "blocks":
        begin, end = RELEASED + 1 - BEFORE_BLOCKS, RELEASED + 6
        record = exclude_blocks(status.engine.slo("accuracy"), begin, end, BLOCK)
        status = status.with_engine(slos={"accuracy": record})
    release = UpstreamRelease("catalog/pricing", "v5", ((share_at * BLOCK, 100),))
    read = observed(
        block=now, series={"v1": {"accuracy": series}}, facts=Facts(upstream_releases=(release,))
    )
    result = SloResult(
        ACCURATE, SloState.MISSED, Reason.BASELINE_DROPPED, baseline=baseline(ACCURATE, 100, 1000),
        drift=Drift(20.0, 12.5, decides=True, change_block=RELEASED),
    )  # fmt: skip
    (response,) = responses(TERMS, status, read, result)
    return response


def test_a_drop_that_begins_with_a_release_waits_half_as_long_as_its_detection_took():
    response = undecided()
    assert not response.follows
    assert response.awaited_until == (RELEASED + 24 + 12) * BLOCK
    message = response.message(ACCURATE, (RELEASED + 24) * BLOCK)
    assert message.startswith("whether accuracy follows the release of catalog/pricing v5")
    assert message.endswith("is not decided yet")


def test_a_drop_at_another_moment_than_a_release_waits_for_no_more_blocks():
    assert undecided(share_at=RELEASED - 48).awaited_until == 0


def test_a_change_without_the_release_is_decided_without_more_blocks():
    decay = undecided(worse=8, worse_from=RELEASED + 18, hours=3)
    assert decay.own
    assert decay.awaited_until == 0


def test_a_change_larger_than_the_traffic_explains_is_decided_before_it_lasts():
    decay = undecided(worse=8, worse_from=RELEASED + 18)
    assert (decay.follows, decay.own, decay.awaited_until) == (False, True, 0)


def test_a_change_by_itself_beside_a_release_is_awaited_until_it_lasts_longer_than_labels_take():
    decay = undecided(worse=8, worse_from=RELEASED + 18, silent_at=RELEASED + 12)
    assert (decay.follows, decay.own) == (False, False)
    assert decay.awaited_until == (RELEASED + 18 + 2 * FIXED_DELAYS[-1]) * BLOCK


@pytest.mark.parametrize(
    ("named_by", "version", "follows"),
    [
        ("diagnosis", "v5", True),
        ("alert", "v5", True),
        ("blocks", "v5", True),
        ("diagnosis", "v4", False),
        ("", "v5", False),
    ],
    ids=[
        "by its diagnosis",
        "by its alert",
        "by blocks left out since then",
        "another release",
        "not named",
    ],
)
def test_a_release_that_was_the_cause_remains_it_at_evidence_that_does_not_show_it_again(
    named_by, version, follows
):
    response = undecided(worse=1, worse_from=RELEASED + 16, named_by=named_by, version=version)
    assert response.response.follows < 5.0
    assert response.follows == follows


def test_a_release_that_remains_the_cause_is_not_called_undecided():
    response = undecided(worse=3, worse_from=RELEASED + 15, named_by="diagnosis", hours=2)
    assert response.follows
    assert "is not decided yet" not in response.message(ACCURATE, (RELEASED + 24) * BLOCK)


@pytest.mark.parametrize("named_by", ["diagnosis", "alert"])
def test_a_release_is_no_longer_the_cause_once_the_slo_is_shown_to_change_without_it(named_by):
    response = undecided(worse=3, worse_from=RELEASED + 18, named_by=named_by, hours=4)
    assert (response.follows, response.own) == (False, True)


def test_an_alert_does_not_name_a_release_that_begins_after_the_degradation():
    drop = {"worse": 1, "worse_from": RELEASED + 16, "named_by": "alert"}
    assert not undecided(**drop, missed_from=RELEASED - 1).follows


@pytest.mark.parametrize("bad_before", [20, 200])
def test_blocks_that_another_cause_disturbed_before_a_release_are_no_level_without_it(bad_before):
    (response,) = found(2, bad_before=bad_before)
    assert response.follows
    assert "90.0 % without it, 70.0 % now" in response.message(ACCURATE, (RELEASED + 24) * BLOCK)


def test_hours_without_traffic_before_a_release_are_replaced_by_those_before_them():
    (response,) = found(2, silent_before=100)
    assert response.follows
    assert "90.0 % without it, 70.0 % now" in response.message(ACCURATE, (RELEASED + 24) * BLOCK)


@pytest.mark.parametrize(
    ("earlier", "follows"),
    [(FOLLOWS, True), ("", False), (FOLLOWS.replace("v5", "v4"), False)],
    ids=["this release was the cause", "nothing was found", "another release was the cause"],
)
def test_an_upstream_release_remains_the_cause_after_the_blocks_before_it_expired(earlier, follows):
    releases = found(400, earlier)
    assert [each.message(ACCURATE, 0) for each in releases] == ([FOLLOWS] if follows else [])
