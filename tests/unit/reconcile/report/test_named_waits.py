"""Each wait has a name on the object: what waits, for what, and what ends it."""

from __future__ import annotations

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_RETRAIN, ConditionType, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.status import SpecModel
from sluicegate.api.versions import Probation
from sluicegate.conditions import find_condition
from sluicegate.policy.model.observed import Facts
from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.report.condition_events import new_condition_events
from sluicegate.reconcile.report.findings import _unserved_model
from sluicegate.reconcile.report.retraining_finding import retraining
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.report.status_due import same_meaning
from sluicegate.views.needs import NeedKind, needs_of_status
from tests.support.decisions.judged import START, V2, serving, stable
from tests.support.decisions.rollout_world import World, serving_world

ROLLOUT = ConditionType.ROLLOUT_PROGRESSING
TRAINING = {"command": ["train"], "output": "registry.example/bentos/search"}
TRIGGER = {"id": "12345678", "version": "v1", "triggerTime": "2026-01-01T00:00:00Z"}


def says(world: World, kind: ConditionType) -> tuple[str, str]:
    """Return reason and message of a condition."""
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


def test_a_retry_that_measurements_hold_beyond_its_time_has_no_end_in_the_past():
    world = serving_world(5).push("b", "v2")
    world.until(lambda one: one.current.candidate is not None and one.current.candidate.weight > 0)
    world.facts = Facts(canary_lost="it is being deleted")
    world.until(lambda one: one.current.candidate.retry_time is not None)
    world.facts, world.problem = Facts(), DecisionReason.PROMETHEUS_UNAVAILABLE
    before, waits = world.current, find_condition(world.current.conditions, ROLLOUT)
    assert "the rollout is retried at " in waits.message
    world.until(lambda one: one.now > one.current.candidate.retry_time)
    waits_longer = find_condition(world.current.conditions, ROLLOUT)
    assert waits_longer.message.endswith(
        "is retried as soon as no training runs and its service levels can be measured"
    )
    assert (waits_longer.reason, waits_longer.last_transition_time) == (
        waits.reason,
        waits.last_transition_time,
    )
    statuses = (before.replace(conditions=(condition,)) for condition in (waits, waits_longer))
    assert not same_meaning(*statuses), "it is written at once"


def test_a_retired_product_reports_a_pushed_model_and_refuses_requests_for_it():
    world = serving_world(5, lifecycle="Deprecated")
    world.push("b", "v2").run()
    text = "the product is Deprecated, so v2 isn't rolled out"
    assert says(world, ConditionType.ROLLOUT_PROGRESSING) == ("LifecycleEnded", text)
    world.requests[REQUEST_PROMOTE] = "v2/now"
    world.run()
    assert world.current.pending_requests == ()
    assert world.current.decision.reason == "NotFound"


@pytest.mark.parametrize(
    ("restored", "text"),
    [
        (True, "a person rolled back to v1"),
        (False, "a person rolled it back, and v1 serves"),
    ],
    ids=["the version of the rollback", "one that was trained after it"],
)
def test_only_the_restored_version_is_the_one_that_a_person_rolled_back_to(restored, text):
    rejected = SpecModel.of(V2, Outcome.ROLLED_BACK, START)
    status = serving(
        stable=stable().replace(restored=restored),
        spec_model=rejected.replace(reason=DecisionReason.ROLLBACK_REQUESTED),
    )
    finding = _unserved_model(status)
    assert finding is not None
    assert finding.message.startswith(f"spec.model names v2, but {text}: change spec.model")


def test_a_requested_training_waits_for_the_rollout_with_one_constant_reason():
    world = serving_world(5, retraining=TRAINING)
    world.push("b", "v2").until(lambda one: one.current.candidate is not None)
    world.requests[REQUEST_RETRAIN] = "now"
    found = set()
    while world.run().current.candidate is not None:
        found |= {
            (pending_request.reason, pending_request.message)
            for pending_request in world.current.pending_requests
        }
    assert found == {
        ("CanaryInProgress", "until the rollout under way has ended"),
        ("Promoting", "until v2 serves all traffic"),
    }


def test_the_message_of_a_share_names_the_requirements_of_the_next_step():
    world = serving_world(36, rollout={"steps": [5, 50], "maxDurationSeconds": 86_400})
    world.push("b", "v2")
    found = set()
    while world.run().current.candidate is not None:
        hold = world.current.candidate.hold
        if hold is not None and hold.check == "CollectingEvidence":
            found.add(hold.message)
    needs = "until it has 5 blocks and 50 requests there, and the evidence of each required SLO"
    assert f"v2 stays at 5 % {needs}" in found
    assert not [message for message in found if "yet" in message]


