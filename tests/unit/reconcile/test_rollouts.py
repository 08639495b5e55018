"""Whole rollouts in a tiny cluster that follows: what must hold at each step, and where they end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import (
    REQUEST_ABORT,
    REQUEST_PROMOTE,
    REQUEST_RETRAIN,
    REQUEST_ROLLBACK,
    DecisionReason,
)
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase, Release
from sluicegate.manifests.version_annotations import memory_annotations
from sluicegate.policy.model.observed import TrainingFailed, TrainingResult, TrainingSucceeded
from sluicegate.stats.counts import Count
from tests.support.rollout_world import (
    ACCURACY,
    GATEWAY,
    RUNTIME,
    World,
    broken_pod,
    document,
    image,
    serving_world,
)

if TYPE_CHECKING:
    from sluicegate.api.retraining_status import RetrainingStatus

if TYPE_CHECKING:
    from sluicegate.reconcile.live.pods import PodState

ROUTES = pytest.mark.parametrize("route", [GATEWAY, None], ids=["route", "no route"])


def serving(**spec) -> World:
    """A world whose first version has served long enough to be judged."""
    return serving_world(36, **spec)


def finished(world: World) -> bool:
    return world.current.candidate is None


def in_phase(phase: CandidatePhase):
    def holds(world: World) -> bool:
        return world.current.candidate is not None and world.current.candidate.phase is phase

    return holds


def watched(world: World, most: int = 400) -> World:
    """Run to the end of the rollout, with what must always hold checked after each step."""
    for _ in range(most):
        world.run()
        assert_nothing_is_lost(world)
        if finished(world) or world.current.candidate.phase is CandidatePhase.PARKED:
            return world
    raise AssertionError(f"the rollout never ends: {world.current.candidate}")


def assert_nothing_is_lost(world: World) -> None:
    """Whoever has a share has pods for it, and stable always has pods."""
    stable, candidate = world.current.stable, world.current.candidate
    assert stable is not None
    assert world.pods[stable.revision].wanted >= 1
    for revision, pods in world.pods.items():
        if world.share(revision) > 0:
            assert pods.ready >= 1, f"{pods.version.version} has requests and no pods"
    if candidate is not None and candidate.weight == 0 and not candidate.shares:
        assert world.share(candidate.revision) == 0


@ROUTES
def test_the_first_version_serves_once_its_pods_are_ready(route):
    world = World(spec=document(route=route))
    world.settle()
    assert world.serving == ""
    assert world.written is None
    world.run(2)
    assert world.serving == "v1"
    assert world.condition("Ready") == ("True", "Serving")


@ROUTES
def test_a_good_version_goes_through_all_steps_and_becomes_stable(route):
    world = watched(serving(route=route).push("b", "v2"))
    assert world.serving == "v2"
    weights = [one.candidate.weight for one in world.statuses if one.candidate and one.stable]
    assert sorted(set(weights)) == weights_seen(weights) == [0, 5, 25, 50, 100]
    assert [one.version for one in world.current.history] == ["v1"]
    assert world.current.history[0].outcome is Outcome.REPLACED
    assert world.condition("Stalled") is None


def weights_seen(weights: list[int]) -> list[int]:
    """Each weight once, in the order in which they came."""
    return list(dict.fromkeys(weights))


@ROUTES
def test_a_version_before_stable_is_kept_without_pods(route):
    world = watched(serving(route=route).push("b", "v2")).run(2)
    kept = {one.version.version: one.wanted for one in world.pods.values()}
    assert kept == {"v1": 0, "v2": 4}


@ROUTES
def test_a_worse_version_goes_back_and_stable_serves_on(route):
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
    """v2 beside a stable that is 42 % wrong, with too few labels for an equal one's four hours."""
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
def test_a_rejected_version_isnt_tried_again_until_the_spec_changes(route):
    world = serving(route=route)
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2")).run(50)
    assert finished(world)
    watched(world.push("c", "v3"))
    assert world.serving == "v3"
    assert world.condition("Stalled") is None


