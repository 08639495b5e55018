"""A training that is asked for: its Job's name, and how often it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import (
    REQUEST_RETRAIN,
    DecisionReason,
)
from sluicegate.api.versions import Release
from sluicegate.policy.model.observed import TrainingFailed, TrainingResult, TrainingSucceeded
from sluicegate.stats.counts import Count
from tests.support.decisions.rollout_world import (
    RUNTIME,
    World,
    image,
)
from tests.support.decisions.rollouts import TRAINING, serving

if TYPE_CHECKING:
    from sluicegate.api.retraining_status import RetrainingStatus


def started(world: World) -> RetrainingStatus:
    """Return the training that began in this step."""
    one = world.current.retraining
    assert one.trigger is not None
    return one


def ended(world: World, result: TrainingResult) -> RetrainingStatus:
    """Return the training's result is taken up."""
    world.training = result
    world.step()
    world.training = None
    assert world.current.retraining is not None
    return world.current.retraining


def test_a_manual_training_request_resets_the_count_of_failures():
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


def test_a_failed_training_reports_the_wait_of_the_next_training_at_once():
    """Until the next block it was listed as a degradation without a remedy, which wasn't true."""
    world = serving(retraining=TRAINING)
    world.bad["v1"] = 0.4
    world.until(lambda w: w.current.retraining and w.current.retraining.trigger)
    one = started(world)
    failed = TrainingFailed(one.trigger.id, DecisionReason.JOB_FAILED, "no such column")
    after = ended(world, failed)
    assert (after.waiting_for, after.pending.slo) == ("CoolingDown", "accuracy")
    assert world.current.summary.reason == "CoolingDown"
    pending = after.pending
    assert world.run().current.retraining.pending == pending, "the next block writes nothing new"


def test_an_uncounted_training_attempt_has_a_different_job_name_than_the_next_one():
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


@pytest.mark.parametrize(
    ("end", "requests"),
    [("its result", {"cpu": "2", "memory": "4Gi"}), ("its spec is removed", {})],
)
def test_status_keeps_the_times_and_requests_of_each_ended_training(end, requests):
    asked = {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi", "cpu": "3"}}
    world = serving(retraining=TRAINING | {"resources": asked})
    world.requests[REQUEST_RETRAIN] = "one"
    world.settle()
    one = started(world)
    world.run(2)
    if end == "its result":
        failed = TrainingFailed(one.trigger.id, DecisionReason.JOB_FAILED, "no such column")
        ended(world, failed)
    else:
        del world.spec["spec"]["retraining"]
        world.step()
    last = world.current.retraining.last_job
    assert (last.job, last.start_time) == (one.job, one.start_time)
    assert one.start_time < last.end_time <= world.now
    assert last.requests == requests
    world.run()
    assert world.current.retraining.last_job == last


def test_a_training_that_an_older_operator_started_keeps_its_jobs_name():
    world = serving(retraining=TRAINING)
    world.requests[REQUEST_RETRAIN] = "one"
    world.settle()
    world.status["retraining"]["attempt"] = 2
    del world.status["retraining"]["startedAttempts"]
    assert world.current.retraining.number == 2
    world.run()
    assert world.current.retraining.number == 2
