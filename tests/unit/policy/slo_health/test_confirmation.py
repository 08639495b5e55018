"""States, their confirmation and hysteresis; the budget of the portfolio."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.api.engine import SloRecord, Streak
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.outcome import Outcome
from sluicegate.api.product_info import Priority
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion, Release, VersionSource
from sluicegate.policy.diagnosis.checks import common_cause
from sluicegate.policy.model.history import newest_first, previous, version_named, with_accepted
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.retraining.holdout_gate import GateVerdict
from sluicegate.policy.retraining.holdout_gate import judge as judge_hold_out
from sluicegate.policy.retraining.training_slots import Applicant, Budget, admit
from sluicegate.policy.slo_health.confirmation import confirm, product_state
from sluicegate.policy.slo_health.drift import Drift
from sluicegate.policy.slo_health.messages import describe
from sluicegate.policy.slo_health.ratio_slo import SloResult, judge
from sluicegate.stats.calendar import Calendar
from sluicegate.stats.counts import Count
from tests.support.decisions.judged import baseline, judged_by, series
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

TERMS = judged_by(AVAILABILITY, ACCURACY)
SLO = TERMS.slos[1]


# ---- the state of an SLO ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("objective", "bad", "state", "reason"),
    [
        ("0.5", 60, SloState.AT_RISK, Reason.BUDGET_BURNING),
        ("0.5", 40, SloState.MET, Reason.WITHIN_OBJECTIVE),
        ("0.5", 100, SloState.AT_RISK, Reason.BUDGET_BURNING),
        ("0.9", 20, SloState.AT_RISK, Reason.BUDGET_BURNING),
        ("0.9", 80, SloState.MISSED, Reason.OBJECTIVE_MISSED),
    ],
    ids=["lax, missed", "lax, met", "lax, all bad", "missed", "missed by far"],
)
def test_an_objective_too_low_for_any_burn_rate_only_warns(objective, bad, state, reason):
    lax = judged_by({**AVAILABILITY, "objective": objective})
    found = judge(
        lax.slos[0],
        series(*[(bad, 100)] * 864),
        baseline=None,
        now=864,
        since=0,
        drift_since=0,
        shown_since=0,
    )
    assert (found.state, found.reason) == (state, reason)


ORDER = [SloState.MET, SloState.AT_RISK, SloState.MISSED]


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(60, 90)), min_size=14, max_size=40),
    st.integers(0, 39),
    st.integers(1, 30),
)
def test_more_bad_events_never_make_a_state_better(counts, place, more):
    place %= len(counts)
    worse = list(counts)
    bad, total = worse[place]
    worse[place] = (min(bad + more, total), total)
    states = [
        judge(
            SLO,
            series(*rows),
            baseline=None,
            now=len(rows),
            since=2,
            drift_since=2,
            shown_since=0,
        ).state
        for rows in (counts, worse)
    ]
    assert ORDER.index(states[1]) >= ORDER.index(states[0])


# ---- confirmation and hysteresis ------------------------------------------------------------
def result(state, *, fresh=True, calm=False):
    return SloResult(SLO, state, Reason.OBJECTIVE_MISSED, is_fresh=fresh, is_calm=calm)


def after(results, record=None):
    record = record or SloRecord()
    for block, one in enumerate(results, start=1):
        record = confirm(record, one, block=block, block_end=block * 300)
    return record


BAD, WARN, OK, UNKNOWN = (
    result(state) for state in (SloState.MISSED, SloState.AT_RISK, SloState.MET, SloState.UNKNOWN)
)
STALE_BAD = result(SloState.MISSED, fresh=False)


@pytest.mark.parametrize(
    ("results", "degraded"),
    [
        ([BAD, BAD], False),
        ([BAD, BAD, BAD], True),
        ([BAD, BAD, OK, BAD], False),
        ([BAD, BAD, WARN, BAD], False),
        ([BAD, UNKNOWN, BAD, UNKNOWN, BAD], True),
        ([STALE_BAD, STALE_BAD, STALE_BAD], False),
        ([BAD, STALE_BAD, STALE_BAD], False),
        ([BAD, STALE_BAD, BAD], True),
        ([STALE_BAD] * 5 + [BAD, BAD], True),
    ],
)
def test_a_degradation_is_confirmed_by_three_evaluations_in_a_row_over_two_fresh_blocks(
    results, degraded
):
    assert after(results).degraded is degraded


def test_a_block_counts_once_for_a_confirmation_streak_however_often_it_is_evaluated():
    record = SloRecord()
    for _ in range(10):
        record = confirm(record, BAD, block=7, block_end=2100)
    assert record.streak.evaluations == 1


@pytest.mark.parametrize("seconds", [60, 900])
def test_a_streak_counted_in_blocks_of_another_length_restarts(seconds):
    then = 1_767_225_600 // 300
    record = SloRecord(streak=Streak(first=then - 1, last=then, evaluations=2, fresh=2))
    for block in range(then * 300 // seconds + 1, then * 300 // seconds + 4):
        assert not record.degraded
        record = confirm(record, BAD, block=block, block_end=block * seconds)
    assert record.degraded
    assert record.streak.first == then * 300 // seconds + 1


@pytest.mark.parametrize(("seconds", "blocks"), [(60, 60), (300, 12), (900, 12)])
def test_a_degradation_ends_after_one_hour_and_twelve_calm_blocks(seconds, blocks):
    slo = replace(SLO, calendar=Calendar(seconds))
    record = after([BAD] * 3)
    for block in range(4, 4 + blocks):
        assert record.degraded
        calm = SloResult(slo, SloState.MET, Reason.WITHIN_OBJECTIVE, is_fresh=True, is_calm=True)
        record = confirm(record, calm, block=block, block_end=block * seconds)
    assert not record.degraded


def test_a_degradation_ends_after_twelve_calm_blocks_in_a_row():
    degraded = after([BAD] * 3)
    calm = [result(SloState.MET, calm=True)]
    disturbed = [*calm * 11, result(SloState.MET, calm=False), *calm * 11]
    for block, one in enumerate(disturbed, start=4):
        degraded = confirm(degraded, one, block=block, block_end=block * 300)
        assert degraded.degraded
    assert not confirm(degraded, calm[0], block=99, block_end=1).degraded


def test_a_healthy_block_without_a_streak_leaves_the_confirmation_record_unchanged():
    record = after([OK])
    assert confirm(record, OK, block=9, block_end=2700) is record
    assert confirm(record, UNKNOWN, block=10, block_end=3000) is record


@pytest.mark.parametrize(
    ("pairs", "state"),
    [
        ([(OK, SloRecord())], "Healthy"),
        ([(OK, SloRecord()), (UNKNOWN, SloRecord())], "Healthy"),
        ([(UNKNOWN, SloRecord())], "Unknown"),
        ([], "Unknown"),
        ([(WARN, SloRecord()), (OK, SloRecord())], "Degrading"),
        ([(BAD, SloRecord())], "Degrading"),
        ([(BAD, SloRecord(degraded=True)), (OK, SloRecord())], "Degraded"),
        ([(UNKNOWN, SloRecord(degraded=True)), (OK, SloRecord())], "Degraded"),
        ([(UNKNOWN, SloRecord(degraded=True))], "Unknown"),
    ],
)
def test_the_state_of_a_product_is_the_worst_known_state_of_its_slos(pairs, state):
    assert product_state(pairs) == state


# ---- hold-out -------------------------------------------------------------------------------
POINT = HoldOutMargin(0.01, 0.01)


@pytest.mark.parametrize(
    ("candidate", "stable", "verdict"),
    [
        ((80, 1000), (140, 1000), GateVerdict.PASSED),
        ((500, 5000), (500, 5000), GateVerdict.PASSED),
        ((100, 1000), (100, 1000), GateVerdict.TOO_SMALL),
        ((150, 1000), (140, 1000), GateVerdict.TOO_SMALL),
        ((250, 1000), (140, 1000), GateVerdict.WORSE),
        ((0, 0), (140, 1000), GateVerdict.TOO_SMALL),
    ],
)
def test_the_hold_out_gate_compares_confidence_bounds(candidate, stable, verdict):
    assert judge_hold_out("accuracy", Count(*candidate), Count(*stable), POINT).verdict is verdict


# ---- portfolio ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("portfolio", "common"),
    [
        (Portfolio(products=47, degraded_products=14), False),
        (Portfolio(products=47, degraded_products=15), True),
        (Portfolio(products=5, degraded_products=2), False),
        (Portfolio(products=5, degraded_products=3), True),
        (Portfolio(products=47, silent={"outcomes": 0.31}), True),
        (Portfolio(products=47, silent={"latency": 0.9}), False),
    ],
)
def test_many_products_degraded_at_once_have_a_common_cause(portfolio, common):
    assert common_cause(portfolio, "outcomes") is common


def applicant(name, priority=Priority.MEDIUM, since=0, namespace=None):
    return Applicant(namespace or name, name, priority, since)


def test_training_slots_go_to_the_highest_priority_and_then_to_the_longest_wait():
    waiting = [
        applicant("late", since=9),
        applicant("early", since=1),
        applicant("pressing", Priority.CRITICAL, since=99),
    ]
    assert [one.name for one in admit(waiting, [], Budget(), 0)] == ["pressing", "early"]


def test_a_namespace_has_one_training_slot_and_the_operator_two():
    waiting = [applicant("a", namespace="n"), applicant("b", namespace="n"), applicant("z")]
    assert [one.name for one in admit(waiting, [], Budget(), 0)] == ["a", "z"]
    assert admit(waiting, [applicant("x"), applicant("y")], Budget(), 0) == ()


@pytest.mark.parametrize(
    ("waited", "first"),
    [(0, "critical"), (12 * 3600 - 1, "critical"), (12 * 3600, "medium"), (30 * 86_400, "medium")],
)
def test_a_waiting_product_gets_its_training_slot_before_a_critical_product_after_six_hours(
    waited, first
):
    """A priority is the product's own word: it lasts for six hours an order."""
    now = 100 * 86_400
    waiting = [
        applicant("critical", Priority.CRITICAL, since=now),
        applicant("medium", since=now - waited),
    ]
    served = [replace(one, served=now if one.name == "critical" else 0) for one in waiting]
    assert admit(served, [], Budget(1, 1), now)[0].name == first


