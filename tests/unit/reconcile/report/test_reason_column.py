"""`kubectl get` says which product needs a person, or isn't what its spec names, and why."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sluicegate.api.slo_status import SloState
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import CandidateHold
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report, report_invalid
from tests.support.decisions.observed_changes import pods_that_dont_come
from tests.support.decisions.product_moments import (
    IN_THE_COLUMN,
    REFUSED,
    canary,
    suspended_before_a_push,
)
from tests.support.decisions.rollouts import serving, watched

if TYPE_CHECKING:
    from sluicegate.reconcile.observe.observation import Observation

REASONS = {
    "superseded": "Superseded",
    "its API is another": "ApiChanged",
    "a node is gone": "WaitingToRetry",
    "a version doesn't come back": "ReturnFailed",
    "retrained in vain": "RetrainSuspended",
    "it serves": "",
    "a canary": "",
    "it starts": "Progressing",
    "it doesn't start": "InitialVersionFailed",
    "rejected": "ModelRejected",
    "suspended": "Suspended",
    "rolled back by a person": "RollbackRequested",
    "the gateway sends another share": "RoutingMismatch",
    "awaiting approval": "AwaitingApproval",
    "without pods": "PodsNotReady",
}
TABLE = {name: (make, REASONS[name]) for name, make in IN_THE_COLUMN.items()}


def reason_of(observation: Observation) -> str:
    return report(observation, make_plan(observation)).summary.reason


@pytest.mark.parametrize(("make", "reason"), TABLE.values(), ids=TABLE)
def test_the_reason_column_has_the_reason_why_a_product_needs_a_person(make, reason):
    assert reason_of(deepcopy(make()).observation()) == reason


REFUSALS = {
    "its training's Job is refused": "JobRefused",
    "its route is taken": "RouteShadowed",
    "its name is taken": "NameConflict",
    "a child is refused": "ApplyRefused",
    "no Gateway takes it": "RouteNotAccepted",
}
CHANGED = {name: (*case, REFUSALS[name]) for name, case in REFUSED.items()} | {
    "its pods don't come up": (serving, pods_that_dont_come, "ProgressDeadlineExceeded")
}


@pytest.mark.parametrize(("make", "change", "reason"), CHANGED.values(), ids=CHANGED)
def test_the_reason_column_names_refusals_and_missing_actions_of_the_cluster(make, change, reason):
    assert reason_of(change(deepcopy(make()).observation())) == reason


def test_the_reason_column_names_a_canary_with_impossible_counts():
    observation = canary().observation()
    step = make_plan(observation)
    held = CandidateHold(check="InvalidData", start_time=0, message="more bad events than events")
    step = replace(step, status=step.status.with_candidate(hold=held))
    assert report(observation, step).summary.reason == "InvalidData"


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (("Met", "Met"), "Met"),
        (("Met", "Unknown"), "second Unknown"),
        (("Unknown", "AtRisk"), "second AtRisk"),
        (("Missed", "AtRisk"), "first Missed"),
    ],
)
def test_the_slo_column_shows_the_worst_slo(states, shown):
    observation = serving().observation()
    step = make_plan(observation)
    one = step.status.slos[0]
    slos = tuple(
        one.model_copy(update={"name": name, "state": SloState(state)})
        for name, state in zip(("first", "second"), states, strict=True)
    )
    found = report(observation, replace(step, status=step.status.replace(slos=slos))).summary
    assert found.slo == shown


def test_the_reason_column_names_an_invalid_spec_beside_the_last_known_state():
    world = serving()
    after = report_invalid(world.current, ("spec.owner: is 7",), generation=2, now=world.now)
    assert (after.summary.reason, after.stable.version) == ("InvalidSpec", "v1")


def test_a_new_product_with_an_impossible_spec_is_not_ready_and_names_field_and_way_out():
    mistake = "spec.analysis.blockSeconds: is 30, write at least 60"
    before = DataProductStatus()
    after = report_invalid(before, (mistake,), generation=1, now=0)
    found = {condition.type: condition for condition in after.conditions}
    assert (found["Ready"].status, found["Ready"].reason) == ("False", "InvalidSpec")
    assert mistake in found["Ready"].message
    assert (found["Stalled"].status, found["Stalled"].message) == ("True", mistake)


def test_the_reason_column_names_a_suspension_without_a_rollout():
    assert watched(suspended_before_a_push()).condition("RolloutProgressing") == (
        "False",
        "Suspended",
    )