@ROUTES
def test_pods_go_only_when_no_request_reaches_them(route):
    world = serving(route=route)
    world.bad["v2"] = 0.4
    world.push("b", "v2").until(in_phase(CandidatePhase.ROLLING_BACK))
    revision = world.current.candidate.revision
    assert world.pods[revision].wanted >= 1, "the pods went with the share"
    assert (world.written or {}).get(f"search-{revision}", 0) == 0
    watched(world)
    assert revision not in world.pods


@ROUTES
def test_the_share_comes_after_the_pods(route):
    world = serving(route=route)
    world.broken["v2"] = broken_pod()
    watched(world.push("b", "v2"))
    weights = {one.candidate.weight for one in world.statuses if one.stable and one.candidate}
    assert weights == {0}
    assert world.serving == "v1"
    assert world.current.history[0].reason == "CanaryNotReady"
    assert world.condition("Stalled") == ("True", "ModelRejected")


def test_a_step_that_dwelt_longer_than_the_deadline_leaves_time_for_the_next_steps_pods():
    spec = {"serving": {"replicas": 20, "progressDeadlineSeconds": 60}}
    world = serving(**spec)
    world.rate = 400  # a step takes far longer than a minute
    watched(world.push("b", "v2"), most=2000)
    assert world.serving == "v2"


@ROUTES
def test_a_restart_at_any_step_goes_on_where_it_was(route):
    world = watched(serving(route=route).push("b", "v2"))
    at_once = [step.status.candidate.phase for step in world.history if step.status.candidate]
    # The status goes through JSON at each step, so every step is a restart; none is taken twice.
    assert [phase for phase, before in zip(at_once[1:], at_once, strict=False) if phase != before]
    promoted = [told for step in world.history for told in step.told if told.reason == "Promoted"]
    assert len(promoted) == 1


@ROUTES
def test_a_step_of_which_nothing_is_new_changes_nothing(route):
    world = serving(route=route)
    before, writes = world.status, world.writes
    for _ in range(3):
        world.step()
    assert (world.status, world.writes) == (before, writes)


def test_stable_keeps_the_products_own_service_until_the_gateway_has_followed():
    world = serving()
    stable = world.current.stable.revision
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 100)
    assert world.selected == stable
    assert world.taken != world.written
    world.run()
    assert world.selected == world.current.candidate.revision
    watched(world)
    assert world.serving == "v2"


def test_a_promotion_that_the_gateway_never_takes_is_taken_back():
    world = serving()
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 50)
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
    world.seen = False
    world.run(9)
    assert world.current.candidate.phase is CandidatePhase.PROMOTING
    assert world.pods[world.current.stable.revision].wanted == 4
    world.until(finished, most=4)
    assert world.serving == "v2"


def test_an_outage_of_the_measurements_holds_a_canary_and_it_goes_on_afterwards():
    world = serving()
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 25)
    world.seen = False
    world.run(10)
    assert world.current.candidate.weight == 25
    world.seen = True
    watched(world)
    assert world.serving == "v2"


@ROUTES
def test_a_new_model_during_a_canary_supersedes_the_old_one_after_its_share_is_gone(route):
    world = serving(route=route)
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 25)
    world.push("c", "v3").run()
    assert world.current.candidate.version == "v2"
    assert world.current.candidate.phase is CandidatePhase.ROLLING_BACK
    world.until(lambda w: w.current.candidate and w.current.candidate.version == "v3")
    assert world.current.history[0].outcome is Outcome.SUPERSEDED
    watched(world)
    assert world.serving == "v3"


@ROUTES
def test_a_spec_that_returns_to_stable_takes_the_candidate_back_and_stalls_nobody(route):
    world = serving(route=route)
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 25)
    watched(world.push("a", "v1"))
    assert world.serving == "v1"
    assert world.condition("Stalled") is None


