"""Evidence of the shadow phase beside the canary's: what counts for a candidate, and what against it."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.versions import VersionSource
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.shadow_evidence import (
    planned_shadow_seconds,
    rows_per_second,
    with_rows,
)
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.decision import Hold, Promote, Rollback, StartRollout
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.rollout.shadow_phase import is_due
from sluicegate.stats.paired import Pairs
from sluicegate.stats.sequential_test import rollback_bound
from tests.support.decisions.judged import (
    START,
    V2,
    V3,
    both_arms,
    candidate,
    judged_by,
    observed,
    parked,
    serving,
)
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY

if TYPE_CHECKING:
    from sluicegate.policy.canary.slo_evidence import Assessment
    from sluicegate.policy.model.terms import Terms

SHADOW = {"command": ["score"], "intervalSeconds": 86_400}
ONE_STEP = {"steps": [50], "maxDurationSeconds": 1_209_600}
EQUAL, WORSE = Pairs(1700, 100, 100, 100), Pairs(1700, 40, 160, 100)
BETTER = Pairs(1700, 160, 40, 100)
CLICKS = {
    "name": "clicks",
    "indicator": {"counters": {"good": "clicked_total", "total": "served_total"}},
    "maxDrop": "0.05",
}
GOOD = {"accuracy": (80, 1000), "clicks": (80, 1000)}


def terms(*slos: dict, **rollout: object) -> Terms:
    return judged_by(*(slos or (ACCURACY,)), rollout={**ONE_STEP, "shadow": SHADOW, **rollout})


def shadowed(judged: Terms, *blocks: Pairs, slo: str = "accuracy"):
    """Return v2 at its last share, with these intervals of rows."""
    one = candidate(50)
    shadow = ShadowStatus(since_time=START)
    for number, rows in enumerate(blocks, start=1):
        shadow = shadow.replace(until_time=START + 86_400 * number)
        shadow = with_rows(judged, one.replace(shadow=shadow), shadow, {slo: rows})
    return one.replace(shadow=shadow)


def judge(judged: Terms, one, *, blocks: int = 60) -> Assessment:
    """Return the assessment of canary blocks with two equal arms."""
    status = serving(candidate=one)
    return assess(judged, status, one, observed(both_arms(GOOD, GOOD, blocks)))


def decided(judged: Terms, one, assessment: Assessment):
    status = serving(candidate=one)
    return decide(
        CanaryCase(judged, status, one, assessment, facts=Facts(), now=START + 7200, approved=False)
    )


MIRROR = {"mirror": {"percent": 20}, "intervalSeconds": 3600}


def test_mirrored_requests_are_evidence_for_outcomes_and_the_canary_for_other_slos():
    """A click may be what the answer brought about, and only stable's was shown."""
    mirrored = terms(ACCURACY, CLICKS, shadow=MIRROR)
    unheard = shadowed(mirrored)
    accuracy, clicks = judge(mirrored, unheard).slos
    assert accuracy.evidence.promote_evidence == 0
    assert clicks.evidence.promote_evidence > log(20)
    assert clicks.shadow is None
    heard = shadowed(mirrored, *[EQUAL] * 20)
    accuracy, clicks = judge(mirrored, heard).slos
    jobs = terms(ACCURACY, CLICKS)
    assert accuracy.shadow == judge(jobs, shadowed(jobs, *[EQUAL] * 20)).slos[0].shadow
    assert isinstance(decided(mirrored, heard, judge(mirrored, heard)), Promote)


def test_shadow_rows_count_only_for_slos_about_answers_and_once_per_interval():
    judged = terms(AVAILABILITY, ACCURACY)
    for slo, scored in (("availability", []), ("accuracy", ["accuracy"]), ("another", [])):
        shadow = shadowed(judged, EQUAL, EQUAL, slo=slo).shadow
        assert (shadow.blocks, [one.slo for one in shadow.evidence]) == (2, scored)
        assert (shadow.since_time, shadow.until_time) == (START + 2 * 86_400,) * 2
    running = ShadowStatus(since_time=START)
    after = with_rows(judged, candidate(50, shadow=running), running, {"accuracy": EQUAL})
    assert (after.since_time, after.blocks, after.evidence[0].blocks) == (START, 1, 1)


def test_labels_of_mirrored_requests_of_stable_become_shadow_rows():
    assert rows_per_second(terms(), 10.0) == 10.0
    assert rows_per_second(terms(shadow=MIRROR), 10.0) == pytest.approx(10 * 0.2 * 0.5)


def test_canary_traffic_favours_no_candidate_in_an_slo_with_a_shadow_phase():
    alone = judged_by(ACCURACY, rollout=ONE_STEP)
    (canary,) = judge(alone, candidate(50)).slos
    (beside,) = judge(terms(), shadowed(terms())).slos
    assert canary.evidence.promote_evidence > log(20), "else it shows nothing"
    assert beside.evidence.promote_evidence == 0
    assert beside.evidence.roll_back == canary.evidence.roll_back
    held = decided(terms(), shadowed(terms()), judge(terms(), shadowed(terms())))
    assert isinstance(held, Hold)
    assert "no rows that were labelled after the training" in held.message


def test_shadow_rows_labelled_after_the_training_promote_the_candidate():
    judged = terms()
    one = shadowed(judged, *[EQUAL] * 16)
    made = decided(judged, one, judge(judged, one))
    assert isinstance(made, Promote)
    assert "32,000 rows that were labelled after the training" in made.message


