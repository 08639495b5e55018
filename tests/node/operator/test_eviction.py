"""A canary's only pod is taken off its node: that says nothing of the model."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.node.live_product import conditions, evict, says

pytestmark = [pytest.mark.story, pytest.mark.timeout(500)]


def product_of(world, version):
    """Return a product whose pods end as they do by default: an evicted one answers what was sent to it before."""
    product = world.spec(version, rollout={"steps": [50]})
    del product["spec"]["serving"]["preStopSeconds"]
    return product


def test_a_canary_with_an_evicted_pod_waits_and_is_not_rejected(world):
    world.product.apply(product_of(world, "v1"))
    world.product.until_ready()
    with world.visitors(per_second=10) as visitors:
        world.product.apply(product_of(world, "v2-good"))
        world.product.until(
            lambda status: (status.get("candidate") or {}).get("weight") == 50, what="a canary"
        )
        (pod,) = world.product.listed("v1/pods", "sluicegate.dev/version=v2-good")
        evict(world.backend.kubeconfig, world.namespace, pod["metadata"]["name"])
        waiting = world.product.until(
            lambda status: says(status, "RolloutProgressing")[0] == "WaitingToRetry",
            what="the canary to wait",
        )
        # The gateway sends nothing to the only pod from when it begins to end; until the weights
        # have followed, what was meant for it finds no pod.
        failed = Counter(visitors.tally.failures)
        world.product.until_reported("v2-good")
        world.product.annotate("promote", "v2-good/again")
        promoted = world.product.until_stable("v2-good", seconds=180)

    assert failed.keys() <= {"/answer 503", "/feedback 503"}
    assert visitors.tally.failures == failed
    assert "the rollout is retried at " in says(waiting, "RolloutProgressing")[1]
    assert (conditions(waiting)["Ready"], conditions(waiting)["Stalled"]) == ("True", "False")
    assert waiting["summary"]["reason"] == "WaitingToRetry"
    assert waiting["stable"]["version"] == "v1"
    assert promoted["specModel"]["outcome"] == "Promoted"
