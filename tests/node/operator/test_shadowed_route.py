"""Another namespace claims a more specific route: requests stay with the serving product."""

from __future__ import annotations

import pytest

from tests.support.node.learner import NAME, learner
from tests.support.node.live_product import LiveProduct, says
from tests.support.waiting import eventually

pytestmark = [pytest.mark.story, pytest.mark.timeout(300)]
ANSWERS = 60
"""More than a gateway would take to follow a new route, at fifteen a second."""


@pytest.fixture
def settings(namespace, neighbour):
    return {"SLUICEGATE_WATCH_NAMESPACES": f"{namespace},{neighbour}"}


def test_a_more_specific_route_of_another_namespace_takes_no_request(world, neighbour):
    """The gateway prefers the longer path: all requests went to the other product at once."""
    world.product.apply(world.spec("v1"))
    world.product.until_ready()
    other = LiveProduct(world.backend, neighbour, NAME)
    spec = learner(
        world.bentos.image("v1"),
        "v1",
        runtime=world.runtime,
        host=world.host,
    )
    spec["spec"]["route"]["path"] = "/answer"
    with world.visitors() as visitors:
        other.apply(spec)
        refused = other.until(
            lambda status: says(status, "Ready")[0] == "RouteShadowed", what="RouteShadowed"
        )
        other.until(  # its Secret isn't there, which its pods report as they start
            lambda status: says(status, "MetricsAvailable")[0] == "FeedbackSecretUnusable",
            what="FeedbackSecretUnusable",
        )
        world.product.until_reported("this product keeps them")
        enough = visitors.tally.answered + ANSWERS
        eventually(lambda: visitors.tally.answered >= enough, what=f"{ANSWERS} answers")

    assert not visitors.tally.failures
    assert not other.listed("gateway.networking.k8s.io/v1/httproutes")
    assert "is served by a DataProduct of another namespace" in says(refused, "Ready")[1]
    assert says(world.product.status, "Ready")[0] == "Serving"
