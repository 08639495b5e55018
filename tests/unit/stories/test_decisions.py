"""What is decided over whole histories: each test's name is the rule, each history its proof."""

import json
from itertools import pairwise
from typing import Any

import pytest

from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.scenarios import (
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

CONVERSION = {
    "name": "conversion",
    "indicator": {
        "counters": {"good": "clicked_total", "total": "served_total", "lagSeconds": 1800}
    },
    "maxDrop": "0.004",
}
EASY = {**AVAILABILITY, "objective": "0.99"}
ONE_STEP = {"steps": [50]}
PASSED = {
    "evaluation": {"accuracy": count(500, 5000)},
    "stableEvaluation": {"accuracy": count(1500, 5000)},
}
DECAY, TRAINED = 100, 130


def trained(block=TRAINED, version="v2", **counts):
    return {"at": block * BLOCK, "retrained": {"version": version, **(counts or PASSED)}}


def failed(block):
    return {"at": block * BLOCK, "retrainingFailed": {"message": "out of memory"}}


def changed(block, version):
    return {"at": block * BLOCK, "modelChanged": {"version": version}}


def decaying(candidate=None, version="v2", since=TRAINED, decay=DECAY):
    """Stable's accuracy falls from .90 to .70; a candidate's bad rate is as given."""

    def script(index):
        counts = {"v1": steady(0.1 if index < decay else 0.3, 200)}
        if candidate is not None and index > since:
            counts[version] = steady(candidate, 200, requests=600)
        return counts

    return script


def one_step(*slos, **spec):
    return product(*(slos or (EASY, ACCURACY)), rollout=ONE_STEP, **spec)


# ---- degradation and its cure ---------------------------------------------------------------
def test_decay_is_seen_retrained_tried_and_promoted():
    lines = run(scenario(decaying(0.1), 200, product=one_step(), events=[trained()]))
    assert acts(lines) == [
        ("Retrain", "ModelDecay"),
        ("StartRollout", "GatePassed"),
        ("Promote", "CanaryNotWorse"),
    ]
    assert lines[-1]["stable"] == "v2"
    assert lines[-1]["state"] == "Healthy"


def test_a_retraining_tells_before_and_now_with_sample_sizes_and_evidence():
    message = first(run(scenario(decaying(), 115)), "Retrain")["decision"]["message"]
    assert message.startswith(
        "Accuracy fell from 90.0 % (n=1,000, at acceptance) to 75.0 % (n=2,400, 1 h of evidence),"
        " 80.8 % (n=4,800, last 2 h) at present; that is beyond the allowed 3 points with the"
        " evidence at 182.0 of 12.5"
    )


def test_what_is_told_are_the_numbers_that_decide_not_those_of_the_newest_window():
    def script(index):
        return {"v1": steady(0.5 if 96 < index <= 120 else 0.1, 200)}

    line = at(run(scenario(script, 170)), 165 * BLOCK)
    assert line["decision"]["reason"] == "Recovered"
    assert (
        "to 74.0 % (n=12,000, 5 h of evidence), 90.0 % (n=4,800, last 2 h) at present"
        in (line["decision"]["message"])
    )


def test_a_promotion_that_no_training_made_is_no_attempt():
    document = scenario(decaying(0.1), 200, product=one_step(), events=[changed(TRAINED, "v2")])
    steps = list(replay(parse_scenario(json.loads(json.dumps(document)))))
    (promoted,) = [one for one in steps if one.evaluation.decision.type == "Promote"]
    trained = promoted.status.retraining
    assert trained is None or trained.last_reason == ""


def test_a_retraining_stays_in_flight_until_an_event_ends_it():
    lines = run(scenario(decaying(), 400))
    assert types(lines) == ["Retrain"]
    assert lines[-1]["decision"]["reason"] == "AlreadyRetraining"


def test_a_bad_evaluation_alone_changes_nothing():
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


def test_failing_requests_alone_are_told_once_and_never_retrained():
    def script(index):
        return {"v1": {"availability": count(0 if index < DECAY else 300, 1200)}}

    spec = product({**AVAILABILITY, "onDegraded": "Retrain"})
    lines = run(scenario(script, 300, product=spec, accepted=None))
    assert acts(lines) == [("Alert", "AvailabilityOnly")]


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
def test_on_degraded_chooses_what_follows(wish, expected):
    spec = product(EASY, {**ACCURACY, "onDegraded": wish})
    assert acts(run(scenario(decaying(), 160, product=spec))) == expected


def test_an_ignored_slo_is_shown_and_leaves_the_product_healthy():
    spec = product(EASY, {**ACCURACY, "onDegraded": "Ignore"})
    line = run(scenario(decaying(), 160, product=spec))[-1]
    assert (line["state"], line["slos"]["accuracy"]["state"]) == ("Healthy", "BAD")


def test_conversion_is_judged_by_its_distance_from_acceptance():
    def script(index):
        clicks = 31 if index < DECAY else 20
        return {"v1": {"conversion": count(1000 - clicks, 1000)}}

    spec = product(CONVERSION)
    accepted = {"conversion": count(96_900, 100_000)}
    lines = run(scenario(script, 300, product=spec, accepted=accepted))
    assert acts(lines) == [("Retrain", "ModelDecay")]
    assert lines[90]["state"] == "Healthy"


def test_without_an_acceptance_only_the_objective_speaks():
    slo = {**ACCURACY, "objective": "0.60"}
    lines = run(scenario(decaying(), 200, product=product(EASY, slo), accepted=None))
    assert types(lines) == []
    assert "baselineRatio" not in lines[-1]["slos"]["accuracy"]


def test_production_replaces_the_evaluation_once_it_has_shown_a_day():
    lines = run(scenario(lambda _index: {"v1": steady(0.1, 200)}, 330))
    sources = [line["slos"]["accuracy"].get("baselineSource") for line in lines]
    assert sources[0] == "Evaluation"
    assert sources[-1] == "Production"
    assert sources.index("Production") >= 288


def test_a_baseline_never_learns_a_decay():
    lines = run(scenario(decaying(), 900))
    assert {line["slos"]["accuracy"]["baselineRatio"] for line in lines} == {0.8996}


def test_a_degraded_product_recovers_by_itself_only_after_an_hour_of_calm():
    def script(index):
        return {"v1": {"availability": count(300 if 100 <= index < 110 else 0, 1200)}}

    lines = run(scenario(script, 400, product=product(AVAILABILITY), accepted=None))
    states = [line["state"] for line in lines]
    left = next(i for i in range(110, 400) if states[i] != "Degraded")
    assert states[110:left] == ["Degraded"] * (left - 110)
    assert left >= 110 + 12
    assert states[-1] == "Healthy"


# ---- causes outside the model ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ({"upstreamDegraded": ["pricing"]}, "UpstreamDegraded"),
        ({"podsUnhealthy": True}, "PodsUnhealthy"),
    ],
)
def test_a_cause_outside_is_told_once_and_waited_for(fact, reason):
    facts = [{"at": 90 * BLOCK, **fact}]
    lines = run(scenario(decaying(), 200, facts=facts))
    assert acts(lines) == [("Alert", reason)]
    assert lines[-1]["decision"]["reason"] == reason


