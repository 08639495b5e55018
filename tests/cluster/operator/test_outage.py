"""Prometheus stands still in the middle of a canary: "can't be measured" is neither good nor bad."""

from __future__ import annotations

import time

import pytest

from tests.support.own_prometheus import OwnPrometheus

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]
OUTAGE_SECONDS = 120


@pytest.fixture
def own_prometheus(cluster, where, namespace):
    return OwnPrometheus(cluster, namespace)


@pytest.fixture
def prometheus(own_prometheus):
    """The operator of these tests asks a Prometheus that nobody else needs."""
    return own_prometheus.start()


def canary(status):
    candidate = status.get("candidate") or {}
    return candidate.get("weight", 0), candidate.get("phase")


def test_a_canary_waits_while_prometheus_is_away_and_goes_on_afterwards(world, own_prometheus):
    spec = {"rollout": {"steps": [25, 50]}}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    seen = set()

    def is_over(status):
        seen.add(canary(status))
        return time.monotonic() - began > OUTAGE_SECONDS

    with world.visitors() as visitors:
        world.product.apply(world.spec("v2-good", **spec))
        world.product.until(
            lambda status: canary(status) == (25, "Stepping"),
            seconds=180,
            what="the canary's first step",
        )
        began = time.monotonic()
        with own_prometheus.stopped():
            status = world.product.until(
                is_over, seconds=OUTAGE_SECONDS + 30, what="the end of the outage"
            )
        promoted = world.product.until_stable("v2-good", seconds=240)

    assert not visitors.tally.failures
    assert seen == {(25, "Stepping")}
    assert status["stable"]["version"] == "v1"
    unknown = {one["type"]: one["status"] for one in status["conditions"]}
    assert unknown["MetricsAvailable"] == "False"
    assert unknown["Ready"] == "True"
    assert [past["version"] for past in promoted["history"]] == ["v1"]
