"""What is decided over whole histories: each test's name is the rule, each history its proof."""

import json
from typing import Any

import pytest

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.decays import (
    DECAY,
    EASY,
    TRAINED,
    changed,
    decaying,
    failed,
    one_step,
    trained,
)
from tests.support.decisions.scenarios import (
    ACCURACY,
    AVAILABILITY,
    BLOCK,
    LATENCY,
    acts,
    at,
    count,
    first,
    product,
    run,
    scenario,
    steady,
    types,
)

WARM_UP = 2
"""Blocks of a new version that don't count."""
CONVERSION = {
    "name": "conversion",
    "indicator": {
        "counters": {"good": "clicked_total", "total": "served_total", "lagSeconds": 1800}
    },
    "maxDrop": "0.004",
}


# ---- degradation and its remedy ---------------------------------------------------------------
def test_a_decayed_model_is_retrained_canaried_and_promoted():
    lines = run(scenario(decaying(0.1), 200, product=one_step(), events=[trained()]))
    assert acts(lines) == [
        ("Retrain", "ModelDecay"),
        ("StartRollout", "GatePassed"),
        ("Promote", "CanaryNotWorse"),
    ]
    assert lines[-1]["stable"] == "v2"
    assert lines[-1]["state"] == "Healthy"


def test_a_retraining_reports_accuracy_before_and_now_with_sample_sizes_and_evidence():
    message = first(run(scenario(decaying(), 115)), "Retrain")["decision"]["message"]
    assert message.startswith(
        "Accuracy fell from 90.0 % (n=1,000, at acceptance) to 75.0 % (n=2,400, 1 h of evidence),"
        " 80.8 % (n=4,800) in the last 2 h; the evidence of a drop (maxDrop 3 points) is"
        " 99.5, of the 12.5 that are needed"
    )


def test_the_message_on_a_young_version_has_the_measured_time_and_not_the_window():
    """Not the window's length: nothing was measured of it before."""
    spec = product(AVAILABILITY, {**ACCURACY, "objective": "0.80"})
    document = scenario(lambda _: {"v1": steady(0.4, 200)}, 30, product=spec, accepted=None)
    lines = run(document)
    for blocks, age in ((2, "10 min"), (4, "20 min"), (24, "2 h")):
        message = at(lines, (blocks + WARM_UP) * BLOCK)["decision"]["message"]
        assert f"60.0 % (n={blocks * 200:,}, last {age}) against an objective" in message


def test_a_decision_message_has_the_numbers_that_decided_beside_the_newest_window():
    def script(index):
        return {"v1": steady(0.5 if 96 < index <= 120 else 0.1, 200)}

    line = at(run(scenario(script, 140)), 136 * BLOCK)
    assert line["decision"]["reason"] == "Recovered"
    assert (
        "to 63.3 % (n=7,200, 3 h of evidence), 76.7 % (n=4,800) in the last 2 h"
        in (line["decision"]["message"])
    )


def test_a_promotion_of_a_pushed_version_is_no_training_attempt():
    document = scenario(decaying(0.1), 200, product=one_step(), events=[changed(TRAINED, "v2")])
    steps = list(replay(parse_scenario(json.loads(json.dumps(document)))))
    (promoted,) = [step for step in steps if step.evaluation.decision.type == "Promote"]
    trained = promoted.status.retraining
    assert trained is None or trained.last_reason == ""


def test_a_retraining_stays_in_flight_until_an_event_ends_it():
    lines = run(scenario(decaying(), 400))
    assert types(lines) == ["Retrain"]
    assert lines[-1]["decision"]["reason"] == "AlreadyRetraining"


def test_a_bad_evaluation_alone_starts_no_action():
    lines = run(scenario(decaying(), 109))
    assert at(lines, 108 * BLOCK)["state"] == "Degrading"
    assert at(lines, 109 * BLOCK)["decision"]["reason"] == "NotConfirmed"
    assert types(lines) == []


