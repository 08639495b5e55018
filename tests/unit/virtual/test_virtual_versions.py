"""Which version serves follows from the spec as it is now, whatever came before: the whole operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.trainings import Training
from sluicegate.api import names
from sluicegate.kube.resources import GATEWAYS
from tests.support.decisions.rollout_world import image
from tests.support.virtual.stories import (
    BAD,
    HOUR,
    RARELY,
    TRAINED,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.kube.resources import Key

STEPS = {"rollout": {"steps": [5, 25, 50]}, "analysis": {"blockSeconds": 60}}


async def in_canary(world: World, **spec: object) -> Key:
    """A product whose v2 has 5 % of the requests."""
    key = await served(world, product(**STEPS, **spec), **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=120)
    await world.run(120)
    return key


def is_at_rest(world: World, key: Key, version: str, *, named: str = "") -> bool:
    """Whether a version serves, the spec's model is done with, and nothing is under way."""
    status = world.status(key)
    model = status["specModel"]
    done = (model["version"], model["outcome"]) == (named or version, "Promoted")
    stalled = world.condition(key, "Stalled").get("status") == "True"
    return serving(world, key) == version and done and not status.get("candidate") and not stalled


@on_virtual_time
async def test_a_revert_during_a_suspension_ends_the_candidate_once_it_is_over(world):
    key = await in_canary(world)
    world.edit(key, suspend=True)
    await world.run(300)
    world.edit(key, model=pushed("a", "v1"))
    await world.run(300)
    assert weight(world, key) == 5
    world.edit(key, suspend=False)
    await world.until(lambda: is_at_rest(world, key, "v1"), seconds=300)
    await world.run(2 * HOUR)
    assert is_at_rest(world, key, "v1")


@on_virtual_time
async def test_a_change_and_its_revert_during_a_suspension_leave_the_candidate_as_it_was(world):
    key = await in_canary(world)
    world.edit(key, suspend=True)
    for digit, version in (("a", "v1"), ("b", "v2")):
        await world.run(300)
        world.edit(key, model=pushed(digit, version))
    begun = world.status(key)["candidate"]["startTime"]
    world.edit(key, suspend=False)
    await world.run(120)
    candidate = world.status(key)["candidate"]
    assert (candidate["version"], candidate["startTime"]) == ("v2", begun)


@on_virtual_time
async def test_a_candidate_ends_when_the_spec_names_another_bento_under_a_taken_name(world):
    key = await in_canary(world)
    world.edit(key, model=pushed("c", "v1"))
    await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
    await world.run(HOUR)
    assert serving(world, key) == "v1"
    assert world.condition(key, "Stalled")["reason"] == "VersionReused"
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=300)


@on_virtual_time
async def test_a_rollback_to_stable_takes_back_what_is_tried(world):
    key = await in_canary(world)
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.until(lambda: not world.status(key).get("candidate"), seconds=300)
    await world.run(HOUR)
    assert serving(world, key) == "v1"
    assert world.status(key)["lastHandled"]["rollbackTo"] == "v1/1"
    assert not world.condition(key, "Stalled")
    assert world.condition(key, "RolloutProgressing")["reason"] == "RollbackRequested"


@on_virtual_time
async def test_a_rollback_ends_when_one_gateway_of_two_is_deleted(world):
    """That Gateway sends no request, so no pod waits until it takes the route."""
    internal = world.cluster.add_gateway("internal")
    parents = [{"name": name, "namespace": "gateway"} for name in ("web", "internal")]
    key = await in_canary(world, route={"parentRefs": parents, "path": "/search"})
    world.server.delete(GATEWAYS, internal)
    world.annotate(key, **{names.REQUEST_ABORT: "1"})
    await world.until(lambda: not world.status(key).get("candidate"), seconds=900)
    await world.run(60)
    ready = world.condition(key, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "RouteNotAccepted")
    assert "Gateway gateway/internal" in ready["message"]
    world.edit(key, route={"parentRefs": parents[:1]})
    world.edit(key, model=pushed("c", "v3"))
    await world.until(lambda: weight(world, key) == 5, seconds=300)


@pytest.mark.slow
@on_virtual_time
async def test_a_revert_to_the_bento_from_which_stable_was_retrained_is_as_before(world):
    key = await served(world, product(**STEPS), **RARELY)
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=6 * HOUR)
    world.cluster.set_quality(image("d"), BAD)

    def as_before() -> bool:
        return is_at_rest(world, key, "v2-trained", named="v1")

    for ended in ("in its canary", "rejected"):
        world.edit(key, model=pushed("d", "v3"))
        if ended == "rejected":
            await world.until(
                lambda: world.condition(key, "Stalled").get("reason") == "ModelRejected",
                seconds=6 * HOUR,
            )
        else:
            await world.until(lambda: weight(world, key) == 5, seconds=120)
        world.edit(key, model=pushed("a", "v1"))
        await world.until(as_before, seconds=300, what=ended)
        await world.run(HOUR)
        assert as_before()
