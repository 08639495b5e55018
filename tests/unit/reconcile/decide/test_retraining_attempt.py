"""What status says of an attempt to replace stable, once its candidate is decided about."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import AttemptResult, RetrainingStatus
from sluicegate.api.versions import VersionSource
from sluicegate.conditions import find_condition
from sluicegate.policy.model.decision import Alert, Hold
from sluicegate.policy.rollout.outcome import with_outcome
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.decide.retraining_attempt import with_result
from sluicegate.reconcile.report.status import report
from tests.support.decisions.rollout_world import World, image, serving_world

if TYPE_CHECKING:
    from sluicegate.api.status import Condition


@pytest.fixture(scope="module")
def world() -> World:
    world = serving_world(20).push("b", "v2")
    return world.until(lambda one: one.current.candidate is not None)


def told(world: World, outcome: Outcome, *, made: str = "b", **fields) -> AttemptResult:
    """Return the last retraining result, after v2 of a training ended with this outcome."""
    last = AttemptResult(outcome=Outcome.IN_PROGRESS, image=image(made), completion_time=world.now)
    one = RetrainingStatus(last_result=last)
    known = {"source": VersionSource.RETRAINING, **fields}
    candidate = world.current.candidate.model_copy(update=known)
    status = world.current.model_copy(update={"retraining": one, "history": ()})
    after = with_outcome(status, candidate, outcome, DecisionReason.CANARY_WORSE)
    return after.retraining.last_result


@pytest.mark.parametrize(
    "outcome",
    [Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.INCONCLUSIVE, Outcome.SUPERSEDED],
)
def test_a_training_attempt_ends_with_the_outcome_of_its_candidate(world, outcome):
    last = told(world, outcome)
    assert (last.outcome, last.reason) == (outcome, "CanaryWorse")


@pytest.mark.parametrize(
    "fields",
    [{"made": "c"}, {"source": VersionSource.SPEC}],
    ids=["of another training", "of the spec"],
)
def test_the_outcome_of_another_candidate_is_not_recorded_for_the_attempt(world, fields):
    assert told(world, Outcome.ROLLED_BACK, **fields).outcome is Outcome.IN_PROGRESS


@pytest.mark.parametrize(
    ("kind", "reason", "outcome"),
    [
        (Alert, DecisionReason.WORSE_ON_HOLD_OUT, Outcome.REJECTED),
        (Alert, DecisionReason.HOLD_OUT_TOO_SMALL, Outcome.REJECTED),
        (Alert, DecisionReason.NOT_SHOWN_BETTER, Outcome.REJECTED),
        (Alert, DecisionReason.JOB_FAILED, Outcome.FAILED),
        (Hold, DecisionReason.SUPERSEDED, Outcome.SUPERSEDED),
    ],
    ids=["worse", "too small", "no remedy", "failed", "superseded"],
)
def test_a_version_that_the_gate_refuses_is_rejected(world, kind, reason, outcome):
    """And no message says that its training failed."""
    status = world.current.replace(retraining=RetrainingStatus())
    after = with_result(world.observation(), status, kind(reason=reason, message="why"))
    assert after.retraining.last_result.outcome is outcome


def condition_of(world: World, retraining: RetrainingStatus) -> Condition:
    """Return RetrainingActive of the next reconcile, with this retraining part in status."""
    other = deepcopy(world)
    other.status = json.loads(json.dumps(other.current.replace(retraining=retraining).to_dict()))
    observation = other.observation()
    found = find_condition(
        report(observation, make_plan(observation)).conditions, "RetrainingActive"
    )
    assert found is not None
    return found


def test_the_retraining_condition_names_the_candidate_of_the_attempt(world):
    """And not how the attempt before ended."""
    last = AttemptResult(
        outcome=Outcome.IN_PROGRESS, version="v2", image=image("b"), completion_time=world.now
    )
    one = RetrainingStatus(last_result=last, last_reason=DecisionReason.TIMED_OUT)
    found = condition_of(world, one)
    assert (found.status, found.reason) == ("False", "Idle")
    assert found.message == "the last attempt made v2, which is in its rollout"


def test_an_unknown_reason_written_by_a_newer_operator_is_reported_unchanged(world):
    """It stopped every reconcile of an older operator."""
    found = condition_of(world, RetrainingStatus(last_reason="Ascended"))
    assert found.message == "the last attempt ended with Ascended"
