"""`kubectl get` says which product needs a person, or isn't what its spec names, and why."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.names import REQUEST_PROMOTE, REQUEST_ROLLBACK
from sluicegate.reconcile.decide.planner import take_step
from sluicegate.reconcile.report.status import report, report_invalid
from tests.support.rollouts import watched
from tests.unit.reconcile.report.test_kstatus import (
    canary,
    failed,
    pods_that_dont_come,
    rejected,
    serving,
    starting,
    without_pods,
)

if TYPE_CHECKING:
    from tests.support.rollout_world import World


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


TABLE = {
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
    situation = world.situation()
    found = report(situation, take_step(situation)).summary
    assert found is not None
    assert found.reason == reason


def test_pods_that_don_t_come_up_are_a_reason():
    situation = pods_that_dont_come(deepcopy(serving()).situation())
    found = report(situation, take_step(situation)).summary
    assert found is not None
    assert found.reason == "ProgressDeadlineExceeded"


def test_an_invalid_spec_is_a_reason_beside_what_was_known():
    world = serving()
    after = report_invalid(world.current, ("spec.owner: is 7",), generation=2, now=world.now)
    assert after.summary is not None
    assert (after.summary.reason, after.summary.model) == ("InvalidSpec", "v1")


def test_a_suspended_product_says_so_where_no_rollout_is_under_way():
    assert watched(suspended()).condition("RolloutProgressing") == ("False", "Suspended")