def test_a_version_that_is_too_slow_is_retrained():
    def script(index):
        slow = 6 if index < DECAY else 400
        return {"v1": {"availability": count(0, 1200), "latency": count(slow, 1200)}}

    lines = run(scenario(script, 130, product=product(AVAILABILITY, LATENCY), accepted=None))
    assert acts(lines) == [("Retrain", "ModelTooSlow")]


@pytest.mark.parametrize("failing", [60, 300, 1200])
def test_failing_requests_alone_raise_one_alert_and_no_training(failing):
    def script(index):
        return {"v1": {"availability": count(0 if index < DECAY else failing, 1200)}}

    spec = product({**AVAILABILITY, "onDegraded": "Retrain"})
    lines = run(scenario(script, 300, product=spec, accepted=None))
    assert acts(lines) == [("Alert", "AvailabilityOnly")]
    (alert,) = [line["decision"] for line in lines if line["decision"]["type"] == "Alert"]
    assert (
        "`kubectl logs --namespace catalog --selector sluicegate.dev/product=search,"
        in alert["message"]
    )


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("Auto", [("Retrain", "ModelDecay")]),
        ("Retrain", [("Retrain", "ModelDecay")]),
        ("Alert", [("Alert", "ModelDecay")]),
        ("Rollback", [("Alert", "NotFound")]),
        ("Ignore", []),
    ],
)
def test_on_degraded_selects_the_reaction_to_a_degradation(wish, expected):
    spec = product(EASY, {**ACCURACY, "onDegraded": wish})
    assert acts(run(scenario(decaying(), 160, product=spec))) == expected


def test_an_ignored_slo_is_shown_and_leaves_the_product_healthy():
    spec = product(EASY, {**ACCURACY, "onDegraded": "Ignore"})
    line = run(scenario(decaying(), 160, product=spec))[-1]
    assert (line["state"], line["slos"]["accuracy"]["state"]) == ("Healthy", "Missed")


def test_an_slo_without_an_objective_is_judged_by_its_drop_from_acceptance():
    def script(index):
        clicks = 31 if index < DECAY else 20
        return {"v1": {"conversion": count(1000 - clicks, 1000)}}

    spec = product(CONVERSION)
    accepted = {"conversion": count(96_900, 100_000)}
    lines = run(scenario(script, 300, product=spec, accepted=accepted))
    assert acts(lines) == [("Retrain", "ModelDecay")]
    assert lines[90]["state"] == "Healthy"


def test_without_a_baseline_only_the_objective_is_judged():
    slo = {**ACCURACY, "objective": "0.60"}
    lines = run(scenario(decaying(), 200, product=product(EASY, slo), accepted=None))
    assert types(lines) == []
    assert "baselineRatio" not in lines[-1]["slos"]["accuracy"]


def test_a_production_baseline_replaces_the_evaluation_after_one_day():
    lines = run(scenario(lambda _index: {"v1": steady(0.1, 200)}, 330))
    sources = [line["slos"]["accuracy"].get("baselineSource") for line in lines]
    assert sources[0] == "Evaluation"
    assert sources[-1] == "Production"
    assert sources.index("Production") >= 288


def test_a_decay_never_becomes_the_baseline():
    lines = run(scenario(decaying(), 900))
    assert {line["slos"]["accuracy"]["baselineRatio"] for line in lines} == {0.8996}


def test_a_degraded_product_recovers_only_after_one_hour_in_which_its_slos_are_met():
    def script(index):
        return {"v1": {"availability": count(300 if 100 <= index < 110 else 0, 1200)}}

    lines = run(scenario(script, 400, product=product(AVAILABILITY), accepted=None))
    states = [line["state"] for line in lines]
    left = next(i for i in range(110, 400) if states[i] != "Degraded")
    assert states[110:left] == ["Degraded"] * (left - 110)
    assert left >= 110 + 12
    assert states[-1] == "Healthy"


