"""How the parts of a replica are put together: names, budgets, spread."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from sluicegate.kube.resources import CONFIG_MAPS, Key
from sluicegate.manager import Controller, Operator, Program, identity_of, spread
from sluicegate.runtime.interfaces import Done, Watched
from sluicegate.runtime.metrics import LEADING_GAUGE, NAME
from sluicegate.settings import Settings

# Promised, so written as numbers here.
EVENT_BURST = 100

SETTINGS = Settings.model_construct(pod_name="sluicegate-0", write_rate=0.01, write_burst=3)


class Idle:
    async def reconcile(self, _: object) -> Done:
        return Done()


PROGRAM = Program([Watched(CONFIG_MAPS, lambda _: None)], lambda _: Controller(reconciler=Idle()))


async def forever(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def operator() -> Operator:
    return Operator(SETTINGS, PROGRAM, forever)


def delays(api, count: int) -> list[float]:
    limiter = api._gate._limiter
    return [limiter.reserve() for _ in range(count)]


async def test_the_write_gate_uses_the_write_budget_of_the_settings(operator):
    assert delays(operator.api, 4) == [0, 0, 0, pytest.approx(100, abs=30)]


async def test_begin_of_a_controller_is_called_in_each_leader_term_before_the_first_reconcile():
    told: list[str] = []
    worked = asyncio.Event()

    class Tells:
        async def reconcile(self, key: Key) -> Done:
            told.append(key.name)
            worked.set()
            return Done()

    async def begin() -> None:
        told.append("begin")

    controller = Controller(reconciler=Tells(), begin=begin)
    operator = Operator(
        SETTINGS, Program([Watched(CONFIG_MAPS, lambda _: None)], lambda _: controller), forever
    )
    for name in ("a", "b"):
        worked.clear()
        operator.queue.add(Key("ns", name))
        term = asyncio.create_task(operator._lead())
        await worked.wait()
        term.cancel()
        await asyncio.gather(term, return_exceptions=True)
    assert told == ["begin", "a", "begin", "b"]


def test_a_replica_exports_leader_0_before_the_election():
    LEADING_GAUGE.clear()
    Operator(SETTINGS, PROGRAM, forever)
    assert REGISTRY.get_sample_value("leader_election_master_status", {"name": NAME}) == 0


async def test_events_have_a_separate_write_budget(operator):
    delays(operator.api, 50)
    assert delays(operator.recorder._api, EVENT_BURST) == [0] * EVENT_BURST


def test_a_jittered_delay_is_between_half_and_all_of_the_delay():
    factors = [spread() for _ in range(1000)]
    assert all(0.5 < factor <= 1 for factor in factors)
    assert max(factors) - min(factors) > 0.25


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS.model_copy(update={"pod_name": ""})])
def test_a_container_that_was_restarted_has_another_name_than_its_predecessor(settings):
    assert identity_of(settings) != identity_of(settings)
    assert identity_of(SETTINGS).startswith("sluicegate-0_")
