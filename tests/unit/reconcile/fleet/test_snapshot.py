"""What is known of products after a restart, before any of them has been reconciled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from sluicegate.api import names
from sluicegate.api.engine import ProductState
from sluicegate.api.names import DecisionReason
from sluicegate.api.versions import CandidatePhase
from sluicegate.kube.resources import Key
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.retraining.training_slots import Budget
from sluicegate.reconcile.decide.planner import make_plan
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot, snapshot_before
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.report.fleet_update import snapshot_of
from sluicegate.slo.blocks import Block, Quality, Series, hour_of
from sluicegate.stats.counts import Count
from tests.support.decisions.jobs import job
from tests.support.decisions.rollout_world import World, document, serving_world

TRAINING = {"command": ["train"], "output": "registry.example/bentos/search"}
BLOCK = 60
NOW = 1_767_225_600
"""2026-01-01T00:00:00Z."""
FIRST = 30_000_000
STREAK = {"first": FIRST, "last": FIRST + 2, "evaluations": 3, "fresh": 3}
TRIGGER = {
    "id": "12345678",
    "cause": "ModelDecay",
    "version": "v1",
    "triggerTime": "2026-01-31T09:00:00Z",
}
RESULT = {"outcome": "Failed", "completionTime": "2026-01-01T00:00:00Z"}
BAD = {
    "slos": [{"name": "accuracy", "state": "Missed"}],
    "engine": {"slos": {"accuracy": {"streak": STREAK}}},
}


def record(name: str = "search", **status):
    return product_record(
        {
            "metadata": {
                "name": name,
                "namespace": "catalog",
                "uid": name,
                "resourceVersion": "1",
            },
            "spec": {"analysis": {"blockSeconds": BLOCK}},
            "status": status,
        }
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ProductSnapshot()),
        ({"state": "Healthy", "slos": [{"name": "accuracy", "state": "Met"}]}, ProductSnapshot()),
        ({"retraining": {"trigger": TRIGGER}}, ProductSnapshot()),
        ({"retraining": {"trigger": TRIGGER["id"]}}, ProductSnapshot()),
        ({"retraining": {"lastResult": RESULT}}, ProductSnapshot(trained_at=NOW)),
        (
            {"state": "Degrading", **BAD},
            ProductSnapshot(block_seconds=BLOCK, bad_since=FIRST * BLOCK),
        ),
        (
            {"state": "Degraded", **BAD},
            ProductSnapshot(
                state=ProductState.DEGRADED, block_seconds=BLOCK, bad_since=FIRST * BLOCK
            ),
        ),
    ],
    ids=["new", "healthy", "a trigger alone", "malformed", "trained", "turning bad", "degraded"],
)
def test_a_status_has_the_training_and_degradation_of_the_snapshot_at_start(status, expected):
    assert snapshot_before(record(**status)) == expected


def test_after_a_restart_a_just_recovered_upstream_still_explains_a_degradation():
    """What was measured in its aftermath would count as evidence against the models of its callers."""
    recovered = {
        "type": "Degraded", "status": "False", "reason": "NotDegraded", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    }  # fmt: skip
    fleet = FleetRegistry(Budget(1, 1))
    key = Key("catalog", "search")
    fleet.record(key, snapshot_before(record(state="Healthy", conditions=[recovered])))
    assert fleet.was_degraded(key, NOW)
    assert not fleet.was_degraded(key, NOW + 1)
    worse = {**recovered, "status": "True", "reason": "ModelDecay"}
    bad = snapshot_before(record(state="Degraded", **BAD, conditions=[worse]))
    fleet.record(key, bad)
    assert fleet.bad_since([key, Key("catalog", "other")]) == FIRST * BLOCK


begun = partial(job, "search-train-12345678-1", created=NOW - 900, start_time=NOW, deadline=3600)


@pytest.mark.parametrize(
    ("found", "now", "trains"),
    [
        (begun(), NOW + 60, True),
        (begun(finished=True), NOW + 60, False),
        (begun(deleting=True), NOW + 60, False),
        (begun(), NOW + 3600 + 599, True),
        (begun(), NOW + 3600 + 600, False),
        (begun(suspended=True, start_time=0), NOW + 60, False),
        (begun(start_time=0), NOW + 86_400, True),
        (begun(deadline=0), NOW + 86_400 + 599, True),
        (begun(deadline=10**8), NOW + 86_400 + 600, False),
    ],
    ids=[
        "runs",
        "ended",
        "deleted",
        "ends",
        "never ends",
        "queued",
        "resumed",
        "no deadline",
        "a longer deadline",
    ],
)
def test_a_running_job_holds_a_training_slot_after_a_restart(found, now, trains):
    trigger = {"retraining": {"trigger": TRIGGER, "startTime": "2026-01-01T00:00:00Z"}}
    before = snapshot_before(record(**trigger), [found], now=now, max_training_seconds=86_400)
    assert before.training is trains


@pytest.mark.parametrize(("seconds", "kept"), [(0, True), (59, True), (60, False), (9999, False)])
def test_a_trigger_without_a_job_holds_a_training_slot_for_one_minute(seconds, kept):
    trigger = {"retraining": {"trigger": TRIGGER, "startTime": "2026-01-01T00:00:00Z"}}
    assert snapshot_before(record(**trigger), now=NOW + seconds).training is kept


def test_after_a_restart_a_common_cause_is_known_before_the_first_evaluation():
    fleet = FleetRegistry(Budget())
    for name in ("a", "b", "c", "d"):
        status = {"state": "Degraded", **BAD} if name != "d" else {}
        fleet.record(Key("catalog", name), snapshot_before(record(name, **status)))
    now = FIRST * BLOCK + 86_400
    assert fleet.portfolio(Key("catalog", "a"), now).degraded_products == 3


# ---- after a step -----------------------------------------------------------------------------
def standing_after(world: World) -> ProductSnapshot:
    observation = world.observation()
    step = make_plan(observation)
    return snapshot_of(observation, step)


def test_a_snapshot_has_the_newest_good_block_until_the_product_turns_bad():
    world = World(spec=document()).until(lambda world: world.current.state == ProductState.HEALTHY)
    fine = standing_after(world)
    assert (fine.bad_since, fine.fine_at) == (None, fine.judged_until)
    world.bad["v1"] = 0.9
    world.until(lambda world: any(slo.streak for slo in world.current.engine.slos.values()))
    bad = standing_after(world)
    assert bad.fine_at is None, "what the others know of it is from before"
    assert fine.judged_until < bad.bad_since <= bad.judged_until


def test_longer_blocks_do_not_move_a_degradation_time_into_the_future():
    world = World(spec=document()).until(lambda world: world.current.state == ProductState.HEALTHY)
    world.bad["v1"] = 0.9
    world.until(lambda world: world.current.state == ProductState.DEGRADED)
    assert standing_after(world).bad_since is not None
    for slo in world.status["engine"]["slos"].values():
        slo["streak"]["first"] *= 5
    after = standing_after(world)
    assert (after.bad_since, after.fine_at) == (None, None)


def test_a_manual_training_request_queues_by_its_request_time():
    world = serving_world(0, retraining=TRAINING)
    world.portfolio = Portfolio(slot=False)
    world.requests[names.REQUEST_RETRAIN] = "now"
    first = standing_after(world)
    assert first.waiting_since == world.now
    world.now += 3600
    assert standing_after(world).following(first).waiting_since == world.now - 3600


def test_a_shadow_phase_waits_for_a_slot_only_during_the_rollout_of_its_candidate():
    shadow = {"command": ["score"], "intervalSeconds": 10 * BLOCK}
    rollout = {"steps": [50], "maxDurationSeconds": 3600, "shadow": shadow}
    world = serving_world(0, rollout=rollout)
    world.portfolio = Portfolio(slot=False)
    world.push("b", "v2").until(lambda world: standing_after(world).waiting_since is not None)
    world.until(lambda world: world.current.candidate.phase is CandidatePhase.PARKED)
    assert standing_after(world).waiting_since is None
    assert not world.current.candidate.shadow.reason


def test_a_training_waits_for_a_slot_until_its_job_exists():
    world = serving_world(0, retraining=TRAINING)
    world.status["retraining"] = {"trigger": TRIGGER, "attempt": 1}
    world.portfolio = Portfolio(slot=False)
    observation = world.observation()
    ended = replace(observation, job=begun(finished=True))
    found = [snapshot_of(one, make_plan(one)).waiting_since for one in (observation, ended)]
    assert found == [world.now, None]


@pytest.mark.parametrize(("retries_in", "waits"), [(-BLOCK, True), (30 * BLOCK, False)])
def test_a_challenger_whose_job_was_lost_is_queued_again_only_at_its_retry_time(retries_in, waits):
    """Else the slot stays free for it, and nothing trains."""
    world = serving_world(0, retraining=TRAINING | {"schedule": {"everySeconds": 3600}})
    world.portfolio = Portfolio(slot=False)
    world.run(70)
    assert standing_after(world).waiting_since is not None
    retry = datetime.fromtimestamp(world.now + retries_in, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.status["retraining"] |= {"lostJobs": 1, "retryTime": retry}
    assert (standing_after(world).waiting_since is not None) is waits


def test_a_product_queues_for_a_slot_again_only_when_its_next_training_is_due():
    world = serving_world(0, retraining=TRAINING)
    world.status["retraining"] = {"lastResult": RESULT, "unsuccessfulAttempts": 1}
    assert standing_after(world).waiting_since is None


def test_the_declared_owner_of_a_product_does_not_affect_other_products():
    """Namespaces are counted, which tenants can't choose: see `common_cause`."""
    owners = ("group:default/catalog", "group:default/catalog", "group:default/other")
    found = [standing_after(serving_world(0, owner=owner)) for owner in owners]
    assert found[0] == found[1] == found[2]