# ---- causes outside the model ---------------------------------------------------------------
def released(*shares: tuple[int, int]) -> dict[str, Any]:
    """Return an upstream's version; shares in blocks and percent."""
    changes = [{"at": block * BLOCK, "weight": weight} for block, weight in shares]
    release = {"product": "catalog/pricing", "version": "v5", "shares": changes}
    return {"upstreamReleases": [release]}


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"upstreamDegraded": ["pricing"]}, "UpstreamDegraded"),
        ({"podsUnhealthy": True}, "PodsUnhealthy"),
        (released((DECAY, 100)), "UpstreamReleased"),
    ],
)
@pytest.mark.parametrize("wish", ["Auto", "Retrain"])
def test_a_cause_outside_the_model_raises_one_alert_and_no_remedy(fact, reason, wish):
    facts = [{"at": 90 * BLOCK, **fact}]
    spec = product(EASY, {**ACCURACY, "onDegraded": wish})
    lines = run(scenario(decaying(), 200, product=spec, facts=facts))
    assert acts(lines) == [("Alert", reason)]
    assert lines[-1]["decision"]["reason"] == reason


def test_a_decay_that_is_shown_beside_a_bad_release_is_retrained_without_another_detection():
    own = DECAY + 60

    def script(index):
        bad = 0.1 + 0.1 * (index >= DECAY) + 0.2 * (index >= own)
        return {"v1": steady(bad, 200)}

    facts = [{"at": DECAY * BLOCK, **released((DECAY, 100))}]
    lines = run(scenario(script, own + 40, facts=facts))
    assert acts(lines) == [("Alert", "UpstreamReleased"), ("Retrain", "ModelDecay")]
    begin, end = (lines.index(first(lines, kind)) for kind in ("Alert", "Retrain"))
    between = {line["decision"]["reason"] for line in lines[begin:end]}
    assert between == {"UpstreamReleased"}  # no block of that time is ignored
    assert lines[end]["at"] <= (own + 20) * BLOCK


def test_a_release_remains_the_cause_after_an_hour_of_answers_as_accepted():
    calm = range(DECAY + 40, DECAY + 52)

    def script(index):
        return {"v1": steady(0.25 if index >= DECAY and index not in calm else 0.1, 200)}

    facts = [{"at": DECAY * BLOCK, **released((DECAY, 100))}]
    lines = run(scenario(script, DECAY + 120, facts=facts))
    reasons = [line["decision"]["reason"] for line in lines]
    assert "Recovered" in reasons
    assert acts(lines) == [("Alert", "UpstreamReleased")]
    assert reasons[-1] == "UpstreamReleased"


def test_an_alert_about_a_release_names_its_training_and_the_changes_of_its_api():
    fact = released((DECAY, 100))
    fact["upstreamReleases"][0]["origin"] = "v5 was trained for ModelDecay of accuracy"
    lines = run(scenario(decaying(), 130, facts=[{"at": 90 * BLOCK, **fact}]))
    message = first(lines, "Alert")["decision"]["message"]
    assert "now; v5 was trained for ModelDecay of accuracy; a training would adapt" in message


@pytest.mark.parametrize(
    ("fact", "over", "reason"),
    [
        ({"upstreamDegraded": ["pricing"]}, {"upstreamDegraded": []}, "UpstreamDegraded"),
        ({"podsUnhealthy": True}, {"podsUnhealthy": False}, "PodsUnhealthy"),
        (released((DECAY, 100)), {"upstreamReleases": []}, "UpstreamReleased"),
    ],
)
def test_a_decay_that_outlasts_an_external_cause_is_retrained(fact, over, reason):
    facts = [{"at": 90 * BLOCK, **fact}, {"at": 150 * BLOCK, **over}]
    lines = run(scenario(decaying(), 200, facts=facts))
    assert acts(lines) == [("Alert", reason), ("Retrain", "ModelDecay")]
    assert first(lines, "Retrain")["at"] == 157 * BLOCK  # confirmed by what came after it