def test_a_version_on_probation_names_its_end_time_and_the_rollback_target():
    world = serving_world(36, rollout={"steps": [50], "maxDurationSeconds": 86_400})
    world.push("b", "v2").until(lambda one: one.current.probation is not None)
    begun = world.current.probation.start_time
    least, most = (rfc3339(begun + 60 * blocks) for blocks in (36, 7 * 24 * 12))
    text = (
        f"v2 is on probation until its events suffice for a verdict, between {least} and {most}:"
        " at the first evidence that it is worse, v1 returns"
    )
    assert says(world, ConditionType.ROLLOUT_PROGRESSING) == ("OnProbation", text)


@pytest.mark.parametrize(
    ("cause", "slo", "what"),
    [
        ("ModelDecay", "accuracy", "accuracy"),
        ("Requested", "", "a person"),
        ("Scheduled", "", "the schedule"),
    ],
)
def test_the_status_of_a_training_names_its_trigger(cause, slo, what):
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
def test_trainings_without_a_remedy_name_the_wait_of_the_next_training(given, ends):
    """A pause that a person chose doesn't end with labels."""
    world = serving_world(5, retraining=TRAINING | given)
    past = {"attemptsWithoutRemedy": 3, "nextAllowedTime": "2026-01-02T00:00:00Z"}
    world.status["retraining"] = past
    observation = world.observation()
    found = retraining(observation, observation.product.status)
    assert found.reason == "NoRemedyFound"
    assert found.message.endswith(f"The next attempt follows {ends}")


FAILED = {
    "unsuccessfulAttempts": 1, "lastReason": "JobFailed", "nextAllowedTime": "2026-01-02T00:00:00Z",
    "lastResult": {
        "outcome": "Failed", "reason": "JobFailed", "completionTime": "2026-01-01T00:00:00Z",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("ended", "needed"),
    [
        ({}, [NeedKind.TRAINING_BLOCKED]),
        ({"lastReason": "CanaryWorse", "lastResult": FAILED["lastResult"] | {"outcome": "RolledBack"}}, []),
    ],
    ids=["the training failed", "its version was worse"],
)  # fmt: skip
def test_the_pause_after_a_training_is_reported_on_a_healthy_product_too(ended, needed):
    world = serving_world(36, retraining=TRAINING)
    world.status["retraining"] = FAILED | ended
    reason, message = says(world.run(), ConditionType.RETRAINING_ACTIVE)
    assert reason == "CoolingDown"
    assert "the next one has to wait until 2026-01-02T00:00:00Z (1 attempt without" in message
    assert "or until a person corrects spec.retraining" in message
    assert world.current.state == "Healthy"
    assert [need.kind for need in needs_of_status(world.current, ("shop", "search"))] == needed


def test_the_pause_after_a_failed_training_ends_with_its_time():
    world = serving_world(36, retraining=TRAINING)
    world.status["retraining"] = FAILED | {"nextAllowedTime": "2026-01-01T00:00:00Z"}
    assert says(world.run(), ConditionType.RETRAINING_ACTIVE)[0] == "Idle"


@pytest.mark.parametrize(
    ("waits", "cause", "slo", "message"),
    [
        (
            "ManualMode", "ModelDecay", "accuracy",
            ("a training for accuracy of v1 waits for a person, as spec.retraining.mode is Manual: ask"
            f" for it with {REQUEST_RETRAIN}"),
        ),
        (
            "ManualMode", "Scheduled", "",
            ("a challenger of v1 waits for a person, as spec.retraining.mode is Manual: ask for it with"
            f" {REQUEST_RETRAIN}"),
        ),
        (
            "VersionTooYoung", "ModelDecay", "accuracy",
            ("a training for accuracy waits until v1 has been measured for 14 blocks, at {ends}, or until"
            f" a person asks for it with {REQUEST_RETRAIN}"),
        ),
    ],
)  # fmt: skip
def test_a_waiting_first_training_has_the_reason_for_its_wait(waits, cause, slo, message):
    world = serving_world(5, retraining=TRAINING)
    pending = TRIGGER | {"cause": cause, "slo": slo}
    world.status["retraining"] = {"pending": pending, "waitingFor": waits}
    observation = world.observation()
    status = observation.product.status
    found = retraining(observation, status)
    ends = status.stable.promotion_time + 14 * observation.terms.block_seconds
    assert (found.status, found.reason) == ("False", waits)
    assert found.message == message.format(ends=rfc3339(ends))
    seen = report(observation, Plan(status, make_plan(observation).allocation))
    assert seen.summary.reason == waits


def test_the_end_of_a_probation_without_a_rollback_is_one_event():
    promoted = serving_world(5).current
    probation = Probation(version="v1", against="v0", start_time=0)
    before = promoted.replace(probation=probation)
    (event,) = new_condition_events(before, promoted)
    assert (event.reason, event.warning) == ("ProbationEnded", False)
    assert event.message == "the probation of v1 is over; it is compared with v0 no longer"
    assert not list(new_condition_events(promoted, promoted))
    assert promoted.stable is not None
    other = promoted.stable.replace(version="v2", image="registry.example/v2@sha256:2")
    assert not list(new_condition_events(before, promoted.replace(stable=other)))
