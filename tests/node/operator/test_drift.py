"""A model decays as the world turns: it is retrained, proves itself, and accuracy is back."""

from __future__ import annotations

import pytest

from tests.support.node.live_product import conditions

pytestmark = [pytest.mark.story, pytest.mark.timeout(600)]


def rests(status):
    """Return no rollout and no retraining is under way."""
    return not status.get("candidate") and not (status.get("retraining") or {}).get("trigger")


def test_a_decayed_model_is_retrained_canaried_and_promoted_without_a_failed_request(world):
    env = {"LEARNER_WORLD": "after"}
    world.product.apply(world.spec("v1", retraining=world.retraining(env=env)))
    world.product.until_ready()
    before = world.product.as_people_own_it()
    weights = []

    def seen(status):
        weight = (status.get("candidate") or {}).get("weight")
        if weight and weight not in weights:
            weights.append(weight)
        return status

    with world.visitors(per_second=20) as visitors:
        world.product.until(
            lambda status: conditions(status).get("Degraded") == "False", what="a healthy product"
        )
        visitors.world = "after"
        degraded = world.product.until(
            lambda status: conditions(status)["Degraded"] == "True", seconds=240, what="Degraded"
        )
        trained = world.product.until(
            lambda status: (status.get("retraining") or {}).get("trigger"), what="a retraining"
        )
        world.product.until(
            lambda status: seen(status)["stable"]["version"] == "v2" and rests(status),
            seconds=300,
            what="v2 to be stable",
        )
        mark = visitors.tally.answered
        world.product.until(lambda _: visitors.tally.answered - mark > 500, what="answers of v2")

    status = world.product.status
    assert degraded["stable"]["version"] == "v1"
    assert trained["retraining"]["trigger"]["slo"] == "accuracy"
    assert trained["retraining"]["trigger"]["cause"] == "ModelDecay"
    assert weights == [5, 25, 50, 100]
    assert not visitors.tally.failures
    assert visitors.tally.wrong["v2"] < 0.15 * visitors.tally.versions["v2"]
    assert world.product.as_people_own_it() == before
    assert status["stable"]["source"] == "Retraining"
    assert status["stable"]["baseline"]["accuracy"]["total"] == 10_000
    # The version that serves and those before it: together all that ever did.
    (past,) = status["history"]
    assert (past["version"], past["outcome"]) == ("v1", "Replaced")
    assert past["baseline"]["accuracy"]["total"] > 0
