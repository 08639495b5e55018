"""Trainings of the whole operator on virtual time: turns of a schedule, slots, pauses and their ends."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.trainings import Training, trigger_of
from sluicegate.api import names
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import EVENTS, JOBS, Key
from sluicegate.views.needs import needs_of
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BAD,
    BLOCK,
    HOUR,
    OUTPUT,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

PERIOD = 6 * 3600
RETRAINING = {"command": ["train"], "output": OUTPUT}
SCHEDULED = {**RETRAINING, "schedule": {"everySeconds": PERIOD}}


def begun(world: World) -> dict[str, tuple[str, str]]:
    """Return the Jobs of trainings that are kept, with their product and cause."""
    return {
        job["metadata"]["uid"]: (
            job["metadata"]["labels"][names.LABEL_PRODUCT],
            trigger_of(job)["cause"],
        )
        for job in world.server.all(JOBS)
    }


async def trained_in(world: World, hours: int) -> list[tuple[str, str]]:
    """Return all trainings of some hours, in their order: the product and the cause."""
    found: dict[str, tuple[str, str]] = {}
    for _ in range(2 * hours):
        await world.run(HOUR / 2)
        found |= begun(world)
    return list(found.values())


def retraining(world: World, key: Key) -> dict[str, Any]:
    """Return the retraining part of status."""
    return world.status(key).get("retraining") or {}


@pytest.mark.slow
@on_virtual_time
async def test_a_healthy_product_with_a_schedule_gets_a_challenger_in_each_period(world):
    key = world.apply(product(retraining=SCHEDULED))
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    assert await trained_in(world, 19) == [("search", "Scheduled")] * 3
    assert retraining(world, key)["lastReason"] == "NotShownBetter"


def seconds_between(first: str, second: str) -> float:
    """Return seconds from one RFC 3339 time to another."""
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def active(world: World, key: Key) -> tuple[str, str]:
    """Return status and reason of RetrainingActive."""
    found = world.condition(key, "RetrainingActive")
    return found.get("status", ""), found.get("reason", "")


def needs(world: World, key: Key) -> list[str]:
    """Return the kinds of the product's needs."""
    return [str(need.kind) for need in needs_of(DataProduct.parse(world.product(key)))]


async def degrade(world: World, spec: dict[str, Any], training: Training) -> Key:
    """Apply a product with this spec.retraining, and make its answers bad after an hour."""
    key = world.apply(product(retraining=spec))
    world.cluster.trainings[key] = training
    world.start(**RARELY)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    return key


@pytest.mark.slow
@on_virtual_time
async def test_a_failed_training_pauses_retraining_until_its_command_is_corrected(world):
    key = await degrade(world, RETRAINING, Training(seconds=5, report=None))
    await world.until(lambda: active(world, key)[1] == "CoolingDown", seconds=6 * HOUR)
    says = world.condition(key, "RetrainingActive")["message"]
    assert "ended with JobFailed (the training failed: the training exited with 1" in says
    assert "; the training for accuracy waits until 20" in says
    assert "or until a person corrects spec.retraining" in says
    assert world.status(key)["summary"]["reason"] == "CoolingDown"
    assert needs(world, key) == ["TrainingBlocked"]
    await world.until(lambda: "waitingFor" in retraining(world, key), seconds=2 * BLOCK)
    paused = retraining(world, key)
    assert (paused["unsuccessfulAttempts"], paused["waitingFor"]) == (1, "CoolingDown")
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.edit(key, retraining=RETRAINING | {"command": ["corrected"]})
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=2 * BLOCK)
    assert needs(world, key) == []
    assert retraining(world, key)["unsuccessfulAttempts"] == 0


@pytest.mark.slow
@on_virtual_time
async def test_a_training_killed_at_its_memory_limit_pauses_until_the_limit_is_raised(world):
    key = await degrade(world, RETRAINING, Training(seconds=60, out_of_memory=True))
    await world.until(lambda: active(world, key)[1] == "CoolingDown", seconds=6 * HOUR)
    says = world.condition(key, "RetrainingActive")["message"]
    assert "exited with 137 (OOMKilled): raise the memory limit in retraining.resources" in says
    assert needs(world, key) == ["TrainingBlocked"]
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.edit(key, retraining={"resources": {"limits": {"memory": "4Gi"}}})
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=2 * BLOCK)