def test_when_the_cause_outside_ends_and_the_decay_stays_it_is_retrained():
    facts = [
        {"at": 90 * BLOCK, "upstreamDegraded": ["pricing"]},
        {"at": 150 * BLOCK, "upstreamDegraded": []},
    ]
    lines = run(scenario(decaying(), 200, facts=facts))
    assert acts(lines) == [("Alert", "UpstreamDegraded"), ("Retrain", "ModelDecay")]
    assert first(lines, "Retrain")["at"] == 153 * BLOCK  # confirmed by what came after it


def test_an_incident_that_has_passed_is_not_retrained():
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


def test_a_surge_of_traffic_explains_slowness():
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
def test_some_products_are_never_retrained(spec, expected):
    assert acts(run(scenario(decaying(), 200, product=product(**spec)))) == expected


@pytest.mark.parametrize(
    ("mode", "reason"), [("Manual", "ManualMode"), ("Disabled", "RetrainingDisabled")]
)
def test_modes_that_leave_the_decision_to_people_say_so_once(mode, reason):
    retraining = {"mode": mode, "command": ["train"], "output": "registry.example/search"}
    lines = run(scenario(decaying(), 200, product=product(retraining=retraining)))
    assert acts(lines) == [("Alert", reason)]


def test_a_result_that_a_person_made_is_tried_all_the_same():
    retraining = {"mode": "Manual", "command": ["train"], "output": "registry.example/search"}
    spec = one_step(retraining=retraining)
    lines = run(scenario(decaying(0.1), 200, product=spec, events=[trained()]))
    assert types(lines) == ["Alert", "StartRollout", "Promote"]


