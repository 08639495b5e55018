"""What is new about a product is told once, in sentences, with the operator's own words."""

from __future__ import annotations

import pytest

from demo.watch import Seen, look, news

VERSION = {"image": "registry.example/pricing@sha256:0", "revision": "0", "runtimeImage": "r"}


def product(**status):
    return {"metadata": {"name": "pricing"}, "status": status}


def stable(version="v1", **more):
    counts = {"accuracy": {"bad": 80, "total": 1000, "source": "Evaluation"}}
    return {"version": version, "baseline": counts, **VERSION, **more}


def candidate(weight, **more):
    return {"version": "v2", "source": "Retraining", "phase": "Stepping", "weight": weight, **more}


def told(before, after):
    return list(news(look(before), look(after)))


def test_a_product_that_nobody_has_seen_yet_says_nothing():
    assert look({"metadata": {}}) == Seen()
    assert not list(news(Seen(), Seen()))


def test_it_is_told_when_the_first_version_serves():
    ready = {"type": "Ready", "status": "True"}
    assert told(product(), product(stable=stable(), conditions=[ready])) == [
        "v1 serves all traffic"
    ]


def test_why_nothing_serves_is_kept_for_who_waits():
    condition = {"type": "Ready", "status": "False", "message": "v1: no pod is ready"}
    assert look(product(conditions=[condition])).trouble == "v1: no pod is ready"


def test_a_decision_is_told_with_its_reason_and_its_numbers_and_only_once():
    decision = {
        "type": "Retrain",
        "reason": "ModelDecay",
        "message": "77 % of 92 %",
        "decisionTime": "1",
    }
    before, after = product(stable=stable()), product(stable=stable(), decision=decision)
    assert told(before, after) == ["Retrain (ModelDecay): 77 % of 92 %"]
    assert told(after, after) == []


def test_the_same_decision_at_another_time_is_a_new_one():
    decision = {"type": "Advance", "reason": "CanaryNotWorse", "message": "on", "decisionTime": "1"}
    before, after = product(decision=decision), product(decision=decision | {"decisionTime": "2"})
    assert told(before, after) == ["Advance (CanaryNotWorse): on"]


def test_the_baseline_is_that_of_the_stable_version():
    assert look(product(stable=stable())).baseline == pytest.approx(0.92)
    assert look(product(stable={"version": "v1"})).baseline is None


def test_a_training_is_told_when_its_job_runs_and_with_what_the_hold_out_says():
    running = {"job": "pricing-train-1", "trigger": {"id": "1", "cause": "ModelDecay"}}
    result = {
        "outcome": "InProgress",
        "version": "v2",
        "evaluation": {"accuracy": {"bad": 80, "total": 1000}},
        "stableEvaluation": {"accuracy": {"bad": 230, "total": 1000}},
    }
    assert told(product(), product(retraining=running)) == ["training Job pricing-train-1 runs"]
    assert told(product(retraining=running), product(retraining={"lastResult": result})) == [
        "training ended with v2: 92.0 % on the hold-out, stable 77.0 %"
    ]


def test_a_failed_training_is_told_with_its_message():
    result = {"outcome": "Failed", "message": "out of memory"}
    assert told(product(), product(retraining={"lastResult": result})) == [
        "training ended with Failed: out of memory"
    ]


def test_each_share_of_the_traffic_is_told():
    before = product(stable=stable(), candidate=candidate(5))
    after = product(stable=stable(), candidate=candidate(25))
    assert told(before, after) == ["v2 takes 25 % of the traffic"]


def test_a_first_version_takes_no_share():
    assert told(product(), product(candidate=candidate(100))) == []


def test_a_promotion_is_told_with_the_version_that_is_kept():
    past = {"version": "v1", "outcome": "Replaced", "endTime": "1"}
    before = product(stable=stable(), candidate=candidate(100))
    after = product(stable=stable("v2"), history=[past])
    assert told(before, after) == ["v2 is stable; v1 is kept for a rollback"]
    assert look(after).rests


def test_a_version_that_was_taken_back_is_told_with_its_reason():
    past = {"version": "v3", "outcome": "RolledBack", "reason": "CanaryWorse", "endTime": "1"}
    before = product(stable=stable(), candidate=candidate(5))
    assert told(before, product(stable=stable(), history=[past])) == [
        "v3 ended as RolledBack (CanaryWorse)"
    ]


def test_nothing_rests_while_a_retraining_is_under_way():
    assert not look(product(stable=stable(), retraining={"trigger": {"id": "1"}})).rests
    assert not look(product(stable=stable(), candidate=candidate(0))).rests


def test_a_state_that_became_unknown_says_why():
    degraded = {"type": "Degraded", "status": "Unknown", "reason": "LowCoverage"}
    before = product(state="Healthy")
    after = product(state="Unknown", conditions=[degraded | {"message": "no scrapes; none"}])
    assert told(before, after) == ["state: Healthy → Unknown: LowCoverage: no scrapes"]


def test_a_diagnosis_is_told_unless_the_decision_has_told_it():
    decision = {
        "type": "Alert",
        "reason": "UpstreamDegraded",
        "message": "pricing",
        "decisionTime": "1",
    }
    diagnosis = {"cause": "UpstreamDegraded", "message": "degraded upstream: pricing"}
    before = product(state="Degraded")
    alone = product(state="Degraded", diagnosis=diagnosis)
    both = product(state="Degraded", diagnosis=diagnosis, decision=decision)
    assert told(before, alone) == ["diagnosis: UpstreamDegraded: degraded upstream: pricing"]
    assert told(before, both) == ["Alert (UpstreamDegraded): pricing"]
