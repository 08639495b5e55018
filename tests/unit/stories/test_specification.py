"""Degradation, diagnosis, retraining: what the specification says of histories drawn by chance.

Written from the specification alone. Counts are binomial draws, and follow what was decided.
"""

from itertools import pairwise

import pytest

from tests.support.decisions.histories import (
    ACTING,
    World,
    always,
    decisions,
    fails_each,
    from_block,
    good,
    reasons,
    trains_each,
)
from tests.support.decisions.scenarios import (
    ACCURACY,
    AVAILABILITY,
    BLOCK,
    LATENCY,
    acts,
    count,
    product,
)

pytestmark = pytest.mark.slow

DAY = 288
BASELINE = {"accuracy": count(500, 5000)}
PASSED = {
    "version": "v2",
    "evaluation": {"accuracy": count(500, 5000)},
    "stableEvaluation": {"accuracy": count(1500, 5000)},
}
FAST_LATENCY = {"availability": always(0.0002), "latency": always(0.003), "accuracy": always(0.1)}
WITH_LATENCY = (AVAILABILITY, LATENCY, ACCURACY)


def decay(to=0.3, since=60, **rates):
    return {
        "availability": always(0.0002),
        "accuracy": from_block(since, 0.1, to),
        **rates,
    }


def world(rates=None, last=150, **fields):
    fields = {"product": product(), "accepted": BASELINE, **fields}
    return World(rates={"v1": rates or decay(), "v2": good(), "v3": good()}, last=last, **fields)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("drop", "days", "labels"),
    [(0.06, 3, 17), (0.06, 9, 2), (0.03, 7, 17), (0.12, 1, 17)],
)
def test_a_lasting_drop_is_found_and_retrained_once(seed, drop, days, labels):
    traffic = {"availability": 6000, "accuracy": labels}
    lines = world(decay(0.1 + drop, DAY), (1 + days) * DAY, traffic=traffic, seed=seed).play()
    assert acts(lines[:DAY]) == []
    assert acts(lines) == [("Retrain", "ModelDecay")]
    assert decisions(lines, "Retrain")[0]["state"] == "Degraded"


@pytest.mark.parametrize("seed", [1, 2])
def test_a_product_that_stays_as_it_was_accepted_is_left_alone_for_ten_days(seed):
    traffic = {"availability": 6000, "accuracy": 17}
    lines = world(good(), 10 * DAY, traffic=traffic, seed=seed).play()
    assert acts(lines) == []
    assert {line["state"] for line in lines[2:]} == {"Healthy"}


def test_an_error_exactly_at_the_objective_does_not_flap():
    slo = {**ACCURACY, "objective": "0.90", "maxDrop": None}
    slo = {name: value for name, value in slo.items() if value is not None}
    lines = world(
        good(),
        15 * DAY,
        product=product(AVAILABILITY, {**slo, "onDegraded": "Alert"}),
        traffic={"availability": 600, "accuracy": 2},
        accepted=None,
    ).play()
    entries = sum(
        before["state"] != "Degraded" == after["state"] for before, after in pairwise(lines)
    )
    assert entries <= 3


def test_slowness_alone_is_retrained_as_too_slow():
    rates = {**FAST_LATENCY, "latency": from_block(60, 0.003, 0.3)}
    lines = world(rates, product=product(*WITH_LATENCY)).play()
    assert acts(lines) == [("Retrain", "ModelTooSlow")]


def test_slowness_within_the_objective_is_measured_from_acceptance():
    rates = {**FAST_LATENCY, "latency": from_block(60, 0.003, 0.03)}
    slow = {**LATENCY, "objective": "0.95", "maxDrop": "0.01"}
    lines = world(
        rates,
        product=product(AVAILABILITY, slow, ACCURACY),
        accepted={**BASELINE, "latency": count(60, 20_000)},
    ).play()
    assert acts(lines) == [("Retrain", "ModelTooSlow")]


@pytest.mark.parametrize("failing", [0.05, 0.5, 1.0])
def test_failing_requests_alone_alert_once_and_never_retrain(failing):
    rates = {"availability": from_block(60, 0.0002, failing), "accuracy": always(0.1)}
    lines = world(rates).play()
    assert [kind for kind, _ in acts(lines)] == ["Alert"]


