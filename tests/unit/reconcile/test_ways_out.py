"""A product always finds its way: every phase ends, whatever can't be counted, and people are heard."""

from __future__ import annotations

from copy import deepcopy

import pytest

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_ROLLBACK, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import CandidatePhase
from tests.support.decisions.rollout_world import (
    ACCURACY,
    BLOCK,
    World,
    broken_pod,
    document,
    serving_world,
)
from tests.support.decisions.rollouts import ROUTES, at_weight, in_phase


def serving(**spec) -> World:
    """Return a world whose first version has served long enough to be judged."""
    return serving_world(12, **spec)


def phase(world: World) -> CandidatePhase | None:
    candidate = world.current.candidate
    return candidate.phase if candidate else None


def weight(world: World) -> int:
    candidate = world.current.candidate
    return candidate.weight if candidate else 0


def told(world: World) -> list[str]:
    return [event.message for step in world.history for event in step.events]


def ended(world: World) -> bool:
    return phase(world) in (None, CandidatePhase.PARKED)


# ---- every phase ends -----------------------------------------------------------------------
@ROUTES
def test_a_rollback_completes_at_once_if_the_version_has_no_pod(route):
    """A crash loop isn't scraped, so its requests can't be counted: it stayed indefinitely."""
    world = serving(route=route).push("b", "v2").until(at_weight(5))
    world.is_measured = False
    world.break_down("v2")
    world.requests[REQUEST_ABORT] = "now"
    world.run(4)
    assert ended(world)
    assert world.current.history[0].outcome is Outcome.ROLLED_BACK


@ROUTES
def test_a_rollback_without_request_counts_completes_after_ten_minutes_and_reports_it(route):
    world = serving(route=route).push("b", "v2").until(at_weight(5))
    world.is_measured = False
    world.requests[REQUEST_ABORT] = "now"
    world.run(8)
    assert phase(world) is CandidatePhase.ROLLING_BACK
    world.until(ended, most=8)
    assert any(
        "its pods are removed although its requests can't be counted" in text
        for text in told(world)
    )


def test_a_rollback_from_a_crash_loop_completes_and_the_fix_is_rolled_out():
    world = serving().push("b", "v2").until(lambda world: world.serving == "v2")
    world.is_measured = False
    world.break_down("v2")
    world.requests[REQUEST_ROLLBACK] = "v1/now"
    world.run(6)
    assert world.serving == "v1"
    assert ended(world)
    assert world.condition("Ready") == ("True", "Serving")
    world.is_measured = True
    world.push("c", "v3").until(lambda world: world.serving == "v3")


def test_a_promotion_ends_after_the_start_deadline_if_neither_version_serves():
    world = serving(serving=SHORT).push("b", "v2")
    world.until(in_phase(CandidatePhase.PROMOTING))
    world.until(at_weight(100))
    world.is_measured = False
    world.break_down("v1")
    world.break_down("v2")
    world.run(6)
    assert phase(world) is not CandidatePhase.PROMOTING


SHORT = {"replicas": 4, "progressDeadlineSeconds": 120, "feedback": {"secretRef": {"name": "keys"}}}


# ---- people are heard -----------------------------------------------------------------------
def test_a_new_model_ends_a_promotion_without_ready_pods():
    world = serving().push("b", "v2").until(at_weight(100))
    world.break_down("v1")
    world.break_down("v2")
    world.run(2)
    assert phase(world) is CandidatePhase.PROMOTING
    world.push("c", "v3").run()
    assert phase(world) is CandidatePhase.ROLLING_BACK
    world.until(lambda world: world.serving == "v3", most=10)


def test_an_abort_during_a_rollback_is_handled_at_once():
    world = serving().push("b", "v2").until(at_weight(5))
    world.is_measured = False
    world.requests[REQUEST_ABORT] = "one"
    world.run()
    assert phase(world) is CandidatePhase.ROLLING_BACK
    world.requests[REQUEST_ABORT] = "two"
    world.run()
    assert phase(world) is CandidatePhase.ROLLING_BACK
    assert world.current.last_handled.abort == "two"
    assert world.current.decision.message.startswith(
        "sluicegate.dev/abort=two: v2 is being rolled back already"
    )


# ---- stable is down -------------------------------------------------------------------------
@ROUTES
def test_a_ready_candidate_replaces_a_failed_stable_version_at_once(route):
    """It was held, as nothing could be measured, and rejected after four hours."""
    world = serving(route=route)
    world.break_down("v1")
    world.is_measured = False
    world.run(2)
    world.push("b", "v2").run(6)
    assert world.serving == "v2"
    assert world.current.decision.reason == DecisionReason.STABLE_NOT_READY
    assert any("v2 replaces v1, of which no pod is ready" in text for text in told(world))


@ROUTES
def test_the_only_answering_candidate_is_promoted_before_another_model_is_rolled_out(route):
    """The push superseded it, and all requests went to the pods of stable, of which none was ready."""
    world = serving(route=route).push("b", "v2").until(at_weight(5))
    world.spec["spec"]["suspend"] = True
    world.break_down("v1")
    world.run(2)
    assert world.serving == "v1"
    world.spec["spec"]["suspend"] = False
    world.push("c", "v3").run(1)
    assert phase(world) is CandidatePhase.PROMOTING
    world.until(lambda world: world.serving == "v2", most=6)
    world.until(lambda world: world.current.candidate is not None, most=6)
    assert world.current.candidate.release.version == "v3"


def test_a_candidate_that_does_not_start_does_not_replace_a_failed_stable_version():
    world = serving()
    world.break_down("v1")
    world.broken["v2"] = broken_pod()
    world.push("b", "v2").run(6)
    assert world.serving == "v1"