def test_suspension_freezes_a_canary_at_its_share():
    events = [changed(50, "v3")]
    lines = run(scenario(decaying(), 160, product=one_step(suspend=True), events=events))
    assert types(lines) == []
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
def test_the_cooldown_doubles_with_each_failure_and_three_need_a_person():
    day = 288
    events = [failed(120), failed(720), failed(1900)]
    lines = run(scenario(decaying(), 120 + 10 * day, events=events))
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
    assert starts[1] - 120 * BLOCK == 2 * 86_400
    assert starts[2] - 720 * BLOCK == 4 * 86_400


def test_a_failed_training_is_told_with_its_message():
    lines = run(scenario(decaying(), 140, events=[failed(120)]))
    message = at(lines, 120 * BLOCK)["decision"]["message"]
    assert message == "the training failed: out of memory (attempt 1 of 3 without a promotion)"


def test_a_failure_that_belongs_to_no_training_counts_for_nothing():
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
    assert "about 4,877 rows" in decision["message"]


def test_a_hold_out_too_small_counts_as_no_attempt():
    small = {
        "evaluation": {"accuracy": count(10, 100)},
        "stableEvaluation": {"accuracy": count(10, 100)},
    }
    day = 288
    events = [trained(TRAINED + k * 2 * day, f"v{k + 2}", **small) for k in range(3)]
    lines = run(scenario(decaying(), TRAINED + 6 * day, events=events))
    assert [reason for kind, reason in acts(lines) if kind == "Alert"] == ["HoldOutTooSmall"] * 3
    assert types(lines).count("Retrain") == 4, "after three that count a person is needed"


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


# ---- canaries -------------------------------------------------------------------------------
def test_a_worse_candidate_goes_back_although_its_labels_need_not_speak_for_it():
    lines = run(scenario(decaying(0.5), 200, product=one_step(), events=[trained()]))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")
    assert (lines[-1]["stable"], lines[-1]["weight"]) == ("v1", 0)


def test_a_candidate_that_never_appears_goes_back_after_ten_blocks():
    lines = run(scenario(decaying(), 200, product=one_step(), events=[trained()]))
    line = first(lines, "Rollback")
    assert line["decision"]["reason"] == "CanaryNoData"
    assert line["at"] == (TRAINED + 10) * BLOCK


