"""A new bento by a change of spec.model that never comes up."""

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


@pytest.mark.parametrize(
    ("version", "fault", "said"),
    [
        ("v2-crash", "crash", "the model's weights can't be read"),
        ("v2-lost", None, "can't be pulled"),
    ],
    ids=["it crashes", "there is no such image"],
)
def test_a_bento_that_never_starts_gets_no_traffic_and_its_condition_has_the_reason(
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
                condition["type"] == "Stalled" and condition["reason"] == "ModelRejected"
                for condition in status["conditions"]
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
    world.product.until_reported(said)
    assert version in world.product.condition("Stalled")["message"]
