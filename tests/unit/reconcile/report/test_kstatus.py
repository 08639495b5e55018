"""Ready, Reconciling and Stalled in each situation: what GitOps tools read, and wait for."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from sluicegate.api.names import REQUEST_ABORT
from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.status import report
from tests.support.decisions.rollout_world import World, broken_pod, document
from tests.support.decisions.rollouts import serving, watched

EventNote = tuple[str, str] | None
Change = Callable[[Observation], Observation]


def starting() -> World:
    world = World(spec=document())
    world.settle()
    return world


def failed() -> World:
    world = World(spec=document())
    world.broken["v1"] = broken_pod()
    return world.run(2)


def suspended() -> World:
    return World(spec=document(suspend=True)).run(2)


def canary(weight: int = 5) -> World:
    return serving().push("b", "v2").until(
        lambda one: one.current.candidate is not None and one.current.candidate.weight == weight
    )  # fmt: skip


def promoting() -> World:
    return canary(100)


def rejected() -> World:
    world = serving()
    world.bad["v2"] = 0.4
    return watched(world.push("b", "v2"))


def aborted() -> World:
    world = canary()
    world.requests[REQUEST_ABORT] = "one"
    return watched(world)


def without_pods() -> World:
    world = serving()
    for one in world.pods.values():
        one.ready = 0
    return world


def taken_by_nobody(observation: Observation) -> Observation:
    assert observation.route is not None
    route = replace(observation.route, parents=())
    split = replace(observation.split, level=1, message="Gateway gateway/web says nothing")
    return replace(observation, route=route, split=split)


def in_conflict(observation: Observation) -> Observation:
    return replace(observation, conflict="DataProduct catalog/other serves it", shadowed=True)


def with_a_stranger(observation: Observation) -> Observation:
    return replace(observation, conflict="Service catalog/search exists")


def pods_on_their_way(observation: Observation, **change: bool) -> Observation:
    """A change of spec.serving whose pods aren't up yet; those before them serve."""
    rolling = {
        key: replace(one, rolling=True, **change) if one.replicas else one
        for key, one in observation.live.items()
    }
    return replace(observation, live=rolling)


def pods_that_dont_come(observation: Observation) -> Observation:
    return pods_on_their_way(observation, stuck=True)


def a_pod_is_evicted(observation: Observation) -> Observation:
    """One that the Deployment had is missing, though nobody changed anything."""
    short = {
        key: replace(one, replicas=one.ready + 1) if one.ready else one
        for key, one in observation.live.items()
    }
    return replace(observation, live=short)


def its_deployment_is_gone(observation: Observation) -> Observation:
    assert observation.product.status.stable is not None
    gone = observation.product.status.stable.revision
    return replace(
        observation, live={key: one for key, one in observation.live.items() if key != gone}
    )


def about_to_change(observation: Observation) -> Observation:
    return replace(observation, changing=True)


def refused(observation: Observation) -> Observation:
    return replace(observation, refused="the API server refuses it")


def as_it_is(observation: Observation) -> Observation:
    return observation


DEADLINE = "ProgressDeadlineExceeded"
SERVING, STARTING = ("True", "Serving"), ("False", "Progressing")
TABLE: dict[str, tuple[Callable[[], World], Change, EventNote, EventNote, EventNote]] = {
    "the first version starts": (starting, as_it_is, STARTING, ("True", "Progressing"), None),
    "the first version fails": (
        failed, as_it_is, ("False", "InitialVersionFailed"), None, ("True", "InitialVersionFailed"),
    ),
    "suspended from the start": (suspended, as_it_is, ("False", "Suspended"), None, None),
    "it serves": (serving, as_it_is, SERVING, None, None),
    "a canary": (canary, as_it_is, SERVING, None, None),
    "a promotion": (promoting, as_it_is, SERVING, None, None),
    "a rejected spec.model": (rejected, as_it_is, SERVING, None, ("True", "ModelRejected")),
    "an aborted spec.model": (aborted, as_it_is, SERVING, None, ("True", "ModelRejected")),
    "a pod of it is evicted": (serving, a_pod_is_evicted, SERVING, None, None),
    "a pod of it is evicted after a rejected spec.model": (
        rejected, a_pod_is_evicted, SERVING, None, ("True", "ModelRejected"),
    ),
    "its pods are about to change": (
        serving, about_to_change, STARTING, ("True", "Progressing"), None,
    ),
    "its newest pods start": (serving, pods_on_their_way, STARTING, ("True", "Progressing"), None),
    "its newest pods don't come": (
        serving, pods_that_dont_come, ("False", DEADLINE), None, ("True", DEADLINE),
    ),
    "it is refused": (serving, refused, ("False", "ApplyRefused"), None, ("True", "ApplyRefused")),
    "no pod is ready": (without_pods, as_it_is, ("False", "PodsNotReady"), None, None),
    "its Deployment is gone": (
        serving, its_deployment_is_gone, ("False", "PodsNotReady"), None, None,
    ),
    "no Gateway takes it": (serving, taken_by_nobody, ("False", "RouteNotAccepted"), None, None),
    "a route that is taken": (serving, in_conflict, ("False", "RouteShadowed"), None, None),
    "a stranger's name": (serving, with_a_stranger, ("False", "NameConflict"), None, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "change", "ready", "reconciling", "stalled"), TABLE.values(), ids=TABLE
)
def test_what_a_pipeline_reads(make, change, ready, reconciling, stalled):
    world = deepcopy(make())
    observation = change(world.observation())
    status = report(observation, make_plan(observation))
    found = {
        kind: find_condition(status.conditions, kind)
        for kind in ("Ready", "Reconciling", "Stalled")
    }
    told = {kind: one and (one.status, one.reason) for kind, one in found.items()}
    assert told == {"Ready": ready, "Reconciling": reconciling, "Stalled": stalled}
    assert status.observed_generation == world.product.metadata.generation


@pytest.mark.parametrize(
    ("change", "ready"),
    [(as_it_is, SERVING), (a_pod_is_evicted, STARTING)],
    ids=["all", "all but one"],
)
def test_a_change_of_pods_is_over_once_all_of_them_are_ready(change, ready):
    world = serving()
    begun = pods_on_their_way(world.observation())
    world.status = json.loads(json.dumps(report(begun, make_plan(begun)).to_dict()))
    observation = change(world.observation())
    found = find_condition(report(observation, make_plan(observation)).conditions, "Ready")
    assert found is not None
    assert (found.status, found.reason) == ready


@pytest.mark.parametrize("make", [starting, failed])
def test_the_candidate_of_a_first_version_starts_and_is_not_promoting(make):
    """Its pod failed, and status.candidate.phase said Promoting."""
    world = make()
    assert {one.candidate.phase for one in world.statuses if one.candidate} == {"Starting"}
    assert world.current.candidate.phase == "Starting"
    assert world.current.stable is None
