"""The operator is killed at each stage of the loop: it goes on where it was, nothing twice.

tests/unit/virtual/test_virtual_replicas tells it of a canary that changes its leader each time.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.nightly, pytest.mark.story, pytest.mark.timeout(500)]


def weight_of(status):
    return (status.get("candidate") or {}).get("weight", 0)


def restart(world):
    """Kill the operator without a word and start another."""
    world.operator.kill()
    world.operator.start()


def test_an_operator_that_is_killed_at_each_stage_goes_on_and_does_nothing_twice(world):
    spec = {"rollout": {"steps": [50]}, "retraining": world.retraining()}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    weights = []

    def look(status):
        weight = weight_of(status)
        if weight and weight not in weights[-1:]:
            weights.append(weight)
        return status

    with world.visitors() as visitors:
        world.product.annotate("retrain-requested-at", "once")
        world.product.until(lambda _: world.product.listed("batch/v1/jobs"), what="a Job")
        restart(world)
        world.product.until(
            lambda status: weight_of(look(status)) == 50, seconds=180, what="a canary"
        )
        restart(world)
        world.product.until(
            lambda status: (look(status).get("candidate") or {}).get("phase") == "Promoting",
            seconds=180,
            what="a promotion under way",
        )
        restart(world)
        status = world.product.until(
            lambda status: look(status)["stable"]["version"] == "v2" and "candidate" not in status,
            seconds=120,
            what="v2 to be stable",
        )

    assert not visitors.tally.failures
    (job,) = world.product.listed("batch/v1/jobs")
    assert job["status"]["succeeded"] == 1
    assert weights in ([50, 100], [50])
    assert [past["version"] for past in status["history"]] == ["v1"]
    assert status["retraining"]["unsuccessfulAttempts"] == 0
    deployed = world.product.listed("apps/v1/deployments")
    versions = [one["metadata"]["labels"]["sluicegate.dev/version"] for one in deployed]
    assert sorted(versions) == ["v1", "v2"]
    told = [one["reason"] for one in world.product.listed("events.k8s.io/v1/events")]
    assert told.count("Requested") == told.count("GatePassed") == 1
