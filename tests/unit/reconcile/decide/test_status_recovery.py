"""A status that was lost: what the cluster still shows, and what is done with the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_ROLLBACK
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import read_status
from sluicegate.api.versions import CandidatePhase
from sluicegate.manifests.plan import spec_version
from sluicegate.policy.rollout.candidates import first_candidate
from sluicegate.reconcile.decide.status_recovery import (
    Children,
    had_stable_version,
    recovered_status,
    restored_status,
)
from tests.support.decisions.rollout_world import RUNTIME, START, World, document
from tests.support.decisions.rollouts import ROUTES, serving, watched


def at_weight(world: World, weight: int) -> World:
    return world.until(
        lambda one: one.current.candidate is not None and one.current.candidate.weight == weight
    )


def at_rest(world: World) -> dict[str, int]:
    return {pod.version.version: pod.desired for pod in world.pods.values()}


@ROUTES
def test_an_idle_product_gets_its_lost_status_restored_and_no_pod_changes(route):
    world = watched(serving(route=route).push("b", "v2")).run(4)
    before = world.current
    cluster = world._cluster()
    world.lose_status().settle()
    after = world.current
    assert after.stable == before.stable.model_copy(update={"evaluation": {}, "verdict": None})
    assert [past_version.version for past_version in after.history] == ["v1"]
    assert world._cluster() == cluster
    assert world.condition("Ready") == ("True", "Serving")
    world.run(20)
    assert at_rest(world) == {"v1": 0, "v2": 4}


def test_a_status_without_versions_keeps_its_other_fields_and_restores_the_versions():
    world = watched(serving().push("b", "v2")).run(4)
    product, before = world.product, world.current
    read = {key: world._deployment(key, one) for key, one in world.pods.items()}
    children = Children(live=lambda: read, route=world._route, kinds=lambda: ())
    found, told = recovered_status(
        product.model_copy(update={"status": before.replace(stable=None)}),
        spec_version(product, RUNTIME),
        children,
        at_start=False,
        lost_keys=set(),
        now=world.now,
    )
    assert found.status.stable.release == before.stable.release
    assert found.status.history == before.history
    assert found.status.decision == before.decision is not None
    assert found.status.engine.original_baseline == before.engine.original_baseline
    assert [one.reason for one in told] == ["StateRestored"]


@pytest.mark.parametrize("weight", [5, 25, 50, 100])
def test_a_canary_with_a_lost_status_is_rolled_back_drained_and_started_again(weight):
    world = at_weight(serving().push("b", "v2"), weight)
    candidate = world.current.candidate.revision
    world.run().lose_status().settle()
    assert world.current.stable.version == "v1"
    assert world.current.candidate.phase is CandidatePhase.ROLLING_BACK
    assert world.written == {f"search-{world.current.stable.revision}": 100}
    assert world.pods[candidate].desired >= 1, "its pods went with the share"
    world.until(
        lambda one: one.current.history and one.current.history[0].outcome is Outcome.SUPERSEDED
    )
    watched(world)
    assert world.serving == "v2", "spec.model is tried again"


def test_a_canary_without_a_route_and_with_a_lost_status_is_rolled_back():
    world = at_weight(serving(route=None).push("b", "v2"), 25)
    world.run().lose_status().settle()
    assert world.current.candidate.phase is CandidatePhase.ROLLING_BACK
    assert world.selected == world.current.stable.revision
    watched(world)
    assert world.serving == "v2"


def test_after_a_lost_status_the_version_with_the_most_requests_is_stable():
    world = watched(watched(serving().push("b", "v2")).push("c", "v3")).run(4)
    world.requests[REQUEST_ROLLBACK] = "v2/one"
    watched(world).run(4)
    assert world.serving == "v2"
    world.lose_status().settle()
    assert world.serving == "v2"
    assert [past_version.version for past_version in world.current.history] == ["v1"], (
        "v3 was taken back, and is gone"
    )
    world.run(20)
    assert world.serving == "v2", "a request that was handled is handled once"
    assert world.current.last_handled.rollback_to == "v2/one"


def test_a_spec_that_names_an_older_version_than_the_retrained_one_isnt_rolled_out_again():
    world = watched(serving().push("b", "v2")).run(4)
    world.push("a", "v1")
    world.lose_status().settle()
    world.run(30)
    assert world.serving == "v2"
    assert world.current.spec_model.outcome == "Superseded"


@pytest.mark.parametrize(
    ("ready", "routed", "restored"), [(4, False, True), (0, True, True), (0, False, False)]
)
def test_a_version_without_ready_pods_and_route_is_not_restored(ready, routed, restored):
    """Its Deployment says that it was promoted, but no pod is ready and nothing leads to it."""
    world = serving()
    live = {key: world._deployment(key, one) for key, one in world.pods.items()}
    live = {key: replace(one, ready=ready) for key, one in live.items()}
    desired = spec_version(world.product, RUNTIME)
    route = world._route() if routed else None
    found = restored_status(world.product, desired, live, route, now=world.now)
    assert (found is not None) is restored


def test_a_starting_first_version_has_no_status_to_restore():
    world = World(spec=document())
    world.settle()
    live = {key: world._deployment(key, one) for key, one in world.pods.items()}
    desired = spec_version(world.product, RUNTIME)
    assert restored_status(world.product, desired, live, world._route(), now=world.now) is None


@pytest.mark.parametrize(
    ("status", "kinds", "was_there"),
    [
        ({}, (), False),
        ({"observedGeneration": 3}, (), False),
        ({}, ("Deployment", "Service"), False),
        ({}, ("Service", "HTTPRoute"), True),
        ({}, ("Job",), True),
        ({"retraining": {"unsuccessfulAttempts": 2}}, (), True),
        (
            {
                "specModel": {
                    "image": "x", "runtimeImage": "y", "outcome": "Promoted",
                    "outcomeTime": "2026-01-01T00:00:00Z",
                }
            },
            (),
            True,
        ),
    ],
    ids=["new", "refused", "starting", "route", "job", "attempts", "spec.model"],
)  # fmt: skip
def test_a_product_is_not_new_if_it_has_a_status_or_a_child(status, kinds, was_there):
    assert had_stable_version(read_status(status), kinds) is was_there


def test_a_restored_status_has_no_baseline():
    spec = {"evaluation": {"accuracy": {"bad": 100, "total": 1000}}}
    world = World(spec=document())
    world.spec["spec"]["model"] |= spec
    product, desired = world.product, spec_version(world.product, RUNTIME)
    claimed = first_candidate(product, product.status, desired, START)
    lost = first_candidate(product, product.status, desired, START, claims=False)
    assert claimed.evaluation
    assert not lost.evaluation


def test_requests_handled_before_the_first_version_served_are_not_repeated():
    world = World(spec=document())
    world.requests[REQUEST_PROMOTE] = "v0/one"
    world.status = {"lastHandled": {"promote": "v0/one"}}
    world.until(lambda one: one.serving == "v1")
    assert world.current.last_handled.promote == "v0/one"