@ROUTES
def test_a_person_takes_a_kept_version_back_and_it_is_handled_once(route):
    world = watched(serving(route=route).push("b", "v2"))
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    watched(world)
    assert world.serving == "v1"
    assert world.current.stable.restored
    assert world.current.last_handled.rollback_to == "v1/one"
    assert world.condition("Stalled") is None, "a person chose what serves"
    world.run(20)
    assert world.serving == "v1"
    assert finished(world)


def test_a_returning_version_that_doesnt_come_up_leaves_stable_as_it_is():
    world = watched(serving().push("b", "v2"))
    world.broken["v1"] = broken_pod()
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    watched(world)
    assert world.serving == "v2"
    assert world.condition("Ready") == ("True", "Serving")


def test_a_person_aborts_a_canary():
    world = serving()
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 5)
    world.requests[REQUEST_ABORT] = "one"
    watched(world).run(20)
    assert world.serving == "v1"
    assert world.current.history[0].reason == "AbortRequested"
    assert world.current.last_handled.abort == "one"


def test_a_rejected_version_is_tried_again_when_a_person_asks():
    world = serving()
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2"))
    world.bad["v2"] = 0.1
    world.requests[REQUEST_PROMOTE] = "v2/again"
    watched(world)
    assert world.serving == "v2"
    assert world.current.spec_model.reason == ""


def test_the_last_step_waits_for_a_person_where_the_spec_says_so():
    rollout = {"steps": [5, 50], "approval": "Manual", "maxDurationSeconds": 86_400}
    world = serving(rollout=rollout)
    world.push("b", "v2").until(in_phase(CandidatePhase.AWAITING_APPROVAL))
    world.run(20)
    assert world.serving == "v1"
    world.requests[REQUEST_PROMOTE] = "one"
    watched(world)
    assert world.serving == "v2"


def test_a_version_without_a_verdict_is_parked_without_pods():
    rollout = {"steps": [5, 50], "maxDurationSeconds": 600}
    world = serving(rollout=rollout)
    world.rate = 20
    world.push("b", "v2").until(in_phase(CandidatePhase.PARKED), most=200)
    world.run(3)
    assert world.pods[world.current.candidate.revision].wanted == 0
    assert world.serving == "v1"


def test_a_version_that_turns_bad_on_probation_goes_back_to_the_one_before():
    world = watched(serving().push("b", "v2"))
    assert world.current.probation is not None
    world.bad["v2"] = 0.6
    world.until(lambda w: w.serving == "v1", most=200)
    assert world.current.spec_model.outcome == "RolledBack"
    assert world.condition("Stalled") == ("True", "ModelRejected")


def test_what_stable_did_beside_the_candidate_is_what_the_new_version_is_held_against():
    world = serving()
    world.bad |= {"v1": 0.15, "v2": 0.15}
    watched(world.push("b", "v2"))
    held = world.current.engine.probation_baselines["accuracy"]
    assert held.bad / held.total == pytest.approx(0.15, abs=0.01)


def test_suspend_freezes_a_canary_and_lets_an_abort_through():
    world = serving()
    world.push("b", "v2").until(lambda w: w.current.candidate and w.current.candidate.weight == 5)
    world.spec["spec"]["suspend"] = True
    cluster = world._cluster()
    world.run(60)
    assert world._cluster() == cluster
    assert world.condition("RolloutProgressing") == ("False", "Suspended")
    world.requests[REQUEST_ABORT] = "one"
    watched(world)
    assert world.serving == "v1"


def test_a_suspended_product_starts_no_version():
    world = World(spec=document(suspend=True)).run(20)
    assert not world.pods
    assert world.condition("Ready") == ("False", "Suspended")
    assert world.condition("Stalled") is None
    world.spec["spec"]["suspend"] = False
    world.until(lambda w: w.serving == "v1", most=3)


def test_the_first_version_that_fails_stalls_and_another_model_replaces_it_at_once():
    world = World(spec=document())
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.run(3)
    assert world.condition("Ready") == ("False", "InitialVersionFailed")
    assert world.condition("Stalled") == ("True", "InitialVersionFailed")
    assert world.condition("Reconciling") is None
    world.push("b", "v2").until(lambda w: w.serving == "v2", most=3)
    assert world.condition("Stalled") is None


