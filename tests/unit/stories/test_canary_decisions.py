"""What is decided about a candidate over whole histories."""

from itertools import pairwise

import pytest

from tests.support.decisions.decays import EASY, TRAINED, changed, decaying, one_step, trained
from tests.support.decisions.scenarios import (
    ACCURACY,
    BLOCK,
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


def pushed(stable, candidate):
    """Return v3 is there beside v1 from block 51 on."""
    return lambda index: {"v1": stable, "v3": candidate} if index > 50 else {"v1": stable}


def test_a_candidate_with_worse_optional_labels_is_rolled_back():
    lines = run(scenario(decaying(0.5), 200, product=one_step(), events=[trained()]))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")
    assert (lines[-1]["stable"], lines[-1]["weight"]) == ("v1", 0)


@pytest.mark.parametrize("last", [TRAINED, TRAINED + 5], ids=["never appears", "disappears"])
def test_a_candidate_without_series_is_rolled_back_after_ten_blocks(last):
    def script(index):
        return decaying(0.1)(index) if index <= last else decaying()(index)

    lines = run(scenario(script, 200, product=one_step(), events=[trained()]))
    line = first(lines, "Rollback")
    assert line["decision"]["reason"] == "CanaryNoData"
    assert line["at"] == (last + 10) * BLOCK


@pytest.mark.parametrize(("requests", "blocks"), [(1, 20), (2, 10), (200, 10)])
def test_a_candidate_without_series_is_rolled_back_once_its_share_would_have_given_it_requests(
    requests, blocks
):
    def script(index):
        return {"v1": steady(0.1, requests, requests)}

    lines = run(scenario(script, 90, product=one_step(), events=[changed(50, "v3")]))
    line = first(lines, "Rollback")
    assert line["decision"]["reason"] == "CanaryNoData"
    assert line["at"] == (50 + blocks) * BLOCK


def test_a_candidate_without_series_is_kept_while_stable_has_none_too():
    def script(index):
        return {"v1": steady(0.1, 200)} if index <= 50 else {}

    lines = run(scenario(script, 90, product=one_step(), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout"]


def test_a_night_without_requests_holds_the_share_and_the_morning_continues_the_canary():
    night, empty = range(54, 80), {"availability": count(0, 0), "accuracy": count(0, 0)}

    def script(index):
        one = empty if index in night else steady(0.1, 200)
        return {"v1": one, "v3": one} if index > 50 else {"v1": one}

    lines = run(scenario(script, 120, product=one_step(), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout", "Promote"]
    last = at(lines, night[-1] * BLOCK)
    assert (last["decision"]["reason"], last["weight"]) == ("NoTraffic", 50)


@pytest.mark.parametrize(("blocks", "expected"), [(5, "Promote"), (12, "Inconclusive")])
def test_a_canary_waits_half_an_hour_for_measurements(blocks, expected):
    def script(index):
        if TRAINED + 3 <= index < TRAINED + 3 + blocks:
            return {"unavailable": "PrometheusUnavailable"}
        return decaying(0.1)(index)

    lines = run(scenario(script, 220, product=one_step(), events=[trained()]))
    blind = [line for line in lines if line["state"] == "Unknown" and line["at"] > TRAINED * BLOCK]
    assert "Promote" not in types(line for line in blind if line["stable"] == "v1")
    assert next(one for one in types(lines) if one in ("Promote", "Inconclusive")) == expected
    ended = first(lines, expected)
    assert expected == "Promote" or ended["at"] == (TRAINED + 3) * BLOCK + 1800
    assert {line["weight"] for line in blind if line["at"] < ended["at"]} == {50}


def test_an_inconclusive_candidate_is_kept_without_traffic_and_counts_as_no_failed_attempt():
    def script(index):
        counts = decaying()(index)
        if index > TRAINED:
            counts["v2"] = {"availability": count(0, 2), "accuracy": count(0, 1)}
        return counts

    four_hours = product(EASY, ACCURACY, rollout={"steps": [50], "maxDurationSeconds": 14_400})
    lines = run(scenario(script, 260, product=four_hours, events=[trained()]))
    line = first(lines, "Inconclusive")
    assert line["decision"]["reason"] == "MaxDuration"
    assert line["at"] == TRAINED * BLOCK + 14_400
    assert (line["stable"], line["candidate"], line["weight"]) == ("v1", "v2", 0)
    message = lines[-1]["decision"]["message"]
    assert "the cooldown lasts for another" in message
    assert "without a promotion" not in message


def test_a_candidate_whose_pods_become_unhealthy_is_rolled_back_at_once():
    facts = [{"at": (TRAINED + 3) * BLOCK, "podsUnhealthy": True}]
    lines = run(scenario(decaying(0.1), 160, product=one_step(), events=[trained()], facts=facts))
    line = first(lines, "Rollback")
    assert (line["at"], line["decision"]["reason"]) == ((TRAINED + 3) * BLOCK, "CanaryNotReady")


def test_an_observed_share_far_above_the_weight_holds_the_candidate():
    routed = product(EASY, ACCURACY, route={"parentRefs": [{"name": "web"}]})
    script = pushed(steady(0.1, 200), steady(0.1, 200))
    lines = run(scenario(script, 90, product=routed, events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout"]
    assert lines[-1]["decision"]["reason"] == "RoutingMismatch"


def test_a_routing_mismatch_does_not_protect_a_bad_candidate():
    script = pushed(steady(0.1, 200), steady(0.5, 200))
    lines = run(scenario(script, 90, product=product(EASY, ACCURACY), events=[changed(50, "v3")]))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")


def test_a_rollout_takes_its_steps_one_by_one():
    script = pushed(steady(0.1, 2000, requests=12_000), steady(0.1, 200, requests=1200))
    lines = run(scenario(script, 120, product=product(EASY, ACCURACY), events=[changed(50, "v3")]))
    assert types(lines) == ["StartRollout", "Advance", "Advance", "Promote"]
    weights = [line["weight"] for line in lines if line["decision"]["type"] != "Hold"]
    assert weights == [5, 25, 50, 0]
    steps = [line["at"] // BLOCK for line in lines if line["decision"]["type"] != "Hold"]
    assert min(b - a for a, b in pairwise(steps)) >= 7


def test_manual_approval_is_requested_once_and_awaited_beyond_max_duration():
    spec = product(EASY, ACCURACY, rollout={"steps": [50], "approval": "Manual"})
    lines = run(scenario(decaying(0.1), 260, product=spec, events=[trained()]))
    assert acts(lines)[1:] == [("StartRollout", "GatePassed"), ("Alert", "AwaitingApproval")]
    assert (lines[-1]["candidate"], lines[-1]["weight"]) == ("v2", 50)


def test_a_candidate_below_the_objective_is_held_and_promoted_once_it_is_proved_better():
    script, spec = pushed(steady(0.3, 400), steady(0.28, 400)), one_step(suspend=False)
    lines = run(scenario(script, 90, product=spec, events=[changed(50, "v3")], accepted=None))
    held = [line for line in lines if line["decision"]["reason"] == "ObjectiveNotMet"]
    assert held
    promotion = first(lines, "Promote")
    assert promotion["at"] > held[-1]["at"]
    assert "the objective is still missed" in promotion["decision"]["message"]


def test_a_candidate_that_equals_a_stable_version_below_the_objective_is_held():
    script, spec = pushed(steady(0.3, 400), steady(0.3, 400)), one_step(suspend=False)
    lines = run(scenario(script, 90, product=spec, events=[changed(50, "v3")], accepted=None))
    assert any(line["decision"]["reason"] == "ObjectiveNotMet" for line in lines)
    assert "Promote" not in types(lines)


def test_a_chain_of_slightly_worse_versions_stops_at_the_margin_of_the_first_acceptance():
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
