"""A change of spec.serving that can't come up: green means green, and the old pods keep serving."""

from __future__ import annotations

import pytest

from tests.support.node.live_product import conditions, says

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]
NO_NODE_HAS_SO_MANY = "500"


def test_a_serving_change_with_failing_pods_is_reconciling_and_then_stalled_until_fixed(
    world,
):
    product = world.spec("v1")
    world.product.apply(product)
    before = world.product.until_ready()
    requests = product["spec"]["serving"]["resources"]["requests"]
    good = requests["cpu"]
    with world.visitors(per_second=10) as visitors:
        requests["cpu"] = NO_NODE_HAS_SO_MANY
        product["spec"]["serving"]["progressDeadlineSeconds"] = 15
        world.product.apply(product)
        rolling = world.product.until(
            lambda status: conditions(status).get("Reconciling") == "True", what="Reconciling"
        )
        stalled = world.product.until(
            lambda status: conditions(status)["Stalled"] == "True", what="Stalled"
        )
        world.product.until_reported("progressDeadlineSeconds")
        requests["cpu"] = good
        del product["spec"]["serving"]["progressDeadlineSeconds"]
        world.product.apply(product)
        mended = world.product.until(
            lambda status: (
                conditions(status)["Ready"] == "True" and status["observedGeneration"] == 3
            ),
            what="Ready again",
        )

    assert not visitors.tally.failures
    assert (conditions(rolling)["Ready"], conditions(rolling)["Stalled"]) == ("False", "False")
    assert says(rolling, "Ready")[0] == "Progressing"
    assert (conditions(stalled)["Ready"], stalled["observedGeneration"]) == ("False", 2)
    assert conditions(stalled)["Reconciling"] == "False"
    for kind in ("Ready", "Stalled"):
        reason, message = says(stalled, kind)
        assert reason == "ProgressDeadlineExceeded"
        assert "Insufficient cpu" in message
    assert stalled["summary"]["reason"] == "ProgressDeadlineExceeded"
    assert conditions(mended)["Reconciling"] == conditions(mended)["Stalled"] == "False"
    assert mended["summary"].get("reason", "") == ""
    assert (
        stalled["stable"]["revision"]
        == mended["stable"]["revision"]
        == before["stable"]["revision"]
    )