MISNAMED = "ServiceNotFound: spec.model.bento.service is Searcher, … is Search: set it to Search"


def misnamed() -> PodState:
    return replace(broken_pod(MISNAMED), misnamed=True)


def with_service(world: World, name: str) -> World:
    world.spec["spec"]["model"]["bento"]["service"] = name
    world.spec["metadata"]["generation"] += 1
    return world


def test_a_first_version_whose_entry_service_has_another_name_says_so_until_it_is_corrected():
    world = with_service(World(spec=document()), "Searcher")
    world.broken["v1"] = misnamed()
    world.run(3)
    assert world.condition("Ready") == ("False", "InitialVersionFailed")
    assert world.condition("Stalled") == ("True", "ServiceNotFound")
    (stalled,) = (one for one in world.current.conditions if one.type == "Stalled")
    assert stalled.message == f"v1: {MISNAMED}"
    world.broken.clear()
    with_service(world, "Search").until(lambda w: w.serving == "v1", most=3)
    assert world.current.stable.service == "Search"


@pytest.mark.parametrize(
    ("trouble", "ends"),
    [
        ({"unmounted": True}, "make sure that there is the Secret keys"),
        ({"out_of_memory": True}, "raise the memory limit in spec.serving.resources"),
        ({}, "correct spec.model"),
    ],
    ids=["a Secret", "memory", "the model"],
)
def test_a_first_version_that_fails_names_what_there_is_to_correct(trouble, ends):
    world = World(spec=document())
    text = "make sure that there is the Secret keys" if "unmounted" in trouble else "it ended"
    world.broken["v1"] = replace(broken_pod(text), **trouble)
    world.run(3)
    (stalled,) = (one for one in world.current.conditions if one.type == "Stalled")
    assert stalled.message.endswith(ends)


def test_a_candidate_whose_entry_service_has_another_name_is_tried_again_once_it_is_corrected():
    world = with_service(serving().push("b", "v2"), "Searcher")
    world.broken["v2"] = misnamed()
    world.until(lambda w: w.condition("Stalled") == ("True", "ModelRejected"), most=50)
    assert (world.serving, world.current.history[0].reason) == ("v1", "ServiceNotFound")
    world.run(5)
    assert world.current.candidate is None, "the same name isn't tried again"
    world.broken.clear()
    with_service(world, "Search").until(lambda w: w.serving == "v2")
    assert world.current.stable.service == "Search"


def test_a_corrected_entry_service_of_what_serves_is_taken_up_in_place():
    world = with_service(serving(), "Searcher").run(3)
    assert (world.serving, world.current.candidate) == ("v1", None)
    assert world.current.stable.service == "Searcher"


def test_a_retry_after_a_slow_first_start_still_ends_well():
    world = World(spec=document(slos=[ACCURACY]))
    world.broken["v1"] = broken_pod("no node takes the pod")
    world.run(15)
    assert world.condition("Stalled") == ("True", "InitialVersionFailed")
    world.broken.clear()
    world.run(2)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Stalled") is None


def written(world: World) -> dict[str, object]:
    """Each object of the product as it is applied, by name."""
    objects: dict[str, object] = {"status": world.status, "route": world.written}
    objects["service"] = world.selected
    for key, one in world.pods.items():
        objects[f"deployment {key}"] = (one.wanted, memory_annotations(one.version))
        objects[f"service {key}"] = ""
    return objects


def test_a_promotion_of_three_steps_costs_at_most_eighteen_writes():
    world = serving(serving={"replicas": 1}).push("b", "v2")
    steps, before = len(world.history), written(world)
    writes: list[str] = []
    for _ in range(100):
        world._pass_block()
        for _ in range(4):
            world.step()
            after = written(world)
            writes += [name for name in after if before.get(name) != after[name]]
            before = after
        if finished(world):
            break
    assert world.serving == "v2"
    kinds = [name.partition(" ")[0] for name in writes]
    assert kinds.count("status") <= 6, "one write a step, with the verification of the last"
    assert kinds.count("route") == 4
    told = [one for step in world.history[steps:] for one in step.told if not one.quiet]
    series = [(one.reason, one.action) for one in told]
    events = sum(min(series.count(one), 2) for one in set(series))  # a series: begin and count
    assert events <= 3
    assert len(writes) + events <= 18, writes


