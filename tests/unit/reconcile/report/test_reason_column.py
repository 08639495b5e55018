"""`kubectl get` says which product needs a person, or isn't what its spec names, and why."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_ROLLBACK, DecisionReason
from sluicegate.api.outcome import Outcome
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.slo_status import SloState
from sluicegate.api.status import SpecModel
from sluicegate.manifests.plan import spec_version
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.model.observed import Facts
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report, report_invalid
from tests.support.decisions.rollout_world import RUNTIME, broken_pod
from tests.support.decisions.rollouts import watched
from tests.unit.reconcile.report.test_kstatus import (
    canary,
    failed,
    in_conflict,
    pods_that_dont_come,
    refused,
    rejected,
    serving,
    starting,
    taken_by_nobody,
    with_a_stranger,
    without_pods,
)

if TYPE_CHECKING:
    from tests.support.decisions.rollout_world import World


def suspended() -> World:
    world = serving()
    world.spec["spec"]["suspend"] = True
    return world.push("b", "v2").run(2)


def rolled_back() -> World:
    world = serving().push("b", "v2")
    world.requests[REQUEST_PROMOTE] = "v2/one"
    world.until(lambda one: one.serving == "v2")
    world.requests[REQUEST_ROLLBACK] = "v1/one"
    return world.until(lambda one: one.serving == "v1").run(2)


def approved_by_nobody() -> World:
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


def with_status(world: World, **fields: Any) -> World:
    """The product as it is after this was written to its status."""
    world = deepcopy(world)
    world.status = json.loads(json.dumps(world.current.replace(**fields).to_dict()))
    return world


def superseded() -> World:
    """spec.model names v2, before whose verdict another version took over."""
    world = serving()
    wanted = deepcopy(world).push("b", "v2").product
    release = spec_version(wanted, RUNTIME).release
    given_up = SpecModel.of(release, Outcome.SUPERSEDED, world.now)
    return with_status(world.push("b", "v2"), spec_model=given_up)


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


def trained() -> World:
    world = serving(retraining={"command": ["train"], "output": "registry.example/search"})
    why = Trigger(id="0123abcd", cause="ModelDecay", version="v1", trigger_time=world.now)
    return with_status(world, retraining=RetrainingStatus(trigger=why, attempt=1))


TABLE = {
    "superseded": (superseded, "Superseded"),
    "its API is another": (with_another_api, "ApiChanged"),
    "a node is gone": (waiting_for_a_node, "WaitingToRetry"),
    "a version doesn't come back": (not_returned, "ReturnFailed"),
    "retrained in vain": (retrained_in_vain, "RetrainSuspended"),
    "it serves": (serving, ""),
    "a canary": (canary, ""),
    "it starts": (starting, "Progressing"),
    "it doesn't start": (failed, "InitialVersionFailed"),
    "rejected": (rejected, "ModelRejected"),
    "suspended": (suspended, "Suspended"),
    "rolled back by a person": (rolled_back, "RollbackRequested"),
    "the gateway sends another share": (misrouted, "RoutingMismatch"),
    "awaiting approval": (approved_by_nobody, "AwaitingApproval"),
    "without pods": (without_pods, "PodsNotReady"),
}


@pytest.mark.parametrize(("make", "reason"), TABLE.values(), ids=TABLE)
def test_the_column_names_why_somebody_has_to_look(make, reason):
    world = deepcopy(make())
    observation = world.observation()
    found = report(observation, make_plan(observation)).summary
    assert found is not None
    assert found.reason == reason


CHANGED = {
    "its training's Job is refused": (
        trained,
        lambda observation: replace(observation, refusal="exceeded quota"),
        "JobRefused",
    ),
    "its route is taken": (serving, in_conflict, "RouteShadowed"),
    "its name is taken": (serving, with_a_stranger, "NameConflict"),
    "a child is refused": (serving, refused, "ApplyRefused"),
    "no Gateway takes it": (serving, taken_by_nobody, "RouteNotAccepted"),
}


@pytest.mark.parametrize(("make", "change", "reason"), CHANGED.values(), ids=CHANGED)
def test_the_column_names_what_the_cluster_refuses(make, change, reason):
    observation = change(deepcopy(make()).observation())
    found = report(observation, make_plan(observation)).summary
    assert found is not None
    assert found.reason == reason


def test_a_canary_whose_counts_cant_be_true_is_a_reason():
    observation = canary().observation()
    step = make_plan(observation)
    assert step.evaluation is not None
    held = Hold(reason=DecisionReason.INVALID_DATA, message="more bad events than events")
    step = replace(step, evaluation=replace(step.evaluation, decision=held))
    found = report(observation, step).summary
    assert found is not None
    assert found.reason == "InvalidData"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (("Met", "Met"), "Met"),
        (("Met", "Unknown"), "second Unknown"),
        (("Unknown", "AtRisk"), "second AtRisk"),
        (("Missed", "AtRisk"), "first Missed"),
    ],
)
def test_the_column_of_service_levels_shows_the_worst_of_them(states, shown):
    observation = serving().observation()
    step = make_plan(observation)
    one = step.status.slos[0]
    slos = tuple(
        one.model_copy(update={"name": name, "state": SloState(state)})
        for name, state in zip(("first", "second"), states, strict=True)
    )
    found = report(observation, replace(step, status=step.status.replace(slos=slos))).summary
    assert found is not None
    assert found.slo == shown


def test_pods_that_don_t_come_up_are_a_reason():
    observation = pods_that_dont_come(deepcopy(serving()).observation())
    found = report(observation, make_plan(observation)).summary
    assert found is not None
    assert found.reason == "ProgressDeadlineExceeded"


def test_an_invalid_spec_is_a_reason_beside_what_was_known():
    world = serving()
    after = report_invalid(world.current, ("spec.owner: is 7",), generation=2, now=world.now)
    assert after.summary is not None
    assert (after.summary.reason, after.summary.model) == ("InvalidSpec", "v1")


def test_a_suspended_product_says_so_where_no_rollout_is_under_way():
    assert watched(suspended()).condition("RolloutProgressing") == ("False", "Suspended")