# ---- silence ----------------------------------------------------------------------------------
def silence(world: World, **observed) -> dict[str, bool]:
    """Return the silent flags of a product's snapshot for these observed values."""
    observation = world.observation()
    changed = replace(observation.observed, **{"problem": None, "series": {}, **observed})
    observation = replace(observation, observed=changed)
    return dict(snapshot_of(observation, make_plan(observation)).silent)


def counted(world: World, *, ago: int, total: int = 100) -> dict[str, dict[str, Series]]:
    """Return blocks as they are read back after a restart: events long ago, and none since."""
    series, newest = Series(), world.observation().observed.block
    series.record(Block(newest, Quality.NO_SERIES))
    series.record_hour(hour_of(newest - ago), Count(0, total))
    return {"v1": {"accuracy": series}}


def serving(**spec) -> World:
    return serving_world(8, **spec)


def test_a_product_that_never_had_data_is_not_silent():
    """A third of the teams hadn't wired their labels, so no model was retrained."""
    world = serving()
    assert silence(world) == {}
    assert silence(world, series=counted(world, ago=500, total=0)) == {}


def test_a_product_that_lost_its_data_is_silent_even_after_a_restart():
    world = serving()
    assert silence(world, series=counted(world, ago=500)) == {"outcomes": True}


def test_feedback_that_cannot_be_read_at_present_is_not_silent():
    world = serving()
    problem = DecisionReason.PROMETHEUS_UNAVAILABLE
    assert silence(world, series=counted(world, ago=500), problem=problem) == {"outcomes": False}
    assert silence(world, problem=problem) == {}