# ---- abort, approval, suspend -----------------------------------------------------------------
def at_weight(weight: int):
    return lambda one: one.current.candidate is not None and one.current.candidate.weight == weight


@ROUTES
def test_a_promotion_is_aborted_as_long_as_the_products_service_doesnt_follow_it(route):
    world = serving(route=route)
    world.push("b", "v2").until(in_phase(CandidatePhase.PROMOTING))
    world.requests[REQUEST_ABORT] = "one"
    world.settle()
    watched(world).run(10)
    assert world.serving == "v1"
    assert world.current.history[0].reason == "AbortRequested"
    assert world.current.last_handled.abort == "one"


@ROUTES
def test_an_abort_that_comes_too_late_is_refused_with_the_way_back(route):
    world = serving(route=route)
    world.push("b", "v2").until(at_weight(100))
    if route is not None:
        world.run()
    assert world.selected == world.current.candidate.revision
    world.requests[REQUEST_ABORT] = "v2/late"
    world.settle()
    assert world.current.candidate.phase is CandidatePhase.PROMOTING
    assert world.current.last_handled.abort == "v2/late"
    assert "serves all traffic already" in world.current.decision.message
    assert REQUEST_ROLLBACK in world.current.decision.message
    watched(world)
    assert world.serving == "v2"


def test_a_return_that_a_person_asked_for_can_be_aborted():
    world = watched(serving().push("b", "v2")).run(4)
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    world.settle()
    assert world.current.candidate.restoring
    world.requests[REQUEST_ABORT] = "two"
    watched(world).run(10)
    assert world.serving == "v2"
    assert finished(world)
    (v1,) = world.current.history
    assert v1.outcome is Outcome.REPLACED, "nothing was wrong with it"


def test_an_approval_acts_while_the_product_is_suspended():
    rollout = {"steps": [5, 50], "approval": "Manual", "maxDurationSeconds": 86_400}
    world = serving(rollout=rollout)
    world.push("b", "v2").until(in_phase(CandidatePhase.AWAITING_APPROVAL))
    world.spec["spec"]["suspend"] = True
    world.run(5)
    assert world.current.candidate.weight == 50
    world.requests[REQUEST_PROMOTE] = "v2/one"
    watched(world)
    assert world.serving == "v2"
    assert world.current.last_handled.promote == "v2/one"


def test_another_try_acts_while_the_product_is_suspended():
    world = serving()
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2"))
    world.bad["v2"] = 0.1
    world.spec["spec"]["suspend"] = True
    world.requests[REQUEST_PROMOTE] = "v2/again"
    watched(world)
    assert world.serving == "v2"


def test_an_approval_that_came_early_counts_at_the_last_step_and_never_for_another_try():
    rollout = {"steps": [5, 50], "approval": "Manual", "maxDurationSeconds": 86_400}
    world = serving(rollout=rollout)
    world.push("b", "v2").until(at_weight(5))
    world.requests[REQUEST_PROMOTE] = "v2/early"
    watched(world)
    assert world.serving == "v2"
    world.bad["v3"] = 0.4
    world.requests[REQUEST_PROMOTE] = "v3/early"
    watched(world.push("c", "v3")).run(30)
    assert world.serving == "v2"
    assert finished(world), "the approval of a version that went back asks for no other try"


# ---- returns, probation -------------------------------------------------------------------------
def test_a_version_that_cant_come_back_is_told_once_and_stable_stays():
    world = watched(serving().push("b", "v2")).run(4)
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.bad["v2"] = 0.6
    world.run(100)
    returns = [
        told
        for step in world.history
        for told in step.told
        if told.message.startswith("the rollback to v1 failed, v2 remains stable")
    ]
    assert len(returns) == 1, "it isn't tried again and again"
    assert world.serving == "v2"
    assert world.current.history[0].outcome is Outcome.FAILED
    assert world.condition("RolloutProgressing") == ("False", "ReturnFailed")
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Degraded")[0] == "True"


