"""The version that serves crash-loops: it counts as failures, and the fix takes over at once."""

from __future__ import annotations

import pytest

from tests.support.node.live_product import conditions, says

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]


@pytest.fixture
def settings():
    """Return an operator that reads what the gateway counts: pods that are down count nothing."""
    return {"SLUICEGATE_GATEWAY_METRICS": "Traefik"}


def availability(status):
    return next(slo for slo in status["slos"] if slo["name"] == "availability")


def answered(world, visitors, more):
    mark = visitors.tally.answered
    world.product.until(lambda _: visitors.tally.answered - mark > more, what="answers")


def test_a_new_version_takes_all_requests_once_ready_while_stable_crash_loops(world):
    fragile = world.spec("v1", rollout={"steps": [5, 50]})
    fragile["spec"]["model"]["bento"] |= {
        "image": world.bentos.image("v1-fragile", fault="fragile"),
        "version": "v1-fragile",
    }
    world.product.apply(fragile)
    world.product.until_ready()
    with world.visitors(per_second=10) as visitors:
        visitors.comparisons = 2
        down = world.product.until(
            lambda status: (
                says(status, "Ready")[0] == "PodsNotReady"
                and "ended with" in says(status, "Ready")[1]
            ),
            what="stable to crash",
        )
        world.product.until_reported("none of 1 pods is ready")
        failing = world.product.until(
            lambda status: availability(status)["state"] == "Missed",
            what="availability to be Missed",
        )
        world.product.apply(world.spec("v2-good", rollout={"steps": [5, 50]}))
        status = world.product.until_stable("v2-good", seconds=120)
        answered(world, visitors, 100)  # those that waited for v1-fragile have failed by then
        lost = visitors.tally.failures.copy()
        answered(world, visitors, 100)

    assert visitors.tally.failures == lost
    assert conditions(down)["Ready"] == "False"
    assert availability(failing)["bad"] > 20
    assert conditions(failing)["SLOMet"] == "False"
    assert down["stable"]["version"] == "v1-fragile"
    assert status["specModel"]["outcome"] == "Promoted"
    assert conditions(status)["Ready"] == "True"
    assert visitors.tally.versions["v2-good"] > 100
