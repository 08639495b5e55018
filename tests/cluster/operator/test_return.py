"""Going back to a version that is kept takes no training, no build and half a minute."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.timeout(400)
SECONDS = 30
"""From the request until all traffic is with the version that came back."""


def test_a_kept_version_is_back_within_half_a_minute_of_the_request(world):
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
            lambda status: (status.get("candidate") or {}).get("trafficSince"),
            what="v1 to take the traffic",
        )
        status = world.product.until_stable("v1", seconds=90)

    assert not visitors.tally.failures
    back = datetime.fromisoformat(moving["candidate"]["trafficSince"])
    print(f"back after {(back - asked).total_seconds():g} s")
    assert moving["candidate"]["weight"] == 100
    assert (back - asked).total_seconds() <= SECONDS
    assert status["decision"]["reason"] == "RollbackRequested"
    assert status["lastHandled"]["rollbackTo"] == "v1/back"
    assert status["stable"]["returned"]
    assert not world.product.listed("batch/v1/jobs")
    assert "v2-good" in [past["version"] for past in status["history"]]