def test_a_candidate_is_not_blamed_while_stable_is_silent_too():
    def script(index):
        return {"v1": steady(0.1, 200)} if index <= 50 else {}

    lines = run(scenario(script, 90, product=one_step(), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout"]


def test_no_requests_at_night_hold_the_share():
    def script(index):
        asked = 0 if index > 53 else 600
        one = {"availability": count(0, asked), "accuracy": count(0, 0)}
        return {"v1": one, "v3": one} if index > 50 else {"v1": steady(0.1, 200)}

    lines = run(scenario(script, 80, product=one_step(), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout"]
    assert lines[-1]["decision"]["reason"] == "NoTraffic"
    assert lines[-1]["weight"] == 50


@pytest.mark.parametrize(("blocks", "expected"), [(5, "Promote"), (12, "Inconclusive")])
def test_a_canary_waits_half_an_hour_for_measurements(blocks, expected):
    def script(index):
        if TRAINED + 3 <= index < TRAINED + 3 + blocks:
            return {"unavailable": "PrometheusUnavailable"}
        return decaying(0.1)(index)

    lines = run(scenario(script, 220, product=one_step(), events=[trained()]))
    blind = [line for line in lines if line["state"] == "Unknown" and line["at"] > TRAINED * BLOCK]
    assert "Promote" not in types(line for line in blind if line["stable"] == "v1")
    assert expected in types(lines)


def test_an_inconclusive_candidate_is_kept_without_traffic_and_held_against_nobody():
    def script(index):
        counts = decaying()(index)
        if index > TRAINED:
            counts["v2"] = {"availability": count(0, 2), "accuracy": count(0, 1)}
        return counts

    lines = run(scenario(script, 260, product=one_step(), events=[trained()]))
    line = first(lines, "Inconclusive")
    assert line["decision"]["reason"] == "MaxDuration"
    assert (line["stable"], line["candidate"], line["weight"]) == ("v1", "v2", 0)
    assert "(0 attempts without a promotion)" in lines[-1]["decision"]["message"]


def test_a_candidate_whose_pods_fall_ill_goes_back_at_once():
    facts = [{"at": (TRAINED + 3) * BLOCK, "podsUnhealthy": True}]
    lines = run(scenario(decaying(0.1), 160, product=one_step(), events=[trained()], facts=facts))
    line = first(lines, "Rollback")
    assert (line["at"], line["decision"]["reason"]) == ((TRAINED + 3) * BLOCK, "CanaryNotReady")


def test_a_share_far_above_what_was_given_holds_the_candidate():
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        if index > 50:
            counts["v3"] = steady(0.1, 200)
        return counts

    routed = product(EASY, ACCURACY, route={"parentRefs": [{"name": "web"}]})
    lines = run(scenario(script, 90, product=routed, events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout"]
    assert lines[-1]["decision"]["reason"] == "RoutingMismatch"


def test_a_routing_mismatch_does_not_protect_a_bad_candidate():
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        if index > 50:
            counts["v3"] = steady(0.5, 200)
        return counts

    lines = run(scenario(script, 90, product=product(EASY, ACCURACY), events=[changed(50, "v3")]))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")


def test_steps_are_taken_one_by_one():
    def script(index):
        counts = {"v1": steady(0.1, 2000, requests=12_000)}
        if index > 50:
            counts["v3"] = steady(0.1, 200, requests=1200)
        return counts

    lines = run(scenario(script, 120, product=product(EASY, ACCURACY), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout", "Advance", "Advance", "Promote"]
    weights = [line["weight"] for line in lines if line["decision"]["type"] != "Hold"]
    assert weights == [5, 25, 50, 0]
    steps = [line["at"] // BLOCK for line in lines if line["decision"]["type"] != "Hold"]
    assert min(b - a for a, b in pairwise(steps)) >= 7


def test_manual_approval_is_asked_for_once_and_waits_beyond_the_longest_duration():
    spec = product(EASY, ACCURACY, rollout={"steps": [50], "approval": "Manual"})
    lines = run(scenario(decaying(0.1), 260, product=spec, events=[trained()]))
    assert acts(lines)[1:] == [("StartRollout", "GatePassed"), ("Alert", "AwaitingApproval")]
    assert (lines[-1]["candidate"], lines[-1]["weight"]) == ("v2", 50)


def test_a_candidate_beyond_the_objective_is_held_not_blamed():
    def script(index):
        counts = {"v1": steady(0.3, 400)}
        if index > 50:
            counts["v3"] = steady(0.28, 400)
        return counts

    lines = run(
        scenario(
            script, 90, product=one_step(suspend=False), events=[changed(50, "v3")], accepted=None
        )
    )
    held = [line for line in lines if line["decision"]["reason"] == "ObjectiveNotMet"]
    assert held
    assert "Promote" not in types(lines)


def test_a_chain_of_slightly_worse_versions_ends_where_the_first_acceptance_is_left():
    slos = (EASY, {**ACCURACY, "objective": "0.70", "maxDrop": "0.04"})
    rates = {"v1": 0.1, "v2": 0.108, "v3": 0.116, "v4": 0.124, "v5": 0.132}

    def script(index):
        begun = {"v1": 0, "v2": 50, "v3": 100, "v4": 150, "v5": 200}
        return {
            version: steady(rate, 1000) for version, rate in rates.items() if index > begun[version]
        }

    events = [changed(50, "v2"), changed(100, "v3"), changed(150, "v4"), changed(200, "v5")]
    accepted = {"accuracy": count(10_000, 100_000)}
    lines = run(scenario(script, 245, product=one_step(*slos), events=events, accepted=accepted))
    assert types(lines)[:4] == ["StartRollout", "Promote"] * 2
    assert any(line["decision"]["reason"] == "WorseThanOriginal" for line in lines)
    assert lines[-1]["stable"] != "v5"


# ---- what replaces what ---------------------------------------------------------------------
def test_a_new_model_supersedes_the_candidate():
    events = [trained(), changed(133, "v3")]
    lines = run(scenario(decaying(0.1), 134, product=one_step(), events=events))
    line = at(lines, 133 * BLOCK)
    assert line["decision"]["type"] == "StartRollout"
    assert "v2 is superseded" in line["decision"]["message"]
    assert line["candidate"] == "v3"


def test_a_model_that_goes_back_to_stable_takes_the_candidate_with_it():
    lines = run(
        scenario(decaying(), 60, product=one_step(), events=[changed(50, "v3"), changed(53, "v1")])
    )
    line = at(lines, 53 * BLOCK)
    assert (line["decision"]["type"], line["decision"]["reason"]) == ("Rollback", "Superseded")
    assert (line["stable"], line["candidate"]) == ("v1", None)
    assert types(lines) == ["StartRollout", "Rollback"]


def test_the_same_model_is_not_tried_again_after_it_was_rejected():
    events = [changed(50, "v3"), changed(70, "v3")]
    lines = run(scenario(decaying(0.5, "v3", 50, 10**6), 120, product=one_step(), events=events))
    assert types(lines) == ["StartRollout", "Rollback"]


def test_a_rejected_model_is_tried_again_after_another_one():
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        for version, since in (("v3", 50), ("v4", 70)):
            if index > since:
                counts[version] = steady(0.6, 200, requests=600)
        return counts

    events = [changed(50, "v3"), changed(70, "v4"), changed(90, "v3")]
    lines = run(scenario(script, 95, product=one_step(), events=events))
    assert types(lines)[:4] == ["StartRollout", "Rollback"] * 2
    assert at(lines, 90 * BLOCK)["candidate"] == "v3"


def test_a_new_model_supersedes_the_training_and_its_late_result_is_discarded():
    events = [changed(115, "v3"), trained(120)]
    lines = run(scenario(decaying(0.1, "v3", 115), 121, product=one_step(), events=events))
    assert types(lines) == ["Retrain", "StartRollout"]
    assert "training under way is superseded" in at(lines, 115 * BLOCK)["decision"]["message"]
    assert {line["candidate"] for line in lines} == {None, "v3"}


def test_a_result_whose_parent_is_no_longer_stable_is_discarded():
    events = [changed(115, "v3"), trained(170)]
    lines = run(scenario(decaying(0.1, "v3", 115), 180, product=one_step(), events=events))
    assert types(lines) == ["Retrain", "StartRollout", "Promote"]
    assert at(lines, 170 * BLOCK)["decision"]["reason"] == "Superseded"
    assert lines[-1]["stable"] == "v3"


def test_a_result_that_takes_the_name_of_a_version_is_refused():
    lines = run(scenario(decaying(), 140, events=[trained(version="v1")]))
    assert acts(lines)[-1] == ("Alert", "VersionReused")


# ---- after a promotion ----------------------------------------------------------------------
def worse_later(block, rate=0.4, evaluation=None):
    def script(index):
        counts = {"v1": steady(0.1, 200)}
        if index > 50:
            counts["v2"] = steady(0.1 if index < block else rate, 200, requests=600)
        return counts

    change: dict[str, Any] = {"version": "v2"}
    if evaluation:
        change["evaluation"] = {"accuracy": evaluation}
    return script, [{"at": 50 * BLOCK, "modelChanged": change}]


def test_a_version_that_fails_its_probation_goes_back_and_is_not_retrained():
    script, events = worse_later(85)
    lines = run(scenario(script, 200, product=one_step(), events=events))
    assert acts(lines)[-1] == ("Rollback", "ProbationFailed")
    assert "Retrain" not in types(lines)
    assert lines[-1]["stable"] == "v1"


@pytest.mark.parametrize("wish", ["Alert", "Retrain", "Auto", "Rollback"])
def test_probation_outranks_on_degraded(wish):
    script, events = worse_later(85)
    spec = one_step(EASY, {**ACCURACY, "onDegraded": wish})
    lines = run(scenario(script, 200, product=spec, events=events))
    assert acts(lines)[2:] == [("Rollback", "ProbationFailed")]


def test_a_recent_release_goes_back_instead_of_being_retrained():
    script, events = worse_later(200, evaluation=count(500, 5000))
    lines = run(scenario(script, 300, product=one_step(), events=events))
    assert acts(lines)[2:] == [("Rollback", "RecentRelease")]


def test_on_degraded_retrain_skips_the_check_for_a_recent_release():
    script, events = worse_later(200, evaluation=count(500, 5000))
    spec = one_step(EASY, {**ACCURACY, "onDegraded": "Retrain"})
    lines = run(scenario(script, 300, product=spec, events=events))
    assert acts(lines)[2:] == [("Retrain", "ModelDecay")]


def test_a_settled_release_is_retrained():
    script, events = worse_later(600, evaluation=count(500, 5000))
    lines = run(scenario(script, 700, product=one_step(), events=events))
    assert acts(lines)[2:] == [("Retrain", "ModelDecay")]


def test_a_version_that_came_back_is_no_recent_release():
    def script(index):
        counts = worse_later(85)[0](index)
        if index > 150:
            counts["v1"] = steady(0.4, 200)
        return counts

    lines = run(scenario(script, 300, product=one_step(), events=worse_later(85)[1]))
    assert acts(lines)[2:] == [("Rollback", "ProbationFailed"), ("Retrain", "ModelDecay")]


def test_upstream_trouble_on_probation_is_waited_for():
    script, events = worse_later(85)
    facts = [{"at": 80 * BLOCK, "upstreamDegraded": ["pricing"]}]
    lines = run(scenario(script, 200, product=one_step(), events=events, facts=facts))
    assert acts(lines)[2:] == [("Alert", "UpstreamDegraded")]


def test_a_retrained_version_that_fails_its_probation_counts_as_a_failed_attempt():
    def script(index):
        counts = decaying(0.1)(index)
        if index > 150:
            counts["v2"] = steady(0.6, 200, requests=600)
        return counts

    lines = run(scenario(script, 260, product=one_step(), events=[trained()]))
    assert acts(lines)[-1] == ("Rollback", "ProbationFailed")
    assert "(1 attempts without a promotion)" in lines[-1]["decision"]["message"]
