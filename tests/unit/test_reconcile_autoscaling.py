"""Who sets the number of pods: the operator, until an autoscaler has taken it over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from sluicegate.reconcile.children import build_children
from sluicegate.reconcile.layout import layout_of
from sluicegate.settings import ServiceKind
from tests.support.rollout_world import RUNTIME, World, document

SERVING = {"runtimeImage": RUNTIME, "autoscaling": {"minReplicas": 2, "maxReplicas": 8}}


@pytest.fixture
def world():
    found = World(spec=document(serving=SERVING)).until(lambda one: one.serving == "v1")
    return found.run(36)


def built(world, **live):
    """Pods asked for by version, and the versions that an autoscaler looks at."""
    product, situation = world.product, world.situation()
    deployments = {key: replace(one, **live) for key, one in situation.live.items()}
    situation = replace(situation, live=deployments)
    layout = layout_of(product, product.status, stable_pods=situation.stable_pods)
    children = build_children(product, layout, deployments, service_kind=ServiceKind.HEADLESS)
    pods = {
        one.manifest["metadata"]["labels"]["sluicegate.dev/version"]: one.manifest["spec"].get(
            "replicas"
        )
        for one in children
        if one.resource == DEPLOYMENTS
    }
    scaled = [
        one.manifest["spec"]["scaleTargetRef"]["name"]
        for one in children
        if one.resource == HORIZONTAL_POD_AUTOSCALERS
    ]
    return pods, scaled


def test_the_number_is_applied_as_it_lives_until_an_autoscaler_owns_it(world):
    stable = world.current.stable.revision
    assert built(world, replicas=2) == ({"v1": 2}, [f"search-{stable}"])
    assert built(world, replicas=5)[0] == {"v1": 5}, "raised, and not yet recorded by whom"
    assert built(world, replicas=5, scaled=True)[0] == {"v1": None}


def test_a_deployment_that_was_scaled_to_zero_comes_back_with_the_least(world):
    assert built(world, replicas=0, scaled=True)[0] == {"v1": 2}


def test_a_candidate_is_sized_by_the_operator_from_what_stable_has(world):
    world.push("b", "v2").until(lambda one: one.current.candidate is not None)
    stable = world.current.stable.revision
    for one in world.pods.values():
        one.wanted = one.there = one.ready = 6
    pods, scaled = built(world, scaled=True)
    assert pods["v1"] is None
    assert pods["v2"] == 1, "5 % of six pods"
    assert scaled == [f"search-{stable}"], "one autoscaler, for stable"


def test_the_version_before_stable_has_no_autoscaler_and_no_pods(world):
    world.push("b", "v2").until(lambda one: one.serving == "v2").run(4)
    stable = world.current.stable.revision
    pods, scaled = built(world, replicas=3)
    assert pods == {"v2": 3, "v1": 0}
    assert scaled == [f"search-{stable}"]
