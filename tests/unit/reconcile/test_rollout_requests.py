"""What a person asks for while a version is rolled out: abort, approval, return, another try."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_ROLLBACK
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase
from tests.support.decisions.rollout_world import World, broken_pod, document
from tests.support.decisions.rollouts import ROUTES, at_weight, finished, in_phase, serving, watched

SUSPENDED = pytest.mark.parametrize("suspend", [False, True], ids=["as usual", "suspended"])


@ROUTES
def test_a_rollback_request_restores_a_kept_version_once(route):
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


def test_an_abort_request_ends_a_canary():
    world = serving()
    world.push("b", "v2").until(at_weight(5))
    world.requests[REQUEST_ABORT] = "one"
    watched(world).run(20)
    assert world.serving == "v1"
    assert world.current.history[0].reason == "AbortRequested"
    assert world.current.last_handled.abort == "one"


@SUSPENDED
def test_a_manual_request_retries_a_rejected_version(suspend):
    world = serving()
    world.bad["v2"] = 0.4
    watched(world.push("b", "v2"))
    world.bad["v2"] = 0.1
    world.spec["spec"]["suspend"] = suspend
    world.requests[REQUEST_PROMOTE] = "v2/again"
    watched(world)
    assert world.serving == "v2"
    assert world.current.spec_model.reason == ""


MANUAL = {"steps": [5, 50], "approval": "Manual", "maxDurationSeconds": 86_400}


@SUSPENDED
@pytest.mark.parametrize("token", ["one", "v2/one"])
def test_the_last_step_waits_for_approval_if_the_spec_requires_it(suspend, token):
    world = serving(rollout=MANUAL)
    world.push("b", "v2").until(in_phase(CandidatePhase.AWAITING_APPROVAL))
    world.spec["spec"]["suspend"] = suspend
    world.run(20)
    assert (world.serving, world.current.candidate.weight) == ("v1", 50)
    world.requests[REQUEST_PROMOTE] = token
    watched(world)
    assert world.serving == "v2"
    assert world.current.last_handled.promote == token


def test_a_suspended_canary_keeps_its_share_and_can_be_aborted():
    world = serving()
    world.push("b", "v2").until(at_weight(5))
    world.spec["spec"]["suspend"] = True
    cluster = world._cluster()
    world.run(60)
    assert world._cluster() == cluster
    assert world.condition("RolloutProgressing") == ("False", "Suspended")
    world.requests[REQUEST_ABORT] = "one"
    watched(world)
    assert world.serving == "v1"


def test_a_suspended_product_names_the_model_that_waits_for_the_end_of_the_suspension():
    """One that was pushed beside a canary or a rejected version was named nowhere."""
    world = serving()
    world.push("b", "v2").until(at_weight(5))
    world.spec["spec"]["suspend"] = True

    def message() -> str:
        finding = next(
            condition
            for condition in world.run(2).current.conditions
            if condition.reason == "Suspended"
        )
        return finding.message

    assert "spec.model names" not in message()
    text = "; spec.model names v3, which waits until spec.suspend is unset"
    world.push("c", "v3")
    assert message().endswith(text)
    world.requests[REQUEST_ABORT] = "one"
    watched(world)
    assert message().endswith(text)
    world.push("b", "v2")
    assert "spec.model names" not in message()


def test_a_suspended_product_starts_no_rollout():
    world = World(spec=document(suspend=True)).run(20)
    assert not world.pods
    assert world.condition("Ready") == ("False", "Suspended")
    assert world.condition("Stalled") is None
    world.spec["spec"]["suspend"] = False
    world.until(lambda w: w.serving == "v1", most=3)


@ROUTES
def test_a_promotion_can_be_aborted_until_the_product_service_selects_the_new_version(route):
    world = serving(route=route)
    world.push("b", "v2").until(in_phase(CandidatePhase.PROMOTING))
    world.requests[REQUEST_ABORT] = "one"
    world.settle()
    watched(world).run(10)
    assert world.serving == "v1"
    assert world.current.history[0].reason == "AbortRequested"
    assert world.current.last_handled.abort == "one"


@ROUTES
def test_a_late_abort_is_refused_and_names_the_rollback_request(route):
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


def test_a_manual_rollback_can_be_aborted():
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


def test_an_early_approval_counts_at_the_last_step_of_its_own_rollout_only():
    world = serving(rollout=MANUAL)
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
def test_a_failed_rollback_emits_one_event_and_stable_keeps_serving():
    world = watched(serving().push("b", "v2")).run(4)
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.bad["v2"] = 0.6
    world.run(100)
    returns = [
        told
        for step in world.history
        for told in step.events
        if told.message.startswith("the rollback to v1 failed, v2 remains stable")
    ]
    assert len(returns) == 1, "it isn't tried again and again"
    assert world.serving == "v2"
    assert world.current.history[0].outcome is Outcome.FAILED
    assert world.condition("RolloutProgressing") == ("False", "ReturnFailed")
    (failed,) = (
        condition for condition in world.current.conditions if condition.reason == "ReturnFailed"
    )
    assert "sluicegate.dev/rollback-to=v1/<token>" in failed.message
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Degraded")[0] == "True"


def test_a_failed_manual_rollback_leaves_stable_serving_and_can_be_requested_again():
    world = watched(serving().push("b", "v2")).run(4)
    world.broken["v1"] = broken_pod()
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    watched(world)
    assert world.serving == "v2"
    assert world.condition("Ready") == ("True", "Serving")
    world.broken.clear()
    world.requests[REQUEST_ROLLBACK] = "v1/two"
    watched(world)
    assert world.serving == "v1"
    assert world.condition("RolloutProgressing") != ("False", "ReturnFailed")