def test_a_person_can_still_ask_for_a_version_that_didnt_come_back():
    world = watched(serving().push("b", "v2")).run(4)
    world.broken["v1"] = broken_pod()
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    watched(world)
    assert world.serving == "v2"
    world.broken.clear()
    world.requests[REQUEST_ROLLBACK] = "v1/two"
    watched(world)
    assert world.serving == "v1"
    assert world.condition("RolloutProgressing") != ("False", "ReturnFailed")


def test_a_promotion_that_fails_leaves_stables_probation_as_it_was():
    world = watched(serving().push("b", "v2"))
    before = world.current.probation
    assert before is not None
    assert before.against == "v1"
    world.push("c", "v3").until(in_phase(CandidatePhase.PROMOTING))
    assert world.current.probation == before
    world.requests[REQUEST_ABORT] = "one"
    world.settle()
    watched(world)
    assert world.serving == "v2"
    assert world.current.probation == before


# ---- trainings ----------------------------------------------------------------------------------
TRAINING = {
    "mode": "Automatic",
    "command": ["train"],
    "output": "registry.example/bentos/search",
    "cooldownSeconds": 3600,
}


def started(world: World) -> RetrainingStatus:
    """The training that began in this step."""
    one = world.current.retraining
    assert one is not None
    assert one.trigger is not None
    return one


def ended(world: World, result: TrainingResult) -> RetrainingStatus:
    """The training's result is taken up."""
    world.training = result
    world.step()
    world.training = None
    assert world.current.retraining is not None
    return world.current.retraining


def test_asking_for_a_training_begins_the_count_of_failures_anew():
    world = serving(retraining=TRAINING)
    jobs = set()
    for number in range(5):
        world.requests[REQUEST_RETRAIN] = f"{number}"
        world.settle()
        one = started(world)
        assert one.attempt == 1
        jobs.add(one.job)
        failed = TrainingFailed(one.trigger.id, DecisionReason.JOB_FAILED, "no such column")
        after = ended(world, failed)
        assert after.unsuccessful_attempts == 1
        assert not after.suspended
        assert "(attempt 1 of 3 without a promotion)" in world.current.decision.message
    assert len(jobs) == 5


def test_an_attempt_that_isnt_counted_shares_no_jobs_name_with_the_next():
    """Its old Job, which is kept for an hour, would else be taken for the next one's."""
    world = serving(retraining=TRAINING)
    world.bad["v1"] = 0.4
    jobs, triggers = [], set()
    for number in range(3):
        world.until(lambda w: w.current.retraining and w.current.retraining.trigger)
        one = started(world)
        jobs.append(one.job)
        triggers.add(one.trigger.id)
        few = {"accuracy": Count(1, 10)}
        made = Release(f"v{number + 2}", image("b"), RUNTIME)
        stable = world.current.stable.release
        after = ended(world, TrainingSucceeded(one.trigger.id, stable, made, few, few))
        assert (after.unsuccessful_attempts, after.last_reason) == (0, "HoldOutTooSmall")
    assert len(triggers) == 1, "it is one need all the time"
    assert len(set(jobs)) == 3


def test_a_training_that_an_older_operator_started_keeps_its_jobs_name():
    world = serving(retraining=TRAINING)
    world.requests[REQUEST_RETRAIN] = "one"
    world.settle()
    world.status["retraining"]["attempt"] = 2
    del world.status["retraining"]["startedAttempts"]
    assert world.current.retraining.number == 2
    world.run()
    assert world.current.retraining.number == 2


# ---- a model that was pushed while stable goes back ------------------------------------------------
def taken_back_under(world: World) -> World:
    """v2 turns bad on probation, while v3, which was pushed meanwhile, has 5 % of the traffic."""
    watched(world.push("b", "v2")).run(2)
    world.push("c", "v3").until(at_weight(5))
    world.bad["v2"] = 0.6
    return world