def test_failing_requests_beside_a_decay_are_no_reason_not_to_retrain():
    rates = decay(availability=from_block(60, 0.0002, 0.05))
    lines = world(rates, 300).play()
    assert len(decisions(lines, "Retrain")) == 1


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("Auto", {"Retrain"}),
        ("Retrain", {"Retrain"}),
        ("Rollback", {"Alert"}),
        ("Alert", {"Alert"}),
    ],
)
def test_the_wish_of_the_product_decides_what_follows(wish, expected):
    lines = world(product=product(AVAILABILITY, {**ACCURACY, "onDegraded": wish})).play()
    assert {kind for kind, _ in acts(lines)} == expected
    assert len(acts(lines)) == 1


def test_an_ignored_slo_neither_acts_nor_shows_in_the_state():
    lines = world(product=product(AVAILABILITY, {**ACCURACY, "onDegraded": "Ignore"})).play()
    assert acts(lines) == []
    assert {line["state"] for line in lines[2:]} == {"Healthy"}
    assert lines[-1]["slos"]["accuracy"]["state"] == "Missed"


@pytest.mark.parametrize(
    ("fact", "reason", "over"),
    [
        ({"upstreamDegraded": ["pricing"]}, "UpstreamDegraded", {"upstreamDegraded": []}),
        ({"podsUnhealthy": True}, "PodsUnhealthy", {"podsUnhealthy": False}),
    ],
)
def test_a_cause_outside_is_reported_waited_for_and_then_the_model_is_retrained(fact, reason, over):
    facts = [{"at": 50 * BLOCK, **fact}, {"at": 120 * BLOCK, **over}]
    depends = product(dependsOn=[{"name": "pricing"}])
    lines = world(product=depends, facts=facts).play()
    assert acts(lines) == [("Alert", reason), ("Retrain", "ModelDecay")]
    assert decisions(lines, "Retrain")[0]["at"] >= 120 * BLOCK


def test_a_wish_to_retrain_does_not_overrule_a_cause_outside():
    wish = product(
        AVAILABILITY, {**ACCURACY, "onDegraded": "Retrain"}, dependsOn=[{"name": "pricing"}]
    )
    lines = world(product=wish, facts=[{"at": 300, "upstreamDegraded": ["pricing"]}]).play()
    assert acts(lines) == [("Alert", "UpstreamDegraded")]


@pytest.mark.parametrize(
    "spec",
    [
        {"suspend": True},
        {"lifecycle": "Deprecated"},
        {"lifecycle": "Retired"},
        {"retraining": {"mode": "Disabled", "command": ["train"], "output": "registry.example/a"}},
        {
            "retraining": {
                "mode": "Manual",
                "command": ["python"],
                "output": "registry.example/search",
            }
        },
    ],
)
def test_who_may_not_be_retrained_is_not(spec):
    lines = world(product=product(**spec)).play()
    assert not {kind for kind, _ in acts(lines)} & ACTING
    assert lines[-1]["state"] == "Degraded"


@pytest.mark.parametrize("spec", [{"suspend": True}, {"lifecycle": "Deprecated"}])
def test_who_may_not_change_starts_no_rollout(spec):
    changed = {"at": 30 * BLOCK, "modelChanged": {"version": "v2"}}
    lines = world(good(), product=product(**spec), events=[changed]).play()
    assert not {kind for kind, _ in acts(lines)} & ACTING
    assert {line["candidate"] for line in lines} <= {None, "v2"}
    assert {line["weight"] for line in lines} == {0}


def trained_in(seconds):
    return {
        "command": ["python", "-m", "train"],
        "output": "registry.example/search",
        "cooldownSeconds": seconds,
    }


def test_each_failure_doubles_the_cooldown_and_the_third_needs_a_person():
    lines = world(
        last=3 * DAY, product=product(retraining=trained_in(14_400)), react=fails_each()
    ).play()
    starts = [line["at"] for line in decisions(lines, "Retrain")]
    assert len(starts) == 3
    first, second = (after - before for before, after in pairwise(starts))
    assert first >= 14_400
    assert second == pytest.approx(2 * first, abs=4 * BLOCK)
    assert "RetrainSuspended" in {line["decision"]["reason"] for line in lines}


def test_the_cooldown_is_never_longer_than_a_week():
    lines = world(
        last=16 * DAY, product=product(retraining=trained_in(5 * 86_400)), react=fails_each()
    ).play()
    starts = [line["at"] for line in decisions(lines, "Retrain")]
    assert len(starts) == 3
    assert max(b - a for a, b in pairwise(starts)) <= 7 * 86_400 + 2 * BLOCK


