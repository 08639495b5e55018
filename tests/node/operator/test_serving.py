"""A product is served as soon as it is applied, and gone when it is deleted."""

from __future__ import annotations

import pytest
import requests

from tests.support.node.learner import learner
from tests.support.node.live_product import LiveProduct
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(240)
CHILDREN = (
    "apps/v1/deployments",
    "apps/v1/replicasets",
    "v1/pods",
    "v1/services",
    "discovery.k8s.io/v1/endpointslices",
    "gateway.networking.k8s.io/v1/httproutes",
    "batch/v1/jobs",
)


def children(world):
    """Return all objects of the kinds that a product has: which they are, and what they should be."""
    return {
        f"{kind} {one['metadata']['name']}": (one["metadata"]["uid"], one.get("spec"))
        for kind in CHILDREN
        for one in world.product.listed(kind)
    }


def ask(world, host):
    return requests.post(
        f"{world.where.gateway}/answer",
        json={"question": [1.0, 1.0, 1.0]},
        headers={"Host": host},
        timeout=10,
    )


def test_a_product_serves_through_the_gateway_and_its_deletion_removes_all_objects(world):
    neighbour = LiveProduct(world.backend, world.namespace, "neighbour")
    beside = f"neighbour.{world.namespace}.example"
    image = world.bentos.image("v1")
    neighbour.apply(learner(image, "v1", runtime=world.runtime, host=beside, name="neighbour"))
    bystander = ("deployment", "bystander", f"--image={world.runtime}", "--replicas=0")
    world.backend.run_kubectl("create", *bystander, "-n", world.namespace)
    world.backend.run_kubectl(
        "create", "service", "clusterip", "bystander", "--tcp=80", "-n", world.namespace
    )
    neighbour.until_ready()
    eventually(lambda: ask(world, beside).ok, what="an answer of the neighbour")
    before = children(world)

    world.product.apply(world.spec("v1"))
    status = world.product.until_ready()
    answer = eventually(lambda: (said := ask(world, world.host)).ok and said, what="an answer")

    assert (answer.json()["answer"], answer.json()["version"]) == (True, "v1")
    assert status["stable"]["version"] == "v1"
    assert status["observedGeneration"] == 1
    assert status["stable"]["version"] == "v1"

    world.backend.run_kubectl("delete", "dprod", "learner", "-n", world.namespace)

    eventually(
        lambda: children(world).keys() <= before.keys(),
        seconds=90,
        what=f"{children(world).keys()} to be {before.keys()}",
    )
    assert children(world) == before
    eventually(
        lambda: ask(world, world.host).status_code == 404, what="the gateway to forget its host"
    )
    assert ask(world, beside).ok
