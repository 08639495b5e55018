"""A record of what the whole operator did, replayed: the same inputs, and the same decisions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.simulation.tuning import tune_slos
from tests.support.decisions.rollout_world import image
from tests.support.lives.truth import KEY as MARKETS_KEY
from tests.support.virtual.markets import EVEN_SHARES, counted_by_market, fallen
from tests.support.virtual.replays import Made, Watch, differences, recorded, replayed
from tests.support.virtual.stories import (
    BAD,
    BLOCK,
    HOUR,
    OUTPUT,
    RARELY,
    TRAINED,
    opened,
    product,
    pushed,
    served,
    serving,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key
    from sluicegate.simulation.replay_scenario import ReplayScenario

pytestmark = pytest.mark.slow

AGAIN: Final = {**TRAINED, "image": image("e"), "version": "v3-trained"}
DIFFERS: Final = {
    "facts.split_verified": "a replay carries decisions out at once: no pods and no traffic follow",
    "facts.route_objection": "the same: no Gateway answers a route",
    "portfolio": "a record is of one product, and a replay doesn't count that as one that turned bad",
    "training": "a Job ends between two blocks; a record has its version before its first traffic",
    "desired": "a record knows of a pushed model by its traffic, for which its pods have to start first",
    "term": "a record doesn't say since when a replica leads",
}
"""Inputs of decisions that a record can't give back, and why; it only becomes shorter.

For the first reason a replay has no `rollout` either, which the planner adds to what was observed.
"""


def serves(world: World, key: Key, version: str) -> bool:
    """Return whether a version serves."""
    return serving(world, key) == version


@dataclass(frozen=True, slots=True)
class Life:
    """The record of a product, and how the operator judged it; when it decayed, in seconds."""

    scenario: ReplayScenario
    watch: Watch
    decayed: tuple[int, ...] = ()


@pytest.fixture(scope="module")
def retrained() -> Life:
    """Return a product that decays and is retrained twice."""

    async def story() -> Life:
        async with opened(for_days=True) as world:
            watch, decayed = Watch(), []
            world.on_plan.append(watch)
            key = await served(
                world, product(retraining={"command": ["train"], "output": OUTPUT}), **RARELY
            )
            for stable, report, after in (("a", TRAINED, "v2-trained"), ("c", AGAIN, "v3-trained")):
                world.cluster.trainings[key] = Training(seconds=600, report=report)
                await world.run(HOUR)
                decayed.append(int(world.loop.wall()))
                world.cluster.set_quality(image(stable), BAD)
                await world.until(partial(serves, world, key, after), seconds=9 * HOUR)
            await world.run(HOUR / 2)
            return Life(await recorded(world, key), watch, tuple(decayed))

    return run_virtually(story())


@pytest.fixture(scope="module")
def pushed_twice() -> Life:
    """Return a product without samples for a while, then with a pushed model that is worse and one that isn't."""

    async def story() -> Life:
        async with opened(seed=7, for_days=True) as world:
            watch = Watch()
            world.on_plan.append(watch)
            key = await served(world, product(), **RARELY)
            world.cluster.set_quality(image("b"), Quality(wrong=0.3))
            await world.run(HOUR / 2)
            lost = world.loop.wall()
            world.prometheus.lost.append((lost, lost + 3 * BLOCK))
            await world.run(2 * HOUR)
            world.edit(key, model=pushed("b", "v2"))
            await world.until(partial(refused, world, key), seconds=9 * HOUR)
            await world.run(HOUR)
            world.edit(key, model=pushed("c", "v3"))
            await world.until(partial(serves, world, key, "v3"), seconds=9 * HOUR)
            await world.run(HOUR / 2)
            return Life(await recorded(world, key), watch)

    return run_virtually(story())


def refused(world: World, key: Key) -> bool:
    """Return whether the model of the spec was rolled back."""
    return bool((world.status(key).get("specModel") or {}).get("outcome") == "RolledBack")


def without_delay(decision: Made) -> tuple[object, ...]:
    """Return a decision; one about a follow-up without its block.

    Its pause counts from the promotion before it, which takes effect at once in a replay.
    """
    at, kind, reason, *others = decision
    return (None if reason == "FollowUp" else at, kind, reason, *others)


def test_a_replay_of_a_recorded_history_makes_the_operators_decisions_at_the_same_blocks(
    retrained: Life,
):
    made = [without_delay(each) for each in retrained.watch.decisions(BLOCK)]
    healed, follow_up = ["Retrain", "StartRollout", "Advance", "Advance", "Promote"], ["Retrain"]
    assert [kind for _, kind, *_ in made] == healed + follow_up + healed
    assert [without_delay(each) for each in replayed(retrained.scenario)] == made


def test_a_replay_of_a_rollout_decides_at_the_same_blocks_as_the_operator(
    pushed_twice: Life,
):
    made = pushed_twice.watch.decisions(BLOCK)
    assert [kind for _, kind, *_ in made] == [
        "StartRollout", "Rollback", "StartRollout", "Advance", "Advance", "Promote",
    ]  # fmt: skip
    mine = replayed(pushed_twice.scenario)
    assert without_starts(mine) == without_starts(made)
    assert [one[1:] for one in mine] == [one[1:] for one in made]


def without_starts(made: list[Made]) -> list[Made]:
    """Return the decisions but those that begin a rollout."""
    return [one for one in made if one[1] != "StartRollout"]


def test_a_replay_has_the_same_decision_inputs_as_the_operator(retrained: Life, pushed_twice: Life):
    found: dict[str, list[Any]] = {}
    for life in (retrained, pushed_twice):
        found |= differences(life.scenario, life.watch.judged)
    assert {name: found[name][:3] for name in found.keys() - DIFFERS.keys()} == {}
    assert DIFFERS.keys() <= found.keys(), "what doesn't differ any more is no exception"


def test_tune_detects_the_decay_of_a_retrained_version(retrained: Life):
    (accuracy,) = tune_slos(retrained.scenario)
    found = [next(at for at in accuracy.now.alarms if at > begun) for begun in retrained.decayed]
    assert len(accuracy.now.alarms) == len(found)
    assert all(
        0 < at - begun < 2 * HOUR for at, begun in zip(found, retrained.decayed, strict=True)
    )


def test_a_replay_retrains_for_a_market_at_the_same_block_as_the_operator():
    """The product as a whole isn't degraded, so only its counts by market say so."""

    async def story() -> Life:
        async with opened(for_days=True) as world:
            watch = Watch()
            world.on_plan.append(watch)
            world.cluster.trainings[MARKETS_KEY] = Training(seconds=600, report=TRAINED)
            key = await counted_by_market(
                world, {"onMissed": "Retrain"}, shares=EVEN_SHARES, hours=3
            )
            world.cluster.set_quality(image("a"), fallen(shares=EVEN_SHARES))
            await world.until(partial(trains, world, key), seconds=6 * HOUR)
            await world.run(HOUR / 4)
            return Life(await recorded(world, key), watch)

    life = run_virtually(story())
    made = life.watch.decisions(BLOCK)
    assert [kind for _, kind, *_ in made][:1] == ["Retrain"]
    assert replayed(life.scenario)[:1] == made[:1]


def trains(world: World, key: Key) -> bool:
    """Return whether a training has begun."""
    return "lastTrainingTime" in (world.status(key).get("retraining") or {})