def test_a_training_waits_for_the_state_of_a_degrading_upstream_for_an_hour_of_blocks_at_most():
    usual = first(run(scenario(decaying(), 200)), "Retrain")["at"]
    facts = [{"at": 90 * BLOCK, "upstreamDegrading": ["pricing"]}]
    lines = run(scenario(decaying(), 200, facts=facts))
    assert acts(lines) == [("Retrain", "ModelDecay")]
    trained = first(lines, "Retrain")["at"]
    begin = DECAY * BLOCK
    assert usual < trained <= 2 * (usual - begin) + begin
    held = at(lines, usual)
    assert held["decision"]["reason"] == "UpstreamDegrading"
    assert "not confirmed yet: pricing" in held["decision"]["message"]


@pytest.mark.parametrize(
    ("state", "decision"),
    [("upstreamDegraded", "UpstreamDegraded"), ("upstreamReleases", "ModelDecay")],
    ids=["confirmed", "healthy again"],
)
def test_a_wait_for_the_state_of_an_upstream_ends_with_its_confirmation(state, decision):
    usual = first(run(scenario(decaying(), 200)), "Retrain")["at"]
    ended = {"upstreamDegrading": [], state: ["pricing"] if state == "upstreamDegraded" else []}
    facts = [
        {"at": 90 * BLOCK, "upstreamDegrading": ["pricing"]},
        {"at": usual + 2 * BLOCK, **ended},
    ]
    lines = run(scenario(decaying(), 130, facts=facts))
    assert [at(lines, usual + blocks * BLOCK)["decision"]["reason"] for blocks in (1, 2)] == [
        "UpstreamDegrading",
        decision,
    ]


@pytest.mark.parametrize(("blocks", "reason"), [(3, "Superseded"), (60, "UpstreamDegraded")])
def test_a_training_is_superseded_if_an_upstream_is_confirmed_as_degraded_since_its_drop_began(
    blocks, reason
):
    retrain = first(run(scenario(decaying(), 200)), "Retrain")
    known_at = retrain["at"] + blocks * BLOCK
    facts = [{"at": known_at, "upstreamDegraded": ["pricing"]}]
    decision = at(run(scenario(decaying(), 200, facts=facts)), known_at)["decision"]
    assert decision["reason"] == reason
    if reason == "Superseded":
        assert decision["message"].endswith(
            "an upstream is degraded since about the time of the drop (pricing)"
        )


def test_a_release_remains_the_cause_for_days_after_an_earlier_incident():
    """What is before the release is of a few hours, however old the release is."""
    incident, release = range(100, 160), 300

    def script(index):
        return {"v1": steady(0.3 if index in incident or index >= release else 0.1, 200)}

    facts = [
        {"at": 90 * BLOCK, "upstreamDegraded": ["pricing"]},
        {"at": 200 * BLOCK, "upstreamDegraded": []},
        {"at": release * BLOCK, **released((release, 100))},
    ]
    lines = run(scenario(script, release + 400, facts=facts))
    assert acts(lines) == [("Alert", "UpstreamDegraded"), ("Alert", "UpstreamReleased")]
    assert lines[-1]["decision"]["reason"] == "UpstreamReleased"


@pytest.mark.parametrize(
    "shares",
    [[(DECAY - 48, 100)], [(DECAY - 40, 5), (DECAY - 30, 25), (DECAY + 20, 100)]],
    ids=["four hours before", "between two shares"],
)
def test_a_decay_at_another_moment_than_an_upstreams_release_is_retrained(shares):
    facts = [{"at": 0, **released(*shares)}]
    lines = run(scenario(decaying(), 200, facts=facts))
    assert acts(lines) == [("Retrain", "ModelDecay")]


