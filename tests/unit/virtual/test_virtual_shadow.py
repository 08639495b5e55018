"""The shadow phase on virtual time: Jobs that score both versions, and what follows from their rows."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.trainings import Training
from sluicegate.kube.resources import EVENTS, JOBS, Key
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BLOCK,
    HOUR,
    RARELY,
    TRAINED,
    evidence,
    on_virtual_time,
    opened,
    product,
    pushed,
    serving,
    shadow,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.virtual.operator import World

Body = dict[str, Any]
INTERVAL = BLOCK
"""Where it doesn't matter when a decision comes, each block has a Job of its own."""


def rollout(interval: int) -> Body:
    """Return a candidate's way, with a Job at each interval in seconds."""
    command = ["python", "-m", "shadow"]
    phase = {"command": command, "intervalSeconds": interval, "timeoutSeconds": interval * 2 // 3}
    return {"steps": [50], "maxDurationSeconds": 86_400, "shadow": phase}


ROLLOUT = rollout(INTERVAL)
EQUAL = {"bothRight": 1700, "onlyStableWrong": 100, "onlyCandidateWrong": 100, "bothWrong": 100}
WORSE = EQUAL | {"onlyStableWrong": 50, "onlyCandidateWrong": 150}


def reporting(*reports: Body) -> Callable[[Body], Training]:
    """Return jobs that report these rows of accuracy, one after the other, the last of them indefinitely."""
    left = list(reports)

    def plan(_: Body) -> Training:
        rows = left.pop(0) if len(left) > 1 else left[0]
        return Training(seconds=30, report={"pairs": {"accuracy": rows}})

    return plan


def shadow_jobs(world: World, key: Key) -> list[Body]:
    """Return the Jobs of the shadow phase that are there."""
    return [job for job in world.server.all(JOBS, key.namespace) if "-shadow-" in name_of(job)]


def name_of(body: Body) -> str:
    return str(body["metadata"]["name"])


def variables(job: Body) -> dict[str, str]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


async def with_candidate(
    world: World, plan: Callable[[Body], Training], interval: int = INTERVAL
) -> Key:
    """Return a product whose v2 has its share of the traffic.

    Jobs of its shadow phase go by the plan.
    """
    key = world.apply(product(rollout=rollout(interval)))
    world.cluster.shadows[key] = plan
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 50, seconds=600)
    return key


@pytest.mark.slow
@on_virtual_time
async def test_shadow_rows_of_each_interval_are_scored_once_and_decide_the_rollout(world):
    """The canary's labels would promote within the hour; an SLO with a shadow phase waits for rows."""
    key = await with_candidate(world, reporting(EQUAL), interval=900)
    seen: dict[str, tuple[str, str]] = {}
    rows = 0
    while serving(world, key) == "v1":
        for job in shadow_jobs(world, key):
            told = variables(job)
            seen[name_of(job)] = told["SLUICEGATE_SINCE"], told["SLUICEGATE_UNTIL"]
        rows = evidence(world, key).get("blocks", rows)
        await world.run(10)
    intervals = list(seen.values())
    assert len(intervals) >= 6, "five intervals count for little, as ρ isn't known"
    assert rows >= 5
    assert all(one[1] == following[0] for one, following in pairwise(intervals)), intervals
    assert "labelled after the training" in world.status(key)["decision"]["message"]


@pytest.mark.slow
@on_virtual_time
async def test_shadow_rows_roll_back_a_worse_candidate_with_a_good_canary(world):
    key = await with_candidate(world, reporting(WORSE))
    await world.until(
        lambda: world.condition(key, "Stalled").get("reason") == "ModelRejected",
        seconds=6 * HOUR,
    )
    assert world.status(key)["history"][0]["reason"] == "ShadowWorse"
    await world.until(lambda: not _running(world, key), seconds=600)


def _running(world: World, key: Key) -> list[Body]:
    return [
        shadow_job
        for shadow_job in shadow_jobs(world, key)
        if not (shadow_job.get("status") or {}).get("conditions")
    ]