GAUGE = {
    "name": "freshness",
    "indicator": {"gauge": {"metric": "age_seconds", "direction": "LowerIsBetter", "bound": "9"}},
}


def test_a_gauge_that_was_never_pushed_is_not_silent():
    world = serving(slos=[GAUGE])
    assert silence(world) == {}


def test_a_leader_term_begins_with_the_dependents_of_each_product():
    """Else a candidate that all consumers must agree to is promoted without one after a restart."""
    body = document()
    body["metadata"] |= {
        "uid": "u",
        "resourceVersion": "1",
        "namespace": "catalog",
        "name": "search",
    }
    body["spec"]["dependsOn"] = [{"name": "pricing"}, {"name": "shop", "namespace": "other"}]
    registry = FleetRegistry(Budget(1, 1))
    registry.renew({Key("catalog", "search"): snapshot_before(product_record(body))})
    assert registry.graph.dependents(Key("catalog", "pricing")) == (Key("catalog", "search"),)
    assert registry.graph.dependents(Key("other", "shop")) == (Key("catalog", "search"),)


@pytest.mark.parametrize("spec", [None, {}, {"dependsOn": "x"}, {"dependsOn": [None, {"name": 7}]}])
def test_unreadable_dependencies_are_omitted_from_the_snapshot(spec):
    body = document()
    body["metadata"] |= {"uid": "u", "resourceVersion": "1", "namespace": "catalog"}
    assert product_record(body | {"spec": spec}).depends_on == ()
