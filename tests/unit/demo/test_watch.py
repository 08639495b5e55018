"""News of a product are printed once, in sentences, with the operator's own words."""

from __future__ import annotations

import pytest

from demo.watch import ProductState, look, news

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


def test_a_product_without_status_prints_no_line():
    assert look({"metadata": {}}) == ProductState()
    assert not list(news(ProductState(), ProductState()))


def decision(kind, reason, message):
    return {"type": kind, "reason": reason, "message": message, "decisionTime": "1"}


RUNNING = {"job": "pricing-train-1", "trigger": {"id": "1", "cause": "ModelDecay"}}
ENDED = {
    "outcome": "InProgress", "version": "v2",
    "evaluation": {"accuracy": {"bad": 80, "total": 1000}},
    "stableEvaluation": {"accuracy": {"bad": 230, "total": 1000}},
}  # fmt: skip
FAILED = {"outcome": "Failed", "message": "out of memory"}
RETRAIN = decision("Retrain", "ModelDecay", "77 % of 92 %")
ADVANCE = decision("Advance", "CanaryNotWorse", "on")
TAKEN_BACK = {"version": "v3", "outcome": "RolledBack", "reason": "CanaryWorse", "endTime": "1"}
UNKNOWN = {
    "type": "Degraded", "status": "Unknown", "reason": "LowCoverage", "message": "no scrapes; none",
}  # fmt: skip
UPSTREAM = {"cause": "UpstreamDegraded", "message": "degraded upstream: pricing"}
ALERT = decision("Alert", "UpstreamDegraded", "pricing")
NEWS = {
    "the first version serves": (
        {}, {"stable": stable(), "conditions": [{"type": "Ready", "status": "True"}]},
        "v1 serves all traffic",
    ),
    "a decision": (
        {"stable": stable()}, {"stable": stable(), "decision": RETRAIN},
        "Retrain (ModelDecay): 77 % of 92 %",
    ),
    "the same decision": ({"decision": RETRAIN}, {"decision": RETRAIN}, None),
    "the same decision at another time": (
        {"decision": ADVANCE}, {"decision": ADVANCE | {"decisionTime": "2"}},
        "Advance (CanaryNotWorse): on",
    ),
    "the Job of a training": ({}, {"retraining": RUNNING}, "training Job pricing-train-1 runs"),
    "the result of a training": (
        {"retraining": RUNNING}, {"retraining": {"lastResult": ENDED}},
        "training ended with v2: 92.0 % on the hold-out, stable 77.0 %",
    ),
    "a training that failed": (
        {}, {"retraining": {"lastResult": FAILED}}, "training ended with Failed: out of memory",
    ),
    "another share of the traffic": (
        {"stable": stable(), "candidate": candidate(5)},
        {"stable": stable(), "candidate": candidate(25)}, "v2 takes 25 % of the traffic",
    ),
    "no share of a first version": ({}, {"candidate": candidate(100)}, None),
    "a version that was taken back": (
        {"stable": stable(), "candidate": candidate(5)},
        {"stable": stable(), "history": [TAKEN_BACK]}, "v3 ended as RolledBack (CanaryWorse)",
    ),
    "a state that became unknown": (
        {"state": "Healthy"}, {"state": "Unknown", "conditions": [UNKNOWN]},
        "state: Healthy → Unknown: LowCoverage: no scrapes",
    ),
    "a diagnosis": (
        {"state": "Degraded"}, {"state": "Degraded", "diagnosis": UPSTREAM},
        "diagnosis: UpstreamDegraded: degraded upstream: pricing",
    ),
    "a diagnosis that the decision tells": (
        {"state": "Degraded"}, {"state": "Degraded", "diagnosis": UPSTREAM, "decision": ALERT},
        "Alert (UpstreamDegraded): pricing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "line"), NEWS.values(), ids=NEWS)
def test_a_status_change_is_printed_once_as_a_sentence(before, after, line):
    assert told(product(**before), product(**after)) == ([line] if line else [])


def test_the_reason_why_a_product_does_not_serve_is_kept_for_the_timeout_message():
    condition = {"type": "Ready", "status": "False", "message": "v1: no pod is ready"}
    assert look(product(conditions=[condition])).problem == "v1: no pod is ready"


def test_the_demo_shows_the_baseline_of_the_stable_version():
    assert look(product(stable=stable())).baseline == pytest.approx(0.92)
    assert look(product(stable={"version": "v1"})).baseline is None


def test_a_promotion_is_printed_with_the_kept_version():
    past = {"version": "v1", "outcome": "Replaced", "endTime": "1"}
    before = product(stable=stable(), candidate=candidate(100))
    after = product(stable=stable("v2"), history=[past])
    assert told(before, after) == ["v2 is stable; v1 is kept for a rollback"]
    assert look(after).rests


def test_a_product_is_not_idle_during_a_retraining():
    assert not look(product(stable=stable(), retraining={"trigger": {"id": "1"}})).rests
    assert not look(product(stable=stable(), candidate=candidate(0))).rests
