"""Ready, Reconciling and Stalled in each situation: what GitOps tools read, and wait for."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from sluicegate.conditions import find_condition
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from tests.support.decisions.observed_changes import a_pod_is_evicted, as_it_is, pods_on_their_way
from tests.support.decisions.product_moments import IN_A_PIPELINE, failed, starting
from tests.support.decisions.rollouts import serving

EventNote = tuple[str, str] | None
DEADLINE = "ProgressDeadlineExceeded"
SERVING, STARTING = ("True", "Serving"), ("False", "Progressing")
EXPECTED: dict[str, tuple[EventNote, EventNote, EventNote]] = {
    "the first version starts": (STARTING, ("True", "Progressing"), None),
    "the first version fails": (
        ("False", "InitialVersionFailed"), None, ("True", "InitialVersionFailed"),
    ),
    "suspended from the start": (("False", "Suspended"), None, None),
    "it serves": (SERVING, None, None),
    "a canary": (SERVING, None, None),
    "a promotion": (SERVING, None, None),
    "a rejected spec.model": (SERVING, None, ("True", "ModelRejected")),
    "an aborted spec.model": (SERVING, None, ("True", "ModelRejected")),
    "a pod of it is evicted": (SERVING, None, None),
    "a pod of it is evicted after a rejected spec.model": (SERVING, None, ("True", "ModelRejected")),
    "its pods are about to change": (STARTING, ("True", "Progressing"), None),
    "its newest pods start": (STARTING, ("True", "Progressing"), None),
    "its newest pods don't come": (("False", DEADLINE), None, ("True", DEADLINE)),
    "it is refused": (("False", "ApplyRefused"), None, ("True", "ApplyRefused")),
    "no pod is ready": (("False", "PodsNotReady"), None, None),
    "its Deployment is gone": (("False", "PodsNotReady"), None, None),
    "no Gateway takes it": (("False", "RouteNotAccepted"), None, None),
    "a route that is taken": (("False", "RouteShadowed"), None, None),
    "a name of a foreign object": (("False", "NameConflict"), None, None),
}  # fmt: skip
TABLE = {name: (*case, *EXPECTED[name]) for name, case in IN_A_PIPELINE.items()}


@pytest.mark.parametrize(
    ("make", "change", "ready", "reconciling", "stalled"), TABLE.values(), ids=TABLE
)
def test_each_product_state_has_the_kstatus_conditions_ready_reconciling_and_stalled(
    make, change, ready, reconciling, stalled
):
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
def test_a_pod_change_is_reconciling_until_all_pods_are_ready(change, ready):
    world = serving()
    begun = pods_on_their_way(world.observation())
    world.status = json.loads(json.dumps(report(begun, make_plan(begun)).to_dict()))
    observation = change(world.observation())
    found = find_condition(report(observation, make_plan(observation)).conditions, "Ready")
    assert (found.status, found.reason) == ready


@pytest.mark.parametrize("make", [starting, failed])
def test_a_first_version_is_reported_as_starting_and_not_as_promoting(make):
    """Its pod failed, and status.candidate.phase said Promoting."""
    world = make()
    assert {
        item_status.candidate.phase for item_status in world.statuses if item_status.candidate
    } == {"Starting"}
    assert world.current.candidate.phase == "Starting"
    assert world.current.stable is None
