"""A status is written when its meaning changes, and numbers when their refresh is due."""

from __future__ import annotations

import pytest

from sluicegate.api.engine import ProductState
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.slo_status import SloState, SloStatus
from sluicegate.api.status import DataProductStatus, DecisionStatus
from sluicegate.conditions import Finding, report_conditions
from sluicegate.reconcile.report.status_due import same_meaning, with_fresh_numbers

NOON = 1_767_268_800
LATER = NOON + 300
READY = Finding(ConditionType.READY, "True", ConditionReason.SERVING, "v1 serves")


def status(**changes: object) -> DataProductStatus:
    slo = SloStatus(name="accuracy", state=SloState.MET, ratio="0.91", total=1000)
    base = DataProductStatus(
        observed_generation=1,
        state=ProductState.HEALTHY,
        slos=(slo,),
        conditions=report_conditions((), [READY], generation=1, now=NOON),
    )
    return base.model_copy(update=changes)


def moved() -> DataProductStatus:
    return status(slos=(SloStatus(name="accuracy", state=SloState.MET, ratio="0.93", total=1200),))


def test_a_message_with_other_numbers_or_wording_has_the_same_meaning():
    assert same_meaning(status(), moved())
    assert same_meaning(
        status(
            decision=DecisionStatus(type="Hold", reason="Healthy", message="a", decision_time=NOON)
        ),
        status(
            decision=DecisionStatus(type="Hold", reason="Healthy", message="b", decision_time=LATER)
        ),
    )


@pytest.mark.parametrize(
    "other",
    [
        status(observed_generation=2),
        status(state=ProductState.DEGRADING),
        status(slos=(SloStatus(name="accuracy", state=SloState.AT_RISK),)),
        status(slos=(SloStatus(name="accuracy", state=SloState.MET, degraded=True),)),
        status(decision=DecisionStatus(type="Retrain", reason="ModelDecay", decision_time=NOON)),
        status(conditions=()),
    ],
    ids=["generation", "state", "state of an SLO", "memory", "decision", "condition"],
)
def test_any_other_status_change_has_another_meaning(other):
    assert not same_meaning(status(), other)
    assert with_fresh_numbers(status(), other, now=LATER, refresh_seconds=0) != status()


def test_the_condition_of_a_due_review_that_names_another_review_has_another_meaning():
    first, second = (
        status(
            conditions=report_conditions(
                (),
                [Finding(ConditionType.REVIEW_DUE, "True", "ToReview", f"shop/iris-{week} waits")],
                generation=1,
                now=NOON,
            )
        )
        for week in ("w47", "w48")
    )
    assert not same_meaning(first, second)


def test_a_status_change_of_numbers_alone_is_written_hourly():
    before = status(last_refresh_time=NOON)
    soon, late = NOON + 59 * 60, NOON + 61 * 60
    assert with_fresh_numbers(before, moved(), now=soon, refresh_seconds=3600) is before
    fresh = with_fresh_numbers(before, moved(), now=late, refresh_seconds=3600)
    assert fresh.slos[0].ratio == "0.93"
    assert fresh.last_refresh_time == late
    assert with_fresh_numbers(before, moved(), now=late, refresh_seconds=0) is before


def test_an_unchanged_status_is_never_written():
    before = status(last_refresh_time=NOON)
    late = NOON + 3 * 86_400
    assert (
        with_fresh_numbers(before, status(last_refresh_time=NOON), now=late, refresh_seconds=1)
        is before
    )
