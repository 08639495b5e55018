"""Conditions change their time when their status changes."""

from __future__ import annotations

import pytest

from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.conditions import (
    ABNORMAL,
    KNOWN,
    Finding,
    find_condition,
    is_true,
    report_conditions,
)

NOON = 1_767_268_800
LATER = NOON + 300
READY = Finding(ConditionType.READY, "True", ConditionReason.SERVING, "v1 serves")
STALLED = Finding(ConditionType.STALLED, "True", ConditionReason.INVALID_SPEC, "spec.owner: …")


def said(before, finding, *, generation, now):
    """What a report says under the type of a finding."""
    after = report_conditions(before, [finding], generation=generation, now=now)
    return tuple(one for one in after if one.type == finding.type)


def test_a_new_condition_has_the_current_transition_time():
    (ready,) = said((), READY, generation=3, now=NOON)
    assert ready.last_transition_time == NOON
    assert (ready.status, ready.reason, ready.observed_generation) == ("True", "Serving", 3)


def test_a_changed_reason_or_message_keeps_the_transition_time():
    before = said((), READY, generation=3, now=NOON)
    again = Finding(ConditionType.READY, "True", ConditionReason.PROGRESSING, "rolling")
    (ready,) = said(before, again, generation=4, now=LATER)
    assert ready.last_transition_time == before[0].last_transition_time
    assert (ready.reason, ready.message, ready.observed_generation) == ("Progressing", "rolling", 4)


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_changed_condition_status_updates_the_transition_time(status):
    before = said((), READY, generation=3, now=NOON)
    flipped = Finding(ConditionType.READY, status, ConditionReason.PODS_NOT_READY)
    (ready,) = said(before, flipped, generation=3, now=LATER)
    assert ready.last_transition_time == LATER


@pytest.mark.parametrize("kind", sorted(ABNORMAL))
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_conditions_that_kstatus_reads_by_presence_exist_only_while_true(kind, status):
    there = said((), Finding(kind, "True", "Any"), generation=1, now=NOON)
    assert is_true(there, kind)
    assert said(there, Finding(kind, status, "Any"), generation=1, now=LATER) == ()


def test_a_new_product_has_all_normal_conditions_and_no_abnormal_condition():
    conditions = report_conditions((), [READY], generation=1, now=NOON)
    kinds = {condition.type for condition in conditions}
    assert kinds == set(ConditionType) - ABNORMAL - KNOWN
    assert {c.status for c in conditions if c.type != "Ready"} == {"Unknown"}


def test_the_market_condition_exists_only_while_known():
    missed = Finding(ConditionType.MARKETS_MET, "False", ConditionReason.MARKET_MISSED, "in AT")
    before = report_conditions((), [READY, missed], generation=1, now=NOON)
    kept = report_conditions(before, [READY], generation=1, now=LATER)
    assert find_condition(kept, ConditionType.MARKETS_MET).message == "in AT"
    unknown = Finding(ConditionType.MARKETS_MET, "Unknown", ConditionReason.NOT_YET_OBSERVED)
    after = report_conditions(before, [READY, unknown], generation=1, now=LATER)
    assert find_condition(after, ConditionType.MARKETS_MET) is None


def test_a_report_keeps_unexamined_conditions_and_drops_unconfirmed_ones():
    met = Finding(ConditionType.SLO_MET, "True", ConditionReason.ALL_MET)
    before = report_conditions((), [READY, STALLED, met], generation=1, now=NOON)
    after = report_conditions(before, [READY], generation=2, now=LATER)
    assert find_condition(after, ConditionType.STALLED) is None
    assert find_condition(after, ConditionType.SLO_MET).reason == "AllMet"


def test_reporting_equal_conditions_twice_gives_the_same_value():
    before = report_conditions((), [READY, STALLED], generation=1, now=NOON)
    assert report_conditions(before, [STALLED, READY], generation=1, now=LATER) == before


def test_conditions_of_other_writers_are_kept():
    other = said((), READY, generation=1, now=NOON)[0].model_copy(update={"type": "Reviewed"})
    assert other in report_conditions((other,), [READY], generation=1, now=LATER)
