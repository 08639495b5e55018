"""Whole rollouts in a tiny cluster that follows: what must hold at each step, and where they end."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_ROLLBACK
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase
from tests.support.decisions.rollout_world import World, broken_pod, document
from tests.support.decisions.rollouts import ROUTES, at_weight, finished, in_phase, serving, watched


@ROUTES
def test_a_good_version_passes_all_steps_and_becomes_stable(route):
    world = watched(serving(route=route).push("b", "v2"))
    assert world.serving == "v2"
    weights = [
        item_status.candidate.weight
        for item_status in world.statuses
        if item_status.candidate and item_status.stable
    ]
    assert sorted(set(weights)) == weights_seen(weights) == [0, 5, 25, 50, 100]
    assert [past_version.version for past_version in world.current.history] == ["v1"]
    assert world.current.history[0].outcome is Outcome.REPLACED
    assert world.condition("Stalled") is None
    # The status goes through JSON at each step, so every step is a restart; none is taken twice.
    told = [event.reason for step in world.history for event in step.events]
    assert told.count("Promoted") == 1


def weights_seen(weights: list[int]) -> list[int]:
    """Return each weight once, in the order in which they came."""
    return list(dict.fromkeys(weights))


@ROUTES
def test_a_version_before_stable_is_kept_without_pods(route):
    world = watched(serving(route=route).push("b", "v2")).run(2)
    kept = {pod.version.version: pod.desired for pod in world.pods.values()}
    assert kept == {"v1": 0, "v2": 4}


@ROUTES
def test_a_worse_version_is_rolled_back_and_stable_keeps_serving(route):
    world = serving(route=route)
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2"))
    assert world.serving == "v1"
    assert world.current.history[0].outcome is Outcome.ROLLED_BACK
    assert world.current.history[0].reason == "CanaryWorse"
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Stalled") == ("True", "ModelRejected")
    assert world.current.spec_model.reason == "CanaryWorse"


def few_labels(bad: float) -> World:
    """Return v2 beside a stable that is 42 % wrong, with too few labels for an equal one's four hours."""
    rollout = {"steps": [25, 50], "maxDurationSeconds": 14_400}
    slo = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.04"}
    world = World(spec=document(rollout=rollout, slos=[slo]), rate=24)
    world.bad.update(v1=0.423, v2=bad)
    world.until(lambda world: world.serving == "v1").run(36)
    return watched(world.push("b", "v2"))


def test_a_version_shown_to_be_better_is_promoted_though_an_equal_one_would_take_too_long():
    world = few_labels(bad=0.184)
    assert not any(
        slo.required
        for step in world.history
        if step.evaluation and step.evaluation.assessment
        for slo in step.evaluation.assessment.slos
    ), "no SLO had to speak"
    assert world.serving == "v2"


@pytest.mark.parametrize("bad", [0.6, 0.8])
def test_a_worse_version_isnt_promoted_by_few_labels(bad):
    world = few_labels(bad)
    assert world.serving == "v1"


@ROUTES
def test_a_rejected_version_is_not_retried_until_the_spec_changes(route):
    world = serving(route=route)
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2")).run(50)
    assert finished(world)
    watched(world.push("c", "v3"))
    assert world.serving == "v3"
    assert world.condition("Stalled") is None


@ROUTES
def test_pods_are_removed_only_after_no_request_reaches_them(route):
    world = serving(route=route)
    world.bad["v2"] = 0.4
    world.push("b", "v2").until(in_phase(CandidatePhase.ROLLING_BACK))
    revision = world.current.candidate.revision
    assert world.pods[revision].desired >= 1, "the pods went with the share"
    assert (world.written or {}).get(f"search-{revision}", 0) == 0
    watched(world)
    assert revision not in world.pods


@ROUTES
def test_a_share_is_raised_only_after_its_pods_are_ready(route):
    world = serving(route=route)
    world.broken["v2"] = broken_pod()
    watched(world.push("b", "v2"))
    weights = {
        item_status.candidate.weight
        for item_status in world.statuses
        if item_status.stable and item_status.candidate
    }
    assert weights == {0}
    assert world.serving == "v1"
    assert world.current.history[0].reason == "CanaryNotReady"
    assert world.condition("Stalled") == ("True", "ModelRejected")


def test_a_long_step_does_not_shorten_the_start_deadline_of_the_next_steps_pods():
    spec = {"serving": {"replicas": 20, "progressDeadlineSeconds": 60}}
    world = serving(**spec)
    world.rate = 400  # a step takes far longer than a minute
    watched(world.push("b", "v2"), most=2000)
    assert world.serving == "v2"


@ROUTES
def test_a_reconcile_without_new_data_writes_nothing(route):
    world = serving(route=route)
    before, writes = world.status, world.writes
    for _ in range(3):
        world.step()
    assert (world.status, world.writes) == (before, writes)


def test_stable_keeps_the_products_own_service_until_the_gateway_has_followed():
    world = serving()
    stable = world.current.stable.revision
    world.push("b", "v2").until(at_weight(100))
    assert world.selected == stable
    assert world.accepted_weights != world.written
    world.run()
    assert world.selected == world.current.candidate.revision
    watched(world)
    assert world.serving == "v2"


def test_a_promotion_that_the_gateway_never_applies_is_rolled_back():
    world = serving()
    world.push("b", "v2").until(at_weight(50))
    world.until(in_phase(CandidatePhase.PROMOTING))
    world.accepts = False
    world.until(in_phase(CandidatePhase.ROLLING_BACK), most=20)
    world.accepts = True
    watched(world)
    assert world.serving == "v1"
    assert world.current.history[0].reason == "TrafficNotVerified"


