"""Where a node has no accelerator for a second set of pods, two versions exchange those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.support.node.live_product import get, merge_patch
from tests.support.node.pods_over_time import PodsOverTime
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(300)]
PODS: Final = 2


@pytest.fixture
def accelerator(world) -> Iterator[str]:
    """Yield a resource of which the node has as many as the product has pods."""
    (node,) = get(world.backend.kubeconfig, "/api/v1/nodes")["items"]
    name = f"{world.namespace}.example/accelerator"
    status = f"/api/v1/nodes/{node['metadata']['name']}/status"
    numbers = ({name: str(PODS)}, {name: None})
    for number in numbers:
        merge_patch(
            world.backend.kubeconfig,
            status,
            {"status": {"capacity": number, "allocatable": number}},
        )
        if number is numbers[0]:
            yield name


def test_a_rollout_and_its_rollback_exchange_the_pods_of_a_full_node_without_a_failed_request(
    world, accelerator
):
    spec = {"rollout": {"steps": [50], "capacity": "Replace"}}
    stable, candidate = world.spec("v1", **spec), world.spec("v2-good", **spec)
    for product in (stable, candidate):
        product["spec"]["serving"]["replicas"] = PODS
        product["spec"]["serving"]["resources"]["limits"] = {accelerator: "1"}
    world.product.apply(stable)
    world.product.until_ready()
    pods = PodsOverTime(world.backend.kubeconfig, world.namespace, ("v1", "v2-good"))
    with world.visitors() as visitors, pods:
        world.product.apply(candidate)
        world.product.until(
            lambda status: (status.get("candidate") or {}).get("weight") == 50,
            what="half of the traffic with v2-good",
        )
        world.product.annotate("promote", "v2-good/now")
        world.product.until_stable("v2-good", seconds=120)
        eventually(lambda: pods.numbers[-1] == (0, PODS), seconds=120, what="both pods of v2")
        world.product.annotate("rollback-to", "v1/back")
        world.product.until_stable("v1", seconds=120)
        eventually(lambda: pods.numbers[-1] == (PODS, 0), seconds=120, what="both pods of v1")

    assert not visitors.tally.failures
    assert visitors.tally.versions.keys() >= {"v1", "v2-good"}
    assert pods.most_on_nodes == PODS
    assert max(map(sum, pods.numbers)) == PODS
    assert [number for number in pods.numbers if sum(number) == PODS] == [
        (2, 0),
        (1, 1),
        (0, 2),
        (1, 1),
        (2, 0),
    ]