def test_shadow_rows_that_disfavour_a_candidate_roll_it_back():
    judged = terms()
    one = shadowed(judged, *[WORSE] * 8)
    made = decided(judged, one, judge(judged, one))
    assert isinstance(made, Rollback)
    assert made.reason is Reason.SHADOW_WORSE
    assert "1,280 wrong of the candidate alone" in made.message


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(BETTER, Reason.CANARY_NOT_WORSE), (EQUAL, Reason.OBJECTIVE_NOT_MET)],
    ids=["surely better", "equal"],
)
def test_shadow_rows_that_prove_a_candidate_better_promote_it_below_the_objective(rows, reason):
    judged = terms({**ACCURACY, "objective": "0.95"})
    one = shadowed(judged, *[rows] * (8 if rows is BETTER else 60))
    made = decided(judged, one, judge(judged, one))
    assert made.reason is reason
    assert isinstance(made, Promote) is (rows is BETTER)


def test_the_error_rate_is_split_over_all_shadow_comparisons():
    (alone,) = judge(judged_by(ACCURACY, rollout=ONE_STEP), candidate(50)).slos
    (beside,) = judge(terms(), shadowed(terms())).slos
    assert alone.roll_back_at == rollback_bound(1)
    assert beside.roll_back_at == rollback_bound(2)


def test_an_slo_missing_in_the_shadow_result_is_judged_by_the_canary():
    judged = terms(ACCURACY, CLICKS)
    before = {slo.terms.name: slo.shadow for slo in judge(judged, shadowed(judged)).slos}
    after = {slo.terms.name: slo.shadow for slo in judge(judged, shadowed(judged, EQUAL)).slos}
    assert before["clicks"] is not None, "a result may still name it"
    assert after["clicks"] is None
    assert after["accuracy"] is not None


def test_an_edited_slo_restarts_its_shadow_evidence():
    judged, other = terms(), terms({**ACCURACY, "maxDrop": "0.07"})
    one = shadowed(judged, EQUAL, EQUAL)
    (found,) = judge(other, one).slos
    assert found.shadow is not None
    assert found.shadow.blocks == 0
    again = with_rows(other, one, one.shadow.replace(until_time=START), {"accuracy": EQUAL})
    assert again.evidence[0].blocks == 1


def test_the_next_shadow_interval_begins_where_the_counted_interval_ends():
    shadow = shadowed(terms(), EQUAL).shadow
    assert shadow.since_time == START + 86_400
    assert not is_due(shadow, 86_400, START + 2 * 86_400 - 1)
    assert is_due(shadow, 86_400, START + 2 * 86_400)
    assert not is_due(shadow.replace(job="one"), 86_400, START + 9 * 86_400)


@pytest.mark.parametrize("given", [{}, {"maxDurationSeconds": 14_400}])
def test_a_promotion_waits_for_rows_of_an_slo_with_a_shadow_phase(given):
    """No label reaches Prometheus: only the Jobs say anything of the answers."""
    rollout = {"steps": [50], "shadow": SHADOW, **given}
    judged = judged_by(AVAILABILITY, ACCURACY, rollout=rollout)
    one = candidate(50)
    requests = both_arms({"availability": (1, 100_000)}, {"availability": (1, 100_000)}, 60)
    found = assess(judged, serving(candidate=one), one, observed(requests))
    up, accuracy = (slo for slo in found.slos if slo.terms.name in {"availability", "accuracy"})
    assert up.favours, "else it is what holds the candidate"
    assert accuracy.required
    assert isinstance(decided(judged, one, found), Hold)


@pytest.mark.parametrize("a_day", [200, 5_000])
def test_a_shadow_phase_with_more_labels_takes_fewer_days(a_day):
    more = planned_shadow_seconds(86_400, a_day / 86_400, margin=0.03)
    fewer = planned_shadow_seconds(86_400, a_day / 2 / 86_400, margin=0.03)
    assert 5 * 86_400 < more <= fewer
    assert planned_shadow_seconds(86_400, 0, margin=0.03) == inf


def test_evidence_of_hold_out_rows_and_shadow_rows_is_added_up():
    judged, hold_out = terms(), Pairs(4500, 210, 200, 90)
    one = shadowed(judged, EQUAL)
    (alone,) = judge(judged, one).slos
    (both,) = judge(judged, one.replace(pairs={"accuracy": hold_out})).slos
    assert both.paired is not None
    assert both.paired.promote_evidence > 1
    assert both.evidence.promote_evidence == pytest.approx(
        alone.evidence.promote_evidence + both.paired.promote_evidence
    )


def test_the_first_shadow_interval_has_more_evidence_if_the_hold_out_has_pairs():
    """Of rows of which nothing is known, one version alone may be wrong on each other one."""
    judged, one = terms({**ACCURACY, "maxRegression": "0.02"}), candidate(50)
    shadow = ShadowStatus(since_time=START, until_time=START + 86_400)

    def first(**known: Pairs):
        counted = with_rows(judged, one.replace(pairs=known), shadow, {"accuracy": EQUAL})
        return counted.evidence[0]

    assert 0 < first().promote < first(accuracy=EQUAL).promote
    assert first().pairs == first(accuracy=EQUAL).pairs == EQUAL


def test_a_retried_rollout_keeps_its_shadow_rows():
    judged = terms()
    before = parked(shadowed(judged, EQUAL, EQUAL)).replace(retries=1, retry_time=START)
    again = StartRollout(
        reason=Reason.INFRASTRUCTURE,
        message="",
        candidate=V2,
        source=VersionSource.SPEC,
        weight=50,
    )
    after = carry_out_at_once(judged, serving(candidate=before), again, START + 60).candidate
    assert after.shadow == before.shadow
    other = carry_out_at_once(
        judged, serving(candidate=before), replace(again, candidate=V3), START + 60
    )
    assert other.candidate.shadow is None
