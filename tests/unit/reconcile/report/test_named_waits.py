"""Each wait has a name on the object: what waits, for what, and what ends it."""

from __future__ import annotations

import pytest

from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_RETRAIN, ConditionType, DecisionReason
from sluicegate.conditions import find_condition
from sluicegate.reconcile.report.retraining_finding import retraining
from tests.support.decisions.rollout_world import World, serving_world

TRAINING = {"command": ["train"], "output": "registry.example/bentos/search"}
TRIGGER = {"id": "12345678", "version": "v1", "triggerTime": "2026-01-01T00:00:00Z"}


def says(world: World, kind: ConditionType) -> tuple[str, str]:
    """Reason and message of a condition."""
    found = find_condition(world.current.conditions, kind)
    assert found is not None
    return found.reason, found.message


def test_a_pushed_model_that_waits_for_measurements_is_named_until_its_rollout_begins():
    world = serving_world(5)
    world.problem = DecisionReason.PROMETHEUS_UNAVAILABLE
    world.push("b", "v2").run(20)
    reason, message = says(world, ConditionType.ROLLOUT_PROGRESSING)
    assert reason == "PrometheusUnavailable"
    assert message == "v2 waits: nothing can be measured (PrometheusUnavailable)"
    before = world.writes
    assert world.run(10).writes == before, "a wait costs no write with each block"
    world.problem = None
    world.run()
    assert world.current.candidate.version == "v2"


def test_a_pushed_model_of_a_product_whose_life_has_ended_is_named_and_a_request_for_it_refused():
    world = serving_world(5, lifecycle="Deprecated")
    world.push("b", "v2").run()
    text = "the product is Deprecated, so v2 isn't rolled out"
    assert says(world, ConditionType.ROLLOUT_PROGRESSING) == ("LifecycleEnded", text)
    world.requests[REQUEST_PROMOTE] = "v2/now"
    world.run()
    assert world.current.pending_requests == ()
    assert world.current.decision.reason == "NotFound"


def test_a_requested_training_waits_for_the_rollout_by_one_reason_whatever_is_decided_meanwhile():
    world = serving_world(5, retraining=TRAINING)
    world.push("b", "v2").until(lambda one: one.current.candidate is not None)
    world.requests[REQUEST_RETRAIN] = "now"
    found = set()
    while world.run().current.candidate is not None:
        found |= {(one.reason, one.message) for one in world.current.pending_requests}
    assert found == {
        ("CanaryInProgress", "until the rollout under way has ended"),
        ("Promoting", "until v2 serves all traffic"),
    }


@pytest.mark.parametrize(
    ("cause", "slo", "what"),
    [
        ("ModelDecay", "accuracy", "accuracy"),
        ("Requested", "", "a person"),
        ("Scheduled", "", "the schedule"),
    ],
)
def test_a_training_names_what_it_is_for(cause, slo, what):
    world = serving_world(5, retraining=TRAINING)
    world.status["retraining"] = {"trigger": TRIGGER | {"cause": cause, "slo": slo}, "attempt": 1}
    _, message = says(world.run(), ConditionType.RETRAINING_ACTIVE)
    assert message == f"attempt 1 for {what}, from v1"


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        ({}, "once there are as many labels again, at the latest at 2026-01-02T00:00:00Z"),
        ({"cooldownSeconds": 3600}, "at 2026-01-02T00:00:00Z"),
    ],
)
def test_attempts_without_a_remedy_name_what_the_next_one_waits_for(given, ends):
    """A pause that a person chose doesn't end with labels."""
    world = serving_world(5, retraining=TRAINING | given)
    past = {"attemptsWithoutRemedy": 3, "nextAllowedTime": "2026-01-02T00:00:00Z"}
    world.status["retraining"] = past
    observation = world.observation()
    found = retraining(observation, observation.product.status)
    assert found.reason == "NoRemedyFound"
    assert found.message.endswith(f"The next attempt follows {ends}")
