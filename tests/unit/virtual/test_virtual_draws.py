"""The HTTPRoute of consumers' draws on virtual time: there while a candidate has a share, and no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.workloads import Quality
from sluicegate.api.names import DRAW_ROUTE_SUFFIX
from sluicegate.kube.resources import HTTP_ROUTES, Key
from tests.support.decisions.rollout_world import GATEWAY, image
from tests.support.virtual.stories import (
    RARELY,
    on_virtual_time,
    product,
    pushed,
    served,
    serving,
    weight,
)

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World

Body = dict[str, Any]
CONSUMERS = {"names": ["ranking"], "parentRefs": GATEWAY["parentRefs"]}
ROLLOUT = {"steps": [25, 50], "maxDurationSeconds": 86_400}


def draws(world: World, key: Key) -> Body | None:
    """Return the route of draws; None without one."""
    found: Body | None = world.server.find(
        HTTP_ROUTES, Key(key.namespace, f"{key.name}{DRAW_ROUTE_SUFFIX}")
    )
    return found


def weights(world: World, key: Key) -> list[int]:
    """Return the weights of the product's route."""
    rule, *_ = world.server.find(HTTP_ROUTES, key)["spec"]["rules"]
    return [backend_ref["weight"] for backend_ref in rule["backendRefs"]]


def prefixes(world: World, key: Key) -> list[str]:
    """Return the prefixes of draws that lead to the candidate; none without a route of draws."""
    rules = (draws(world, key) or {"spec": {"rules": [{}]}})["spec"]["rules"]
    stable_last = [rule["matches"] for rule in rules[:-1]]
    return [match["headers"][-1]["value"] for matches in stable_last for match in matches]


@pytest.mark.parametrize(("quality", "ends"), [(Quality(), "v2"), (Quality(wrong=0.5), "v1")])
@on_virtual_time
async def test_the_route_of_draws_follows_the_share_and_is_deleted_after_the_rollout(
    world, quality, ends
):
    world.cluster.set_quality(image("b"), quality)
    world.apply(product("ranking"))  # it asks for no evidence
    key = await served(world, product(rollout=ROLLOUT | {"consumers": CONSUMERS}), **RARELY)
    assert draws(world, key) is None
    states: list[tuple[list[str], int]] = []

    def changed(*_: object) -> None:
        """Note which draws lead to the candidate, and how many versions have a weight, at each write."""
        state = prefixes(world, key), len(weights(world, key))
        if state not in states[-1:]:
            states.append(state)

    world.server.on_change.append(changed)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 25, seconds=600)
    await world.until(lambda: not world.status(key).get("candidate"), seconds=86_400)
    assert serving(world, key) == ends
    second = [(["0"], 2)] if ends == "v2" else []
    assert states == [([], 1), (["00"], 1), (["00"], 2), *second, ([], 2), ([], 1)]


@on_virtual_time
async def test_adding_or_removing_consumers_creates_or_deletes_the_route_of_draws_during_a_canary(
    world,
):
    key = await served(world, product(rollout=ROLLOUT), **RARELY)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 25, seconds=600)
    assert draws(world, key) is None
    world.edit(key, rollout=ROLLOUT | {"consumers": CONSUMERS})
    await world.until(lambda: draws(world, key) is not None, seconds=60)
    world.edit(key, rollout=ROLLOUT | {"consumers": None})
    await world.until(lambda: draws(world, key) is None, seconds=60)
    assert weight(world, key) == 25, "an edit is no new version"
