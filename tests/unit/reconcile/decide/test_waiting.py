"""What status says of a retraining that is due and can't start, and of a split that was taken."""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest

from sluicegate.policy.model.observed import Facts, Portfolio
from tests.support.decisions.rollout_world import World, serving_world

TRAINING = {"command": ["train"], "output": "registry.example/bentos/search"}


@cache
def _degraded(mode: str) -> World:
    world = serving_world(36, retraining=TRAINING | {"mode": mode})
    world.portfolio = Portfolio(slot=False)
    world.bad["v1"] = 0.6
    return world.until(lambda one: one.current.state == "Degraded").run(2)


def degraded(mode: str = "Automatic") -> World:
    return deepcopy(_degraded(mode))


@pytest.mark.parametrize(("mode", "waits"), [("Automatic", "NoSlot"), ("Manual", "ManualMode")])
def test_a_due_retraining_reports_its_wait_reason(mode, waits):
    retraining = degraded(mode).current.retraining
    assert retraining.waiting_for == waits
    assert (retraining.pending.cause, retraining.pending.slo) == ("ModelDecay", "accuracy")
    assert retraining.pending.version == "v1"
    assert retraining.trigger is None


def test_a_degraded_product_with_a_degraded_upstream_requests_no_training():
    world = degraded()
    world.facts = Facts(upstream_degraded=("pricing",))
    world.run()
    assert world.condition("Degraded") == ("True", "UpstreamDegraded")
    assert world.current.retraining is None


def test_a_waiting_retraining_writes_no_status_per_block():
    world = degraded()
    writes, since = world.writes, world.current.retraining.pending.trigger_time
    world.run(10)
    assert world.writes == writes
    assert world.current.retraining.pending.trigger_time == since


def test_a_pending_training_becomes_the_trigger_once_a_slot_is_free():
    world = degraded()
    pending = world.current.retraining.pending
    world.portfolio = Portfolio(slot=True)
    world.run()
    retraining = world.current.retraining
    assert retraining.trigger.id == pending.id
    assert retraining.pending is None
    assert retraining.waiting_for == ""


def test_without_a_stable_version_or_a_training_in_the_spec_no_job_starts():
    """A user edited status or spec; an attempt that has its slot would be built of nothing."""
    world = degraded()
    world.portfolio = Portfolio(slot=True)
    status = world.run().current
    assert world.observation().starts_training(status)
    assert not world.observation().starts_training(status.replace(stable=None))
    del world.spec["spec"]["retraining"]
    assert not world.observation().starts_training(status)


@pytest.mark.parametrize(("attempts", "suspended"), [(2, False), (3, True)])
def test_three_attempts_without_a_promotion_suspend_retraining(attempts, suspended):
    world = degraded()
    world.status["retraining"]["unsuccessfulAttempts"] = attempts
    world.run(2)
    assert world.current.retraining.suspended is suspended
    if suspended:
        assert world.current.retraining.waiting_for == "RetrainSuspended"


def test_the_status_of_the_split_has_the_time_at_which_the_gateways_accepted_it():
    world = serving_world(36)
    first = world.current.traffic.acceptance_time
    assert first is not None
    written = world.current.traffic.write_time
    world.run(20)
    assert world.current.traffic.acceptance_time == first
    assert world.current.traffic.write_time == written
    world.push("b", "v2").until(lambda one: one.current.candidate is not None).run(14)
    traffic = world.current.traffic
    assert traffic.weight > 0
    assert traffic.write_time > written
    assert traffic.acceptance_time is None or traffic.acceptance_time >= traffic.write_time