# ---- nothing can be measured ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("slos", "why"),
    [
        ([], "spec.slos is empty"),
        ([{**ACCURACY, "canaryEvidence": "PostPromotion"}], "canaryEvidence PostPromotion"),
    ],
)
@pytest.mark.parametrize("approval", ["Automatic", "Manual"])
def test_a_candidate_that_can_get_no_evidence_is_reported_once_and_needs_a_promote_request(
    slos, why, approval
):
    rollout = {"steps": [5, 50], "approval": approval}
    world = serving(slos=slos, rollout=rollout).push("b", "v2").until(at_weight(5))
    world.run(2)
    assert world.current.decision.reason == DecisionReason.INSUFFICIENT_DATA
    told = world.current.decision.message
    assert why in told
    assert "sluicegate.dev/promote=v2/<token>" in told
    writes = world.writes
    world.run(4)
    assert world.writes == writes, "it is said once"
    assert ("unless events of an SLO with PostPromotion" in told) == bool(slos)
    if not slos:
        world.run(16)
        held = world.current.candidate.hold
        assert held.check == DecisionReason.INSUFFICIENT_DATA
        assert why in held.message
        assert "Set sluicegate.dev/promote=v2/<token>" in held.message
    world.requests[REQUEST_PROMOTE] = "any"
    world.run(4)
    assert world.serving == "v1", "only a version that is named is promoted without evidence"
    world.requests[REQUEST_PROMOTE] = "v2/now"
    world.until(lambda world: world.serving == "v2", most=8)
    assert world.current.last_handled.promote == "v2/now"
    assert any(
        "without evidence" in event.message and event.warning
        for s in world.history
        for event in s.events
    )


def test_a_promote_request_overrides_missing_evidence_but_not_evidence_against_the_candidate():
    """What little is known looks worse, and isn't enough to take the candidate back."""
    world = World(spec=document(), rate=40)
    world.bad["v2"] = 0.3
    world.until(lambda world: world.serving == "v1").run(12)
    world.push("b", "v2").until(at_weight(5)).run(8)
    world.requests[REQUEST_PROMOTE] = "v2/now"
    world.run(3)
    (against,) = world.history[-1].evaluation.assessment.slos
    assert 0 < against.evidence.roll_back < against.roll_back_at
    assert weight(world) == 5
    world.bad["v2"] = 0.0
    world.until(lambda world: world.serving == "v2")


def test_a_model_that_waits_for_measurements_is_reported_and_starts_by_a_promote_request():
    world = serving()
    world.is_measured = False
    world.problem = DecisionReason.PROMETHEUS_UNAVAILABLE
    world.push("b", "v2").run(2)
    assert phase(world) is None
    assert "sluicegate.dev/promote=v2/<token>" in world.current.decision.message
    world.requests[REQUEST_PROMOTE] = "v2/now"
    world.until(lambda world: world.serving == "v2", most=30)
    assert world.current.last_handled.promote == "v2/now"


# ---- suspend --------------------------------------------------------------------------------
def test_a_suspension_is_excluded_from_all_deadlines():
    """A candidate was rejected as soon as the product was resumed."""
    rollout = {"steps": [5, 50], "maxDurationSeconds": 1800}
    world = serving(rollout=rollout).push("b", "v2").until(at_weight(5))
    world.spec["spec"]["suspend"] = True
    world.run(40)
    assert world.current.candidate.suspend_time is not None
    world.spec["spec"]["suspend"] = False
    world.run()
    assert world.current.candidate.suspended_seconds >= 39 * BLOCK
    world.until(lambda world: world.serving == "v2")


def test_time_without_a_leading_operator_is_excluded_from_the_start_deadline():
    """A candidate was rejected at the first look, before anybody had made its pods."""
    world = serving(serving=SHORT)
    world.slow.add("v2")
    world.push("b", "v2").run()
    assert phase(world) is CandidatePhase.STARTING
    world.now += 3600
    world.term = world.now
    world.run()
    assert phase(world) is CandidatePhase.STARTING
    slow = deepcopy(world)
    world.slow.clear()
    world.until(lambda world: world.serving == "v2")
    slow.until(lambda world: phase(world) is not CandidatePhase.STARTING)
    assert slow.now - slow.term <= SHORT["progressDeadlineSeconds"] + 2 * BLOCK


def test_pods_created_after_a_suspension_have_the_full_start_deadline():
    world = serving(serving=SHORT)
    world.slow.add("v2")
    world.push("b", "v2").run()
    assert phase(world) is CandidatePhase.STARTING
    world.spec["spec"]["suspend"] = True
    world.run(10)
    world.spec["spec"]["suspend"] = False
    world.run()
    assert phase(world) is CandidatePhase.STARTING
    world.slow.clear()
    world.until(lambda world: world.serving == "v2")


# ---- steps ----------------------------------------------------------------------------------
@ROUTES
def test_editing_the_steps_of_a_canary_does_not_raise_its_share(route):
    """Each edit made it take the share of another step, without evidence."""
    world = serving(route=route, rollout={"steps": [5, 25, 50]})
    world.push("b", "v2").until(at_weight(5))
    world.rate = 0
    for steps in ([10, 50], [20, 60], [5, 6, 7, 80], [90], [1, 2]):
        world.spec["spec"]["rollout"]["steps"] = steps
        world.run(2)
        assert weight(world) == 5
    world.spec["spec"]["rollout"]["steps"] = [10, 50]
    world.rate = 4000
    world.until(lambda world: world.serving == "v2")
    assert list(dict.fromkeys(weight_of(item_status) for item_status in world.statuses)) == [
        0,
        5,
        10,
        50,
        100,
    ]


def weight_of(status) -> int:
    return status.candidate.weight if status.candidate and status.stable else 0
