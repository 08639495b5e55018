"""A first version that doesn't come up says why, and points at what there is to correct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from tests.support.decisions.rollout_world import World, broken_pod, document

QUOTA = 'pods "search-1" is forbidden: exceeded quota: compute'
NODES = "the pod can't be scheduled: 0/3 nodes are available: insufficient cpu"


def stalled(world: World, **of_deployment: str) -> str:
    """Return the message of the condition Stalled."""
    observation = world.observation()
    live = {key: replace(one, **of_deployment) for key, one in observation.live.items()}
    observation = replace(observation, live=live)
    status = report(observation, make_plan(observation))
    found = find_condition(status.conditions, "Stalled")
    return found.message


def waiting(**of_pod: bool) -> World:
    """Return a first version whose pods have had all the time that they may take."""
    world = World(spec=document())
    world.broken["v1"] = replace(broken_pod(NODES), unrecoverable=False, **of_pod)
    return world.run(15)


def test_the_quota_that_refuses_pods_of_the_first_version_is_named():
    """The pods said nothing, as there were none, and spec.model was named as the cause."""
    world = waiting()
    world.broken["v1"] = replace(world.broken["v1"], problem="")
    said = stalled(world, refusal=QUOTA)
    assert QUOTA in said
    assert "spec.model" not in said


@pytest.mark.parametrize("outside", [True, False])
def test_a_failed_start_names_spec_model_only_if_the_cause_is_the_version(outside):
    said = stalled(waiting(outside=outside))
    assert NODES in said
    assert ("spec.model" in said) is not outside


def test_the_pod_problem_of_the_first_version_is_written_as_soon_as_it_is_known():
    """They differed in wording only, which waited for an hour."""
    world = World(spec=document())
    world.broken["v1"] = replace(broken_pod(""), unrecoverable=False)
    world.run(2)
    world.broken["v1"] = replace(world.broken["v1"], problem=NODES)
    world.run(1)
    ready = find_condition(world.current.conditions, "Ready")
    assert NODES in ready.message