def test_a_past_incident_starts_no_training():
    def script(index):
        return {"v1": steady(0.3 if DECAY <= index < 130 else 0.1, 200)}

    facts = [
        {"at": 90 * BLOCK, "upstreamDegraded": ["pricing"]},
        {"at": 160 * BLOCK, "upstreamDegraded": []},
    ]
    lines = run(scenario(script, 500, facts=facts))
    assert acts(lines) == [("Alert", "UpstreamDegraded")]
    assert at(lines, 159 * BLOCK)["decision"]["reason"] == "Recovered"
    assert at(lines, 159 * BLOCK)["state"] == "Degraded"
    assert at(lines, 160 * BLOCK)["slos"]["accuracy"]["state"] == "Unknown"
    assert {line["state"] for line in lines[165:]} == {"Healthy"}


def test_a_traffic_surge_explains_slowness():
    def script(index):
        surge = index >= 320
        return {"v1": {"latency": count(2000 if surge else 3, 6000 if surge else 1200)}}

    lines = run(scenario(script, 360, product=product(LATENCY), accepted=None))
    assert acts(lines) == [("Alert", "TrafficAnomaly")]


# ---- preconditions --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"suspend": True}, []),
        ({"lifecycle": "Deprecated"}, [("Alert", "LifecycleEnded")]),
        ({"lifecycle": "Retired"}, [("Alert", "LifecycleEnded")]),
        ({"retraining": None}, [("Alert", "RetrainingDisabled")]),
    ],
)
def test_a_suspended_ended_or_untrainable_product_is_never_retrained(spec, expected):
    lines = run(scenario(decaying(), 200, product=product(**spec)))
    assert acts(lines) == expected
    assert lines[-1]["state"] == "Degraded"


@pytest.mark.parametrize(
    ("mode", "reason"), [("Manual", "ManualMode"), ("Disabled", "RetrainingDisabled")]
)
def test_manual_modes_alert_once_and_start_no_training(mode, reason):
    retraining = {"mode": mode, "command": ["train"], "output": "registry.example/search"}
    lines = run(scenario(decaying(), 200, product=product(retraining=retraining)))
    assert acts(lines) == [("Alert", reason)]


def test_a_manual_training_result_is_rolled_out_in_manual_mode():
    retraining = {"mode": "Manual", "command": ["train"], "output": "registry.example/search"}
    spec = one_step(retraining=retraining)
    lines = run(scenario(decaying(0.1), 200, product=spec, events=[trained()]))
    assert types(lines) == ["Alert", "StartRollout", "Promote"]


def test_suspended_products_start_no_rollout():
    events = [changed(50, "v3")]
    lines = run(scenario(decaying(), 160, product=one_step(suspend=True), events=events))
    assert types(lines) == []
    assert {(line["stable"], line["weight"]) for line in lines} == {("v1", 0)}
    assert {line["decision"]["reason"] for line in lines} == {"Suspended"}


def test_deprecated_products_start_no_rollout():
    spec = product(lifecycle="Deprecated")
    lines = run(scenario(lambda _i: {"v1": steady()}, 80, product=spec, events=[changed(50, "v3")]))
    assert types(lines) == []
    assert lines[-1]["decision"]["reason"] == "LifecycleEnded"


def test_a_version_younger_than_fourteen_blocks_is_not_retrained():
    def script(_index):
        return {"v1": {"availability": count(0, 1200), "latency": count(600, 1200)}}

    lines = run(scenario(script, 40, product=product(EASY, LATENCY), accepted=None))
    assert first(lines, "Retrain")["at"] == 14 * BLOCK
    assert at(lines, 10 * BLOCK)["decision"]["reason"] == "VersionTooYoung"


