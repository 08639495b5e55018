"""The same symptom, other causes: the diagnosis comes before the cure.

tests/unit/policy/diagnosis tells all of it; a pod that is throttled is seen here alone, as its
facts come from the kubelet.
"""

from __future__ import annotations

import time

import pytest

from tests.support.node.learner import EVALUATION, accuracy
from tests.support.node.live_product import conditions
from tests.support.waiting import eventually

pytestmark = [pytest.mark.story, pytest.mark.timeout(500)]
LATENCY = {
    "name": "latency",
    "indicator": {"latency": {"thresholdMilliseconds": 250}},
    "objective": "0.9",
    "maxDrop": "0.2",
    "maxRegression": "0.2",
}


NORMAL_BLOCKS = 20
"""Blocks of normal load before a surge: warm-up, six to learn from, the twelve that are judged."""


def is_degraded(status):
    return conditions(status).get("Degraded") == "True"


def cause(status):
    return next(one["reason"] for one in status["conditions"] if one["type"] == "Degraded")


def is_told(status):
    """Whether people were told that nothing is done for now."""
    return (status.get("decision") or {}).get("type") == "Alert"


def state_of(status, name):
    return next(one["state"] for one in status["slos"] if one["name"] == name)


def slow_product(world, *, cpu="2", env=None, **spec):
    """A product that owes latency, with CPU limits: only those show that nothing throttles it."""
    product = world.spec("v1", slos=[LATENCY, accuracy()], retraining=world.retraining(), **spec)
    product["spec"]["model"]["evaluation"] = {
        **EVALUATION,
        "latency": {"bad": 10, "total": 10_000},
    }
    serving = product["spec"]["serving"]
    serving["resources"]["limits"] = {"cpu": cpu, "memory": "768Mi"}
    serving["env"] = [{"name": name, "value": value} for name, value in (env or {}).items()]
    return product


def answered_per_second(world):
    """What the pods can answer at most, by two hundred answers."""
    visitors = world.visitors(per_second=200)
    visitors.at_once = 8
    tally = visitors.tally
    with visitors:
        eventually(lambda: tally.answered >= 50, seconds=60, what="50 answers")
        begun, before = time.monotonic(), tally.answered
        eventually(lambda: tally.answered >= before + 200, seconds=120, what="200 answers more")
        return (tally.answered - before) / (time.monotonic() - begun)


@pytest.mark.nightly
def test_a_model_that_requests_ask_too_much_of_is_replaced_by_a_lighter_one(world):
    world.product.apply(slow_product(world, rollout={"steps": [50]}))
    world.product.until_ready()
    with world.visitors(per_second=15) as visitors:
        visitors.comparisons = 20
        status = world.product.until(is_degraded, seconds=240, what="Degraded")
        trained = world.product.until(
            lambda status: (status.get("retraining") or {}).get("trigger"), what="a retraining"
        )
        world.product.until_stable("v2", seconds=240)
        lighter = world.product.until(
            lambda status: state_of(status, "latency") == "Met", what="latency to be well"
        )

    assert cause(status) == "ModelTooSlow"
    trigger = trained["retraining"]["trigger"]
    assert (trigger["slo"], trigger["indicator"]) == ("latency", "latency")
    assert lighter["stable"]["version"] == "v2"
    assert not visitors.tally.failures


def test_slowness_of_a_throttled_pod_is_reported_and_nothing_is_retrained(world):
    for cpu in ("2", "150m"):
        world.product.apply(slow_product(world, cpu=cpu))
        world.product.until_ready()
    # As many at once as are answered in 0.4 s: on any machine each waits longer than the objective
    # allows, and a scrape, which waits with them, still gets its answer within its second.
    rate = answered_per_second(world)
    visitors = world.visitors(per_second=1.5 * rate)
    visitors.at_once = max(2, round(0.4 * rate))
    with visitors:
        status = world.product.until(is_degraded, seconds=240, what="Degraded")
        told = world.product.until(is_told, what="people to be told")

    assert cause(status) in {"CPUThrottled", "PodsUnhealthy"}
    assert told["decision"]["reason"] in {"CPUThrottled", "PodsUnhealthy"}
    assert not world.product.listed("batch/v1/jobs")


@pytest.mark.nightly
def test_slowness_under_a_surge_of_traffic_is_reported_and_nothing_is_retrained(world):
    world.product.apply(slow_product(world, env={"LEARNER_LOOKUPS": "1"}))
    world.product.until_ready()
    visitors = world.visitors(per_second=5)
    # Who waits for longer than ten seconds is sent away, which counts as no load: so many at once
    # wait for two thirds of a second, and all are served.
    visitors.at_once = 32
    with visitors:
        world.product.until(
            lambda _: visitors.tally.answered > NORMAL_BLOCKS * 5 * 5,
            seconds=2 * NORMAL_BLOCKS * 5,
            what="a normal load",
        )
        # One lookup takes 20 ms, so 50 a second are possible, and the others wait.
        visitors.per_second = 60
        status = world.product.until(is_degraded, seconds=240, what="Degraded")
        told = world.product.until(is_told, what="people to be told")

    assert cause(status) == told["decision"]["reason"] == "TrafficAnomaly"
    assert not world.product.listed("batch/v1/jobs")
