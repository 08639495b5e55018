"""A version without the route that its clients ask was promoted: it had answered 404 to all of them.

Now it gets no request before a person lets it, and few then.
"""

from __future__ import annotations

import pytest

from tests.support.node.live_product import says

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]


def test_a_version_that_answers_404_to_every_request_is_not_promoted(world):
    spec = {"rollout": {"steps": [50]}}
    world.product.apply(world.spec("v1", **spec))
    world.product.until_ready()
    image = world.bentos.image("v2-renamed", fault="renamed")
    candidate = world.spec("v1", **spec)
    candidate["spec"]["model"]["bento"] |= {"image": image, "version": "v2-renamed"}
    with world.visitors() as visitors:
        world.product.apply(candidate)
        held = world.product.until(
            lambda status: says(status, "RolloutProgressing")[0] == "ApiChanged",
            what="the changed API to be named",
        )
        assert not visitors.tally.failures, "it has no request yet"
        world.product.annotate("promote", "v2-renamed/knowingly")
        ended = world.product.until(
            lambda status: (status.get("specModel") or {}).get("outcome") == "RolledBack",
            what="the candidate to be rolled back",
            seconds=200,
        )

    assert "POST /answer is removed" in says(held, "RolloutProgressing")[1]
    assert set(visitors.tally.failures) == {"/answer 404"}
    assert ended["stable"]["version"] == "v1"
    assert ended["specModel"]["reason"] == "CanaryWorse"
