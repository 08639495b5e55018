"""A rollback to a version that is kept takes no training, no build, and not half a minute."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.waiting import took

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(400), pytest.mark.bar]
SECONDS = 30
"""From the request until all traffic is with the restored version, but for its pod's start:
how long that takes is the machine's affair.
"""


def moment(text):
    return datetime.fromisoformat(text)


def start_of_pod(world, asked):
    """Return how long the pod took that was made after `asked`, from its creation until it was Ready."""
    (pod,) = (
        one
        for one in world.product.listed("v1/pods", "sluicegate.dev/version=v1")
        if moment(one["metadata"]["creationTimestamp"]) >= asked
    )
    (ready,) = (
        condition for condition in pod["status"]["conditions"] if condition["type"] == "Ready"
    )
    return moment(ready["lastTransitionTime"]) - moment(pod["metadata"]["creationTimestamp"])


def test_a_rollback_request_restores_a_kept_version_without_a_training(world):
    training = world.retraining()
    spec = {"rollout": {"steps": [50]}, "retraining": training}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    with world.visitors() as visitors:
        world.product.apply(world.spec("v2-good", **spec))
        world.product.until_stable("v2-good", seconds=200)
        asked = datetime.now(UTC).replace(microsecond=0)
        world.product.annotate("rollback-to", "v1/back")
        moving = world.product.until(
            lambda status: (status.get("candidate") or {}).get("firstTrafficTime"),
            what="v1 to take the traffic",
        )
        status = world.product.until_stable("v1", seconds=90)

    assert not visitors.tally.failures
    back = moment(moving["candidate"]["firstTrafficTime"]) - asked - start_of_pod(world, asked)
    assert moving["candidate"]["weight"] == 100
    took(back.total_seconds(), SECONDS, "the return, without the pod's start")
    assert status["decision"]["reason"] == "RollbackRequested"
    assert status["lastHandled"]["rollbackTo"] == "v1/back"
    assert status["stable"]["restored"]
    assert not world.product.listed("batch/v1/jobs")
    assert "v2-good" in [past["version"] for past in status["history"]]
