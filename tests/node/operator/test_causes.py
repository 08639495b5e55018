"""The same symptom, other causes: the diagnosis comes before the remedy.

tests/unit/policy/diagnosis covers all of it; a pod that is throttled is seen here alone, as its
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


def is_degraded(status):
    return conditions(status).get("Degraded") == "True"


def cause(status):
    return next(
        condition["reason"] for condition in status["conditions"] if condition["type"] == "Degraded"
    )


def is_told(status):
    """Return whether an alert reported that nothing is done for now."""
    return (status.get("decision") or {}).get("type") == "Alert"


def slow_product(world, cpu):
    """Return a product with a latency objective and CPU limits."""
    product = world.spec("v1", slos=[LATENCY, accuracy()], retraining=world.retraining())
    product["spec"]["model"]["evaluation"] = {
        **EVALUATION,
        "latency": {"bad": 10, "total": 10_000},
    }
    product["spec"]["serving"]["resources"]["limits"] = {"cpu": cpu, "memory": "768Mi"}
    return product


def answered_per_second(world):
    """Return the pods' maximum throughput, measured with two hundred requests."""
    visitors = world.visitors(per_second=200)
    visitors.at_once = 8
    tally = visitors.tally
    with visitors:
        eventually(lambda: tally.answered >= 50, seconds=60, what="50 answers")
        begun, before = time.monotonic(), tally.answered
        eventually(lambda: tally.answered >= before + 200, seconds=120, what="200 answers more")
        return (tally.answered - before) / (time.monotonic() - begun)


def test_slowness_of_a_throttled_pod_is_reported_and_nothing_is_retrained(world):
    for cpu in ("2", "150m"):
        world.product.apply(slow_product(world, cpu))
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