def test_at_equal_priority_the_namespace_with_the_oldest_last_slot_trains_first():
    """Two namespaces with many products had both slots in turn, and others none."""
    waiting = [
        Applicant("hoards", "old", Priority.CRITICAL, since=0, served=900),
        Applicant("hoards-too", "old", Priority.CRITICAL, since=0, served=800),
        Applicant("seldom", "late", Priority.CRITICAL, since=999, served=100),
        Applicant("new", "latest", Priority.CRITICAL, since=1000),
    ]
    assert [one.namespace for one in admit(waiting, [], Budget(2, 1), 1000)] == ["new", "seldom"]


def test_each_namespace_gets_a_training_slot_before_any_gets_a_second():
    waiting = [applicant(f"a{n}", namespace="a") for n in range(3)]
    waiting.append(applicant("z", since=99))
    assert [one.name for one in admit(waiting, [], Budget(3, 3), 0)] == ["a0", "z", "a1"]
    trains = [applicant("a9", namespace="a")]
    assert [one.name for one in admit(waiting, trains, Budget(2, 2), 0)] == ["z"]


# ---- the rollback ---------------------------------------------------------------------------
def past(name, promotion_time, outcome=Outcome.REPLACED):
    return PastVersion.of(
        Release(name),
        VersionSource.SPEC,
        promotion_time=promotion_time,
        end_time=promotion_time,
        outcome=outcome,
    )


