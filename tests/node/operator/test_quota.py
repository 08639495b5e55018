"""A quota leaves no room for a canary: it is named, no request is lost, and it ends."""

from __future__ import annotations

import json

import pytest

from tests.support.node.live_product import conditions, says

pytestmark = [pytest.mark.story, pytest.mark.timeout(500)]


def allow_pods(world, number):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full"},
        "spec": {"hard": {"pods": str(number)}},
    }
    world.backend.run_kubectl("apply", "-n", world.namespace, "-f", "-", stdin=json.dumps(quota))


def test_a_canary_blocked_by_a_quota_reports_it_and_is_not_rejected(world):
    spec = {"rollout": {"steps": [50]}}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    allow_pods(world, 1)
    candidate = world.spec("v2-good", **spec)
    hurried = world.spec("v2-good", **spec)
    hurried["spec"]["serving"]["progressDeadlineSeconds"] = 10
    with world.visitors(per_second=10) as visitors:
        world.product.apply(candidate)
        starting = world.product.until(
            lambda status: "exceeded quota" in says(status, "RolloutProgressing")[1],
            what="the quota to be named",
        )
        world.product.apply(hurried)
        waiting = world.product.until(
            lambda status: says(status, "RolloutProgressing")[0] == "WaitingToRetry",
            what="the canary to wait",
        )
        world.product.until_reported("exceeded quota")
        allow_pods(world, 10)
        world.product.apply(candidate)
        world.product.annotate("promote", "v2-good/again")
        promoted = world.product.until_stable("v2-good", seconds=180)

    assert not visitors.tally.failures
    assert says(starting, "RolloutProgressing")[0] == "Starting"
    for status in (starting, waiting):
        assert (conditions(status)["Ready"], conditions(status)["Stalled"]) == ("True", "False")
        assert status["stable"]["version"] == "v1"
    assert "exceeded quota" in says(waiting, "RolloutProgressing")[1]
    assert promoted["specModel"]["outcome"] == "Promoted"
