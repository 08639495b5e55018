"""The first version: it serves, or it says what there is to correct."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.decisions.rollout_world import ACCURACY, World, broken_pod, document
from tests.support.decisions.rollouts import ROUTES, serving

if TYPE_CHECKING:
    from sluicegate.reconcile.live.pods import PodState


@ROUTES
def test_the_first_version_serves_once_its_pods_are_ready(route):
    world = World(spec=document(route=route))
    world.settle()
    assert world.serving == ""
    assert world.written is None
    world.run(2)
    assert world.serving == "v1"
    assert world.condition("Ready") == ("True", "Serving")


def test_a_product_whose_first_version_fails_is_stalled_until_a_new_model_replaces_it():
    world = World(spec=document())
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.run(3)
    assert world.condition("Ready") == ("False", "InitialVersionFailed")
    assert world.condition("Stalled") == ("True", "InitialVersionFailed")
    assert world.condition("Reconciling") is None
    world.push("b", "v2").until(lambda w: w.serving == "v2", most=3)
    assert world.condition("Stalled") is None


WRONG_SERVICE_NAME = (
    "ServiceNotFound: spec.model.bento.service is Searcher, … is Search: set it to Search"
)


def misnamed() -> PodState:
    return replace(broken_pod(WRONG_SERVICE_NAME), misnamed=True)


def with_service(world: World, name: str) -> World:
    world.spec["spec"]["model"]["bento"]["service"] = name
    world.spec["metadata"]["generation"] += 1
    return world


def test_a_wrong_entry_service_of_the_first_version_is_reported_until_corrected():
    world = with_service(World(spec=document()), "Searcher")
    world.broken["v1"] = misnamed()
    world.run(3)
    assert world.condition("Ready") == ("False", "InitialVersionFailed")
    assert world.condition("Stalled") == ("True", "ServiceNotFound")
    (stalled,) = (
        condition for condition in world.current.conditions if condition.type == "Stalled"
    )
    assert stalled.message == f"v1: {WRONG_SERVICE_NAME}"
    world.broken.clear()
    with_service(world, "Search").until(lambda w: w.serving == "v1", most=3)
    assert world.current.stable.service == "Search"


@pytest.mark.parametrize(
    ("problem", "ends"),
    [
        ({"unmounted": True}, "make sure that there is the Secret keys"),
        ({"out_of_memory": True}, "raise the memory limit in spec.serving.resources"),
        ({}, "correct spec.model"),
    ],
    ids=["a Secret", "memory", "the model"],
)
def test_a_failed_first_version_names_the_field_to_correct(problem, ends):
    world = World(spec=document())
    text = "make sure that there is the Secret keys" if "unmounted" in problem else "it ended"
    world.broken["v1"] = replace(broken_pod(text), **problem)
    world.run(3)
    (stalled,) = (
        condition for condition in world.current.conditions if condition.type == "Stalled"
    )
    assert stalled.message.endswith(ends)


def test_a_candidate_with_a_wrong_entry_service_is_retried_once_corrected():
    world = with_service(serving().push("b", "v2"), "Searcher")
    world.broken["v2"] = misnamed()
    world.until(lambda w: w.condition("Stalled") == ("True", "ModelRejected"), most=50)
    assert (world.serving, world.current.history[0].reason) == ("v1", "ServiceNotFound")
    world.run(5)
    assert world.current.candidate is None, "the same name isn't tried again"
    world.broken.clear()
    with_service(world, "Search").until(lambda w: w.serving == "v2")
    assert world.current.stable.service == "Search"


def test_a_first_version_that_starts_late_becomes_ready_and_unstalled():
    world = World(spec=document(slos=[ACCURACY]))
    world.broken["v1"] = broken_pod("no node takes the pod")
    world.run(15)
    assert world.condition("Stalled") == ("True", "InitialVersionFailed")
    world.broken.clear()
    world.run(2)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Stalled") is None