def test_a_promotion_forgives_the_failures_before_it():
    def react(lines):
        return fails_each()(lines)[:2] + [
            {"at": line["at"] + BLOCK, "retrained": PASSED}
            for line in decisions(lines, "Retrain")[2:3]
        ]

    lines = world(last=2 * DAY, product=product(retraining=trained_in(3600)), react=react).play()
    assert len(decisions(lines, "Promote")) == 1
    assert "RetrainSuspended" not in reasons(lines)
    assert lines[-1]["stable"] == "v2"


def result(candidate, stable, rows):
    return {
        "version": "v2",
        "evaluation": {"accuracy": count(round(candidate * rows), rows)},
        "stableEvaluation": {"accuracy": count(round(stable * rows), rows)},
    }


def test_a_result_that_is_worse_on_the_hold_out_gets_no_traffic_and_counts():
    worse = result(0.2, 0.1, 5000)
    lines = world(
        last=3 * DAY,
        product=product(retraining=trained_in(14_400)),
        react=trains_each(*[{**worse, "version": f"v{n}"} for n in (2, 3, 4, 5)]),
    ).play()
    assert {line["candidate"] for line in lines} == {None}
    assert ("Alert", "WorseOnHoldOut") in acts(lines)
    assert len(decisions(lines, "Retrain")) == 3


def test_a_hold_out_too_small_gets_no_traffic_and_is_not_counted():
    small = result(0.1, 0.1, 300)
    lines = world(
        last=3 * DAY,
        product=product(retraining=trained_in(14_400)),
        react=trains_each(*[{**small, "version": f"v{n}"} for n in range(2, 9)]),
    ).play()
    assert {line["candidate"] for line in lines} == {None}
    assert ("Alert", "HoldOutTooSmall") in acts(lines)
    assert len(decisions(lines, "Retrain")) > 3
    assert "RetrainSuspended" not in {line["decision"]["reason"] for line in lines}


def test_a_result_whose_parent_is_no_longer_stable_is_discarded():
    slow_training = trains_each({**PASSED, "version": "v3"}, after=200)
    changed = {"at": 80 * BLOCK, "modelChanged": {"version": "v2"}}
    lines = world(last=400, events=[changed], react=slow_training).play()
    assert lines[-1]["stable"] == "v2"
    assert "v3" not in {line["candidate"] for line in lines}


def test_the_cure_is_seen_through_to_its_end():
    lines = world(last=250, react=trains_each(PASSED)).play()
    assert [kind for kind, _ in acts(lines)] == [
        "Retrain",
        "StartRollout",
        "Advance",
        "Advance",
        "Promote",
    ]
    assert (lines[-1]["state"], lines[-1]["stable"]) == ("Healthy", "v2")


def relapse(since, **fields):
    """v2 is promoted by Git and turns bad so many blocks after the start."""
    rates = {"v1": good(), "v2": decay(0.35, since)}
    changed = {"at": 30 * BLOCK, "modelChanged": {"version": "v2"}}
    fields = {"product": product(), "accepted": BASELINE, **fields}
    return World(rates=rates, last=since + 150, events=[changed], **fields)


@pytest.mark.parametrize("wish", ["Auto", "Rollback"])
def test_a_release_that_turns_bad_goes_back_and_is_not_retrained(wish):
    lines = relapse(100, product=product(AVAILABILITY, {**ACCURACY, "onDegraded": wish})).play()
    kinds = [kind for kind, _ in acts(lines)]
    assert kinds == ["StartRollout", "Advance", "Advance", "Promote", "Rollback"]
    assert (lines[-1]["stable"], lines[-1]["candidate"]) == ("v1", None)
    assert lines[-1]["state"] == "Healthy"


def test_a_release_that_turns_bad_after_long_is_retrained():
    lines = relapse(100 + 3 * DAY, traffic={"availability": 6000, "accuracy": 200}).play()
    assert acts(lines)[-1] == ("Retrain", "ModelDecay")


def test_a_degradation_that_ends_by_itself_is_left_after_an_hour_of_calm():
    def failing(index):
        return 0.2 if 60 <= index < 70 else 0.0002

    lines = world({"availability": failing, "accuracy": always(0.1)}, last=300).play()
    assert len(acts(lines)) == 1
    degraded = [line["at"] // BLOCK for line in lines if line["state"] == "Degraded"]
    assert degraded[-1] >= 70 + 11
    assert degraded == list(range(degraded[0], degraded[-1] + 1))
    assert lines[-1]["state"] == "Healthy"