@pytest.mark.slow
@on_virtual_time
async def test_the_need_of_a_degraded_product_names_a_missing_retraining(world):
    key = await degrade(world, RETRAINING, Training(seconds=7200, report=TRAINED))
    await world.until(lambda: bool(begun(world)), seconds=6 * HOUR)
    world.edit(key, retraining=None)
    await world.run(HOUR)
    (need,) = needs_of(DataProduct.parse(world.product(key)))
    assert need.kind == "DegradedWithoutRemedy"
    assert need.message.endswith("; no training follows: spec.retraining is missing")


@on_virtual_time
async def test_failing_challengers_need_a_person_until_their_command_is_corrected(world):
    hourly = {**RETRAINING, "schedule": {"everySeconds": 3600}}
    key = world.apply(product(retraining=hourly))
    world.cluster.trainings[key] = Training(seconds=600, report=None)
    world.start(**RARELY)
    await world.until(lambda: bool(needs(world, key)), seconds=6 * HOUR)
    seen = set()
    for _ in range(12):
        await world.run(HOUR / 6)
        seen.add((active(world, key)[1], world.status(key)["summary"]["reason"]))
        assert needs(world, key) == ["TrainingBlocked"]
        says = world.condition(key, "RetrainingActive")["message"]
        assert (
            "challengers in a row failed: correct what status.retraining.lastResult names" in says
        )
    assert seen == {("Training", "ChallengersFail"), ("ChallengersFail", "ChallengersFail")}
    world.edit(key, retraining=hourly | {"command": ["corrected"]})
    await world.until(lambda: not needs(world, key), seconds=HOUR)


@on_virtual_time
async def test_failing_challengers_need_no_person_after_the_schedule_is_removed(world):
    hourly = {**RETRAINING, "schedule": {"everySeconds": 3600}}
    key = world.apply(product(retraining=hourly))
    world.cluster.trainings[key] = Training(seconds=600, report=None)
    world.start(**RARELY)
    await world.until(lambda: bool(needs(world, key)), seconds=6 * HOUR)
    world.edit(key, retraining={**RETRAINING, "schedule": None})
    await world.run(HOUR)
    assert (needs(world, key), active(world, key)) == ([], ("False", "Idle"))


@pytest.mark.slow
@on_virtual_time
async def test_a_challenger_reports_its_wait_for_a_training_slot(world):
    key, other = (
        world.apply(product(name, retraining=training))
        for name, training in (("search", SCHEDULED), ("cars", RETRAINING))
    )
    world.cluster.trainings[other] = Training(seconds=2 * HOUR, report=TRAINED)
    world.start(**RARELY)
    await world.run(5.5 * HOUR)
    world.annotate(other, **{names.REQUEST_RETRAIN: "now"})
    await world.until(
        lambda: world.condition(key, "RetrainingActive")["reason"] == "WaitingForSlot",
        seconds=HOUR,
    )
    says = world.condition(key, "RetrainingActive")["message"]
    assert "a challenger of v1 waits for a slot since 20" in says
    assert "cars of this namespace trains" in says
    assert retraining(world, key)["pending"]["cause"] == "Scheduled"
    assert retraining(world, key)["waitingFor"] == "NoSlot"
    assert serving(world, key) == "v1"
    await world.until(lambda: ("search", "Scheduled") in begun(world).values(), seconds=2 * HOUR)
    await world.run(60)
    assert "pending" not in retraining(world, key)


