"""A version that was just promoted: when it is compared with the one before, and when no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.engine import SloRecord, Streak
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.slo_status import SloState
from sluicegate.api.versions import Probation
from sluicegate.policy.slo_health import probation
from sluicegate.policy.slo_health.client_errors import client_errors, judge_client_errors
from sluicegate.policy.slo_health.evaluate_slos import judge_stable
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import baseline, judged_by, observed, series, serving, stable
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

TERMS = judged_by(AVAILABILITY, ACCURACY)
SLO = TERMS.slos[1]
HELD = baseline(SLO, 500, 5000)
GOOD, WORSE = [(60, 600)], [(300, 600)]
SINCE = 2
"""Blocks of warm-up after a promotion at second 0."""
LEAST, MOST = 36, 2016
"""Three hours, and a week, of blocks of five minutes."""


# ---- the verdict ----------------------------------------------------------------------------
def judged(result: SloResult, counts) -> SloResult:
    return probation.judge(result, series(*counts), HELD, now=len(counts), since=SINCE)


@pytest.mark.parametrize(
    ("state", "reason", "back"),
    [
        (SloState.MET, Reason.WITHIN_OBJECTIVE, True),
        (SloState.AT_RISK, Reason.BUDGET_BURNING, True),
        (SloState.UNKNOWN, Reason.INSUFFICIENT_DATA, True),
        (SloState.UNKNOWN, Reason.LOW_COVERAGE, False),
        (SloState.UNKNOWN, Reason.NO_DATA, False),
        (SloState.UNKNOWN, Reason.PROMETHEUS_UNAVAILABLE, False),
    ],
)
def test_an_unmeasured_slo_does_not_fail_the_probation(state, reason, back):
    result = judged(SloResult(SLO, state, reason), WORSE * 60)
    assert (result.state is SloState.MISSED) is back
    assert result.probation is back
    assert result.reason is (Reason.BASELINE_DROPPED if back else reason)


@pytest.mark.parametrize("state", [SloState.MET, SloState.UNKNOWN])
def test_a_version_on_probation_equal_to_the_previous_one_keeps_its_slo_state(state):
    before = SloResult(SLO, state, Reason.INSUFFICIENT_DATA)
    assert judged(before, GOOD * 60) in {before, replace(before, as_before=True)}


def test_a_probation_decides_nothing_before_its_first_whole_sum():
    before = SloResult(SLO, SloState.MET, Reason.WITHIN_OBJECTIVE)
    assert judged(before, GOOD * 23).as_before is None
    assert judged(before, GOOD * 24).as_before is True


@pytest.mark.parametrize(("good", "passed"), [(12, False), (48, True)])
def test_a_fall_after_a_whole_probation_of_equal_answers_is_not_suspected_of_the_release(
    good, passed
):
    before = SloResult(SLO, SloState.MISSED, Reason.BASELINE_DROPPED)
    result = judged(before, GOOD * good + WORSE * 24)
    assert result.as_before is passed
    assert not result.probation


@pytest.mark.parametrize("requests", [600, 0])
def test_an_increase_of_client_errors_is_confirmed_only_by_blocks_with_requests(requests):
    slo = client_errors(TERMS)
    status = serving(
        probation=Probation(version="v1", against="v2", start_time=0),
        probation_baselines={CLIENT_ERRORS: baseline(slo, 6, 6000)},
    )
    refused = series(*WORSE * 59, (requests // 2, requests))
    found = judge_client_errors(
        TERMS, status, status.stable, {CLIENT_ERRORS: refused}, observed=observed(block=60)
    )
    assert found is not None
    assert (found.state, found.is_fresh) == (SloState.MISSED, requests > 0)
    settled = status.replace(probation=None)
    assert not judge_client_errors(
        TERMS, settled, status.stable, {CLIENT_ERRORS: refused}, observed=observed(block=60)
    )


# ---- its end --------------------------------------------------------------------------------
def over(counts, *, now: int, baselines=None) -> bool:
    held = {"accuracy": HELD} if baselines is None else baselines
    blocks = {} if counts is None else {"accuracy": series(*counts, first=SINCE + 1)}
    return probation.is_over(
        held, TERMS, blocks, now=now + SINCE, since=SINCE, unattended_seconds=0
    )


@pytest.mark.parametrize(
    ("counts", "now", "expected"),
    [
        (GOOD * LEAST, LEAST - 1, False),
        (GOOD * LEAST, LEAST, True),
        ([(1, 10)] * LEAST, LEAST, False),
        (None, LEAST, False),
        (None, MOST - 1, False),
        (None, MOST, True),
        ([(0, 0)] * MOST, MOST, True),
    ],
    ids=["too early", "shown", "few", "none", "none yet", "none ever", "never a label"],
)
def test_probation_ends_with_enough_evidence_or_after_one_week(counts, now, expected):
    assert over(counts, now=now) is expected


@pytest.mark.parametrize(
    ("seconds", "least", "most"),
    [(60, 180, 10_080), (300, LEAST, MOST), (600, 36, 1008), (3600, 36, 168)],
)
def test_probation_lasts_three_hours_to_one_week_at_any_block_length(seconds, least, most):
    terms = judged_by(ACCURACY, analysis={"blockSeconds": seconds})
    ended = {
        age: probation.is_over(held, terms, {}, now=age + SINCE, since=SINCE, unattended_seconds=0)
        for held, ages in (({}, (least - 1, least)), ({"accuracy": HELD}, (most - 1, most)))
        for age in ages
    }
    assert ended == {least - 1: False, least: True, most - 1: False, most: True}


@pytest.mark.parametrize(("unattended", "expected"), [(0, True), (1, False)])
def test_unobserved_blocks_do_not_end_the_probation(unattended, expected):
    blocks = {"accuracy": series(*GOOD * LEAST, first=SINCE + 1)}
    now = LEAST + SINCE
    found = probation.is_over(
        {"accuracy": HELD}, TERMS, blocks, now=now, since=SINCE, unattended_seconds=unattended
    )
    assert found is expected


def test_probation_lasts_three_hours_without_a_baseline_of_the_previous_version():
    assert over(None, now=LEAST, baselines={})


def on_probation(streak: Streak | None, blocks: int = 60):
    """Return the state of a probation with enough evidence, after a block without new data."""
    shown = series(*GOOD * blocks)
    shown.record(Block(blocks + 1, Quality.LOW_COVERAGE, Count(0, 0)))
    fine = series(*[(0, 600)] * (blocks + 1))
    status = serving(
        stable=stable(accuracy=HELD),
        probation=Probation(version="v1", against="v2", start_time=0),
        probation_baselines={"accuracy": HELD},
        slos={"accuracy": SloRecord(streak=streak, terms_hash=SLO.hash)},
    )
    read = observed(block=blocks + 1, series={"v1": {"accuracy": shown, "availability": fine}})
    assert status.stable is not None
    return judge_stable(TERMS, status, status.stable, read)[1].probation


def test_probation_does_not_end_during_bad_blocks():
    assert on_probation(None) is None
    assert on_probation(Streak(first=59, last=60, evaluations=2, fresh=2)) is not None