def test_a_promotion_waits_ten_minutes_while_nothing_can_be_counted():
    world = serving()
    world.push("b", "v2").until(in_phase(CandidatePhase.PROMOTING))
    world.is_measured = False
    world.run(9)
    assert world.current.candidate.phase is CandidatePhase.PROMOTING
    assert world.pods[world.current.stable.revision].desired == 4
    world.until(finished, most=4)
    assert world.serving == "v2"


@ROUTES
def test_a_new_model_replaces_a_canary_after_its_share_is_zero(route):
    world = serving(route=route)
    world.push("b", "v2").until(at_weight(25))
    world.push("c", "v3").run()
    assert world.current.candidate.version == "v2"
    assert world.current.candidate.phase is CandidatePhase.ROLLING_BACK
    world.until(lambda w: w.current.candidate and w.current.candidate.version == "v3")
    assert world.current.history[0].outcome is Outcome.SUPERSEDED
    watched(world)
    assert world.serving == "v3"


@ROUTES
def test_a_spec_reverted_to_stable_rolls_the_candidate_back_without_stalled(route):
    world = serving(route=route)
    world.push("b", "v2").until(at_weight(25))
    watched(world.push("a", "v1"))
    assert world.serving == "v1"
    assert world.condition("Stalled") is None


def test_an_inconclusive_version_is_parked_without_pods():
    rollout = {"steps": [5, 50], "maxDurationSeconds": 600}
    world = serving(rollout=rollout)
    world.rate = 20
    world.push("b", "v2").until(in_phase(CandidatePhase.PARKED), most=200)
    world.run(3)
    assert world.pods[world.current.candidate.revision].desired == 0
    assert world.serving == "v1"


def test_a_version_that_turns_bad_on_probation_is_rolled_back_to_the_previous_version():
    world = watched(serving().push("b", "v2"))
    assert world.current.probation is not None
    world.bad["v2"] = 0.6
    world.until(lambda w: w.serving == "v1", most=200)
    assert world.current.spec_model.outcome == "RolledBack"
    assert world.condition("Stalled") == ("True", "ModelRejected")


def test_probation_compares_a_new_version_with_the_canary_counts_of_stable():
    world = serving()
    world.bad |= {"v1": 0.15, "v2": 0.15}
    watched(world.push("b", "v2"))
    held = world.current.engine.probation_baselines["accuracy"]
    assert held.bad / held.total == pytest.approx(0.15, abs=0.01)


def test_a_failed_promotion_leaves_the_probation_of_stable_unchanged():
    world = watched(serving().push("b", "v2"))
    before = world.current.probation
    assert before.against == "v1"
    world.push("c", "v3").until(in_phase(CandidatePhase.PROMOTING))
    assert world.current.probation == before
    world.requests[REQUEST_ABORT] = "one"
    world.settle()
    watched(world)
    assert world.serving == "v2"
    assert world.current.probation == before


# ---- a model that was pushed while stable is rolled back -----------------------------------------
def taken_back() -> World:
    """Return v2 turns bad on probation, while v3, which was pushed meanwhile, has 5 % of the traffic."""
    world = serving(rollout={"steps": [5, 50], "maxDurationSeconds": 86_400})
    watched(world.push("b", "v2")).run(2)
    world.push("c", "v3").until(at_weight(5))
    world.bad["v2"] = 0.6
    return world


def test_a_model_pushed_during_a_rollback_of_stable_is_compared_with_the_restored_version():
    world = taken_back()
    world.until(lambda world: world.serving == "v1")
    watched(world.run())
    assert world.serving == "v3"
    assert [
        past_version.version
        for past_version in world.current.history
        if past_version.promotion_time
    ] == ["v1", "v2"]


def test_a_model_pushed_during_a_rollback_of_stable_is_rolled_out_even_if_the_rollback_fails():
    world = taken_back()
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.until(lambda world: world.current.history[0].outcome is Outcome.FAILED)
    assert world.serving == "v2"
    watched(world.run())
    assert world.serving == "v3"


def test_a_manually_chosen_version_stays_stable_though_a_rollout_was_pending():
    world = watched(serving().push("b", "v2")).run(2)
    world.push("c", "v3").until(at_weight(5))
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    world.until(lambda world: world.serving == "v1").run(60)
    assert world.serving == "v1"
    assert finished(world)
    assert world.condition("Stalled") is None
    world.requests[REQUEST_PROMOTE] = "v3/again"
    watched(world.run())
    assert world.serving == "v3"


def test_a_model_named_again_before_its_successor_started_is_rolled_out():
    world = serving()
    world.push("b", "v2").until(at_weight(5))
    world.push("c", "v3").until(in_phase(CandidatePhase.ROLLING_BACK))
    world.push("b", "v2")
    world.until(lambda world: world.serving == "v2")


# ---- without a route ----------------------------------------------------------------------------
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("bad", [0.1, 0.4], ids=["good", "worse"])
def test_without_a_route_pods_stay_within_the_surge_and_start_before_the_weight_is_raised(
    replicas, bad
):
    world = serving(route=None, serving={"replicas": replicas})
    world.bad["v2"] = bad
    world.push("b", "v2")
    most = max(replicas + 1, -(-3 * replicas // 2))
    for _ in range(400):
        world.run()
        assert sum(pod.desired for pod in world.pods.values()) <= most
        rolled_back = world.current.candidate and world.current.candidate.phase in (
            CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED,
        )  # fmt: skip
        answering = sum(
            one.ready for key, one in world.pods.items() if world.selected in (None, key)
        )
        assert rolled_back or answering >= replicas, "a pod went before another one came"
        if finished(world):
            break
    assert world.serving == ("v2" if bad == 0.1 else "v1")