@on_virtual_time
async def test_a_recreated_product_does_not_carry_out_requests_in_its_manifest(world):
    body = product(retraining=RETRAINING)
    body["metadata"]["annotations"] = {names.REQUEST_RETRAIN: "in-git"}
    key = world.apply(body)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    assert not begun(world)
    assert world.status(key)["lastHandled"]["retrainRequestedAt"] == "in-git"
    (event,) = (
        event for event in world.server.all(EVENTS) if event["reason"] == "RequestsNotCarriedOut"
    )
    assert "in-git" in event["note"]
    world.annotate(key, **{names.REQUEST_RETRAIN: "another"})
    await world.until(lambda: ("search", "Requested") in begun(world).values(), seconds=60)


NO_NODE = "0/3 nodes are available: 3 Insufficient memory."
GREEDY = RETRAINING | {"resources": {"requests": {"memory": "900Gi"}}, "timeoutSeconds": 3600}


@pytest.mark.slow
@on_virtual_time
async def test_an_unschedulable_job_is_reported_and_replaced_after_its_resources_are_corrected(
    world,
):
    key = world.apply(product(retraining=GREEDY))
    world.cluster.trainings[key] = Training(unscheduled=NO_NODE)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: active(world, key) == ("False", "JobPending"), seconds=2 * BLOCK)
    assert NO_NODE in world.condition(key, "RetrainingActive")["message"]
    assert world.status(key)["summary"]["reason"] == "JobPending"
    assert needs(world, key) == ["TrainingBlocked"]
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.edit(key, retraining={"resources": {"requests": {"memory": "1Gi"}}})
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=BLOCK)
    (job,) = (job for job in world.server.all(JOBS) if not job["metadata"].get("deletionTimestamp"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["memory"] == "1Gi"


@pytest.mark.slow
@on_virtual_time
async def test_an_unschedulable_job_counts_as_no_attempt_and_is_retried_within_minutes(world):
    key = world.apply(product(retraining=GREEDY))
    world.cluster.trainings[key] = Training(unscheduled=NO_NODE)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: retraining(world, key).get("lostJobs") == 1, seconds=1.5 * HOUR)
    assert retraining(world, key)["unsuccessfulAttempts"] == 0
    assert "nextAllowedTime" not in retraining(world, key)
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=2 * BLOCK)


@pytest.mark.slow
@on_virtual_time
async def test_the_deadline_of_a_job_suspended_by_a_queue_starts_when_it_is_resumed(world):
    key = world.apply(product(retraining=RETRAINING | {"timeoutSeconds": 600}))
    world.cluster.trainings[key] = Training(seconds=300, report=TRAINED)
    world.start(**RARELY)
    await world.run(HOUR / 4)

    def queue(resource, before, after):
        if resource == JOBS and before is None:
            where = Key(key.namespace, after["metadata"]["name"])
            world.loop.call_soon(world.server.write, JOBS, where, {"spec": {"suspend": True}})

    world.server.on_change.append(queue)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: active(world, key) == ("False", "JobSuspended"), seconds=2 * BLOCK)
    await world.run(2 * HOUR)
    assert active(world, key) == ("False", "JobSuspended")
    (job,) = world.server.all(JOBS)
    where = Key(key.namespace, job["metadata"]["name"])
    world.server.write(JOBS, where, {"spec": {"suspend": False}})
    await world.until(
        lambda: retraining(world, key).get("lastResult", {}).get("version") == "v2-trained",
        seconds=HOUR / 4,
    )


QUEUED = RETRAINING | {"queue": "gpus", "timeoutSeconds": 600}


def only_job(world: World) -> dict[str, Any]:
    """Return the one Job that isn't deleted."""
    (job,) = (job for job in world.server.all(JOBS) if not job["metadata"].get("deletionTimestamp"))
    return job