def test_a_model_pushed_while_stable_goes_back_is_tried_against_the_one_that_came_back():
    world = taken_back_under(serving(rollout={"steps": [5, 50], "maxDurationSeconds": 86_400}))
    world.until(lambda world: world.serving == "v1")
    watched(world.run())
    assert world.serving == "v3"
    assert [one.version for one in world.current.history if one.promotion_time] == ["v1", "v2"]


def test_a_model_pushed_while_stable_goes_back_is_tried_though_nobody_came_back():
    world = taken_back_under(serving(rollout={"steps": [5, 50], "maxDurationSeconds": 86_400}))
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.until(lambda world: world.current.history[0].outcome is Outcome.FAILED)
    assert world.serving == "v2"
    watched(world.run())
    assert world.serving == "v3"


def test_a_version_that_a_person_chose_stays_though_a_model_was_on_its_way():
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


def test_a_model_that_is_named_again_before_its_successor_began_is_tried():
    world = serving()
    world.push("b", "v2").until(at_weight(5))
    world.push("c", "v3").until(in_phase(CandidatePhase.ROLLING_BACK))
    world.push("b", "v2")
    world.until(lambda world: world.serving == "v2")


# ---- without a route ----------------------------------------------------------------------------
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 10])
@pytest.mark.parametrize("bad", [0.1, 0.4], ids=["good", "worse"])
def test_without_a_route_pods_stay_within_the_surge_and_capacity_comes_before_weight(replicas, bad):
    world = serving(route=None, serving={"replicas": replicas})
    world.bad["v2"] = bad
    world.push("b", "v2")
    most = max(replicas + 1, -(-3 * replicas // 2))
    for _ in range(400):
        world.run()
        assert sum(one.wanted for one in world.pods.values()) <= most
        back = world.current.candidate and world.current.candidate.phase in (
            CandidatePhase.ROLLING_BACK, CandidatePhase.PARKED,
        )  # fmt: skip
        answering = sum(
            one.ready for key, one in world.pods.items() if world.selected in (None, key)
        )
        assert back or answering >= replicas, "a pod went before another one came"
        if finished(world):
            break
    assert world.serving == ("v2" if bad == 0.1 else "v1")


@ROUTES
def test_a_version_that_refuses_all_requests_is_taken_back_in_a_few_blocks(route):
    """No outcome of what is refused is ever known, so no SLO saw it: it stayed for hours."""
    world = serving(route=route, rollout={"steps": [25, 50]})
    world.refused = {"v1": 0.01, "v2": 1.0}
    world.push("b", "v2").until(lambda world: world.current.candidate is not None)
    world.until(lambda world: world.current.candidate.weight > 0)
    begun = world.now
    world.until(finished)
    assert world.now - begun <= 8 * 60
    assert world.serving == "v1"
    (gone,) = world.current.history
    assert (gone.outcome, gone.reason) == (Outcome.ROLLED_BACK, "CanaryWorse")
    said = [told.message for step in world.history for told in step.told]
    assert any("v2 is worse in client errors (4xx): 100 % (n=" in text for text in said)


def test_a_version_that_refuses_requests_after_its_promotion_goes_back():
    """What the one before refused is kept in status as long as the new one is on probation."""
    world = serving(rollout={"steps": [25, 50]})
    world.refused = {"v1": 0.01, "v2": 0.01}
    watched(world.push("b", "v2"))
    assert world.serving == "v2"
    world.refused["v2"] = 0.6
    world.until(lambda world: world.serving == "v1", most=60)
    said = [told for step in world.history for told in step.told if told.action == "Rollback"]
    assert [told.reason for told in said] == ["ProbationFailed"]
    gone = world.current.history[0]
    assert (gone.version, gone.outcome, gone.reason) == (
        "v2",
        Outcome.ROLLED_BACK,
        "ProbationFailed",
    )
    assert "Client errors (4xx) rose from 1." in said[0].message