@pytest.mark.slow
def test_the_cooldown_doubles_with_each_further_failure_and_three_need_a_person():
    day = 288
    events = [failed(120), failed(420), failed(1010)]
    lines = run(scenario(decaying(), 120 + 5 * day, events=events))
    assert acts(lines) == [
        ("Retrain", "ModelDecay"),
        ("Alert", "JobFailed"),
        ("Retrain", "ModelDecay"),
        ("Alert", "JobFailed"),
        ("Retrain", "ModelDecay"),
        ("Alert", "JobFailed"),
        ("Alert", "RetrainSuspended"),
    ]
    starts = [line["at"] for line in lines if line["decision"]["type"] == "Retrain"]
    assert starts[1] - 120 * BLOCK == 86_400
    assert starts[2] - 420 * BLOCK == 2 * 86_400


def test_a_failed_training_is_reported_with_its_message():
    lines = run(scenario(decaying(), 140, events=[failed(120)]))
    message = at(lines, 120 * BLOCK)["decision"]["message"]
    assert message == "the training failed: out of memory (attempt 1 of 3 without a promotion)"


def test_a_failure_of_an_unknown_training_is_ignored():
    lines = run(scenario(decaying(), 140, events=[failed(50)]))
    assert acts(lines) == [("Retrain", "ModelDecay")]


# ---- the hold-out ---------------------------------------------------------------------------
def test_a_version_worse_on_the_hold_out_gets_no_traffic_and_counts_as_an_attempt():
    event = trained(
        evaluation={"accuracy": count(1900, 5000)}, stableEvaluation={"accuracy": count(1500, 5000)}
    )
    lines = run(scenario(decaying(), 140, events=[event]))
    line = at(lines, TRAINED * BLOCK)
    assert (line["decision"]["type"], line["decision"]["reason"]) == ("Alert", "WorseOnHoldOut")
    assert "attempt 1 of 3" in line["decision"]["message"]
    assert line["candidate"] is None


def test_a_hold_out_too_small_names_the_rows_that_are_needed():
    event = trained(
        evaluation={"accuracy": count(10, 100)}, stableEvaluation={"accuracy": count(10, 100)}
    )
    decision = at(run(scenario(decaying(), 140, events=[event])), TRAINED * BLOCK)["decision"]
    assert (decision["type"], decision["reason"]) == ("Alert", "HoldOutTooSmall")
    assert "about 5,186 rows" in decision["message"]


@pytest.mark.slow
def test_trainings_with_a_too_small_hold_out_are_repeated_at_growing_intervals():
    small = {
        "evaluation": {"accuracy": count(10, 100)},
        "stableEvaluation": {"accuracy": count(10, 100)},
    }
    day = 288
    ends = (TRAINED, TRAINED + day + 12, TRAINED + 3 * day + 24)
    events = [trained(end, f"v{k + 2}", **small) for k, end in enumerate(ends)]
    lines = run(scenario(decaying(), TRAINED + 5 * day, events=events))
    assert [reason for kind, reason in acts(lines) if kind == "Alert"] == ["HoldOutTooSmall"] * 3
    begins = [line["at"] // BLOCK for line in lines if line["decision"]["type"] == "Retrain"]
    assert len(begins) == len(ends), "each attempt is followed by a longer pause, not by an end"
    pauses = [begin - end for end, begin in zip(ends, begins[1:], strict=False)]
    assert [round(pause / day) for pause in pauses] == [1, 2]


@pytest.mark.parametrize(
    "counts",
    [
        {"evaluation": {"accuracy": count(1, 5000)}},
        {"stableEvaluation": {"accuracy": count(1500, 5000)}},
        {"evaluation": {}, "stableEvaluation": {}},
        {"evaluation": {"accuracy": count(0, 0)}, "stableEvaluation": {"accuracy": count(0, 0)}},
    ],
)
def test_a_result_without_counts_of_both_versions_gets_no_traffic(counts):
    lines = run(scenario(decaying(), 140, events=[trained(**counts)]))
    assert acts(lines)[-1] == ("Alert", "HoldOutTooSmall")
