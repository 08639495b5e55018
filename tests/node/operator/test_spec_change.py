"""A new bento by a change of spec.model takes the canary's path, whatever becomes of it."""

from __future__ import annotations

import pytest

from tests.support.node.learner import EVALUATION

pytestmark = pytest.mark.timeout(400)
ONE_STEP = {"steps": [50]}


def model(image, version):
    return {
        "bento": {"image": image, "version": version, "service": "Learner"},
        "evaluation": EVALUATION,
    }


def test_a_good_bento_is_promoted_without_a_failed_request(world):
    world.product.apply(world.spec("v1", rollout=ONE_STEP))
    world.product.until_ready()
    with world.visitors() as visitors:
        world.product.apply(world.spec("v2-good", rollout=ONE_STEP))
        world.product.until(
            lambda status: (status.get("candidate") or {}).get("weight") == 50, what="a canary"
        )
        status = world.product.until_stable("v2-good", seconds=180)

    assert not visitors.tally.failures
    assert visitors.tally.versions["v2-good"] > 0
    assert status["specModel"]["outcome"] == "Promoted"
    assert status["stable"]["source"] == "Spec"
    assert [past["version"] for past in status["history"]] == ["v1"]


@pytest.mark.parametrize(
    ("version", "fault", "said"),
    [
        ("v2-crash", "crash", "the model's weights can't be read"),
        ("v2-lost", None, "can't be pulled"),
    ],
    ids=["it crashes", "there is no such image"],
)
def test_a_bento_that_never_comes_up_gets_no_traffic_and_the_condition_says_why(
    world, version, fault, said
):
    product = world.spec("v1", rollout=ONE_STEP)
    image = (
        f"{world.bentos.repository}@sha256:{'1' * 64}"
        if fault is None
        else world.bentos.image(version, fault=fault)
    )
    world.product.apply(product)
    world.product.until_ready()
    with world.visitors(per_second=10) as visitors:
        product["spec"]["model"] = model(image, version)
        world.product.apply(product)
        stalled = world.product.until(
            lambda status: any(
                one["type"] == "Stalled" and one["reason"] == "ModelRejected"
                for one in status["conditions"]
            ),
            seconds=180,
            what="ModelRejected",
        )

    assert set(visitors.tally.versions) == {"v1"}
    assert not visitors.tally.failures
    assert stalled["stable"]["version"] == "v1"
    assert world.product.condition("Ready")["status"] == "True"
    assert stalled["specModel"]["outcome"] == "RolledBack"
    (refused,) = stalled["history"]
    assert refused["version"] == version
    world.product.until_told(said)
    assert version in world.product.condition("Stalled")["message"]
