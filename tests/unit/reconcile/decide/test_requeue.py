"""When a product is requeued though nothing happens."""

from __future__ import annotations

from dataclasses import dataclass, field

from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.decide.requeue import requeue_after
from sluicegate.runtime.interfaces import Done, RequeueAfter, Result
from tests.support.decisions.rollout_world import World, document

# Promised, so written as numbers here.
UNREADY_SECONDS = 10
REQUEUE_SECONDS = 5
CONFLICT_SECONDS = 30


@dataclass
class Looked(World):
    """A world that remembers after which look each version became stable."""

    looks: dict[str, Result] = field(default_factory=dict)

    def step(self) -> Plan:
        before = self.serving
        said = requeue_of(self)
        step = super().step()
        if self.serving != before:
            self.looks[self.serving] = said
        return step


def requeue_of(world: World, *, conflicted: bool = False, deferred: bool = False) -> Result:
    observation = world.observation()
    return requeue_after(
        observation, make_plan(observation), conflicted=conflicted, deferred=deferred
    )


def serving() -> Looked:
    world = Looked(spec=document())
    world.until(lambda one: one.serving == "v1")
    return world


def test_a_product_with_a_starting_version_is_requeued_after_a_delay():
    assert requeue_of(World(spec=document())) == RequeueAfter(REQUEUE_SECONDS)
    pushed = serving().push("b", "v2").until(lambda one: one.current.candidate is not None)
    assert requeue_of(pushed) == RequeueAfter(UNREADY_SECONDS)
    pushed.until(lambda one: one.current.candidate.weight > 0)
    assert requeue_of(pushed) == RequeueAfter(REQUEUE_SECONDS)


def test_a_canary_with_its_share_is_requeued_once_per_canary_block():
    """It was every five seconds, for as long as its step took: days, where labels are late."""
    world = serving().push("b", "v2").until(lambda one: one.current.candidate is not None)
    world.until(lambda one: one.current.candidate.weight > 0).run(1)
    assert requeue_of(world) == RequeueAfter(world.observation().observed.canary_block_seconds)


def test_an_idle_product_is_not_requeued():
    assert requeue_of(serving().run(2)) == Done()


def test_a_serving_first_version_is_not_requeued():
    assert serving().looks == {"v1": Done()}


def test_a_promoted_version_is_requeued_until_the_previous_version_is_removed():
    world = serving()
    world.push("b", "v2").until(lambda one: one.serving == "v2")
    assert world.looks["v2"] == RequeueAfter(0)


def test_a_product_with_a_deferred_status_write_is_requeued():
    assert requeue_of(serving().run(2), deferred=True) == RequeueAfter(REQUEUE_SECONDS)


def test_a_product_with_a_name_conflict_is_requeued():
    assert requeue_of(serving().run(2), conflicted=True) == RequeueAfter(CONFLICT_SECONDS)


def test_a_canary_that_waits_for_approval_is_requeued_once_per_block():
    """It was every five seconds, for as long as the person took."""
    world = Looked(spec=document(rollout={"steps": [5, 50], "approval": "Manual"}))
    world.until(lambda one: one.serving == "v1").push("b", "v2")
    world.until(
        lambda one: (one.condition("RolloutProgressing") or ("", ""))[1] == "AwaitingApproval"
    )
    assert requeue_of(world.run(2)) == RequeueAfter(world.product.spec.analysis.block_seconds)
