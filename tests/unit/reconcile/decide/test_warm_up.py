"""A product whose first version waits for nothing but its first block; all others are reconciled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api import names
from sluicegate.api.names import DecisionReason
from sluicegate.conditions import Finding
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.decide.warm_up import just_took_over, only_warms_up
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.slo.blocks import Block, Quality, Series
from sluicegate.stats.counts import Count
from tests.support.decisions.rollout_world import BLOCK, World, serving_world


@pytest.fixture
def world():
    """Return a first version was accepted, and reconciled once more."""
    return serving_world(1)


def test_the_first_block_of_a_version_is_read_five_blocks_after_its_promotion(world):
    """Two of warm-up, one as it took over within a block, one to be judged by, one to be read."""
    stable = world.current.stable
    ends = stable.promotion_time + 5 * BLOCK
    assert just_took_over(stable, BLOCK, now=ends - 1)
    assert not just_took_over(stable, BLOCK, now=ends)


def warms_up(world: World, problem: DecisionReason | None = None) -> bool:
    observation = world.observation()
    observation = replace(observation, observed=replace(observation.observed, problem=problem))
    return only_warms_up(observation, make_plan(observation))


def pushed(world: World) -> None:
    world.push("b", "v2")


def asked(world: World) -> None:
    world.requests[names.REQUEST_RETRAIN] = "2026-01-01T00:00:00Z"


def without_pods(world: World) -> None:
    for pods in world.pods.values():
        pods.ready = 0


def unmeasured(world: World) -> None:
    world.is_measured = False
    world.run(8)


def judged(world: World) -> None:
    world.run(8)


def released_before(world: World) -> None:
    world.push("b", "v2")
    world.until(lambda world: world.serving == "v2" and world.current.candidate is None)


@pytest.mark.parametrize("problem", [None, DecisionReason.BACKFILLING])
def test_a_first_version_that_serves_only_warms_up(world, problem):
    assert warms_up(world, problem)


@pytest.mark.parametrize("what", [pushed, asked, without_pods, unmeasured, judged, released_before])
def test_a_version_does_not_only_warm_up_while_any_other_work_or_alert_exists(world, what):
    what(world)
    assert not warms_up(world)
    assert not warms_up(world, DecisionReason.BACKFILLING)


@pytest.mark.parametrize(
    "obstacle",
    [
        {"conflict": "route / is another's"},
        {"write_refusal": "exceeded quota"},
        {"stalled": Finding(names.ConditionType.STALLED, "True", "VersionReused")},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_product_with_an_obstacle_does_not_only_warm_up(world, obstacle):
    observation = world.observation()
    plan = make_plan(observation)
    assert only_warms_up(observation, plan)
    assert not only_warms_up(replace(observation, **obstacle), plan)


def test_a_just_promoted_version_is_not_reported_as_silent(world):
    def silent(blocks: int) -> dict[str, bool]:
        observation = replace(world.observation(), now=world.now + blocks * 60)
        series = Series()
        series.record(Block(observation.observed.block - 100, Quality.COUNTED, Count(0, 100)))
        observed = replace(
            observation.observed, problem=None, series={"v1": {"accuracy": series}},
            block=observation.observed.block + blocks,
        )  # fmt: skip
        observation = replace(observation, observed=observed)
        return dict(snapshot_of(observation, make_plan(observation)).silent)

    assert silent(0) == {}
    assert silent(8) == {"outcomes": True}
