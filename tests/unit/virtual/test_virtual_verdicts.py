"""Verdicts on candidates by the whole operator: waits for a person, absences, holds with their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import EVENTS
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    HOUR,
    RARELY,
    for_days,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

Body = dict[str, Any]
AVAILABLE: Final[Body] = {
    "name": "availability",
    "indicator": {"availability": {}},
    "objective": "0.9",
    "maxRegression": "0.05",
}
"""Requests alone are evidence, so each step takes minutes."""
MANUAL: Final[Body] = {"steps": [50], "approval": "Manual", "maxDurationSeconds": 14_400}


def phase(world: World, key: Key) -> str:
    """Return the phase of the candidate; empty without one."""
    return str((world.status(key).get("candidate") or {}).get("phase") or "")


def hold(world: World, key: Key) -> Body:
    """Return the check that holds the candidate; empty without one."""
    return (world.status(key).get("candidate") or {}).get("hold") or {}


def events(world: World, reason: str) -> list[Body]:
    """Return notes of all events with this reason."""
    return [event for event in world.server.all(EVENTS) if event["reason"] == reason]


def occurrences(event: Body) -> int:
    """Return how often an event was emitted."""
    return int((event.get("series") or {}).get("count", 1))


async def stepping(world: World, rollout: Body, **settings: float) -> Key:
    """Return a candidate that is on its way to its first share."""
    body = product(model=pushed("a", "v1"), slos=[AVAILABLE], rollout=rollout)
    key = await served(world, body, **settings)
    await world.run(HOUR)
    world.edit(key, model=pushed("b", "v2"))
    return key


async def awaiting(world: World, **settings: float) -> Key:
    """Return a candidate at 50 % that has passed, and waits for a person."""
    key = await stepping(world, MANUAL, **settings)
    await world.until(lambda: phase(world, key) == "AwaitingApproval", seconds=2 * HOUR)
    return key


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_that_waits_for_approval_survives_a_block_without_requests(world):
    key = await awaiting(world, **RARELY)
    await world.run(5 * HOUR)
    world.cluster.set_rate(key, 0.0)
    await world.run(300)
    assert (phase(world, key), weight(world, key)) == ("AwaitingApproval", 50)
    world.prometheus.lies[""] = Lie.REFUSED
    await world.run(HOUR)
    world.prometheus.lies.clear()
    world.cluster.set_rate(key, 20.0)
    await world.run(300)
    assert (phase(world, key), weight(world, key)) == ("AwaitingApproval", 50)
    world.annotate(key, **{"sluicegate.dev/promote": "v2/one"})
    await world.until(lambda: serving(world, key) == "v2", seconds=600)


@pytest.mark.slow
@on_virtual_time
async def test_a_rollout_that_a_person_starts_without_measurements_has_half_an_hour_of_its_own(
    world,
):
    key = await stepping(world, {"steps": [5, 50]}, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=HOUR)
    world.prometheus.lies[""] = Lie.REFUSED
    await world.until(lambda: phase(world, key) == "Parked", seconds=2 * HOUR)
    assert world.status(key)["decision"]["message"].endswith(" UTC at the earliest")
    await world.run(HOUR)
    world.annotate(key, **{"sluicegate.dev/promote": "v2/one"})
    await world.until(lambda: weight(world, key) == 5, seconds=300)
    await world.run(900)
    assert (phase(world, key), weight(world, key)) == ("Stepping", 5)
    world.annotate(key, **{"sluicegate.dev/promote": "v2/two"})
    await world.until(lambda: serving(world, key) == "v2", seconds=1200)


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_that_waits_for_approval_survives_the_restart_of_the_only_replica(world):
    key = await awaiting(world, **RARELY)
    await world.run(5 * HOUR)
    for replica in world.replicas:
        replica.kill()
    await world.run(300)
    world.start(**RARELY)
    await world.run(300)
    assert (phase(world, key), weight(world, key)) == ("AwaitingApproval", 50)


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_that_waits_for_approval_is_rolled_back_by_evidence_against_it(world):
    key = await awaiting(world, **RARELY)
    await world.run(5 * HOUR)
    world.cluster.set_quality(image("b"), Quality(failed=0.5))
    await world.until(lambda: weight(world, key) == 0, seconds=HOUR)
    assert world.status(key)["specModel"]["outcome"] == "RolledBack"


@pytest.mark.slow
@on_virtual_time
async def test_each_wait_for_approval_emits_an_event_and_sets_the_phase(world):
    key = await awaiting(world, **RARELY)
    assert len(events(world, "AwaitingApproval")) == 1
    candidates = [
        pod for pod in world.cluster.pods_of(key) if pod.labels["sluicegate.dev/version"] == "v2"
    ]
    world.cluster.workloads.quota["catalog"] = 1
    for pod in candidates:
        world.cluster.workloads.evict(pod)
    await world.until(lambda: phase(world, key) == "Parked", seconds=HOUR)
    world.cluster.workloads.quota.clear()
    await world.until(lambda: phase(world, key) == "AwaitingApproval", seconds=3 * HOUR)
    assert world.status(key)["decision"]["reason"] == "AwaitingApproval"
    await world.run(HOUR)
    assert sum(occurrences(event) for event in events(world, "AwaitingApproval")) == 2


# ---- holds ------------------------------------------------------------------------------------
@pytest.mark.slow
@on_virtual_time
async def test_the_status_of_a_held_candidate_has_the_check_its_start_time_and_its_numbers(world):
    world.cluster.set_quality(image("a"), Quality(failed=0.2))
    world.cluster.set_quality(image("b"), Quality(failed=0.2))
    key = await stepping(world, {"steps": [50], "maxDurationSeconds": 14_400}, **RARELY)
    await world.until(lambda: hold(world, key).get("check") == "ObjectiveNotMet", seconds=2 * HOUR)
    since = hold(world, key)["startTime"]
    assert "10.0 % are allowed" in hold(world, key)["message"]
    condition = world.condition(key, "RolloutProgressing")
    assert (condition["status"], condition["reason"]) == ("True", "ObjectiveNotMet")
    assert "isn't shown to be better than stable" in condition["message"]
    assert world.status(key)["summary"]["reason"] == "ObjectiveNotMet"
    await world.run(HOUR / 2)
    assert hold(world, key)["startTime"] == since
    world.annotate(key, **{"sluicegate.dev/promote": "v2/one"})
    await world.until(lambda: serving(world, key) == "v2", seconds=600, what="a person promotes it")


@pytest.mark.slow
@on_virtual_time
async def test_a_request_that_waits_for_a_check_is_pending_with_its_name(world):
    key = await stepping(world, MANUAL, **RARELY)
    await world.until(lambda: weight(world, key) == 50, seconds=600)
    assert hold(world, key)["check"] == "CollectingEvidence"
    world.annotate(key, **{"sluicegate.dev/promote": "v2/one"})
    await world.run(70)
    assert hold(world, key)["request"] == "sluicegate.dev/promote=v2/one"
    assert (
        "sluicegate.dev/promote=v2/one is pending until then"
        in world.condition(key, "RolloutProgressing")["message"]
    )
    await world.until(lambda: serving(world, key) == "v2", seconds=2 * HOUR)


# ---- time that counts ---------------------------------------------------------------------------
FOUR_HOURS: Final[Body] = {"steps": [5, 50], "maxDurationSeconds": 14_400}


@pytest.mark.slow
@on_virtual_time
async def test_a_rollout_continues_after_an_absence_of_all_replicas_beyond_max_duration(
    world,
):
    key = await stepping(world, FOUR_HOURS, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    for replica in world.replicas:
        replica.kill()
    await world.run(5 * HOUR)
    world.start(**RARELY)
    await world.run(RARELY["lease_duration_seconds"] + RARELY["lease_retry_seconds"])
    assert weight(world, key) > 0
    (absence,) = world.status(key)["engine"]["absences"]
    await world.until(lambda: serving(world, key) == "v2", seconds=2 * HOUR)
    assert "absences" not in world.status(key)["engine"], "they are about the rollout"
    assert absence


@pytest.mark.slow
@on_virtual_time
async def test_a_clock_that_is_a_day_ahead_for_five_minutes_rejects_no_candidate(world):
    key = await stepping(world, FOUR_HOURS, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    (replica,) = world.replicas
    replica.skew = 86_400.0
    await world.run(300)
    assert weight(world, key) == 5
    replica.skew = 0.0
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)


async def begun_a_day_ahead(world: World, **spec: Any) -> Key:
    """Return a candidate that takes its share while the clock is a day ahead.

    Then the clock is right.
    """
    body = product(model=pushed("a", "v1"), slos=[AVAILABLE], analysis={"blockSeconds": 60}, **spec)
    key = await served(world, body, **RARELY)
    (replica,) = world.replicas
    replica.skew = 86_400.0
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) > 0, seconds=600)
    replica.skew = 0.0
    await world.run(60)
    return key


@on_virtual_time
async def test_a_rollout_started_with_a_clock_one_day_ahead_completes_once_it_is_corrected(world):
    key = await begun_a_day_ahead(world, rollout={"steps": [50]})
    await world.until(lambda: serving(world, key) == "v2", seconds=HOUR)


@on_virtual_time
async def test_a_rollback_started_with_a_clock_one_day_ahead_completes_in_its_usual_time(world):
    key = await begun_a_day_ahead(world, route=None)
    world.edit(key, model=pushed("a", "v1"))
    await world.until(lambda: "candidate" not in world.status(key), seconds=HOUR / 2)


@pytest.mark.slow
@for_days
async def test_a_suspension_over_a_weekend_is_excluded_from_the_duration(world):
    key = await stepping(world, FOUR_HOURS, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    world.edit(key, suspend=True)
    await world.run(6 * HOUR)
    for replica in world.replicas:
        replica.kill()
    await world.run(6 * HOUR)
    world.start(**RARELY)
    await world.run(HOUR)
    world.edit(key, suspend=False)
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)


@pytest.mark.slow
@for_days
async def test_a_night_without_requests_uses_no_time_of_a_derived_duration(world):
    """A duration that a person chose counts it: `..._whose_time_ended_in_a_quiet_weekend_...`."""
    key = await stepping(world, {"steps": [5, 50]}, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    assert world.status(key)["candidate"]["derived"]["maxDurationSeconds"] == 4 * HOUR
    world.cluster.set_rate(key, 0.0)
    await world.run(8 * HOUR)
    assert (phase(world, key), hold(world, key)["check"]) == ("Stepping", "NoTraffic")
    world.cluster.set_rate(key, 2.0)
    await world.until(lambda: serving(world, key) == "v2", seconds=3 * HOUR)


# ---- memory --------------------------------------------------------------------------------------
@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_killed_at_its_memory_limit_is_rejected_with_that_reason(world):
    key = await stepping(world, {"steps": [25], "maxDurationSeconds": 14_400}, **RARELY)
    await world.until(lambda: weight(world, key) == 25, seconds=600)
    (pod,) = {
        pod.deployment
        for pod in world.cluster.pods_of(key)
        if pod.labels["sluicegate.dev/version"] == "v2"
    }
    world.cluster.workloads.kill(pod)
    await world.until(lambda: not phase(world, key), seconds=HOUR, what="the rollout has ended")
    model = world.status(key)["specModel"]
    assert (model["outcome"], model["reason"]) == ("RolledBack", "CanaryNotReady")
    decision = world.status(key)["decision"]
    assert "memory limit" in decision["message"], decision


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_without_a_request_at_little_traffic_is_held_instead_of_rolled_back(
    world,
):
    key = await stepping(world, {"steps": [5, 50]}, **RARELY)
    world.cluster.set_rate(key, 0.01)
    await world.run(1500)
    assert (phase(world, key), weight(world, key)) == ("Stepping", 5)
    assert hold(world, key)["check"] == "NoTraffic"


@pytest.mark.slow
@on_virtual_time
async def test_the_end_of_a_superseded_candidate_has_an_event_and_is_the_last_decision(world):
    key = await stepping(world, {"steps": [5, 50]}, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    world.edit(key, model=pushed("d", "v3"))
    await world.run(120)
    world.edit(key, model=pushed("a", "v1"))
    await world.until(lambda: not phase(world, key), seconds=600)
    begins, ends = (event["note"] for event in events(world, "Superseded"))
    assert begins.startswith("spec.model names v3: ")
    assert begins.endswith(", and v2 is superseded")
    assert ends.startswith("spec.model names v1, which is stable: v2 is superseded")
    assert world.status(key)["decision"]["message"] == ends


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_whose_time_ends_without_requests_names_the_check_and_the_share_of_the_route(
    world,
):
    key = await stepping(world, {"steps": [50], "maxDurationSeconds": 3600}, **RARELY)
    await world.until(lambda: weight(world, key) == 50, seconds=600)
    world.cluster.set_rate(key, 0.0)
    await world.until(lambda: phase(world, key) == "RollingBack", seconds=2 * HOUR)
    status = world.status(key)
    assert status["decision"]["reason"] == "NoTraffic"
    assert ": NoTraffic has held it at 50 % for 61 min" in status["decision"]["message"]
    conditions = {condition["type"]: condition.get("message") for condition in status["conditions"]}
    assert conditions["RolloutProgressing"] == "v2 at 0 %."
    assert status["summary"]["canary"] == "v2 RollingBack"


@pytest.mark.slow
@on_virtual_time
async def test_a_candidate_whose_time_ended_in_a_quiet_weekend_is_tried_again_when_requests_come(
    world,
):
    key = await stepping(world, {"steps": [5, 50], "maxDurationSeconds": 14_400}, **RARELY)
    await world.until(lambda: weight(world, key) == 5, seconds=600)
    world.cluster.set_rate(key, 0.0)
    await world.until(lambda: phase(world, key) == "Parked", seconds=48 * HOUR)
    first_text = world.condition(key, "RolloutProgressing")["message"]
    assert (
        f"is retried at {world.status(key)['candidate']['retryTime']} at the earliest, once requests come"
        in first_text
    )
    await world.run(24 * HOUR)
    status = world.status(key)
    assert (phase(world, key), status["specModel"]["outcome"]) == ("Parked", "InProgress")
    assert status["candidate"]["retries"] == 1
    assert status["summary"]["reason"] == "WaitingToRetry"
    rollout = world.condition(key, "RolloutProgressing")
    assert rollout["reason"] == "WaitingToRetry"
    assert rollout["message"].endswith(
        "is retried as soon as requests come, no training runs and its service levels can be measured"
    )
    world.cluster.set_rate(key, 20.0)
    await world.until(lambda: serving(world, key) == "v2", seconds=6 * HOUR)
