"""status.decision is what was decided last, also where the pods of a candidate decide it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.decisions.rollout_world import broken_pod
from tests.support.decisions.rollouts import serving

if TYPE_CHECKING:
    from sluicegate.api.status import DecisionStatus
    from sluicegate.reconcile.observe.observation import Observation
    from tests.support.decisions.rollout_world import World


def test_a_rollout_emits_one_event_when_the_candidate_receives_its_first_share():
    world = serving()
    begun = len(world.history)
    world.push("b", "v2")
    world.until(lambda one: one.current.candidate and one.current.candidate.weight == 5).run(2)
    told = [note for step in world.history[begun:] for note in step.events if not note.log_only]
    assert [note.reason for note in told] == ["CanaryWeightIncreased"]


def last_after_the_start(world: World) -> DecisionStatus:
    """Return status.decision, as soon as it is another one than that the rollout begins."""
    world.until(lambda one: (told := one.current.decision) and told.type != "StartRollout")
    decision = world.current.decision
    assert decision is not None
    return decision


OF_THE_CLUSTER = {"unrecoverable": False, "outside": True, "crashed": False}
STARTS = {
    "it crashes": (
        {"problem": "No module named 'lightgbm'"},
        ("Rollback", "CanaryNotReady"),
    ),
    "its image is gone": (
        {"problem": "its image isn't there: not found", "is_absent": True},
        ("Rollback", "ImageNotFound"),
    ),
    "its entry service has another name": (
        {"problem": "its entry service is Searches", "misnamed": True},
        ("Rollback", "ServiceNotFound"),
    ),
    "its registry is away": (
        {"problem": "its image can't be pulled: connection refused", **OF_THE_CLUSTER},
        ("Inconclusive", "Infrastructure"),
    ),
}


@pytest.mark.parametrize(("pod", "told"), STARTS.values(), ids=STARTS)
def test_the_problem_that_keeps_a_candidate_from_starting_is_the_last_decision(pod, told):
    """It still said that the candidate gets 25 %, and the reason was in an event only."""
    world = serving(serving={"replicas": 1, "progressDeadlineSeconds": 120}).push("b", "v2")
    world.broken["v2"] = replace(broken_pod(), **pod)
    decision = last_after_the_start(world)
    assert (decision.type, decision.reason) == told
    assert pod["problem"] in decision.message


def test_a_quota_that_keeps_a_candidate_from_starting_is_the_last_decision(monkeypatch):
    """Its Deployment has no pod that could say why."""
    world = serving(serving={"replicas": 1, "progressDeadlineSeconds": 120}).push("b", "v2")
    world.slow.add("v2")
    as_it_is = world.observation

    def full() -> Observation:
        observation = as_it_is()
        live = {
            key: one if one.ready else replace(one, refusal="exceeded quota: pods=4")
            for key, one in observation.live.items()
        }
        return replace(observation, live=live)

    monkeypatch.setattr(world, "observation", full)
    decision = last_after_the_start(world)
    assert (decision.type, decision.reason) == ("Inconclusive", "Infrastructure")
    assert "exceeded quota" in decision.message


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_remaining_error_budget_is_a_share_of_the_objective_window(blocks):
    """It was that of the last minutes, and whole again minutes after an outage."""
    world = serving()
    world.bad["v1"] = 0.1
    world.run(20)
    world.bad["v1"] = 1.0
    world.run(blocks)
    world.bad["v1"] = 0.0
    world.run(30)
    status = world.history[-1].status.slos[0]
    assert status.budget_remaining is not None
    revision = world.current.stable.revision
    counts = [
        block.versions[revision].accuracy
        for block in world.counts.blocks
        if revision in block.versions
    ]
    bad, total = sum(count.bad for count in counts), sum(count.total for count in counts)
    assert float(status.budget_remaining) == pytest.approx(1 - bad / (0.2 * total), abs=0.05)
