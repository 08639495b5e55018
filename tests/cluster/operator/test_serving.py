"""A product is served as soon as it is applied, and gone when it is deleted."""

from __future__ import annotations

import pytest
import requests

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


def names(world):
    """Names of all objects of the kinds that a product has."""
    return {
        f"{kind} {one['metadata']['name']}"
        for kind in CHILDREN
        for one in world.product.listed(kind)
    }


def ask(world):
    return requests.post(
        f"{world.where.gateway}/answer",
        json={"question": [1.0, 1.0, 1.0]},
        headers={"Host": world.host},
        timeout=10,
    )


def test_a_product_is_served_through_the_gateway_and_leaves_nothing_behind(world):
    bystander = ("deployment", "bystander", f"--image={world.runtime}", "--replicas=0")
    world.backend.run_kubectl("create", *bystander, "-n", world.namespace)
    world.backend.run_kubectl(
        "create", "service", "clusterip", "bystander", "--tcp=80", "-n", world.namespace
    )

    def bystanders():
        return {name for name in names(world) if "bystander" in name}

    before = eventually(lambda: len(found := bystanders()) >= 3 and found, what="the bystanders")

    world.product.apply(world.spec("v1"))
    status = world.product.until_ready()
    answer = eventually(lambda: (said := ask(world)).ok and said, what="an answer")

    assert (answer.json()["answer"], answer.json()["version"]) == (True, "v1")
    assert status["stable"]["version"] == "v1"
    assert status["observedGeneration"] == 1
    assert status["summary"]["model"] == "v1"

    world.backend.run_kubectl("delete", "dprod", "learner", "-n", world.namespace, timeout=60)

    eventually(lambda: names(world) <= before, seconds=90, what=f"{names(world)} to be {before}")
    assert names(world) == before
    assert ask(world).status_code == 404