@pytest.mark.slow
@on_virtual_time
async def test_a_retraining_waits_two_hours_in_a_queue_and_then_heals(world):
    key = await degrade(world, QUEUED, Training(seconds=300, report=TRAINED, queued=2 * HOUR))
    await world.until(lambda: active(world, key) == ("False", "WaitingForQueue"), seconds=6 * HOUR)
    await world.run(60)
    job = only_job(world)
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"][names.LABEL_QUEUE] == "gpus"
    says = world.condition(key, "RetrainingActive")["message"]
    assert f"its Job {job['metadata']['name']} waits in the queue gpus since 20" in says
    assert "kubectl describe workloads -n" in says
    assert needs(world, key) == []
    assert world.status(key)["summary"]["reason"] == "WaitingForQueue"
    await world.run(1.9 * HOUR)
    assert active(world, key) == ("False", "WaitingForQueue")
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=HOUR / 4)
    await world.until(lambda: "lastJob" in retraining(world, key), seconds=HOUR / 4)
    assert retraining(world, key)["lastDurationSeconds"] < 600
    ended = retraining(world, key)["lastJob"]
    assert seconds_between(ended["startTime"], ended["endTime"]) < 600
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=12 * HOUR)


@pytest.mark.slow
@on_virtual_time
async def test_a_preempted_training_waits_in_its_queue_again_and_counts_as_no_failure(world):
    body = product(retraining=RETRAINING)
    body["metadata"]["labels"] = {names.LABEL_QUEUE: "gpus"}
    key = world.apply(body)
    world.cluster.trainings[key] = Training(seconds=300, report=TRAINED, queued=120)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=2 * BLOCK)
    where = Key(key.namespace, only_job(world)["metadata"]["name"])
    first_admission = retraining(world, key)["admissionTime"]
    world.server.write(JOBS, where, {"spec": {"suspend": True}}, manager="kueue")
    await world.until(lambda: active(world, key) == ("False", "WaitingForQueue"), seconds=BLOCK)
    assert "admissionTime" not in retraining(world, key)
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=BLOCK)
    assert retraining(world, key)["admissionTime"] > first_admission
    assert only_job(world)["metadata"]["name"] == where.name
    await world.until(
        lambda: retraining(world, key).get("lastResult", {}).get("version") == "v2-trained",
        seconds=HOUR / 4,
    )
    assert not retraining(world, key).get("unsuccessfulAttempts")
    assert "nextAllowedTime" not in retraining(world, key)


@pytest.mark.slow
@on_virtual_time
async def test_trainings_of_a_queue_take_no_slot_and_wait_for_none(world):
    keys = [world.apply(product(name, retraining=QUEUED)) for name in ("search", "cars", "vans")]
    for key in keys:
        world.cluster.trainings[key] = Training(seconds=HOUR / 4, report=TRAINED)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    for key in keys:
        world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(
        lambda: all(active(world, key) == ("True", "Training") for key in keys), seconds=2 * BLOCK
    )


@pytest.mark.slow
@on_virtual_time
async def test_a_job_in_a_queue_is_replaced_after_its_queue_is_corrected(world):
    key = world.apply(product(retraining=QUEUED | {"queue": "absent"}))
    world.cluster.trainings[key] = Training(seconds=300, report=TRAINED, queued=9 * HOUR)
    world.start(**RARELY)
    await world.run(HOUR / 4)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: active(world, key) == ("False", "WaitingForQueue"), seconds=2 * BLOCK)
    world.cluster.trainings[key] = Training(seconds=300, report=TRAINED)
    world.edit(key, retraining={"queue": "gpus"})
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=BLOCK)
    assert only_job(world)["metadata"]["labels"][names.LABEL_QUEUE] == "gpus"


@on_virtual_time
async def test_a_training_that_ends_while_the_product_is_suspended_lasts_until_its_job_ended(world):
    key = await degrade(world, RETRAINING, Training(seconds=600, report=TRAINED))
    await world.until(lambda: active(world, key) == ("True", "Training"), seconds=3 * HOUR)
    world.edit(key, suspend=True)
    await world.run(6 * HOUR)
    world.edit(key, suspend=None)
    await world.until(lambda: "lastJob" in retraining(world, key), seconds=HOUR)
    ended = retraining(world, key)["lastJob"]
    assert 600 <= seconds_between(ended["startTime"], ended["endTime"]) < 900
    assert 600 <= retraining(world, key)["lastDurationSeconds"] < 900
