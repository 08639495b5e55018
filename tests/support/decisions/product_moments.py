"""A product at moments of its life at which people, pipelines or other products read its status."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import REQUEST_ABORT, REQUEST_PROMOTE, REQUEST_ROLLBACK
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.status import SpecModel
from sluicegate.manifests.plan import spec_version
from sluicegate.policy.model.observed import Facts
from tests.support.decisions.observed_changes import (
    Change,
    a_pod_is_evicted,
    about_to_change,
    as_it_is,
    in_conflict,
    its_deployment_is_gone,
    pods_on_their_way,
    pods_that_dont_come,
    refused,
    with_foreign_object,
    without_gateway,
)
from tests.support.decisions.rollout_world import RUNTIME, World, broken_pod, document
from tests.support.decisions.rollouts import serving, watched

if TYPE_CHECKING:
    from collections.abc import Callable

TRAINING = {"command": ["train"], "output": "registry.example/search", "timeoutSeconds": 7200}


def with_status(world: World, **fields: Any) -> World:
    """Return the product as it is after this was written to its status."""
    world = deepcopy(world)
    world.status = json.loads(json.dumps(world.current.replace(**fields).to_dict()))
    return world


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
    for pods in world.pods.values():
        pods.ready = 0
    return world


def trained(
    *, suspend: bool = False, slo: str = "accuracy", cause: str = "ModelDecay", **fields: Any
) -> World:
    """Return a status with a training that runs."""
    world = serving(retraining=TRAINING)
    trigger = Trigger(id="0123abcd", cause=cause, slo=slo, version="v1", trigger_time=world.now)
    world.spec["spec"]["suspend"] = suspend
    attempt = {"trigger": trigger, "attempt": 2, "job": "search-train", "start_time": world.now}
    return with_status(world, retraining=RetrainingStatus(**attempt | fields))


def suspended_before_a_push() -> World:
    world = serving()
    world.spec["spec"]["suspend"] = True
    return world.push("b", "v2").run(2)


def rolled_back() -> World:
    world = serving().push("b", "v2")
    world.requests[REQUEST_PROMOTE] = "v2/one"
    world.until(lambda one: one.serving == "v2")
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    return world.until(lambda one: one.serving == "v1").run(2)


def unapproved() -> World:
    world = serving(rollout={"steps": [5, 50], "approval": "Manual"}).push("b", "v2")
    return world.until(
        lambda one: (one.condition("RolloutProgressing") or ("", ""))[1] == "AwaitingApproval"
    )


def misrouted() -> World:
    world = serving(rollout={"steps": [5, 50]}).push("b", "v2")
    world.refused = {"v1": 0.0}  # so that requests are counted, not only their outcomes
    world.sent = {"v1": 0.6, "v2": 0.4}
    return world.until(
        lambda one: (one.condition("RolloutProgressing") or ("", ""))[1] == "RoutingMismatch"
    )


def superseded() -> World:
    """Return a product whose spec.model names v2, which was superseded before its verdict."""
    world = serving()
    desired = deepcopy(world).push("b", "v2").product
    release = spec_version(desired, RUNTIME).release
    superseded_model = SpecModel.of(release, Outcome.SUPERSEDED, world.now)
    return with_status(world.push("b", "v2"), spec_model=superseded_model)


def with_another_api() -> World:
    world = serving()
    world.facts = Facts(api_changes=("POST /predict is removed",))
    return world.push("b", "v2").run(3)


def waiting_for_a_node() -> World:
    world = canary()
    world.facts = Facts(canary_lost="it is being deleted")
    world.run()
    world.facts = Facts()
    return world.until(lambda one: one.current.candidate.retry_time is not None)


def not_returned() -> World:
    world = watched(serving().push("b", "v2"))
    world.broken["v1"] = broken_pod("image can't be pulled: not found")
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    return watched(world).run(2)


def retrained_in_vain() -> World:
    return with_status(
        serving(), retraining=RetrainingStatus(suspended=True, unsuccessful_attempts=3)
    )


def trained_once() -> World:
    world = serving(retraining={"command": ["train"], "output": "registry.example/search"})
    trigger = Trigger(id="0123abcd", cause="ModelDecay", version="v1", trigger_time=world.now)
    return with_status(world, retraining=RetrainingStatus(trigger=trigger, attempt=1))


# What `kubectl get` says a reason of, by name.
IN_THE_COLUMN: dict[str, Callable[[], World]] = {
    "superseded": superseded,
    "its API is another": with_another_api,
    "a node is gone": waiting_for_a_node,
    "a version doesn't come back": not_returned,
    "retrained in vain": retrained_in_vain,
    "it serves": serving,
    "a canary": canary,
    "it starts": starting,
    "it doesn't start": failed,
    "rejected": rejected,
    "suspended": suspended_before_a_push,
    "rolled back by a person": rolled_back,
    "the gateway sends another share": misrouted,
    "awaiting approval": unapproved,
    "without pods": without_pods,
}
REFUSED: dict[str, tuple[Callable[[], World], Change]] = {
    "its training's Job is refused": (
        trained_once,
        lambda observation: replace(observation, refusal="exceeded quota"),
    ),
    "its route is taken": (serving, in_conflict),
    "its name is taken": (serving, with_foreign_object),
    "a child is refused": (serving, refused),
    "no Gateway takes it": (serving, without_gateway),
}
# What a pipeline waits for, by name.
IN_A_PIPELINE: dict[str, tuple[Callable[[], World], Change]] = {
    "the first version starts": (starting, as_it_is),
    "the first version fails": (failed, as_it_is),
    "suspended from the start": (suspended, as_it_is),
    "it serves": (serving, as_it_is),
    "a canary": (canary, as_it_is),
    "a promotion": (promoting, as_it_is),
    "a rejected spec.model": (rejected, as_it_is),
    "an aborted spec.model": (aborted, as_it_is),
    "a pod of it is evicted": (serving, a_pod_is_evicted),
    "a pod of it is evicted after a rejected spec.model": (rejected, a_pod_is_evicted),
    "its pods are about to change": (serving, about_to_change),
    "its newest pods start": (serving, pods_on_their_way),
    "its newest pods don't come": (serving, pods_that_dont_come),
    "it is refused": (serving, refused),
    "no pod is ready": (without_pods, as_it_is),
    "its Deployment is gone": (serving, its_deployment_is_gone),
    "no Gateway takes it": (serving, without_gateway),
    "a route that is taken": (serving, in_conflict),
    "a name of a foreign object": (serving, with_foreign_object),
}
