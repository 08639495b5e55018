"""Who sets the number of pods: the operator, until an autoscaler has taken it over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, World, document, serving_world
from tests.support.decisions.rollouts import ROUTES

SERVING = {
    "runtimeImage": RUNTIME,
    "resources": {"requests": {"cpu": "100m"}},
    "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
}


@pytest.fixture
def world():
    found = serving_world(0, serving=SERVING)
    return found.run(36)


def built(world, **live):
    """Return pods asked for by version, and the versions that an autoscaler scales."""
    product, observation = world.product, world.observation()
    deployments = {key: replace(one, **live) for key, one in observation.live.items()}
    observation = replace(observation, live=deployments)
    allocation = allocation_of(product, product.status, stable_pods=observation.stable_pods)
    children = build_children(product, allocation, deployments, service_kind=ServiceKind.HEADLESS)
    pods = {
        child.manifest["metadata"]["labels"]["sluicegate.dev/version"]: child.manifest["spec"].get(
            "replicas"
        )
        for child in children
        if child.resource == DEPLOYMENTS
    }
    scaled = [
        child.manifest["spec"]["scaleTargetRef"]["name"]
        for child in children
        if child.resource == HORIZONTAL_POD_AUTOSCALERS
    ]
    return pods, scaled


def test_the_live_replica_count_is_applied_until_an_autoscaler_owns_the_field(world):
    stable = world.current.stable.revision
    assert built(world, replicas=2) == ({"v1": 2}, [f"search-{stable}"])
    assert built(world, replicas=5)[0] == {"v1": 5}, "raised, and not yet recorded by whom"
    assert built(world, replicas=5, scaled=True)[0] == {"v1": None}


def test_a_deployment_scaled_to_zero_is_scaled_up_to_the_minimum(world):
    assert built(world, replicas=0, scaled=True)[0] == {"v1": 2}


def test_the_replicas_of_a_candidate_follow_from_the_live_replicas_of_stable(world):
    world.push("b", "v2").until(lambda one: one.current.candidate is not None)
    stable = world.current.stable.revision
    for pod in world.pods.values():
        pod.desired = pod.there = pod.ready = 6
    pods, scaled = built(world, scaled=True)
    assert pods["v1"] is None
    assert pods["v2"] == 1, "5 % of six pods"
    assert scaled == [f"search-{stable}"], "one autoscaler, for stable"


def test_the_previous_version_has_no_autoscaler_and_no_pods(world):
    world.push("b", "v2").until(lambda one: one.serving == "v2").run(4)
    stable = world.current.stable.revision
    pods, scaled = built(world, replicas=3)
    assert pods == {"v2": 3, "v1": 0}
    assert scaled == [f"search-{stable}"]


# ---- stable keeps its pods -----------------------------------------------------------------------
LOAD = 10


def loaded(route) -> World:
    """Return a product whose requests need ten pods, where the spec asks for two at least."""
    feedback = {"secretRef": {"name": "search-feedback"}}
    serving = {
        **SERVING,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 40},
        "feedback": feedback,
    }
    world = World(spec=document(serving=serving, route=route), load=LOAD)
    return world.until(lambda one: one.serving == "v1").run(12)


def lacking(world: World) -> float:
    """Return pods that a version with requests lacks; none without rounding up."""
    lacks = [world.load * world.share(key) - one.ready for key, one in world.pods.items()]
    return max(lacks, default=0.0)


def watched(world: World) -> World:
    for _ in range(300):
        world.run()
        assert lacking(world) < 1, f"{world.current.candidate} {world.pods}"
        if world.current.candidate is None:
            return world
    raise AssertionError("the rollout never ends")


@ROUTES
def test_stable_keeps_its_pods_during_a_canary_and_a_promotion(route):
    """Ten pods became three within seconds, and the operator and the autoscaler fought for each."""
    world = loaded(route)
    assert world.count("v1", "ready") == LOAD
    watched(world.push("b", "v2")).run(3)
    assert world.serving == "v2"
    assert lacking(world) < 1
    assert world.count("v1", "desired") == 0


@ROUTES
def test_stable_keeps_enough_pods_to_take_all_traffic_at_once(route):
    world = loaded(route).push("b", "v2")
    world.until(lambda one: one.current.candidate and one.current.candidate.weight == 50)
    world.run(4)
    assert world.count("v1", "ready") >= LOAD
    world.bad["v2"] = 0.6
    watched(world)
    assert world.serving == "v1"
    assert world.count("v1", "ready") >= LOAD


def test_the_replicas_of_a_candidate_grow_with_the_load():
    world = loaded(GATEWAY).push("b", "v2")
    world.until(lambda one: one.current.candidate and one.current.candidate.weight == 25)
    world.load = 2 * LOAD
    world.run(3)
    watched(world)
    assert world.serving == "v2"
    assert world.count("v2", "ready") >= 2 * LOAD


@ROUTES
def test_the_operator_leaves_the_pods_of_stable_to_the_autoscaler(route):
    world = loaded(route).push("b", "v2")
    world.until(lambda one: one.current.candidate and one.current.candidate.weight == 25)
    served = [step.allocation.placements[0] for step in world.history if step.status.stable]
    assert all(one.autoscaled for one in served)
    world.run(2)
    floor = world.history[-1].allocation.placements[0].floor
    assert floor == LOAD
    world.until(lambda one: one.current.candidate is None).run(2)
    assert world.history[-1].allocation.placements[0].floor == 0, "the spec's own holds again"
