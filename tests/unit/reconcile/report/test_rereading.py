"""While blocks are read back after a restart, status says what was known before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.names import DecisionReason
from sluicegate.api.slo_status import SloState
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.report.status_due import status_due
from tests.support.decisions.rollout_world import World, document, serving_world


def written(world: World, problem: DecisionReason | None):
    """Return the status before a look with this problem, and the one after it."""
    observation = world.observation()
    observed = replace(observation.observed, problem=problem)
    observation = replace(observation, observed=observed)
    before = observation.product.status
    after = report(observation, make_plan(observation))
    return before, status_due(before, after, now=world.now, refresh_seconds=0)


def served(blocks: int, *, wrong: float = 0.1) -> World:
    world = serving_world(0)
    world.bad["v1"] = wrong
    return world.run(blocks)


@pytest.mark.parametrize("wrong", [0.1, 0.6], ids=["well", "degraded"])
def test_a_restart_changes_no_status_and_emits_no_event(wrong):
    world = served(36, wrong=wrong)
    before, after = written(world, DecisionReason.BACKFILLING)
    assert {slo.state for slo in before.slos} == {SloState.MET if wrong == 0.1 else SloState.MISSED}
    assert after == before


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_just_promoted_version_has_a_single_reason_for_its_missing_evaluation(blocks):
    world = served(0)
    first = world.current.slos[0].reason
    world.run(blocks)
    assert [slo.reason for slo in world.current.slos] == [first]
    before, after = written(world, DecisionReason.BACKFILLING)
    assert after == before


def test_an_unmeasurable_version_is_reported():
    world = World(spec=document(), is_measured=False)
    world.until(lambda world: world.serving == "v1").run(8)
    assert world.current.slos[0].reason == DecisionReason.PROMETHEUS_UNAVAILABLE


@pytest.mark.parametrize("rate", [0, 4000])
def test_a_version_without_requests_reports_no_traffic_instead_of_warming_up(rate):
    world = World(spec=document(), rate=rate)
    world.until(lambda world: world.serving == "v1").run(8)
    world.rate = 0
    reasons = [world.run().current.slos[0].reason for _ in range(30)]
    assert reasons[-1] == DecisionReason.NO_TRAFFIC


def test_an_outage_of_prometheus_is_reported():
    world = served(36)
    before, after = written(world, DecisionReason.PROMETHEUS_UNAVAILABLE)
    assert after != before
    assert [slo.reason for slo in after.slos] == [DecisionReason.PROMETHEUS_UNAVAILABLE]


def test_a_new_slo_reports_that_its_past_blocks_are_being_read():
    world = served(36)
    name = world.spec["spec"]["slos"][0]["name"]
    world.spec["spec"]["slos"] = [{**world.spec["spec"]["slos"][0], "name": f"{name}-at-night"}]
    _, after = written(world, DecisionReason.BACKFILLING)
    assert [slo.reason for slo in after.slos] == [DecisionReason.BACKFILLING]