@pytest.mark.slow
@on_virtual_time
async def test_a_shadow_job_without_a_result_is_reported_and_counts_no_rows(world):
    key = await with_candidate(world, lambda _: Training(seconds=30))
    await world.until(lambda: bool(shadow(world, key).get("reason")), seconds=2 * INTERVAL)
    first = shadow(world, key)
    assert first["reason"] == "JobFailed"
    assert "exited with 1" in first["message"]
    await world.until(lambda: shadow(world, key)["startedJobs"] == 2, seconds=2 * INTERVAL)
    assert shadow(world, key)["sinceTime"] == first["sinceTime"]
    assert not evidence(world, key)
    told = {event["reason"] for event in world.server.all(EVENTS, key.namespace)}
    assert "ShadowNotCounted" in told
    world.cluster.shadows[key] = reporting(EQUAL)
    await world.until(lambda: bool(evidence(world, key)), seconds=3 * INTERVAL)
    assert not shadow(world, key).get("reason")


@pytest.mark.slow
def test_an_operator_restart_between_shadow_intervals_changes_no_evidence():
    through, restarted = (run_virtually(_four_blocks(restarts=one)) for one in (False, True))
    assert through == restarted
    assert through["pairs"]["bothWrong"] == 307


async def _four_blocks(*, restarts: bool) -> Body:
    """Return the evidence of four intervals; another replica takes over after the second."""
    async with opened() as world:
        key = await with_candidate(world, reporting(EQUAL, WORSE, EQUAL | {"bothWrong": 7}, EQUAL))
        await world.until(lambda: evidence(world, key).get("blocks") == 2, seconds=4 * INTERVAL)
        if restarts:
            world.replicas[-1].kill()
            world.start(**RARELY)
        await world.until(lambda: evidence(world, key).get("blocks") == 4, seconds=4 * INTERVAL)
        return evidence(world, key)


@pytest.mark.slow
@on_virtual_time
async def test_a_new_shadow_phase_ignores_results_of_the_previous_one(world):
    key = await with_candidate(world, reporting(EQUAL))
    await world.until(lambda: bool(evidence(world, key)), seconds=2 * INTERVAL)
    before = {name_of(job) for job in shadow_jobs(world, key)}
    world.edit(key, rollout=ROLLOUT | {"approval": "Manual", "shadow": None})
    await world.until(lambda: not shadow(world, key), seconds=60)
    world.edit(key, rollout=ROLLOUT | {"approval": "Manual"})
    await world.until(lambda: bool(shadow(world, key).get("job")), seconds=2 * INTERVAL)
    assert before
    assert shadow(world, key)["job"] not in before


@pytest.mark.slow
@on_virtual_time
async def test_a_shadow_job_waits_for_a_training_slot(world):
    other = world.apply(product("pricing"))
    key = await with_candidate(world, reporting(EQUAL))
    world.cluster.trainings[other] = Training(seconds=HOUR / 2, report=TRAINED)
    await world.until(lambda: serving(world, other) == "v1", seconds=60)
    world.annotate(other, **{"sluicegate.dev/retrain-requested-at": "now"})
    await world.until(lambda: shadow(world, key).get("reason") == "NoSlot", seconds=2 * INTERVAL)
    assert not _running(world, key)
    started = shadow(world, key).get("startedJobs", 0)
    await world.until(lambda: shadow(world, key).get("startedJobs", 0) > started, seconds=HOUR)


@on_virtual_time
async def test_a_product_without_a_shadow_phase_has_no_shadow_job_and_no_shadow_status(world):
    key = world.apply(product())
    world.cluster.trainings[key] = Training(seconds=60, report=TRAINED)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    world.annotate(key, **{"sluicegate.dev/retrain-requested-at": "now"})
    await world.until(lambda: bool(world.status(key).get("candidate")), seconds=HOUR)
    assert {"shadow", "dataEndTime"}.isdisjoint(world.status(key)["candidate"])
    world.edit(key, model=pushed("b", "v2"))
    await world.until(
        lambda: (world.status(key).get("candidate") or {}).get("image") == image("b"),
        seconds=HOUR,
    )
    assert not shadow(world, key)
    assert not shadow_jobs(world, key)
