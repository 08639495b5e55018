"""The whole operator on virtual time: hours in a second, with nothing of ours replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sluicegate.kube.resources import DEPLOYMENTS, JOBS, Key
from tests.support.prometheus_stand_in import Lie
from tests.support.rollout_world import document, image
from tests.support.virtual.cluster import Quality, Training
from tests.support.virtual.event_loop import run_virtually
from tests.support.virtual.network import Trouble
from tests.support.virtual.operator import SETTINGS, World

HOUR = 3600.0
BLOCK = 300
GOOD, BAD = Quality(wrong=0.1), Quality(wrong=0.4)
OUTPUT = "registry.example/bentos/search"
TRAINED = {
    "image": image("c"),
    "version": "v2-trained",
    "evaluation": {"accuracy": {"bad": 1000, "total": 10_000}},
    "stableEvaluation": {"accuracy": {"bad": 4000, "total": 10_000}},
}
LEASE, LOOK = 15.0, 2.0


def product(**spec: Any) -> dict[str, Any]:
    """A product whose accuracy was evaluated before it was deployed."""
    bento = {"image": image("a"), "version": "v1", "service": "Search"}
    return document(
        **{
            "model": {"bento": bento, "evaluation": {"accuracy": {"bad": 1000, "total": 10_000}}},
            "slos": [
                {
                    "name": "accuracy",
                    "indicator": {"outcomes": {}},
                    "maxDrop": "0.05",
                    "maxRegression": "0.05",
                    "onDegraded": "Retrain",
                }
            ],
            "retraining": {"command": ["train"], "output": OUTPUT},
            "analysis": {"blockSeconds": BLOCK},
            **spec,
        }
    )


def serving(world: World, key: Key) -> str:
    """The version that serves; empty while none does."""
    if world.condition(key, "Ready").get("status") != "True":
        return ""
    return str(world.status(key)["stable"]["version"])


def pushed(digit: str, version: str) -> dict[str, Any]:
    return {"bento": {"image": image(digit), "version": version, "service": "Search"}}


def test_a_product_that_degrades_is_retrained_and_its_cure_promoted():
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
            world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            await world.run(2 * HOUR)
            assert not world.status(key).get("retraining", {}).get("trigger")
            world.cluster.set_quality(image("a"), BAD)
            took = await world.until(
                lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR, what="cured"
            )
            assert took > 600
            assert not world.errors.found

    run_virtually(story())


def test_without_a_prometheus_a_pushed_model_waits_for_a_person_and_says_so():
    """Its blocks were said to be read back for ever, and the model wasn't mentioned."""

    async def story() -> None:
        async with World(settings=replace(SETTINGS, prometheus_url="")) as world:
            key = world.apply(product())
            world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(
                lambda: "v2 waits" in world.status(key).get("decision", {}).get("message", ""),
                seconds=3 * BLOCK,
            )
            missing = world.condition(key, "MetricsAvailable")
            assert missing["reason"] == "PrometheusUnavailable"
            assert "SLUICEGATE_PROMETHEUS_URL" in missing["message"]
            world.annotate(key, **{"sluicegate.dev/promote": "v2/1"})
            await world.until(lambda: serving(world, key) == "v2", seconds=2 * HOUR)
            assert not world.errors.found

    run_virtually(story())


def test_a_bad_version_is_taken_back_and_stable_goes_on_serving():
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            world.cluster.set_quality(image("b"), Quality(wrong=0.4))
            world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            await world.run(1 * HOUR)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(
                lambda: world.condition(key, "Stalled").get("reason") == "ModelRejected",
                seconds=6 * HOUR,
            )
            assert world.status(key)["stable"]["version"] == "v1"
            await world.until(
                lambda: len(list(world.server.all(DEPLOYMENTS))) == 1 or _no_pods(world, "v2"),
                seconds=HOUR,
            )
            assert not world.errors.found

    run_virtually(story())


def _no_pods(world: World, version: str) -> bool:
    return all(
        pod.labels["sluicegate.dev/version"] != version
        for pod in world.cluster.workloads.pods.values()
    )


def test_another_replica_takes_over_when_the_leader_is_killed():
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            first = world.start()
            await world.until(lambda: first.leads, seconds=10)
            second = world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            first.kill()
            took = await world.until(lambda: second.leads, seconds=60)
            assert LEASE - LOOK <= took <= LEASE + LOOK
            world.edit(key, serving={"replicas": 2})
            await world.until(lambda: len(world.cluster.pods_of(key)) == 2, seconds=60)
            writers = {replica for replica, _ in list(world.network.writes)[-3:]}
            assert writers == {second.name}

    run_virtually(story())


def test_a_stopped_leader_gives_its_lease_back_and_another_leads_at_once():
    async def story() -> None:
        async with World() as world:
            first = world.start()
            await world.until(lambda: first.leads, seconds=10)
            second = world.start()
            await world.run(10)
            await first.stop()
            assert await world.until(lambda: second.leads, seconds=60) <= LOOK

    run_virtually(story())


@pytest.mark.parametrize("trouble", [Trouble.REFUSED, Trouble.SWALLOWED, Trouble.BROKEN])
def test_five_minutes_without_an_api_server_cost_nothing_but_the_time(trouble):
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            replica = world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            world.network.faults["away"] = lambda *_: trouble
            world.network.watch_faults["away"] = lambda *_: trouble
            for stream in world.server.streams():
                stream.close()
            await world.run(60)
            assert not replica.leads
            world.edit(key, serving={"replicas": 2})
            await world.run(240)
            world.network.faults.clear()
            world.network.watch_faults.clear()
            await world.until(lambda: len(world.cluster.pods_of(key)) == 2, seconds=60)
            assert replica.leads
            assert not world.errors.found

    run_virtually(story())


@pytest.mark.parametrize("lie", [Lie.REFUSED, Lie.HANGS, Lie.ERROR_503, Lie.PARTIAL, Lie.NOT_JSON])
def test_ten_minutes_without_prometheus_raise_no_weight_and_end_no_canary(lie):
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            await world.run(HOUR)
            world.edit(key, model=pushed("b", "v2"))
            weight = lambda: (world.status(key).get("traffic") or {}).get("weight", 0)  # noqa: E731
            await world.until(lambda: weight() == 5, seconds=HOUR)
            world.prometheus.lies[""] = lie
            await world.run(600)
            assert weight() == 5
            world.prometheus.lies.clear()
            await world.until(lambda: serving(world, key) == "v2", seconds=6 * HOUR)
            assert not world.errors.found

    run_virtually(story())


def test_a_canary_goes_on_where_it_was_under_another_leader():
    async def story() -> None:
        async with World() as world:
            key = world.apply(product())
            world.start()
            world.start()
            await world.until(lambda: serving(world, key) == "v1", seconds=60)
            await world.run(HOUR)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(lambda: "candidate" in world.status(key), seconds=60)
            while serving(world, key) != "v2":
                leader = world.leader()
                if leader is not None:
                    leader.kill()
                    world.start()
                await world.run(600)
                assert world.loop.time() < 12 * HOUR
            assert not list(world.server.all(JOBS))
            assert not world.errors.found

    run_virtually(story())