HISTORY = (past("v3", 30, Outcome.ROLLED_BACK), past("v2", 20), past("v1", 10))


def test_a_rollback_restores_the_newest_version_that_was_not_rolled_back():
    assert previous(HISTORY).release.version == "v2"
    assert previous(HISTORY[:1]) is None
    assert previous(()) is None


def test_a_rollback_request_may_name_any_kept_version():
    assert version_named(HISTORY, "v3").release.version == "v3"
    assert version_named(HISTORY, "v9") is None


def test_the_history_keeps_each_version_once_within_its_limit():
    again = (past("v1", 40), *HISTORY)
    found = with_accepted(DataProductStatus(), again, 3)
    assert [one.promotion_time for one in found] == [40, 30, 20]


def test_history_entries_of_one_second_list_stable_versions_before_rejected_ones():
    refused = past("v4", 20, Outcome.ROLLED_BACK).replace(promotion_time=None)
    assert newest_first((refused, *HISTORY[1:])) == (HISTORY[1], refused, HISTORY[2])


@pytest.mark.parametrize(
    ("statistic", "degraded", "says"),
    [
        (14.0, True, "is 14.0, of the 12.5 that are needed"),
        (10.6, False, "is 10.6, of the 12.5 that are needed"),
        (10.6, True, "is 10.6 now, below the 12.5 at which it was missed"),
    ],
)
def test_the_message_of_a_degraded_slo_does_not_ask_for_more_evidence(statistic, degraded, says):
    drift = Drift(statistic, 12.5, decides=True, count_after=Count(200, 1000), blocks=24)
    result = SloResult(
        SLO, SloState.AT_RISK, Reason.BASELINE_DROPPED, Count(200, 1000), baseline(SLO, 100, 1000),
        drift=drift,
    )  # fmt: skip
    assert describe(result, 300, degraded=degraded).endswith(says)
